//! The contract in rational numbers. Nothing here knows how the crate counts or what it stores.
//!
//! A model records what was admitted (`admit`) and refunded (`refund`), and returns the correct
//! reply to a call (`reply`, `reply_to_forced`). Times are in µs.

use num_bigint::BigInt;
use num_rational::BigRational;

pub(crate) mod fixed;
pub(crate) mod hold;
pub(crate) mod leaky;
pub(crate) mod level;
pub(crate) mod sliding;
pub(crate) mod token;

pub(crate) use fixed::FixedWindow;
pub(crate) use hold::HolderList;
pub(crate) use leaky::LeakyQueue;
pub(crate) use level::Level;
pub(crate) use sliding::SlidingLog;
pub(crate) use token::TokenBucket;

pub(crate) type Exact = BigRational;

/// The time in µs from which on a time counts as endless: no clock here reaches 2⁵⁵ µs.
pub(crate) const ENDLESS: u64 = 1 << 63;

/// The most units that are ever used.
pub(crate) const MAX_USED: u64 = 2_000_000_000_000;

/// The limit that a call comes with.
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

    /// Returns the units that a bucket holds; with a quota of 0, none.
    pub(crate) fn bucket(&self) -> u64 {
        match self.quota {
            0 => 0,
            quota => self.capacity.unwrap_or(quota),
        }
    }

    /// Returns the rate, in units per µs.
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
    /// `None` means never.
    Limited {
        retry: Option<u64>,
    },
}

impl Reply {
    pub(crate) fn is_admitted(&self) -> bool {
        matches!(self.outcome, Outcome::Admitted { .. })
    }

    /// Returns how long an admitted caller waits; `None` if the call is limited.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Admitted { wait } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }

    /// Returns after how long a limited caller may come back; `None` if the call is admitted or
    /// never will be.
    pub(crate) fn retry(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Limited { retry } => retry,
            Outcome::Admitted { .. } => None,
        }
    }

    /// Returns the reply when the quota is 0 and the bucket holds nothing.
    fn blocked() -> Self {
        Self { outcome: Outcome::Limited { retry: None }, limit: 0, remaining: 0, reset: 0 }
    }
}

pub(crate) trait Model: Default {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply;

    /// Returns the reply to a call that is charged this many units, even if too little is left.
    fn reply_to_charge(&self, now: u64, limits: &Limits, units: u64) -> Reply;

    /// Records an admitted call.
    fn admit(&mut self, now: u64, limits: &Limits, cost: u64);

    /// Returns the units that are used now.
    fn used(&self, now: u64, limits: &Limits) -> Exact;

    /// Gives back this many units, or what is used if that is less.
    fn refund(&mut self, now: u64, limits: &Limits, units: u64);

    /// Returns what a forced call of this cost is charged: whole units, as many as there is room
    /// for.
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

/// Rounds up to a whole number, at least 0 and at most [`ENDLESS`].
pub(crate) fn rounded_up(number: &Exact) -> u64 {
    whole(number.ceil().to_integer())
}

/// Rounds down to a whole number, at least 0 and at most [`ENDLESS`].
pub(crate) fn rounded_down(number: &Exact) -> u64 {
    whole(number.floor().to_integer())
}

fn whole(number: BigInt) -> u64 {
    if number < BigInt::from(0) {
        return 0;
    }
    u64::try_from(number).map_or(ENDLESS, |number| number.min(ENDLESS))
}
