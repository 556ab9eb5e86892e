//! The arguments of a limit: what each is called, what it means and what it may be. Parsers, error texts, COMMAND DOCS and
//! the reference documentation all take it from here.

use core::error::Error;
use core::fmt;

use crate::Span;
use crate::time::parse_integer;

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

/// Makes the texts from the numbers, at compile time, as a constant that is out of bounds panics with them.
macro_rules! argument {
    ($name:literal, $summary:literal, units from $min:literal to $max:literal) => {
        argument!(
            $name, $summary, Values::Units { min: $min, max: $max },
            "an integer from ", $min, " to ", $max
        )
    };
    ($name:literal, $summary:literal, time from $min:literal $($ms:literal)? to $max:literal "d") => {
        argument!(
            $name, $summary,
            Values::Time { min: Span::from_micros($min * 1_000), max: Span::from_secs($max * 24 * 60 * 60) },
            "whole seconds, or an integer with a unit (us, ms, s, m, h, d), from ",
            $min $(, $ms)?, " to ", $max, "d"
        )
    };
    ($name:literal, $summary:literal, one of $first:literal $(, $word:literal)* or $last:literal) => {
        argument!(
            $name, $summary, Values::Words(&[$first $(, $word)*, $last]),
            $first $(, ", ", $word)*, " or ", $last
        )
    };
    ($name:literal, $summary:literal, alone) => {
        argument!($name, $summary, Values::Nothing, "given without a value")
    };
    ($name:literal, $summary:literal, $values:expr, $($allowed:expr),+) => {
        Argument {
            name: $name,
            summary: $summary,
            values: $values,
            allowed: concat!($($allowed),+),
            rule: concat!($name, " must be ", $($allowed),+),
        }
    };
}

/// Units admitted per duration.
pub static QUOTA: Argument =
    argument!("quota", "Units admitted per duration; 0 blocks every call", units from 0 to 1_000_000_000_000);

/// The time in which `quota` units are admitted.
pub static DURATION: Argument =
    argument!("duration", "The time in which quota units are admitted", time from 1 "ms" to 3650 "d");

/// Units that a bucket holds.
pub static CAPACITY: Argument =
    argument!("CAPACITY", "Units the bucket holds; quota by default", units from 1 to 1_000_000_000_000);

/// Units that a call takes.
pub static COST: Argument = argument!("COST", "Units this call takes; 1 by default", units from 1 to 1_000_000_000_000);

/// Where windows begin.
pub static ALIGNED: Argument = argument!(
    "ALIGNED",
    "Windows begin at multiples of the duration since the Unix epoch, a day at midnight UTC",
    alone
);

/// Charging what can't be prevented any more.
pub static FORCE: Argument = argument!(
    "FORCE",
    "Charges the call whatever is left; what was used may exceed the limit, and later calls wait for that to drain",
    alone
);

/// Units that are given back.
pub static UNITS: Argument = argument!("n", "Units to give back", units from 1 to 1_000_000_000_000);

/// By which algorithm.
pub static ALGORITHM: Argument =
    argument!("algorithm", "By which algorithm", one of "FIXED", "SLIDING", "TOKEN" or "LEAKY");

/// How long a caller is ready to wait.
pub static MAX_WAIT: Argument =
    argument!("MAXWAIT", "How long the caller is ready to wait for its turn", time from 0 to 3650 "d");

/// The burst of redis-cell.
pub static MAX_BURST: Argument =
    argument!("max_burst", "Calls admitted at once beyond the first", units from 0 to 999_999_999_999);

/// The quota of redis-cell.
pub static COUNT: Argument = argument!("count", "Units admitted per period", units from 1 to 1_000_000_000_000);

/// The duration of redis-cell.
pub static PERIOD: Argument =
    argument!("period", "Seconds in which count units are admitted", units from 1 to 315_360_000);

/// The cost of redis-cell.
pub static QUANTITY: Argument =
    argument!("quantity", "Units this call takes; 1 by default, and 0 only looks", units from 0 to 1_000_000_000_000);

/// How many keys PREMIER.TOP answers.
pub static TOP_COUNT: Argument = argument!("count", "How many keys to answer", units from 1 to 256);

impl Argument {
    /// Reads a number of units.
    ///
    /// # Errors
    /// When it is none, or out of bounds.
    pub fn units(&'static self, text: &[u8]) -> Result<u64, InvalidArgument> {
        parse_integer(text).filter(|units| self.values.allow_units(*units)).ok_or(InvalidArgument(self))
    }

    /// Which of the words that it may be this is.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn index_of(&'static self, word: &[u8]) -> Result<usize, InvalidArgument> {
        let Values::Words(words) = self.values else { return Err(InvalidArgument(self)) };
        words.iter().position(|known| word.eq_ignore_ascii_case(known.as_bytes())).ok_or(InvalidArgument(self))
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
