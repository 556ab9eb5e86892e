//! What the commands of all limiters share: decide a call, settle the decision, reply.

use premier_algorithms::{Algorithm, Arguments, Cost, Decision, Now, Outcome, Retry, State};
use premier_server::{Call, DataType, Expiry, Key, KeyPosition};

use super::top;
use crate::limiters::Limiter;

/// What an admitted call changes in the state of the limiter `L`.
pub(super) type Change<L> = <<L as DataType>::State as State>::Change;

/// Decides a call with these arguments.
#[inline]
pub(super) fn decide<L: Limiter>(state: &L::State, now: Now, arguments: &Arguments) -> Decision<Change<L>> {
    let limit = L::limit(arguments);
    if arguments.is_forced {
        L::Algorithm::force(state, now, &limit, arguments.cost)
    } else {
        L::Algorithm::decide(state, now, &limit, arguments.cost)
    }
}

/// Puts the decision on a call of this cost into effect: changes the first key, or reports that it
/// limits the call.
#[inline]
pub(super) fn settle<L: Limiter>(call: &Call, key: Key<L>, now: Now, decision: Decision<Change<L>>, cost: Cost) {
    L::counters().count(&decision, cost.get());
    match decision.outcome {
        Outcome::Admitted { change, .. } => key.change(change, Expiry::after(now, decision.reset)),
        Outcome::Limited { .. } => {
            drop(key);
            report_limited(call, KeyPosition::FIRST, now);
        }
    }
}

/// Counts and publishes that a key has limited a call. No key may be open, as a subscriber may do
/// anything with it.
pub(super) fn report_limited(call: &Call, key: KeyPosition, now: Now) {
    top::count(call, key, now);
    call.notify(key, c"premier.limited");
}

/// Returns the reply: `limited`, `limit`, `remaining`, `wait`, `reset`, times in milliseconds,
/// rounded up.
pub(super) fn reply<Change>(decision: &Decision<Change>) -> [i64; 5] {
    const NEVER: i64 = -1;
    let (limited, wait) = match decision.outcome {
        Outcome::Admitted { wait, .. } => (0, wait.as_millis_ceil().cast_signed()),
        Outcome::Limited { retry: Retry::After(wait) } => (1, wait.as_millis_ceil().cast_signed()),
        Outcome::Limited { retry: Retry::Never } => (1, NEVER),
    };
    [
        limited,
        decision.limit.cast_signed(),
        decision.remaining.cast_signed(),
        wait,
        decision.reset.as_millis_ceil().cast_signed(),
    ]
}
