use std::time::{Duration, Instant};

use crate::{Decision, RetryAfter};

/// The moment at which a caller gives up waiting to be admitted.
pub(super) struct Deadline {
    start: Instant,
    at_most: Duration,
}

/// What a waiting caller does next.
pub(super) enum Step {
    /// Goes ahead after this time.
    GoAfter(Duration),
    /// Asks again after this time.
    AskAfter(Duration),
    /// Gives up, as the wait would end after the deadline.
    GiveUp,
}

impl Deadline {
    pub(super) fn after(at_most: Duration) -> Self {
        Self { start: Instant::now(), at_most }
    }

    pub(super) fn left(&self) -> Duration {
        self.at_most.saturating_sub(self.start.elapsed())
    }

    /// Returns what a caller does after a decision. A limited caller asks again at its retry-after:
    /// before that it would be limited again, and after that others would overtake it.
    pub(super) fn step(&self, decision: &Decision) -> Step {
        match (decision.wait(), decision.retry_after()) {
            (Some(wait), _) => Step::GoAfter(wait),
            (None, Some(RetryAfter::After(after))) if after <= self.left() => Step::AskAfter(after),
            _ => Step::GiveUp,
        }
    }
}
