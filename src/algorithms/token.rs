use crate::bucket::{Level, Rate};
use crate::state::MAX_OWED;
use crate::{Algorithm, BucketLimit, BucketState, Cost, Decision, MaxWait, Now, Outcome, Retry, Span};

/// Token bucket: `capacity` tokens, full at first, refilled continuously at `quota` per `duration`. A call is admitted when
/// its cost in tokens is there.
///
/// With a `max_wait` it may also borrow: it is admitted when the missing tokens will have come after at most that long. What
/// it borrowed is gone from the future. No more than 10¹² tokens are ever owed.
///
/// Over any time t at most `capacity + t · quota / duration` units go ahead.
#[derive(Debug, Clone, Copy)]
pub struct Token;

impl Token {
    /// What a call that costs nothing is answered: it changes nothing, and is limited only as long as more is used than the
    /// bucket holds.
    #[must_use]
    pub fn look(state: &BucketState, now: Now, limit: &BucketLimit) -> Decision<()> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let (capacity, level) = (limit.limit(), Level::new(*state, now, rate));
        let wait = level.time_until(capacity);
        let outcome = if wait == Span::ZERO {
            Outcome::Admitted { wait, change: () }
        } else {
            Outcome::Limited { retry: Retry::After(wait) }
        };
        standing(level, capacity, outcome)
    }
}

impl Algorithm for Token {
    type State = BucketState;
    type Limit = BucketLimit;

    fn decide(state: &BucketState, now: Now, limit: &BucketLimit, cost: Cost) -> Decision<BucketState> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let capacity = limit.limit();
        let max_wait = limit.max_wait.map_or(Span::ZERO, MaxWait::get);

        // What was used is what is missing to a full bucket.
        let before = Level::new(*state, now, rate);
        let limited = |retry| standing(before, capacity, Outcome::Limited { retry });
        let Some(room) = capacity.checked_sub(cost.get()) else {
            return limited(Retry::Never);
        };
        let wait = before.time_until(room);
        if wait > max_wait || before.used() > room + MAX_OWED {
            return limited(Retry::After(wait.saturating_sub(max_wait).max(before.time_until(room + MAX_OWED))));
        }
        admitted(before.plus(cost), capacity, wait)
    }

    fn force(state: &BucketState, now: Now, limit: &BucketLimit, cost: Cost) -> Decision<BucketState> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let before = Level::new(*state, now, rate);
        // Only who is ready to wait is told when the tokens will have come.
        let wait = limit.max_wait.map_or(Span::ZERO, |_| before.raised(cost).time_until(limit.limit()));
        admitted(before.plus(cost), limit.limit(), wait)
    }
}

#[inline]
fn admitted(after: Level, capacity: u64, wait: Span) -> Decision<BucketState> {
    standing(after, capacity, Outcome::Admitted { wait, change: after.state() })
}

#[inline]
fn standing<Change>(level: Level, capacity: u64, outcome: Outcome<Change>) -> Decision<Change> {
    Decision { outcome, limit: capacity, remaining: capacity.saturating_sub(level.used()), reset: level.time_until(0) }
}
