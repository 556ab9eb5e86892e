//! The arguments of a limit: what each is called, what it means and what it may be. Parsers, error texts, COMMAND DOCS and
//! the reference documentation all take it from here.

use core::error::Error;
use core::fmt;

use crate::Span;

/// An argument of a limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Argument {
    /// As it is written in the syntax of a command: in capitals when it is an option.
    pub name: &'static str,
    /// What it means, in a few words.
    pub summary: &'static str,
    /// What it may be.
    pub values: Values,
}

/// What an [`Argument`] may be, both ends included. Prints as the end of a sentence: "quota must be …".
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
}

/// The most units that a quota, a capacity or a cost may be: 10¹².
const MAX_UNITS: u64 = 1_000_000_000_000;

/// The longest time that can be given: ten years.
const MAX_TIME: Span = Span::from_secs(3650 * 24 * 60 * 60);

/// Units admitted per duration.
pub static QUOTA: Argument = Argument {
    name: "quota",
    summary: "Units admitted per duration; 0 blocks every call",
    values: Values::Units { min: 0, max: MAX_UNITS },
};

/// The time in which `quota` units are admitted.
pub static DURATION: Argument = Argument {
    name: "duration",
    summary: "The time in which quota units are admitted",
    values: Values::Time { min: Span::from_micros(1_000), max: MAX_TIME },
};

/// Units that a bucket holds.
pub static CAPACITY: Argument = Argument {
    name: "CAPACITY",
    summary: "Units the bucket holds; quota by default",
    values: Values::Units { min: 1, max: MAX_UNITS },
};

/// Units that a call takes.
pub static COST: Argument = Argument {
    name: "COST",
    summary: "Units this call takes; 1 by default",
    values: Values::Units { min: 1, max: MAX_UNITS },
};

/// How long a caller is ready to wait.
pub static MAX_WAIT: Argument = Argument {
    name: "MAXWAIT",
    summary: "How long the caller is ready to wait for its turn",
    values: Values::Time { min: Span::ZERO, max: MAX_TIME },
};

impl Values {
    pub(crate) const fn allow_units(&self, units: u64) -> bool {
        matches!(*self, Self::Units { min, max } if min <= units && units <= max)
    }

    pub(crate) const fn allow_time(&self, time: Span) -> bool {
        let time = time.as_micros();
        matches!(*self, Self::Time { min, max } if min.as_micros() <= time && time <= max.as_micros())
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units { min, max } => write!(f, "an integer from {min} to {max}"),
            Self::Time { min, max } => {
                write!(f, "whole seconds, or an integer with a unit (us, ms, s, m, h, d), from {min} to {max}")
            }
        }
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
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.0.name, self.0.values)
    }
}

impl Error for InvalidArgument {}
