use crate::bucket::{Level, Rate};
use crate::state::MAX_OWED;
use crate::{
    Algorithm, BucketLimit, BucketState, Change, Cost, Decision, MaxWait, Now, Outcome, RateLimit, Retry, Span,
};

/// Token bucket: a bucket of `capacity` tokens, which is full at first and refills continuously at
/// `quota` tokens per `duration`. A call is admitted if the bucket holds as many tokens as the call
/// costs, and takes them out.
///
/// With a `max_wait`, a call may also borrow: it is admitted if the missing tokens will be refilled
/// within `max_wait`, and waits until then. The refill repays borrowed tokens before later calls
/// get any. A key never owes more than 10¹² tokens.
///
/// Over any time t, at most `capacity + t · quota / duration` units go ahead.
#[derive(Debug, Clone, Copy)]
pub struct Token;

impl Token {
    /// Decides a call of cost 0 as redis-cell does: it is also limited while more is used than the
    /// bucket holds.
    #[must_use]
    pub fn look_as_cell(state: &BucketState, now: Now, limit: &BucketLimit) -> Decision<()> {
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
        decision_at(level, capacity, outcome)
    }
}

impl Algorithm for Token {
    type State = BucketState;
    type Limit<'call> = BucketLimit;

    fn decide<'call>(state: &BucketState, now: Now, limit: &BucketLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let capacity = limit.limit();
        let max_wait = limit.max_wait.map_or(Span::ZERO, MaxWait::get);

        // The units used are the tokens missing from a full bucket.
        let before = Level::new(*state, now, rate);
        let limited = |retry| decision_at(before, capacity, Outcome::Limited { retry });
        let Some(room) = capacity.checked_sub(cost.get()) else {
            return limited(Retry::Never);
        };
        let wait = before.time_until(room);
        if wait > max_wait || before.used() > room + MAX_OWED {
            return limited(Retry::After(wait.saturating_sub(max_wait).max(before.time_until(room + MAX_OWED))));
        }
        admitted(before.plus(cost), capacity, wait)
    }

    fn look(state: &BucketState, now: Now, limit: &BucketLimit) -> Decision<()> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let level = Level::new(*state, now, rate);
        decision_at(level, limit.limit(), Outcome::Admitted { wait: Span::ZERO, change: () })
    }
}

impl RateLimit for Token {
    fn room(state: &BucketState, now: Now, limit: &BucketLimit) -> u64 {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return 0;
        };
        let level = Level::new(*state, now, rate);
        let max_wait = limit.max_wait.map_or(Span::ZERO, MaxWait::get);
        let missing =
            level.used().saturating_sub(level.drained_after(max_wait)).max(level.used().saturating_sub(MAX_OWED));
        limit.limit().saturating_sub(missing)
    }

    fn force<'call>(state: &BucketState, now: Now, limit: &BucketLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let before = Level::new(*state, now, rate);
        // A caller that sets no max_wait goes ahead at once, and the tokens are missing later.
        let wait = limit.max_wait.map_or(Span::ZERO, |_| before.raised(cost).time_until(limit.limit()));
        admitted(before.plus(cost), limit.limit(), wait)
    }
}

#[inline]
fn admitted(after: Level, capacity: u64, wait: Span) -> Decision<BucketState> {
    decision_at(after, capacity, Outcome::Admitted { wait, change: after.state() })
}

#[inline]
fn decision_at<Change>(level: Level, capacity: u64, outcome: Outcome<Change>) -> Decision<Change> {
    Decision { outcome, limit: capacity, remaining: capacity.saturating_sub(level.used()), reset: level.time_until(0) }
}
