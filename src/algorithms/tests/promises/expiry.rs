//! A state expires when it is fully reset, neither before nor after.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Call, Key, Subject, any_limits, calls, encoded, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;

fn expires_when_fully_reset<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
    cost: u64,
) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let reply = key.call(now, limits, call.cost(A::full(limits)));
        last = Some(reply);
        if !reply.is_admitted() || reply.reset > LAST_MOMENT - now {
            continue;
        }
        let reset = now + reply.reset;
        let (mut used, mut fresh) = (key.clone(), Key::<A>::fresh());
        prop_assert_eq!(used.call(reset, limits, cost), fresh.call(reset, limits, cost));
        if fresh.state != Key::<A>::fresh().state {
            prop_assert_eq!(encoded(&used.state), encoded(&fresh.state));
        }
        let all = A::full(limits);
        prop_assert_ne!(
            key.ask(reset - 1, limits, all),
            Key::<A>::fresh().ask(reset - 1, limits, all),
            "fully reset before {}",
            reset
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn state_expires_exactly_when_it_is_fully_reset(
        start in start(),
        calls in calls(40),
        limits in collection::vec(any_limits(), 1..4),
        cost in prop_oneof![1..=10_u64, 1..=1_000_000_000_000_u64],
    ) {
        expires_when_fully_reset::<Fixed>(start, &calls, &limits, cost)?;
        expires_when_fully_reset::<Sliding>(start, &calls, &limits, cost)?;
        expires_when_fully_reset::<Token>(start, &calls, &limits, cost)?;
        expires_when_fully_reset::<Leaky>(start, &calls, &limits, cost)?;
    }
}
