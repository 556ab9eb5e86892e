//! The values that arguments may have. A value of one of these types is in bounds, always.

use super::names::{CAPACITY, COST, DURATION, MAX_WAIT, QUOTA, UNITS};
use crate::time::parse_integer;
use crate::{InvalidArgument, Span};

/// A newtype whose values are those that its argument may have.
macro_rules! argument_type {
    ($(#[$doc:meta])* $name:ident($inner:ty) from $argument:ident, $allow:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// # Errors
            /// When it is out of the argument's bounds.
            pub const fn new(value: $inner) -> Result<Self, InvalidArgument> {
                if $argument.values.$allow(value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidArgument(&$argument))
                }
            }

            /// Reads it as it is written in a command.
            ///
            /// # Errors
            /// When it is not written so, or out of the argument's bounds.
            pub fn parse(text: &[u8]) -> Result<Self, InvalidArgument> {
                $parse(text)
                    .ok_or(InvalidArgument(&$argument))
                    .and_then(Self::new)
            }

            /// The bare value.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }
    };
}

argument_type! {
    /// Units admitted per [`LimitDuration`]: 0 to 10¹². 0 blocks every call.
    Quota(u64) from QUOTA, allow_units, parse_integer
}

argument_type! {
    /// The time in which a quota is admitted: 1 ms to 3650 days.
    LimitDuration(Span) from DURATION, allow_time, Span::parse
}

argument_type! {
    /// Units that a bucket holds: 1 to 10¹².
    Capacity(u64) from CAPACITY, allow_units, parse_integer
}

argument_type! {
    /// Units that a call takes: 1 to 10¹².
    Cost(u64) from COST, allow_units, parse_integer
}

argument_type! {
    /// Units that are given back: 1 to 10¹².
    Units(u64) from UNITS, allow_units, parse_integer
}

argument_type! {
    /// How long a caller is ready to wait for its turn: 0 to 3650 days.
    MaxWait(Span) from MAX_WAIT, allow_time, Span::parse
}

impl Cost {
    /// What a call takes unless it says otherwise.
    pub const ONE: Self = Self(1);
}
