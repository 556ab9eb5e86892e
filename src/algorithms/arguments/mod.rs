//! The arguments of a limit: their names, their bounds and the grammar in which a call gives them. The parser, the error texts,
//! COMMAND DOCS and the reference documentation all take them from here.

mod bounds;
mod grammar;
mod names;

use core::error::Error;
use core::fmt;

use crate::Span;
use crate::time::parse_integer;

pub use bounds::{Capacity, Cost, LimitDuration, MaxWait, Quota, Units};
pub use grammar::{Arguments, CallOption, InvalidCall};
pub use names::{ALGORITHM, ALIGNED, CAPACITY, COST, DURATION, FORCE, MAX_WAIT, QUOTA, UNITS};

/// An argument of a limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Argument {
    /// As it is written in the syntax of a command: in capitals when it is an option.
    pub name: &'static str,
    /// What it means, in a few words.
    pub summary: &'static str,
    /// What it may be.
    pub values: Values,
    /// What it may be, in words.
    pub allowed: &'static str,
    /// The sentence that says so: "quota must be an integer from …".
    pub rule: &'static str,
}

/// What an [`Argument`] may be, both ends included.
#[derive(Debug, PartialEq, Eq)]
pub enum Values {
    /// A number of units.
    Units {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A length of time.
    Time {
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// One of these words, in any case.
    Words(&'static [&'static str]),
    /// Nothing: its name says all.
    Nothing,
}

/// Defines an [`Argument`]: `argument!("count", "Units admitted per period", units from 1 to 1000)`. Its texts are made from the
/// bounds at compile time, so that a constant out of bounds panics with them.
#[macro_export]
macro_rules! argument {
    ($name:literal, $summary:literal, units from $min:literal to $max:literal) => {
        $crate::argument!(
            $name, $summary, $crate::Values::Units { min: $min, max: $max },
            "an integer from ", $min, " to ", $max
        )
    };
    ($name:literal, $summary:literal, time from $min:literal $($ms:literal)? to $max:literal "d") => {
        $crate::argument!(
            $name, $summary,
            $crate::Values::Time { min: $crate::Span::from_micros($min * 1_000), max: $crate::Span::from_secs($max * 24 * 60 * 60) },
            "whole seconds, or an integer with a unit (us, ms, s, m, h, d), from ",
            $min $(, $ms)?, " to ", $max, "d"
        )
    };
    ($name:literal, $summary:literal, one of $first:literal $(, $word:literal)* or $last:literal) => {
        $crate::argument!(
            $name, $summary, $crate::Values::Words(&[$first $(, $word)*, $last]),
            $first $(, ", ", $word)*, " or ", $last
        )
    };
    ($name:literal, $summary:literal, alone) => {
        $crate::argument!($name, $summary, $crate::Values::Nothing, "given without a value")
    };
    ($name:literal, $summary:literal, $values:expr, $($allowed:expr),+) => {
        $crate::Argument {
            name: $name,
            summary: $summary,
            values: $values,
            allowed: concat!($($allowed),+),
            rule: concat!($name, " must be ", $($allowed),+),
        }
    };
}

impl Argument {
    /// Reads a number of units.
    ///
    /// # Errors
    /// When it is none, or out of bounds.
    pub fn units(&'static self, text: &[u8]) -> Result<u64, InvalidArgument> {
        parse_integer(text).filter(|units| self.values.allow_units(*units)).ok_or(InvalidArgument(self))
    }

    /// Reads one of the words that it may be, in any case, and returns the word as it is documented.
    ///
    /// # Errors
    /// If it is not one of them.
    pub fn word(&'static self, text: &[u8]) -> Result<&'static str, InvalidArgument> {
        let Values::Words(words) = self.values else { return Err(InvalidArgument(self)) };
        words.iter().copied().find(|word| text.eq_ignore_ascii_case(word.as_bytes())).ok_or(InvalidArgument(self))
    }
}

impl Values {
    pub(crate) const fn allow_units(&self, units: u64) -> bool {
        matches!(*self, Self::Units { min, max } if min <= units && units <= max)
    }

    pub(crate) const fn allow_time(&self, time: Span) -> bool {
        let time = time.as_micros();
        matches!(*self, Self::Time { min, max } if min.as_micros() <= time && time <= max.as_micros())
    }
}

/// A value that its argument may not have. Prints as a sentence that names the argument and says what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidArgument(pub(crate) &'static Argument);

impl InvalidArgument {
    /// The argument that is wrong.
    #[must_use]
    pub const fn argument(&self) -> &'static Argument {
        self.0
    }

    /// The sentence that it prints as.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.0.rule
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

impl Error for InvalidArgument {}
