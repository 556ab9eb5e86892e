//! The values of arguments, one type per argument. A value of such a type is always in bounds.

use super::names::{CAPACITY, COST, DURATION, ID, KEEP, MAX_WAIT, QUOTA, UNITS};
use crate::time::parse_integer;
use crate::{InvalidArgument, Span};

/// Defines a newtype whose values are those allowed for an argument.
macro_rules! argument_type {
    ($(#[$doc:meta])* $name:ident($inner:ty) from $argument:ident, $allow:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Checks a bare value.
            ///
            /// # Errors
            /// If the value is out of the argument's bounds.
            pub const fn new(value: $inner) -> Result<Self, InvalidArgument> {
                if $argument.values.$allow(value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidArgument(&$argument))
                }
            }

            /// Reads a value as a command has it.
            ///
            /// # Errors
            /// If the text is not such a value, or the value is out of the argument's bounds.
            pub fn parse(text: &[u8]) -> Result<Self, InvalidArgument> {
                $parse(text)
                    .ok_or(InvalidArgument(&$argument))
                    .and_then(Self::new)
            }

            /// Returns the bare value.
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
    /// Units that must remain after a call: 0 to 10¹².
    Keep(u64) from KEEP, allow_units, parse_integer
}

argument_type! {
    /// Units to give back: 1 to 10¹².
    Units(u64) from UNITS, allow_units, parse_integer
}

argument_type! {
    /// How long a caller is willing to wait for its turn: 0 to 3650 days.
    MaxWait(Span) from MAX_WAIT, allow_time, Span::parse
}

impl Keep {
    /// No reserve, as by default.
    pub const NOTHING: Self = Self(0);
}

impl Cost {
    /// The default cost of a call: one unit.
    pub const ONE: Self = Self(1);
}

/// The name that a holder of units has chosen for itself: 1 to 128 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId<'call>(&'call [u8]);

impl<'call> HolderId<'call> {
    /// Checks an id.
    ///
    /// # Errors
    /// If the id is empty or longer than 128 bytes.
    pub const fn new(id: &'call [u8]) -> Result<Self, InvalidArgument> {
        if ID.values.allow_bytes(id) { Ok(Self(id)) } else { Err(InvalidArgument(&ID)) }
    }

    /// Returns the bytes of the id.
    #[must_use]
    pub const fn get(self) -> &'call [u8] {
        self.0
    }
}
