//! The contract in rational numbers. Nothing here knows how the crate counts or what it stores.
//!
//! A model records what was admitted (`admit`) and refunded (`refund`), and returns the correct
//! reply to a call (`reply`, `reply_to_forced`). Times are in µs.

#![forbid(unsafe_code)]
#![expect(missing_docs, clippy::must_use_candidate, reason = "it is read by its tests only")]

use num_bigint::BigInt;
use num_rational::BigRational;

pub mod fixed;
pub mod hold;
pub mod leaky;
pub mod level;
pub mod sliding;
pub mod token;

pub use fixed::FixedWindow;
pub use hold::HolderList;
pub use leaky::LeakyQueue;
pub use level::Level;
pub use sliding::SlidingLog;
pub use token::TokenBucket;

pub type Exact = BigRational;

/// The time in µs from which on a time counts as endless: no clock here reaches 2⁵⁵ µs.
pub const ENDLESS: u64 = 1 << 63;

/// The most units that are ever used.
pub const MAX_USED: u64 = 2_000_000_000_000;

/// The limit that a call comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub quota: u64,
    pub duration: u64,
    pub capacity: Option<u64>,
    pub max_wait: Option<u64>,
    /// Whether a fixed window begins at a multiple of its duration.
    pub is_aligned: bool,
}

impl Limits {
    pub const fn new(quota: u64, duration: u64) -> Self {
        Self { quota, duration, capacity: None, max_wait: None, is_aligned: false }
    }

    #[must_use]
    pub const fn with_capacity(self, capacity: u64) -> Self {
        Self { capacity: Some(capacity), ..self }
    }

    #[must_use]
    pub const fn with_max_wait(self, max_wait: u64) -> Self {
        Self { max_wait: Some(max_wait), ..self }
    }

    #[must_use]
    pub const fn aligned(self) -> Self {
        Self { is_aligned: true, ..self }
    }

    /// Returns the units that a bucket holds; with a quota of 0, none.
    pub fn bucket(&self) -> u64 {
        match self.quota {
            0 => 0,
            quota => self.capacity.unwrap_or(quota),
        }
    }

    /// Returns the rate, in units per µs.
    pub fn rate(&self) -> Exact {
        Exact::new(self.quota.into(), self.duration.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    pub outcome: Outcome,
    pub limit: u64,
    pub remaining: u64,
    pub reset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Admitted {
        wait: u64,
    },
    /// `None` means never.
    Limited {
        retry: Option<u64>,
    },
}

impl Reply {
    pub fn is_admitted(&self) -> bool {
        matches!(self.outcome, Outcome::Admitted { .. })
    }

    /// Returns how long an admitted caller waits; `None` if the call is limited.
    pub fn wait(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Admitted { wait } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }

    /// Returns after how long a limited caller may come back; `None` if the call is admitted or
    /// never will be.
    pub fn retry(&self) -> Option<u64> {
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

pub trait Model: Default {
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

pub fn exact(integer: u64) -> Exact {
    Exact::from_integer(integer.into())
}

/// Rounds up to a whole number, at least 0 and at most [`ENDLESS`].
pub fn rounded_up(number: &Exact) -> u64 {
    whole(number.ceil().to_integer())
}

/// Rounds down to a whole number, at least 0 and at most [`ENDLESS`].
pub fn rounded_down(number: &Exact) -> u64 {
    whole(number.floor().to_integer())
}

fn whole(number: BigInt) -> u64 {
    if number < BigInt::from(0) {
        return 0;
    }
    u64::try_from(number).map_or(ENDLESS, |number| number.min(ENDLESS))
}
