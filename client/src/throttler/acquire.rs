use std::time::{Duration, Instant};

use crate::Decision;

/// How long a caller still waits to be admitted.
pub(super) struct Patience {
    start: Instant,
    at_most: Duration,
}

/// What a waiting caller does next.
pub(super) enum Step {
    /// It is admitted, and goes ahead after this long.
    GoAfter(Duration),
    /// It asks again after this long.
    AskAfter(Duration),
    /// It would have to wait for too long.
    GiveUp,
}

impl Patience {
    pub(super) fn new(at_most: Duration) -> Self {
        Self { start: Instant::now(), at_most }
    }

    pub(super) fn left(&self) -> Duration {
        self.at_most.saturating_sub(self.start.elapsed())
    }

    /// Asking any earlier would be in vain, and later would let others pass.
    pub(super) fn step(&self, decision: &Decision) -> Step {
        use crate::RetryAfter::After;

        match (decision.wait(), decision.retry_after()) {
            (Some(wait), _) => Step::GoAfter(wait),
            (None, Some(After(after))) if after <= self.left() => Step::AskAfter(after),
            _ => Step::GiveUp,
        }
    }
}
