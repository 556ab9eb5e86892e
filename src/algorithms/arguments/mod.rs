//! The arguments of a limit: their names, their bounds, and the grammar of a call. The parser, the
//! error texts, COMMAND DOCS and the reference documentation all take them from here.

mod bounds;
mod grammar;
mod names;

use core::error::Error;
use core::fmt;

use crate::Span;
use crate::time::parse_integer;

pub use bounds::{Capacity, Cost, HolderId, Keep, LimitDuration, MaxWait, Months, Quota, Units, Weeks, Zone};
pub use grammar::{Arguments, CallOption, InvalidCall, Peeked};
pub use names::{
    ALGORITHM, ALIGNED, AT_MOST, CAPACITY, COST, DURATION, FORCE, ID, KEEP, MAX_WAIT, PEEK_COST, QUOTA, UNITS, ZONE,
};

/// An argument of a limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Argument {
    /// The name as the syntax of a command has it: in capitals if the argument is an option.
    pub name: &'static str,
    /// The meaning, in a few words.
    pub summary: &'static str,
    /// The values that are allowed.
    pub values: Values,
    /// The values that are allowed, in words.
    pub allowed: &'static str,
    /// The sentence that states what is allowed: "quota must be an integer from …".
    pub rule: &'static str,
}

/// The values that are allowed for an [`Argument`]. Bounds are inclusive.
#[derive(Debug, PartialEq, Eq)]
pub enum Values {
    /// A number of units.
    Units {
        /// The lowest number.
        min: u64,
        /// The highest number.
        max: u64,
    },
    /// A length of time.
    Time {
        /// The shortest time.
        min: Span,
        /// The longest time.
        max: Span,
        /// The most calendar months, which only some calls allow; 0 if none does.
        max_months: u64,
    },
    /// An offset from UTC.
    Offset {
        /// The largest offset in either direction, in minutes.
        max: i16,
    },
    /// Any bytes.
    Bytes {
        /// The lowest number of them.
        min: usize,
        /// The highest number of them.
        max: usize,
    },
    /// One of these words, in any case.
    Words(&'static [&'static str]),
    /// No value: the name of the argument says it all.
    Nothing,
}

/// Defines an [`Argument`]. Its texts are made from its bounds at compile time, so the two always
/// agree. An example:
/// `argument!("count", "Units admitted per period", units from 1 to 1000)`.
#[macro_export]
macro_rules! argument {
    ($name:literal, $summary:literal, units from $min:literal to $max:literal) => {
        $crate::argument!(
            $name, $summary, $crate::Values::Units { min: $min, max: $max },
            "an integer from ", $min, " to ", $max
        )
    };
    ($name:literal, $summary:literal, time from $min:literal $($ms:literal)? to $max:literal "d" $(or $months:literal "mo")?) => {
        $crate::argument!(
            $name, $summary,
            $crate::Values::Time {
                min: $crate::Span::from_micros($min * 1_000),
                max: $crate::Span::from_secs($max * 24 * 60 * 60),
                max_months: 0 $(+ $months)?,
            },
            "a time from ", $min $(, $ms)?, " to ", $max,
            "d: integers with units, longest first (w, d, h, m, s, ms, us; 1m30s), or whole seconds up to 31622400"
            $(, "; FIXED with ALIGNED also takes calendar months, from 1mo to ", $months, "mo")?
        )
    };
    ($name:literal, $summary:literal, offset up to $max:literal "h") => {
        $crate::argument!(
            $name, $summary, $crate::Values::Offset { max: $max * 60 },
            "an offset from -", $max, ":00 to +", $max, ":00, like +02:00, or Z"
        )
    };
    ($name:literal, $summary:literal, bytes from $min:literal to $max:literal) => {
        $crate::argument!(
            $name, $summary, $crate::Values::Bytes { min: $min, max: $max },
            "a string of ", $min, " to ", $max, " bytes"
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
    /// If the text is not a number of units, or the number is out of bounds.
    pub fn units(&'static self, text: &[u8]) -> Result<u64, InvalidArgument> {
        parse_integer(text).filter(|units| self.values.allow_units(*units)).ok_or(InvalidArgument(self))
    }

    /// Returns the error for a value that the argument may not have.
    #[must_use]
    pub const fn invalid(&'static self) -> InvalidArgument {
        InvalidArgument(self)
    }
}

impl Values {
    pub(crate) const fn allow_bytes(&self, bytes: &[u8]) -> bool {
        matches!(*self, Self::Bytes { min, max } if min <= bytes.len() && bytes.len() <= max)
    }

    pub(crate) const fn allow_units(&self, units: u64) -> bool {
        matches!(*self, Self::Units { min, max } if min <= units && units <= max)
    }

    pub(crate) const fn allow_time(&self, time: Span) -> bool {
        let time = time.as_micros();
        matches!(*self, Self::Time { min, max, .. } if min.as_micros() <= time && time <= max.as_micros())
    }

    pub(crate) const fn allow_weeks(&self, weeks: u64) -> bool {
        self.allow_time(time_of_weeks(weeks))
    }

    pub(crate) const fn allow_months(&self, months: u64) -> bool {
        matches!(*self, Self::Time { max_months, .. } if 1 <= months && months <= max_months)
    }

    /// Returns whether an offset of this many minutes is allowed.
    pub(crate) const fn allow_offset(&self, minutes: i16) -> bool {
        matches!(*self, Self::Offset { max } if -max <= minutes && minutes <= max)
    }
}

/// Returns the time that this many weeks take.
pub(crate) const fn time_of_weeks(weeks: u64) -> Span {
    Span::from_secs(weeks.saturating_mul(7 * 24 * 60 * 60))
}

/// An argument with a value that is not allowed. Prints as a sentence that names the argument and
/// says what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidArgument(pub(crate) &'static Argument);

impl InvalidArgument {
    /// Returns the argument whose value is not allowed.
    #[must_use]
    pub const fn argument(&self) -> &'static Argument {
        self.0
    }

    /// Returns the sentence that this error prints as.
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
