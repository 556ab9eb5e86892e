//! The contract in rational numbers. Nothing here knows how the crate counts or what it stores.
//!
//! A model is told what was admitted (`admit`) and given back (`give_back`), and says what a call must be answered (`reply`,
//! `reply_to_forced`). Times are in µs.

use num_bigint::BigInt;
use num_rational::BigRational;

pub(crate) mod fixed;
pub(crate) mod leaky;
pub(crate) mod level;
pub(crate) mod sliding;
pub(crate) mod token;

pub(crate) use fixed::FixedWindow;
pub(crate) use leaky::LeakyQueue;
pub(crate) use level::Level;
pub(crate) use sliding::SlidingLog;
pub(crate) use token::TokenBucket;

pub(crate) type Exact = BigRational;

/// Longer times are as good as endless: no clock here reaches 2⁵⁵ µs.
pub(crate) const ENDLESS: u64 = 1 << 63;

/// The most units that are ever used.
pub(crate) const MAX_USED: u64 = 2_000_000_000_000;

/// What a call is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) quota: u64,
    pub(crate) duration: u64,
    pub(crate) capacity: Option<u64>,
    pub(crate) max_wait: Option<u64>,
    /// Whether a fixed window begins at a multiple of its duration.
    pub(crate) is_aligned: bool,
}

impl Limits {
    pub(crate) const fn new(quota: u64, duration: u64) -> Self {
        Self { quota, duration, capacity: None, max_wait: None, is_aligned: false }
    }

    pub(crate) const fn with_capacity(self, capacity: u64) -> Self {
        Self { capacity: Some(capacity), ..self }
    }

    pub(crate) const fn with_max_wait(self, max_wait: u64) -> Self {
        Self { max_wait: Some(max_wait), ..self }
    }

    pub(crate) const fn aligned(self) -> Self {
        Self { is_aligned: true, ..self }
    }

    /// What a bucket holds; one that nothing ever leaves holds nothing.
    pub(crate) fn bucket(&self) -> u64 {
        match self.quota {
            0 => 0,
            quota => self.capacity.unwrap_or(quota),
        }
    }

    /// Units per µs.
    pub(crate) fn rate(&self) -> Exact {
        Exact::new(self.quota.into(), self.duration.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) outcome: Outcome,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted {
        wait: u64,
    },
    /// `None` is never.
    Limited {
        retry: Option<u64>,
    },
}

impl Reply {
    pub(crate) fn is_admitted(&self) -> bool {
        matches!(self.outcome, Outcome::Admitted { .. })
    }

    /// How long an admitted caller waits; `None` if it is limited.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Admitted { wait } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }

    /// After how long a limited caller may come back; `None` if it is admitted or never will be.
    pub(crate) fn retry(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Limited { retry } => retry,
            Outcome::Admitted { .. } => None,
        }
    }

    /// The answer when the quota is 0 and nothing can be in the bucket.
    fn blocked() -> Self {
        Self { outcome: Outcome::Limited { retry: None }, limit: 0, remaining: 0, reset: 0 }
    }
}

pub(crate) trait Model: Default {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply;

    /// The answer to a call that is charged so many units whatever is left.
    fn reply_to_charge(&self, now: u64, limits: &Limits, units: u64) -> Reply;

    /// The call was admitted.
    fn admit(&mut self, now: u64, limits: &Limits, cost: u64);

    /// What is used.
    fn used(&self, now: u64, limits: &Limits) -> Exact;

    /// Takes back so many units, or what is used if that is less.
    fn give_back(&mut self, now: u64, limits: &Limits, units: u64);

    /// What a forced call of this cost is charged: whole units, as many as there is room for.
    fn charge(&self, now: u64, limits: &Limits, cost: u64) -> u64 {
        cost.min(rounded_down(&(exact(MAX_USED) - self.used(now, limits))))
    }

    fn reply_to_forced(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        match limits.quota {
            0 => self.reply(now, limits, cost),
            _ => self.reply_to_charge(now, limits, self.charge(now, limits, cost)),
        }
    }
}

pub(crate) fn exact(integer: u64) -> Exact {
    Exact::from_integer(integer.into())
}

/// The next whole number, nothing below 0, cut to what is endless.
pub(crate) fn rounded_up(number: &Exact) -> u64 {
    whole(number.ceil().to_integer())
}

/// The whole number before it, nothing below 0.
pub(crate) fn rounded_down(number: &Exact) -> u64 {
    whole(number.floor().to_integer())
}

fn whole(number: BigInt) -> u64 {
    if number < BigInt::from(0) {
        return 0;
    }
    u64::try_from(number).map_or(ENDLESS, |number| number.min(ENDLESS))
}
