//! Times and time spans in whole microseconds, never as bare integers.

use core::fmt;

/// A moment in microseconds since the Unix epoch, at most [`Timestamp::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// A length of time in microseconds. Longer ones than [`Span::MAX`] are cut to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

const MICROS_PER_MILLI: u64 = 1_000;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// The longest time without a unit, in seconds: 366 days. Most longer numbers are a mistake: a time
/// that a client sends in milliseconds or nanoseconds.
const MAX_SECONDS_WITHOUT_UNIT: u64 = 366 * 24 * 60 * 60;

/// The units in which a time can be written, longest first, each with its length in microseconds.
const UNITS: [(&str, u64); 7] = [
    ("w", 7 * 24 * 60 * 60 * MICROS_PER_SECOND),
    ("d", 24 * 60 * 60 * MICROS_PER_SECOND),
    ("h", 60 * 60 * MICROS_PER_SECOND),
    ("m", 60 * MICROS_PER_SECOND),
    ("s", MICROS_PER_SECOND),
    ("ms", MICROS_PER_MILLI),
    ("us", 1),
];

impl Timestamp {
    /// The last moment, 2⁵⁴ − 1 µs after the Unix epoch, in the year 2540. Later ones are cut to
    /// it.
    pub const MAX: Self = Self((1 << 54) - 1);

    /// Returns the moment this many microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        if micros < Self::MAX.0 { Self(micros) } else { Self::MAX }
    }

    /// Returns the microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time since the Unix epoch.
    pub(crate) const fn since_epoch(self) -> Span {
        Span(self.0)
    }

    /// Returns the moment this much later, [`Timestamp::MAX`] at most.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self::from_micros(self.0.saturating_add(span.0))
    }

    /// Returns the moment this much earlier, the Unix epoch at the earliest.
    pub(crate) const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Returns the time since `earlier`, or zero if this moment is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Returns the first whole millisecond since the Unix epoch at which `span` has passed.
    #[must_use]
    pub const fn millis_after(self, span: Span) -> u64 {
        Span(self.0.saturating_add(span.0)).as_millis_ceil()
    }
}

impl Span {
    /// The empty span.
    pub const ZERO: Self = Self(0);

    /// The longest span: 2⁶⁴ − 1 µs, or 584,542 years.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns a span of this many microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns a span of this many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Returns a span of this many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(MICROS_PER_MILLI))
    }

    /// Returns the span in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the span in whole milliseconds, rounded up.
    #[must_use]
    pub const fn as_millis_ceil(self) -> u64 {
        self.0.saturating_add(MICROS_PER_MILLI - 1) / MICROS_PER_MILLI
    }

    /// Returns the span in whole seconds, rounded up.
    #[must_use]
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(MICROS_PER_SECOND)
    }

    /// Returns one of `parts` equal parts of the span, rounded down.
    pub(crate) const fn divided_by(self, parts: u64) -> Self {
        Self(self.0 / parts)
    }

    /// Returns the sum of two spans.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns what is left of the span after `other`, or zero if `other` is longer.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Reads integers with units, longest unit first and each at most once (`500ms`, `1h30m`), or
    /// whole seconds without a unit (`60`), at most those of 366 days.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (mut number, mut rest) = split_integer(text)?;
        if rest.is_empty() {
            return (number <= MAX_SECONDS_WITHOUT_UNIT).then(|| Self::from_secs(number));
        }
        let (mut micros, mut units) = (0_u64, UNITS.iter());
        loop {
            let (unit, behind) = split_unit(rest);
            // A unit that was passed over cannot follow, nor can the same one.
            let (_, length) = units.find(|(name, _)| split_unit(name.as_bytes()).0 == unit)?;
            micros = micros.checked_add(number.checked_mul(*length)?)?;
            if behind.is_empty() {
                return Some(Self(micros));
            }
            (number, rest) = split_integer(behind)?;
        }
    }
}

/// Prints the span as a command takes it: a whole number of the longest unit possible. Weeks are
/// printed as days, since aligned windows of `1w` and of `7d` begin on different days.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().skip(1).find(|(_, micros)| self.0 != 0 && self.0.is_multiple_of(*micros)) {
            Some((name, micros)) => write!(f, "{}{name}", self.0 / micros),
            None => write!(f, "0"),
        }
    }
}

/// Returns the unit that the text begins with, and the rest of the text. The one or two letters of
/// a unit are packed into an integer, which is faster to compare.
fn split_unit(text: &[u8]) -> (u32, &[u8]) {
    match *text {
        [letter] => (u32::from_le_bytes([letter, 0, 0, 1]), &[]),
        [letter, ref behind @ ..] if behind[0].is_ascii_digit() => (u32::from_le_bytes([letter, 0, 0, 1]), behind),
        [first, second, ref behind @ ..] => (u32::from_le_bytes([first, second, 0, 2]), behind),
        [] => (0, &[]),
    }
}

/// Reads a decimal integer with a unit behind it.
#[cold]
pub(crate) fn parse_integer_with(unit: &[u8], text: &[u8]) -> Option<u64> {
    text.strip_suffix(unit).and_then(parse_integer)
}

/// Reads a decimal integer as Redis does: digits only, without leading zeros. A number of 20 digits
/// is beyond all bounds and not read.
pub(crate) fn parse_integer(text: &[u8]) -> Option<u64> {
    split_integer(text).and_then(|(number, rest)| rest.is_empty().then_some(number))
}

/// Returns the decimal integer that the text begins with, and the rest of the text.
fn split_integer(text: &[u8]) -> Option<(u64, &[u8])> {
    const MAX_DIGITS: usize = 19;
    let (mut number, mut digits) = (0_u64, 0);
    while let Some(digit @ 0..=9) = text.get(digits).map(|byte| byte.wrapping_sub(b'0')) {
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        digits += 1;
    }
    // One check at the end costs less than a check at each digit.
    match digits {
        1 => {}
        2..=MAX_DIGITS if text[0] != b'0' => {}
        _ => return None,
    }
    Some((number, &text[digits..]))
}
