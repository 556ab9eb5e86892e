//! A clock that never steps back, made from one that may.

use crate::{Span, Timestamp};

/// The time of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    at: Timestamp,
    /// How far this is ahead of the clock that was read.
    ahead: Span,
    steady_since: Timestamp,
    least_lead: Span,
    /// When the clock that was read last stepped back.
    stepped_back_at: Timestamp,
}

impl Now {
    /// Returns the moment as a state stores it.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.at
    }

    /// Returns the moment on the clock that was read.
    pub(crate) const fn reading(self) -> Timestamp {
        self.at.minus(self.ahead)
    }

    /// Returns when a timestamp was made, on the clock that was read.
    pub(crate) fn reading_at(self, stamp: Timestamp) -> Timestamp {
        self.as_read(self.date(stamp))
    }

    /// Returns what the clock that was read showed at a timestamp that this clock made. If it has
    /// stepped back since, it showed [that much](Self::set_back_since) more, at most.
    pub(crate) const fn as_read(self, stamp: Timestamp) -> Timestamp {
        stamp.minus(self.ahead)
    }

    /// Returns by how much the clock that was read may have stepped back since this clock made a
    /// timestamp, at most.
    pub(crate) fn set_back_since(self, stamp: Timestamp) -> Span {
        if stamp <= self.stepped_back_at { self.ahead } else { Span::ZERO }
    }

    /// Returns the moment when `span` will have passed on the clock that was read, in milliseconds
    /// since the Unix epoch, rounded up.
    #[must_use]
    pub const fn millis_after(self, span: Span) -> u64 {
        self.reading().millis_after(span)
    }

    /// Returns the time until this long after the Unix epoch, on the clock that was read. Zero if
    /// that is over.
    #[must_use]
    pub const fn until(self, since_epoch: Span) -> Span {
        since_epoch.saturating_sub(Span::from_micros(self.reading().as_micros()))
    }

    /// Returns the moment at which a timestamp was made, as far as this clock can know: never later
    /// than now.
    #[must_use]
    pub(crate) fn date(self, stamp: Timestamp) -> Timestamp {
        self.dating().date(stamp, self.at)
    }

    /// Returns how timestamps from the future are dated now.
    pub(crate) const fn dating(self) -> Dating {
        Dating { steady_since: self.steady_since, least_lead: self.least_lead }
    }
}

/// How timestamps from the future are dated.
///
/// A timestamp in the future was made by another clock, before it arrived here. It is dated to the
/// latest moment at which it may have arrived: when the last one from the future did, or earlier if
/// even the one that was the least in the future would have been made earlier. The timestamp is at
/// least that old, so nothing extra is admitted, and time passes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dating {
    /// When the last timestamp arrived that was ahead.
    pub(crate) steady_since: Timestamp,
    /// By how much timestamps were ahead when they arrived, at least.
    pub(crate) least_lead: Span,
}

impl Dating {
    /// Returns the moment at which a timestamp was made: never later than `now`.
    pub(crate) fn date(self, stamp: Timestamp, now: Timestamp) -> Timestamp {
        if stamp > now { self.steady_since.min(stamp.minus(self.least_lead)) } else { stamp }
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
    /// When the clock that is read last stepped back.
    stepped_back_at: Timestamp,
    /// The earliest and the latest of the timestamps of other clocks that are ahead of the latest
    /// reading and were noted since. The latest is the epoch if there is none.
    noted: (Timestamp, Timestamp),
    /// The latest timestamp of another clock.
    last_seen: Timestamp,
    /// When the last timestamp arrived that was ahead of this clock. Any timestamp from before the
    /// first reading was made by another clock.
    steady_since: Timestamp,
    /// By how much timestamps were ahead of this clock when they arrived: the least of those that
    /// may still be ahead.
    least_lead: Span,
}

const NOTHING_NOTED: (Timestamp, Timestamp) = (Timestamp::MAX, Timestamp::from_micros(0));

impl Clock {
    /// Returns a clock that has not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest: Timestamp::from_micros(0),
            ahead: Span::ZERO,
            stepped_back_at: Timestamp::from_micros(0),
            noted: NOTHING_NOTED,
            last_seen: Timestamp::from_micros(0),
            steady_since: Timestamp::MAX,
            least_lead: Span::ZERO,
        }
    }

    /// Reads the clock: turns a reading of the system's clock into the time of a decision.
    pub fn read(&mut self, reading: Timestamp) -> Now {
        let step_back = self.latest.since(reading.plus(self.ahead));
        self.ahead = self.ahead.plus(step_back);
        let at = reading.plus(self.ahead);
        self.latest = at;
        if step_back > Span::ZERO {
            self.stepped_back_at = at;
        }
        self.steady_since = self.steady_since.min(at);
        if self.noted.1 != NOTHING_NOTED.1 {
            self.take_note(at);
        }
        Now {
            at,
            ahead: self.ahead,
            steady_since: self.steady_since,
            least_lead: self.least_lead,
            stepped_back_at: self.stepped_back_at,
        }
    }

    /// Returns by how much the clock that is read may have stepped back since this clock made a
    /// timestamp, at most. What expires at a fixed reading, set at the time of that timestamp,
    /// lives longer than it should by up to that much.
    #[must_use]
    pub fn set_back_since(&self, stamp: Timestamp) -> Span {
        if stamp <= self.stepped_back_at { self.ahead } else { Span::ZERO }
    }

    /// Notes a timestamp that another clock made: this one before a restart, or that of another
    /// server. It counts as arriving at the next reading.
    pub fn see(&mut self, stamp: Timestamp) {
        if stamp > self.latest {
            let (earliest, latest) = self.noted;
            self.noted = (earliest.min(stamp), latest.max(stamp));
        }
    }

    /// Returns whether the clock has been read.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.steady_since < Timestamp::MAX
    }

    /// Lets what was noted arrive now.
    #[cold]
    fn take_note(&mut self, at: Timestamp) {
        let (earliest, latest) = self.noted;
        self.noted = NOTHING_NOTED;
        if latest <= at {
            return;
        }
        let lead = earliest.since(at);
        let are_others_ahead = self.last_seen > at;
        self.least_lead = if are_others_ahead { self.least_lead.min(lead) } else { lead };
        self.last_seen = self.last_seen.max(latest);
        self.steady_since = at;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Clock`] for readings that never step back, but may arrive out of order: one that others have
/// overtaken counts as the latest. No other clock may have made the timestamps of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SteadyClock {
    latest: Timestamp,
}

impl SteadyClock {
    /// Returns a clock that has not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { latest: Timestamp::from_micros(0) }
    }

    /// Reads the clock: turns a reading into the time of a decision.
    #[inline]
    pub fn read(&mut self, reading: Timestamp) -> Now {
        self.latest = self.latest.max(reading);
        Now {
            at: self.latest,
            ahead: Span::ZERO,
            steady_since: Timestamp::from_micros(0),
            least_lead: Span::ZERO,
            stepped_back_at: Timestamp::from_micros(0),
        }
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new()
    }
}
