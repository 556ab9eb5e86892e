//! What a call may be limited to, by each algorithm.

use crate::{Capacity, LimitDuration, MaxWait, Quota};

/// The limit of [`Fixed`](crate::Fixed): `quota` units in a window of this `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedLimit {
    /// Units admitted in a window.
    pub quota: Quota,
    /// How long a window is.
    pub duration: LimitDuration,
    /// When a window begins.
    pub start: WindowStart,
}

/// When a fixed window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WindowStart {
    /// At the first admitted call.
    #[default]
    FirstCall,
    /// At a multiple of its duration since the Unix epoch: a day at midnight UTC, an hour at the full hour.
    Aligned,
}

/// The limit of [`Sliding`](crate::Sliding): `quota` units in a window of this `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlidingLimit {
    /// Units admitted in a window.
    pub quota: Quota,
    /// How long a window is.
    pub duration: LimitDuration,
}

/// The limit of [`Token`](crate::Token) and [`Leaky`](crate::Leaky): `quota` units per `duration`, through a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketLimit {
    /// Units refilled or drained per `duration`.
    pub quota: Quota,
    /// The time that `quota` units take.
    pub duration: LimitDuration,
    /// Units the bucket holds; `None` means as many as the quota.
    pub capacity: Option<Capacity>,
    /// How long the caller is ready to wait; `None` is each algorithm's own default.
    pub max_wait: Option<MaxWait>,
}

impl BucketLimit {
    /// Units that a fresh key admits at once: the capacity, or 0 when the quota is 0.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.capacity {
            Some(capacity) if self.quota.get() > 0 => capacity.get(),
            _ => self.quota.get(),
        }
    }
}
