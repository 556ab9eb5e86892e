//! The values of arguments, one type per argument. A value of such a type is always in bounds.

use core::fmt;

use super::names::{CAPACITY, COST, DURATION, ID, KEEP, MAX_WAIT, QUOTA, UNITS, ZONE};
use super::time_of_weeks;
use crate::time::{parse_integer, parse_integer_with};
use crate::{InvalidArgument, Span, Values};

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

argument_type! {
    /// Whole weeks, the duration of an aligned window: 1 to 521.
    Weeks(u64) from DURATION, allow_weeks, parse_weeks
}

argument_type! {
    /// Calendar months, the duration of an aligned window: 1 to 120.
    Months(u64) from DURATION, allow_months, parse_months
}

argument_type! {
    /// The clock of a zone, by its offset from UTC in minutes: −18 hours to +18 hours.
    Zone(i16) from ZONE, allow_offset, parse_offset
}

/// The longest time, and the most months, of a duration.
const LONGEST: (Span, u64) = match DURATION.values {
    Values::Time { max, max_months, .. } => (max, max_months),
    _ => panic!("a duration is a time"),
};

impl LimitDuration {
    /// The longest duration: 3650 days.
    pub const MAX: Self = Self(LONGEST.0);
}

impl Months {
    /// The most calendar months: 120.
    pub const MAX: Self = Self(LONGEST.1);
}

impl Weeks {
    /// The most weeks: 521.
    pub const MAX: Self = Self(LONGEST.0.as_micros() / time_of_weeks(1).as_micros());

    /// Returns the time that these weeks take.
    #[must_use]
    pub const fn time(self) -> LimitDuration {
        LimitDuration(time_of_weeks(self.0))
    }
}

impl Zone {
    /// The clock of UTC.
    pub const UTC: Self = Self(0);
}

/// Prints the offset as a command takes it.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.unsigned_abs();
        match self.0 {
            0 => f.write_str("Z"),
            offset => write!(f, "{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60),
        }
    }
}

fn parse_weeks(text: &[u8]) -> Option<u64> {
    parse_integer_with(b"w", text)
}

fn parse_months(text: &[u8]) -> Option<u64> {
    parse_integer_with(b"mo", text)
}

/// Reads `+hh:mm` or `-hh:mm`, or `Z` in any case, as minutes.
fn parse_offset(text: &[u8]) -> Option<i16> {
    let (sign, hours, minutes) = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [h1, h2], [m1, m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [h1, h2], [m1, m2]),
        _ => return None,
    };
    let number = |digits: [&u8; 2]| {
        let [tens, ones] = digits.map(|digit| digit.is_ascii_digit().then(|| i16::from(digit - b'0')));
        Some(tens? * 10 + ones?)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60).then_some(sign * (hours * 60 + minutes))
}

impl Keep {
    /// No reserve, as by default.
    pub const NOTHING: Self = Self(0);
}

impl Cost {
    /// The default cost of a call: one unit.
    pub const ONE: Self = Self(1);

    /// Returns the units that must fit where a reserve must remain. It is the only cost that may be
    /// out of bounds, by as much as the largest reserve.
    pub(crate) const fn with(self, keep: Keep) -> Self {
        Self(self.0 + keep.0)
    }
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
