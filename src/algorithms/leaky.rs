use crate::bucket::{Level, Rate};
use crate::{
    Algorithm, BucketLimit, BucketState, Change, Cost, Decision, MaxWait, Now, Outcome, RateLimit, Retry, Span,
};

/// Leaky bucket, as a queue: admitted units leave it one at a time, one every `duration / quota`.
/// It holds `capacity` units, including the one being served. A call is admitted if its cost fits;
/// it then waits until all units before it have left.
///
/// With a `max_wait`, a call whose turn would come later than that is limited and takes no place.
///
/// Over any time t, at most `capacity + t · quota / duration` units are admitted, and they go ahead
/// at `quota` per `duration`.
#[derive(Debug, Clone, Copy)]
pub struct Leaky;

impl Algorithm for Leaky {
    type State = BucketState;
    type Limit<'call> = BucketLimit;

    fn decide<'call>(state: &BucketState, now: Now, limit: &BucketLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let capacity = limit.limit();
        let max_wait = max_wait(limit);
        let before = Level::new(*state, now, rate);
        let turn = before.time_until(0);
        let limited = |retry| Decision {
            outcome: Outcome::Limited { retry },
            limit: capacity,
            remaining: remaining(before, turn, limit),
            reset: turn,
        };
        let Some(room) = capacity.checked_sub(cost.get()) else {
            return limited(Retry::Never);
        };
        if before.used() > room || turn > max_wait {
            return limited(Retry::After(turn.saturating_sub(max_wait).max(before.time_until(room))));
        }
        admitted(before.plus(cost), limit, turn)
    }

    fn look(state: &BucketState, now: Now, limit: &BucketLimit) -> Decision<()> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let queue = Level::new(*state, now, rate);
        let turn = queue.time_until(0);
        Decision::looked(limit.limit(), remaining(queue, turn, limit), turn, turn)
    }
}

impl RateLimit for Leaky {
    fn room(state: &BucketState, now: Now, limit: &BucketLimit) -> u64 {
        Self::look(state, now, limit).remaining
    }

    fn force<'call>(state: &BucketState, now: Now, limit: &BucketLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        let Some(rate) = Rate::new(limit.quota, limit.duration) else {
            return Decision::blocked();
        };
        let before = Level::new(*state, now, rate);
        admitted(before.plus(cost), limit, before.time_until(0))
    }
}

#[inline]
fn admitted(after: Level, limit: &BucketLimit, turn: Span) -> Decision<BucketState> {
    let reset = after.time_until(0);
    Decision {
        outcome: Outcome::Admitted { wait: turn, change: after.state() },
        limit: limit.limit(),
        remaining: remaining(after, reset, limit),
        reset,
    }
}

/// Returns the units that still fit: none if the next call, which waits until the queue is empty,
/// would wait longer than it is willing to.
#[inline]
fn remaining(queue: Level, next_turn: Span, limit: &BucketLimit) -> u64 {
    if next_turn <= max_wait(limit) { limit.limit().saturating_sub(queue.used()) } else { 0 }
}

#[inline]
fn max_wait(limit: &BucketLimit) -> Span {
    limit.max_wait.map_or(Span::MAX, MaxWait::get)
}
