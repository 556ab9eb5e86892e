use std::time::{Duration, SystemTime};

use premier_algorithms::Timestamp;

/// What a memory goes by.
pub(super) enum Time {
    Monotonic {
        /// The processor's own counter where it has a steady one, which is read in less than half the time of `Instant`.
        clock: quanta::Clock,
        /// Microseconds from the Unix epoch to when that was zero.
        epoch: u64,
    },
    Given(Box<dyn Fn() -> Duration + Send + Sync>),
}

impl Time {
    pub(super) fn monotonic() -> Self {
        let clock = quanta::Clock::new();
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = micros(since_epoch).saturating_sub(counted(&clock));
        Self::Monotonic { clock, epoch }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_micros(match self {
            Self::Monotonic { clock, epoch } => counted(clock).saturating_add(*epoch),
            Self::Given(clock) => micros(clock()),
        })
    }
}

fn counted(clock: &quanta::Clock) -> u64 {
    clock.delta_as_nanos(0, clock.raw()) / 1_000
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
