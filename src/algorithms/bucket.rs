//! What [`Token`](crate::Token) and [`Leaky`](crate::Leaky) share: a level that falls by `quota` units per `duration`.
//!
//! The level is kept as it was at the last admitted call: whole units, and how far the first of them has drained. With the
//! same duration that is a multiple of 1/duration of a unit, so it is exact, and a bucket that is never empty does not drift. What
//! happened before that call is settled at the rate of then: another rate counts from there on.

use core::num::NonZeroU64;

use crate::state::{MAX_USED, decode_pair, encode_pair};
use crate::{BucketLimit, Cost, LimitDuration, Now, Quota, Refund, Span, State, Timestamp, Units};

/// The units in a bucket at a moment. 128 bits, encoded little-endian, from the highest:
///
/// | bits | what |
/// | --- | --- |
/// | 54 | the moment, in microseconds |
/// | 1 | 1 when there are many units |
/// | 24, or 41 if many | units; one that has drained in part counts whole |
/// | 49, or 32 if many | how much of the first unit has drained: a binary fraction |
///
/// 49 bits tell the multiples of 1/duration of a unit apart, whatever the duration, and 32 bits do up to a duration of 71 minutes.
/// Only beyond that the fraction is rounded down at each admitted call, by less than 2⁻³² + 1/duration of
/// a unit. Where another duration comes with a call, the fraction is as exact as its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketState([u64; 2]);

const LEVEL_BITS: u32 = 73;
const MANY: u128 = 1 << LEVEL_BITS;
const FRACTION_BITS: u32 = 49;
const FRACTION_BITS_IF_MANY: u32 = 32;

/// From how many units on they are many.
const MANY_UNITS: u64 = 1 << (LEVEL_BITS - FRACTION_BITS);

/// The bits of a [`BucketState`], taken apart.
#[derive(Debug, Clone, Copy)]
struct Parts {
    at: Timestamp,
    used: u64,
    fraction: u64,
    fraction_bits: u32,
}

/// Of the binary fraction of [`Parts::level`]: as many bits as leave room to multiply it by a time.
const LEVEL_FRACTION_BITS: u32 = 16;

/// So many microseconds or more are too many to say how fast a bucket drains that takes them.
const ENDLESS: u128 = 1 << 63;

impl Parts {
    /// Units, with what has drained of the first taken off, rounded up.
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

    /// That of a bucket that will be empty after `rest`, if it has no more than [`MAX_USED`] in it.
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

/// How fast a bucket drains: a unit takes `duration` ticks, of which a microsecond has `quota`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    quota: NonZeroU64,
    duration: NonZeroU64,
}

impl Rate {
    /// `None` when nothing drains, as the quota is 0.
    pub(crate) fn new(quota: Quota, duration: LimitDuration) -> Option<Self> {
        Some(Self { quota: NonZeroU64::new(quota.get())?, duration: NonZeroU64::new(duration.get().as_micros())? })
    }
}

/// A bucket at the moment of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    rate: Rate,
    at: Timestamp,
    /// Units in the bucket; one that has drained in part counts whole.
    used: u64,
    /// For how many ticks the first of them has drained; it is not through yet.
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
            // As good as new.
            _ => Self { rate, at, used: 0, drained: 0 },
        }
    }

    /// The level that is nothing after `rest`, or the highest there is, as a state can keep it.
    fn empty_after(rest: Span, now: Now, rate: Rate) -> Self {
        let ticks = u128::from(rest.as_micros()) * u128::from(rate.quota.get());
        let (units, part) = divide(ticks, rate.duration);
        let (units, drained) = if part > 0 { (units + 1, rate.duration.get() - part) } else { (units, 0) };
        let (used, drained) = if units > MAX_USED.into() { (MAX_USED, 0) } else { (narrow(units), drained) };
        Self { rate, at: now.at(), used, drained }.storable()
    }

    /// The level with this cost on top.
    pub(crate) fn raised(self, cost: Cost) -> Self {
        Self { used: MAX_USED.min(self.used + cost.get()), ..self }
    }

    /// The level with this cost on top, as a state can keep it.
    pub(crate) fn plus(self, cost: Cost) -> Self {
        self.raised(cost).storable()
    }

    /// What a state can tell of it: no more may have drained.
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

    /// Units in the bucket; one that has drained in part counts whole.
    pub(crate) fn used(self) -> u64 {
        self.used
    }

    /// How long until no more than `units` are in the bucket, rounded up.
    pub(crate) fn time_until(self, units: u64) -> Span {
        let Rate { quota, duration } = self.rate;
        if self.used <= units {
            return Span::ZERO;
        }
        let ticks = u128::from(self.used - units) * u128::from(duration.get()) - u128::from(self.drained);
        let (micros, _) = divide(ticks + u128::from(quota.get() - 1), quota);
        Span::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(crate) fn state(self) -> BucketState {
        let fraction_bits = if self.used < MANY_UNITS { FRACTION_BITS } else { FRACTION_BITS_IF_MANY };
        // Rounded up, as `ticks` rounds down: that gives back the very tick.
        let (fraction, rest) = divide(u128::from(self.drained) << fraction_bits, self.rate.duration);
        let fraction = narrow(fraction) + u64::from(rest > 0);
        BucketState::pack(Parts { at: self.at, used: self.used, fraction, fraction_bits })
    }
}

/// How many ticks of a duration this fraction of it is, rounded down.
#[expect(clippy::cast_possible_truncation, reason = "it is less than the duration")]
fn ticks(fraction: u128, fraction_bits: u32, duration: u64) -> u64 {
    ((fraction * u128::from(duration)) >> fraction_bits) as u64
}

/// What is known to fit.
#[expect(clippy::cast_possible_truncation, reason = "it is no more than something of 64 bits")]
fn narrow(number: u128) -> u64 {
    number as u64
}

/// The quotient and the remainder. Dividing 128 bits costs many times what dividing 64 bits does, and is seldom needed.
#[expect(clippy::cast_possible_truncation, reason = "a remainder is less than the divisor")]
fn divide(dividend: u128, divisor: NonZeroU64) -> (u128, u64) {
    if let Ok(dividend) = u64::try_from(dividend) {
        return (u128::from(dividend / divisor), dividend % divisor);
    }
    let divisor = u128::from(divisor.get());
    let quotient = dividend / divisor;
    (quotient, (dividend - quotient * divisor) as u64)
}

impl State for BucketState {
    type Change = Self;

    const MAX_ENCODED_LEN: usize = 16;

    fn apply(&mut self, change: Self) {
        *self = change;
    }

    fn refund(&mut self, now: Now, reset: Span, units: Units) -> Refund {
        let parts = self.parts();
        let elapsed = u128::from(now.at().since(now.date(parts.at)).as_micros());
        // From the last admitted call until all has drained.
        let total = elapsed + u128::from(reset.as_micros());
        let level = parts.level();
        let undrained = if total < ENDLESS {
            (level * u128::from(reset.as_micros())).div_ceil(total.max(1))
        } else {
            // Spans are cut, so this may be longer still. It is taken not to have drained at all.
            level
        };
        let used = undrained.div_ceil(1 << LEVEL_FRACTION_BITS);
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
