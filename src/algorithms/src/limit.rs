//! What a call may be limited to. Values of these types are in bounds, always.

use crate::Span;
use crate::argument::{CAPACITY, COST, DURATION, InvalidArgument, MAX_WAIT, QUOTA, UNITS};
use crate::time::parse_integer;

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
    /// Units admitted per [`Period`]: 0 to 10¹². 0 blocks every call.
    Quota(u64) from QUOTA, allow_units, parse_integer
}

argument_type! {
    /// The time in which a quota is admitted: 1 ms to 3650 days.
    Period(Span) from DURATION, allow_time, Span::parse
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

/// The limit of [`Fixed`](crate::Fixed): `quota` units in a window of this `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedWindow {
    /// Units admitted in a window.
    pub quota: Quota,
    /// How long a window is.
    pub length: Period,
    /// When a window begins.
    pub start: WindowStart,
}

/// When a fixed window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WindowStart {
    /// At the first admitted call.
    #[default]
    FirstCall,
    /// At a multiple of its length since the Unix epoch: a day at midnight UTC, an hour at the full hour.
    Aligned,
}

/// The limit of [`Sliding`](crate::Sliding): `quota` units in a window of this `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Units admitted in a window.
    pub quota: Quota,
    /// How long a window is.
    pub length: Period,
}

/// The limit of [`Token`](crate::Token) and [`Leaky`](crate::Leaky): `quota` units per `period`, through a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Units refilled or drained per `period`.
    pub quota: Quota,
    /// The time that `quota` units take.
    pub period: Period,
    /// Units the bucket holds; `None` means as many as the quota.
    pub capacity: Option<Capacity>,
    /// How long the caller is ready to wait; `None` is each algorithm's own default.
    pub max_wait: Option<MaxWait>,
}

impl Bucket {
    /// Units that a fresh key admits at once: the capacity, or 0 when the quota is 0.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.capacity {
            Some(capacity) if self.quota.get() > 0 => capacity.get(),
            _ => self.quota.get(),
        }
    }
}
