use std::time::{Duration, Instant, SystemTime};

use premier_algorithms::Timestamp;

/// What a memory goes by.
pub(super) enum Time {
    /// The clock by which callers sleep. By another, however fast it is read, one who slept as long as told may come too early.
    Monotonic {
        start: Instant,
        /// From the Unix epoch to the start.
        epoch: Duration,
    },
    Given(Box<dyn Fn() -> Duration + Send + Sync>),
}

impl Time {
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
