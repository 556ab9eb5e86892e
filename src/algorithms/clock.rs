//! What to make of a clock that steps back.

use crate::{Span, Timestamp};

/// The moment of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    at: Timestamp,
    /// By how much this is ahead of the clock that was read.
    ahead: Span,
    steady_since: Timestamp,
}

impl Now {
    /// The moment as state keeps it.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.at
    }

    /// When `span` will have gone by, on the clock that was read: in milliseconds since the epoch, rounded up.
    #[must_use]
    pub const fn millis_after(self, span: Span) -> u64 {
        self.at.minus(self.ahead).millis_after(span)
    }

    /// How long until this long after the epoch, on the clock that was read.
    #[must_use]
    pub const fn until(self, since_epoch: Span) -> Span {
        let read = Span::from_micros(self.at.minus(self.ahead).as_micros());
        since_epoch.saturating_sub(read)
    }

    /// The moment that a stamp stands for, never later than now.
    ///
    /// A stamp in the future was made by another clock. It stands for the moment since which this clock is known to have been
    /// behind it: this mints nothing, as the stamp is at least that old, and time goes by from there.
    #[must_use]
    pub(crate) fn date(self, stamp: Timestamp) -> Timestamp {
        if stamp > self.at { self.steady_since } else { stamp }
    }
}

/// Makes of a clock that may step back one that does not: when it does, time goes on from where it was.
///
/// So nothing is minted, and who was told to wait waits as long as told. One serves all keys whose stamps it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    latest: Timestamp,
    ahead: Span,
    /// The latest stamp of another clock, as long as there is something to learn from it.
    seen: Timestamp,
    steady_since: Timestamp,
}

impl Clock {
    /// A clock that has not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest: Timestamp::from_micros(0),
            ahead: Span::ZERO,
            // Whatever comes from before the first reading was made by another clock.
            seen: Timestamp::MAX,
            steady_since: Timestamp::MAX,
        }
    }

    /// Takes a reading.
    pub fn read(&mut self, reading: Timestamp) -> Now {
        let step_back = self.latest.since(reading.plus(self.ahead));
        self.ahead = self.ahead.plus(step_back);
        let at = reading.plus(self.ahead);
        self.latest = at;
        if at < self.seen {
            self.seen = at;
            self.steady_since = at;
        }
        Now { at, ahead: self.ahead, steady_since: self.steady_since }
    }

    /// Takes note of a stamp that another clock made: this one before a restart, or that of another server.
    pub fn see(&mut self, stamp: Timestamp) {
        self.seen = self.seen.max(stamp);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
