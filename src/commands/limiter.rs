//! What the commands of all limiters share: settle a decision, reply.

use premier_algorithms::{Decision, Demand, Grant, Now, Outcome, Retry};
use premier_server::{Call, Change, Expiry, Key, KeyPosition};

use super::top;
use crate::limiters::Limiter;

/// Puts the decision on a call into effect: changes the first key, or reports that it limits the
/// call.
#[inline]
pub(super) fn settle<L: Limiter>(call: &Call, key: Key<L>, now: Now, grant: &Grant<Change<'_, L>>) {
    L::counters().count(grant);
    let Grant { decision, .. } = grant;
    match &decision.outcome {
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

/// Replies to a call: with the decision, and with the units that were granted if it asks for as
/// many as fit.
#[inline]
pub(super) fn reply_to<Change>(call: &Call, demand: Demand, grant: &Grant<Change>) {
    let [limited, limit, remaining, wait, reset] = reply(&grant.decision);
    match demand {
        Demand::AtMost(..) => {
            call.reply_integers([limited, limit, remaining, wait, reset, grant.units().cast_signed()]);
        }
        Demand::Exactly(..) | Demand::Forced(_) => call.reply_integers([limited, limit, remaining, wait, reset]),
    }
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
