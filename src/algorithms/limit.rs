//! The limits of the algorithms.

use crate::{Calendar, Capacity, HolderId, LimitDuration, MaxWait, Quota};

/// The limit of [`Fixed`](crate::Fixed): `quota` units in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedLimit {
    /// Units admitted in a window.
    pub quota: Quota,
    /// Where a window begins and ends.
    pub window: Window,
}

/// Where a fixed window begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// A window begins at the first admitted call, and is this long.
    FromFirstCall(LimitDuration),
    /// A window begins and ends where the calendar says: a day at midnight, a week on Monday, a
    /// month on its first day.
    Aligned(Calendar),
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

impl Window {
    /// Returns how long the window is. A calendar month counts as 31 days, and the longest duration
    /// is [`LimitDuration::MAX`].
    #[must_use]
    pub const fn duration(&self) -> LimitDuration {
        match self {
            Self::FromFirstCall(duration) => *duration,
            Self::Aligned(calendar) => calendar.period.longest(),
        }
    }
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
