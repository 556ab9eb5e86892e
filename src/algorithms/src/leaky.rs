use crate::bucket::{Level, Rate};
use crate::{Algorithm, Bucket, BucketState, Cost, Decision, MaxWait, Now, Outcome, Retry, Span};

/// Leaky bucket as a queue: admitted calls leave it one unit every `period / quota`. It holds `capacity` units, the one being
/// served included. A call is admitted when its cost fits; it then waits until those before it have left.
///
/// With a `max_wait`, a call whose turn would come later than that is limited and takes no place.
///
/// Over any time t at most `capacity + t · quota / period` units are admitted, and they go ahead at `quota` per `period`.
#[derive(Debug, Clone, Copy)]
pub struct Leaky;

impl Algorithm for Leaky {
    type State = BucketState;
    type Limit = Bucket;

    fn decide(state: &BucketState, now: Now, limit: &Bucket, cost: Cost) -> Decision<BucketState> {
        let Some(rate) = Rate::new(limit.quota, limit.period) else {
            return Decision::blocked();
        };
        let capacity = limit.limit();
        let max_wait = limit.max_wait.map_or(Span::MAX, MaxWait::get);
        // Whoever calls next waits until the bucket is empty.
        let remaining = |queue: Level, next_turn| {
            if next_turn <= max_wait { capacity.saturating_sub(queue.used()) } else { 0 }
        };

        let before = Level::new(*state, now, rate);
        let turn = before.time_until(0);
        let limited = |retry| Decision {
            outcome: Outcome::Limited { retry },
            limit: capacity,
            remaining: remaining(before, turn),
            reset: turn,
        };
        let Some(room) = capacity.checked_sub(cost.get()) else {
            return limited(Retry::Never);
        };
        if before.used() > room || turn > max_wait {
            return limited(Retry::After(turn.saturating_sub(max_wait).max(before.time_until(room))));
        }
        let after = before.plus(cost);
        let reset = after.time_until(0);
        Decision {
            outcome: Outcome::Admitted { wait: turn, change: after.state() },
            limit: capacity,
            remaining: remaining(after, reset),
            reset,
        }
    }
}
