//! A clock that never steps back, made from one that may.

use crate::{Span, Timestamp};

/// The time of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    at: Timestamp,
    /// How far this is ahead of the clock that was read.
    ahead: Span,
    steady_since: Timestamp,
}

impl Now {
    /// Returns the moment as a state stores it.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.at
    }

    /// Returns the moment when `span` will have passed on the clock that was read, in milliseconds
    /// since the Unix epoch, rounded up.
    #[must_use]
    pub const fn millis_after(self, span: Span) -> u64 {
        self.at.minus(self.ahead).millis_after(span)
    }

    /// Returns the time until this long after the Unix epoch, on the clock that was read. Zero if
    /// that is over.
    #[must_use]
    pub const fn until(self, since_epoch: Span) -> Span {
        let read = Span::from_micros(self.at.minus(self.ahead).as_micros());
        since_epoch.saturating_sub(read)
    }

    /// Returns the moment at which a timestamp was made, as far as this clock can know: never later
    /// than now.
    ///
    /// A timestamp in the future was made by another clock. It is dated to the earliest moment
    /// since which this clock is known to have been behind it. The timestamp is at least that old,
    /// so nothing extra is admitted, and time passes from there.
    #[must_use]
    pub(crate) fn date(self, stamp: Timestamp) -> Timestamp {
        if stamp > self.at { self.steady_since } else { stamp }
    }
}

/// Turns a clock that may step back into one that does not: after a step back, time continues from
/// where it was.
///
/// A step back therefore admits nothing extra, and a caller waits exactly as long as its reply
/// said. One clock serves all keys whose timestamps it has [seen](Self::see).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    latest: Timestamp,
    ahead: Span,
    /// The latest timestamp of another clock, while this clock is behind it.
    seen: Timestamp,
    steady_since: Timestamp,
}

impl Clock {
    /// Returns a clock that has not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest: Timestamp::from_micros(0),
            ahead: Span::ZERO,
            // Any timestamp from before the first reading was made by another clock.
            seen: Timestamp::MAX,
            steady_since: Timestamp::MAX,
        }
    }

    /// Reads the clock: turns a reading of the system's clock into the time of a decision.
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

    /// Notes a timestamp that another clock made: this one before a restart, or that of another
    /// server.
    pub fn see(&mut self, stamp: Timestamp) {
        self.seen = self.seen.max(stamp);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
