use std::time::{Duration, Instant, SystemTime};

use premier_algorithms::{Span, Timestamp};

/// The clock of a memory.
pub(super) enum Clock {
    /// The clock by which callers sleep. By any other clock a caller that has slept for its
    /// retry-after may come too early.
    Monotonic {
        start: Instant,
        /// The start on the wall clock.
        started: Timestamp,
    },
    Given(Box<dyn Fn() -> Duration + Send + Sync>),
}

impl Clock {
    pub(super) fn monotonic() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::Monotonic { start: Instant::now(), started: Timestamp::from_micros(micros(since_epoch)) }
    }

    /// Reads the clock for a call that came at this moment.
    #[inline]
    pub(super) fn reading(&self, came_at: Instant) -> Reading {
        match self {
            Self::Monotonic { .. } => Reading::Steady(self.at(came_at)),
            Self::Given(_) => Reading::Given(self.at(came_at)),
        }
    }

    /// Returns the time at this moment, or now if the clock was given.
    #[inline]
    pub(super) fn at(&self, moment: Instant) -> Timestamp {
        match self {
            Self::Monotonic { start, started } => {
                started.plus(Span::from_micros(micros(moment.saturating_duration_since(*start))))
            }
            Self::Given(clock) => Timestamp::from_micros(micros(clock())),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A reading of the clock of a memory.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// Of a clock that never steps back, taken before the shard was locked.
    Steady(Timestamp),
    /// Taken while the shard was locked, as the clock may step back.
    Given(Timestamp),
}
