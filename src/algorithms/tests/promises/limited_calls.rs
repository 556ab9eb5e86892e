//! A limited call changes nothing: not a byte of the state, and no later reply.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Call, Key, Subject, any_limits, calls, encoded, start};

fn changes_nothing<A: Subject>(start: u64, calls: &[Call], limits: &[Limits]) -> Result<(), TestCaseError> {
    let (mut key, mut spared) = (Key::<A>::fresh(), Key::<A>::fresh());
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let before = encoded(&key.state);
        let reply = key.call(now, limits, cost);
        prop_assert_eq!(spared.ask(now, limits, cost), reply);
        if reply.is_admitted() {
            spared.call(now, limits, cost);
        } else {
            prop_assert_eq!(encoded(&key.state), before);
            prop_assert_eq!(key.ask(now, limits, cost), reply, "the reply is as it was before");
        }
        last = Some(reply);
    }
    prop_assert_eq!(key.state, spared.state);
    Ok(())
}

proptest! {
    #[test]
    fn a_limited_call_changes_nothing(
        start in start(), calls in calls(40), limits in collection::vec(any_limits(), 1..4)
    ) {
        changes_nothing::<Fixed>(start, &calls, &limits)?;
        changes_nothing::<Sliding>(start, &calls, &limits)?;
        changes_nothing::<Token>(start, &calls, &limits)?;
        changes_nothing::<Leaky>(start, &calls, &limits)?;
    }
}
