use std::time::{Duration, Instant};

use crate::{AnyLimit, Decision, RetryAfter};

/// The moment at which a caller gives up waiting to be admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

/// What a waiting caller does next.
pub(super) enum Step {
    /// Goes ahead after the wait of the decision.
    Go,
    /// Asks again at this moment.
    AskAt(Instant),
    /// Gives up, as it would have to wait beyond the deadline.
    GiveUp,
}

impl Deadline {
    pub(super) fn after(now: Instant, at_most: Duration) -> Self {
        /// No limit makes a call wait longer.
        const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
        Self(now + at_most.min(TEN_YEARS))
    }

    pub(super) fn get(self) -> Instant {
        self.0
    }

    pub(super) fn is_before(self, at: Instant) -> bool {
        self.0 < at
    }

    pub(super) fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Returns what a caller does after a decision by this limit. A limited caller asks again at
    /// its retry-after: before that it would be limited again.
    pub(super) fn step(self, now: Instant, decision: &Decision, limit: &AnyLimit) -> Step {
        match decision.retry_after() {
            None => Step::Go,
            Some(RetryAfter::After(after)) if after.saturating_add(limit.turn_at_retry()) <= self.left(now) => {
                Step::AskAt(now + after)
            }
            _ => Step::GiveUp,
        }
    }
}
