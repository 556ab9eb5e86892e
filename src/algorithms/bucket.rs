//! The state that [`Token`](crate::Token) and [`Leaky`](crate::Leaky) share: a level that falls by
//! `quota` units per `duration`. The two are mirror images: the tokens missing from the one are the
//! units in the other. Both go back to J. S. Turner, "New Directions in Communications", IEEE
//! Communications Magazine 24(10), 1986.
//!
//! The level is stored as of the last admitted call: whole units, and the part of the first unit
//! that has drained. With an unchanged duration that part is a multiple of 1/duration, so it is
//! exact, and a bucket that is never empty does not drift. Each admitted call settles the time
//! before it at its own rate; another rate applies only from that call on.

use core::num::NonZeroU64;

use crate::state::{MAX_USED, decode_pair, effects_are_whole_states, encode_pair};
use crate::{BucketLimit, Cost, Detail, LimitDuration, Now, Quota, Refund, Refundable, Span, State, Timestamp, Units};

/// The units in a bucket at one moment, in 128 bits. Encoded little-endian; from the highest bits:
///
/// | bits | field |
/// | --- | --- |
/// | 54 | the moment, in microseconds since the Unix epoch |
/// | 1 | 1 if there are many units: 2²⁴ or more |
/// | 24, or 41 if many | units; a partly drained one counts as a whole |
/// | 49, or 32 if many | the drained part of the first unit, a binary fraction |
///
/// A fraction of 49 bits distinguishes the multiples of 1/duration for any duration in bounds, and
/// one of 32 bits for durations of up to 71 minutes. With 32 bits and a longer duration, the
/// fraction is rounded down at each admitted call, by less than 2⁻³² + 1/duration of a unit. If the
/// duration changes, the fraction is as exact as its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketState([u64; 2]);

const LEVEL_BITS: u32 = 73;
const MANY: u128 = 1 << LEVEL_BITS;
const FRACTION_BITS: u32 = 49;
const FRACTION_BITS_IF_MANY: u32 = 32;

/// The number of units from which on a state is marked as having many.
const MANY_UNITS: u64 = 1 << (LEVEL_BITS - FRACTION_BITS);

/// The unpacked fields of a [`BucketState`].
#[derive(Debug, Clone, Copy)]
struct Parts {
    at: Timestamp,
    used: u64,
    fraction: u64,
    fraction_bits: u32,
}

/// The bits of the binary fraction of [`Parts::level`]: as many as leave room to multiply a level
/// by a time.
const LEVEL_FRACTION_BITS: u32 = 16;

/// The time in microseconds from which on it is too long to derive the rate of a bucket from it.
const ENDLESS: u128 = 1 << 63;

impl Parts {
    /// Returns the level in units of 2⁻¹⁶, less the drained part of the first unit, rounded up.
    fn level(self) -> u128 {
        let level = (u128::from(self.used) << self.fraction_bits) - u128::from(self.fraction);
        level.div_ceil(1 << (self.fraction_bits - LEVEL_FRACTION_BITS))
    }

    fn with_used(self, used: u64) -> Self {
        let fraction_bits = if used < MANY_UNITS { FRACTION_BITS } else { FRACTION_BITS_IF_MANY };
        Self { used, fraction: self.fraction << (fraction_bits - self.fraction_bits), fraction_bits, ..self }
    }
}

impl BucketState {
    fn parts(self) -> Parts {
        let packed = u128::from(self.0[0]) | (u128::from(self.0[1]) << 64);
        let fraction_bits = if packed & MANY == 0 { FRACTION_BITS } else { FRACTION_BITS_IF_MANY };
        let level = packed & (MANY - 1);
        #[expect(clippy::cast_possible_truncation, reason = "each part is shorter than 64 bits")]
        let low = |bits: u128| bits as u64;
        Parts {
            at: Timestamp::from_micros(low(packed >> (LEVEL_BITS + 1))),
            used: low(level >> fraction_bits),
            fraction: low(level) & ((1 << fraction_bits) - 1),
            fraction_bits,
        }
    }

    /// Returns the state of a bucket that will be empty after `rest`, or of one that holds
    /// [`MAX_USED`] units if that is less. If the quota is 0, it is the state of a fresh key.
    #[must_use]
    pub fn empty_after(rest: Span, now: Now, limit: &BucketLimit) -> Self {
        match Rate::new(limit.quota, limit.duration) {
            Some(rate) => Level::empty_after(rest, now, rate).state(),
            None => Self::default(),
        }
    }

    fn pack(parts: Parts) -> Self {
        let many = if parts.fraction_bits == FRACTION_BITS { 0 } else { MANY };
        let level = (u128::from(parts.used) << parts.fraction_bits) | u128::from(parts.fraction);
        let packed = (u128::from(parts.at.as_micros()) << (LEVEL_BITS + 1)) | many | level;
        #[expect(clippy::cast_possible_truncation, reason = "these are the two halves")]
        Self([packed as u64, (packed >> 64) as u64])
    }
}

/// The rate at which a bucket drains, counted in ticks: a microsecond has `quota` ticks, and a unit
/// takes as many ticks as the duration has microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    quota: NonZeroU64,
    duration: NonZeroU64,
}

impl Rate {
    /// Returns `None` if the quota is 0, as nothing drains then.
    pub(crate) fn new(quota: Quota, duration: LimitDuration) -> Option<Self> {
        Some(Self { quota: NonZeroU64::new(quota.get())?, duration: NonZeroU64::new(duration.get().as_micros())? })
    }
}

/// A bucket at the time of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    rate: Rate,
    at: Timestamp,
    /// Units in the bucket; a partly drained one counts as a whole.
    used: u64,
    /// The ticks for which the first unit has drained; fewer than a unit takes.
    drained: u64,
}

impl Level {
    #[inline]
    pub(crate) fn new(state: BucketState, now: Now, rate: Rate) -> Self {
        let Rate { quota, duration } = rate;
        let at = now.at();
        let Parts { at: then, used, fraction, fraction_bits } = state.parts();

        let elapsed = u128::from(at.since(now.date(then)).as_micros()) * u128::from(quota.get());
        let before = ticks(fraction.into(), fraction_bits, duration.get());
        let (units, drained) = divide(elapsed + u128::from(before), duration);
        match u64::try_from(units) {
            Ok(units) if units < used => Self { rate, at, used: used - units, drained },
            // The bucket is empty.
            _ => Self { rate, at, used: 0, drained: 0 },
        }
    }

    /// Returns the level that reaches 0 after `rest`, at most [`MAX_USED`], as a state can store
    /// it.
    fn empty_after(rest: Span, now: Now, rate: Rate) -> Self {
        let ticks = u128::from(rest.as_micros()) * u128::from(rate.quota.get());
        let (units, part) = divide(ticks, rate.duration);
        let (units, drained) = if part > 0 { (units + 1, rate.duration.get() - part) } else { (units, 0) };
        let (used, drained) = if units > MAX_USED.into() { (MAX_USED, 0) } else { (narrow(units), drained) };
        Self { rate, at: now.at(), used, drained }.storable()
    }

    /// Returns the level raised by this cost.
    pub(crate) fn raised(self, cost: Cost) -> Self {
        Self { used: MAX_USED.min(self.used + cost.get()), ..self }
    }

    /// Returns the level raised by this cost, as a state can store it.
    pub(crate) fn plus(self, cost: Cost) -> Self {
        self.raised(cost).storable()
    }

    /// Returns the level as a state can store it: the drained part is rounded down.
    fn storable(self) -> Self {
        let duration = self.rate.duration.get();
        let is_exact = self.used < MANY_UNITS || duration <= 1 << FRACTION_BITS_IF_MANY;
        let drained = if is_exact {
            self.drained
        } else {
            let fraction = (u128::from(self.drained) << FRACTION_BITS_IF_MANY) / u128::from(duration);
            ticks(fraction, FRACTION_BITS_IF_MANY, duration)
        };
        Self { drained, ..self }
    }

    /// Returns the units in the bucket; a partly drained one counts as a whole.
    pub(crate) fn used(self) -> u64 {
        self.used
    }

    /// Returns the time until at most `units` are in the bucket, rounded up.
    pub(crate) fn time_until(self, units: u64) -> Span {
        let Rate { quota, duration } = self.rate;
        if self.used <= units {
            return Span::ZERO;
        }
        let ticks = u128::from(self.used - units) * u128::from(duration.get()) - u128::from(self.drained);
        let (micros, _) = divide(ticks + u128::from(quota.get() - 1), quota);
        Span::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Returns the units that will have drained after `wait`, in all if the bucket were never
    /// empty.
    pub(crate) fn drained_after(self, wait: Span) -> u64 {
        let Rate { quota, duration } = self.rate;
        let ticks = u128::from(wait.as_micros()) * u128::from(quota.get()) + u128::from(self.drained);
        u64::try_from(divide(ticks, duration).0).unwrap_or(u64::MAX)
    }

    pub(crate) fn state(self) -> BucketState {
        let fraction_bits = if self.used < MANY_UNITS { FRACTION_BITS } else { FRACTION_BITS_IF_MANY };
        // Rounded up, as `ticks` rounds down: reading it yields exactly the same tick.
        let (fraction, rest) = divide(u128::from(self.drained) << fraction_bits, self.rate.duration);
        let fraction = narrow(fraction) + u64::from(rest > 0);
        BucketState::pack(Parts { at: self.at, used: self.used, fraction, fraction_bits })
    }
}

/// Returns how many ticks of a duration this fraction of it is, rounded down.
#[expect(clippy::cast_possible_truncation, reason = "the result is less than the duration")]
fn ticks(fraction: u128, fraction_bits: u32, duration: u64) -> u64 {
    ((fraction * u128::from(duration)) >> fraction_bits) as u64
}

/// Converts a number that is known to fit into 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "the number fits into 64 bits")]
fn narrow(number: u128) -> u64 {
    number as u64
}

/// Returns the quotient and the remainder. A 128-bit division costs many times as much as a 64-bit
/// one, and is seldom needed.
#[expect(clippy::cast_possible_truncation, reason = "a remainder is less than the divisor")]
fn divide(dividend: u128, divisor: NonZeroU64) -> (u128, u64) {
    if let Ok(dividend) = u64::try_from(dividend) {
        return (u128::from(dividend / divisor), dividend % divisor);
    }
    let divisor = u128::from(divisor.get());
    let quotient = dividend / divisor;
    (quotient, (dividend - quotient * divisor) as u64)
}

/// The level of a bucket whose limit is unknown, derived from when it will be empty.
struct Derived {
    /// The level at the last admitted call, in units of 2⁻¹⁶.
    level: u128,
    /// The time since the last admitted call, in microseconds.
    elapsed: u128,
    /// The time from the last admitted call until the bucket is empty, in microseconds.
    total: u128,
    /// The units that are used now, rounded up.
    used: u128,
}

impl Derived {
    /// Derives the level of a bucket that is empty after `reset`.
    fn new(parts: Parts, now: Now, reset: Span) -> Self {
        let elapsed = u128::from(now.at().since(now.date(parts.at)).as_micros());
        let total = elapsed + u128::from(reset.as_micros());
        let level = parts.level();
        let undrained = if total < ENDLESS {
            (level * u128::from(reset.as_micros())).div_ceil(total.max(1))
        } else {
            // Spans are cut to their maximum, so this may be longer still. Nothing counts as
            // drained.
            level
        };
        Self { level, elapsed, total, used: undrained.div_ceil(1 << LEVEL_FRACTION_BITS) }
    }
}

impl Refundable for BucketState {
    fn refund(&mut self, now: Now, reset: Span, units: Units) -> Refund {
        let parts = self.parts();
        let Derived { level, elapsed, total, used } = Derived::new(parts, now, reset);
        let refund = used.min(units.get().into());
        if refund == used {
            *self = Self::default();
            return Refund { units: narrow(refund), reset: Span::ZERO };
        }
        *self = Self::pack(parts.with_used(parts.used - narrow(refund)));
        if total >= ENDLESS {
            return Refund { units: narrow(refund), reset };
        }
        let total = (total * (level - (refund << LEVEL_FRACTION_BITS))).div_ceil(level);
        Refund { units: narrow(refund), reset: Span::from_micros(narrow(total - elapsed)) }
    }
}

impl State for BucketState {
    type Change<'call> = Self;

    effects_are_whole_states!();

    fn apply(&mut self, change: &Self) {
        *self = *change;
    }

    fn used(&self, now: Now, reset: Span) -> u64 {
        narrow(Derived::new(self.parts(), now, reset).used)
    }

    fn detail(&self, _: Now, _: Span) -> Option<Detail> {
        None
    }

    fn latest_stamp(&self) -> Timestamp {
        self.parts().at
    }

    fn encode(&self, mut write: impl FnMut(&[u8])) {
        write(&encode_pair(self.0));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let state = Self(decode_pair(bytes.try_into().ok()?));
        (1..=MAX_USED).contains(&state.parts().used).then_some(state)
    }
}
