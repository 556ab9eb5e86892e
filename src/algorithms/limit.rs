//! The limits of the algorithms.

use crate::{Capacity, HolderId, LimitDuration, MaxWait, Quota};

/// The limit of [`Fixed`](crate::Fixed): `quota` units in each window of `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedLimit {
    /// Units admitted in a window.
    pub quota: Quota,
    /// How long a window is.
    pub duration: LimitDuration,
    /// Where a window begins.
    pub start: WindowStart,
}

/// Where a fixed window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WindowStart {
    /// At the first admitted call.
    #[default]
    FirstCall,
    /// At a multiple of its duration since the Unix epoch: a window of a day begins at midnight
    /// UTC, a window of an hour at the full hour.
    Aligned,
}

/// The limit of [`Sliding`](crate::Sliding): `quota` units in any span of `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlidingLimit {
    /// Units admitted in a window.
    pub quota: Quota,
    /// How long a window is.
    pub duration: LimitDuration,
}

/// The limit of [`Token`](crate::Token) and [`Leaky`](crate::Leaky): `quota` units per `duration`,
/// through a bucket of `capacity` units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketLimit {
    /// Units that are refilled or drained per `duration`.
    pub quota: Quota,
    /// The time in which `quota` units are refilled or drained.
    pub duration: LimitDuration,
    /// Units that the bucket holds; `None` means `quota`.
    pub capacity: Option<Capacity>,
    /// How long the caller is willing to wait. `None` is the default of the algorithm:
    /// [`Token`](crate::Token) then lends nothing, and [`Leaky`](crate::Leaky) accepts any wait.
    pub max_wait: Option<MaxWait>,
}

/// The limit of [`Hold`](crate::Hold): `quota` units at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldLimit<'call> {
    /// Units held at the same time.
    pub quota: Quota,
    /// How long a holder holds its units unless it releases them or calls again.
    pub lease: LimitDuration,
    /// The holder that makes the call. `None` stands for a new one, in a call that is only
    /// previewed.
    pub holder: Option<HolderId<'call>>,
}

impl BucketLimit {
    /// Returns the units that a fresh key admits at once: the capacity, or 0 if the quota is 0.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.capacity {
            Some(capacity) if self.quota.get() > 0 => capacity.get(),
            _ => self.quota.get(),
        }
    }
}
