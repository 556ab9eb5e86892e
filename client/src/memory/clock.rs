use std::time::{Duration, Instant, SystemTime};

use premier_algorithms::Timestamp;

/// The clock of a memory.
pub(super) enum Clock {
    /// The clock by which callers sleep. By any other clock a caller that has slept for its
    /// retry-after may come too early.
    Monotonic {
        start: Instant,
        /// The start, since the Unix epoch.
        epoch: Duration,
    },
    Given(Box<dyn Fn() -> Duration + Send + Sync>),
}

impl Clock {
    pub(super) fn monotonic() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::Monotonic { start: Instant::now(), epoch }
    }

    pub(super) fn now(&self) -> Timestamp {
        let since_epoch = match self {
            Self::Monotonic { start, epoch } => epoch.saturating_add(start.elapsed()),
            Self::Given(clock) => clock(),
        };
        Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
    }
}
