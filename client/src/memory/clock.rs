use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use premier_algorithms::{Now, Span, Timestamp};

/// The clock of a memory.
pub(super) enum Clock {
    /// The clock by which callers sleep. By any other clock a caller that has slept for its
    /// retry-after may come too early.
    Monotonic {
        start: Instant,
        /// The start on the wall clock.
        started: Timestamp,
    },
    Given {
        read: Box<dyn Fn() -> Duration + Send + Sync>,
        /// Goes on where the clock steps back.
        steady: Mutex<premier_algorithms::Clock>,
    },
}

impl Clock {
    pub(super) fn monotonic() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::Monotonic { start: Instant::now(), started: Timestamp::from_micros(micros(since_epoch)) }
    }

    pub(super) fn given(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self::Given { read: Box::new(read), steady: Mutex::default() }
    }

    /// Reads the clock for a call that came at this moment, and whose shards are locked.
    #[inline]
    pub(super) fn reading(&self, came_at: Instant) -> Reading {
        match self {
            Self::Monotonic { .. } => Reading::Steady(self.at(came_at)),
            Self::Given { steady, .. } => {
                let mut steady = steady.lock().unwrap_or_else(PoisonError::into_inner);
                Reading::Given(steady.read(self.at(came_at)))
            }
        }
    }

    /// Returns the time at this moment, or now if the clock was given.
    #[inline]
    pub(super) fn at(&self, moment: Instant) -> Timestamp {
        match self {
            Self::Monotonic { start, started } => {
                started.plus(Span::from_micros(micros(moment.saturating_duration_since(*start))))
            }
            Self::Given { read, .. } => Timestamp::from_micros(micros(read())),
        }
    }
}

fn micros(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000).saturating_add(time.subsec_micros().into())
}

/// A reading of the clock of a memory.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// Of a clock that never steps back, taken before the shards were locked.
    Steady(Timestamp),
    /// Of a clock that may step back, taken while the shards were locked.
    Given(Now),
}
