//! The wait is true: a limited caller who comes back after it is admitted if nobody else called, and not before.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Call, Key, Subject, any_limits, calls, huge_bucket, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;

/// What a limited caller was told. `share` says how many 64ths of the wait he lets go by before asking again.
pub(crate) fn what_a_limited_caller_is_told_is_true<A: Subject>(
    key: &Key<A>,
    now: u64,
    limits: &Limits,
    cost: u64,
    share: u64,
) -> Result<(), TestCaseError> {
    let reply = key.ask(now, limits, cost);
    prop_assert!(!reply.is_admitted());
    prop_assert_eq!(reply.retry().is_none(), cost > reply.limit, "never, and only then");
    let Some(wait) = reply.retry().filter(|wait| *wait <= LAST_MOMENT - now) else {
        return Ok(());
    };
    let then = now + wait;
    prop_assert!(wait > 0);
    prop_assert!(!key.ask(then - 1, limits, cost).is_admitted(), "{cost} are admitted before {then}");
    prop_assert!(key.ask(then, limits, cost).is_admitted(), "{cost} are not admitted at {then}");
    // What is told is in milliseconds, rounded up.
    let told = (now + wait.next_multiple_of(1000)).min(LAST_MOMENT);
    prop_assert!(key.ask(told, limits, cost).is_admitted(), "{cost} are not admitted at {told}");

    let waited = u64::try_from(u128::from(wait) * u128::from(share) / 64).unwrap();
    prop_assert_eq!(key.ask(now + waited, limits, cost).retry(), Some(wait - waited), "after {} of {}", waited, wait);
    Ok(())
}

pub(crate) fn the_wait_is_true<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &Limits,
    share: u64,
) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for call in calls {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let reply = key.call(now, limits, cost);
        last = Some(reply);
        if reply.is_admitted() {
            prop_assert!(cost <= reply.limit);
        } else {
            what_a_limited_caller_is_told_is_true(&key, now, limits, cost, share)?;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_wait_for_a_fixed_window_is_true(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        the_wait_is_true::<Fixed>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_wait_for_a_sliding_window_is_true(
        start in start(), calls in calls(80), limits in any_limits(), share in 0..64_u64
    ) {
        the_wait_is_true::<Sliding>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_wait_for_tokens_is_true(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        the_wait_is_true::<Token>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_wait_for_a_place_in_a_leaky_bucket_is_true(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        the_wait_is_true::<Leaky>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_wait_of_who_is_ready_to_wait_is_true_where_the_level_is_rounded_too(
        start in start(), calls in calls(40), limits in huge_bucket(), wait in 1..=3000_u64, share in 0..64_u64
    ) {
        let limits = limits.with_max_wait(wait);
        the_wait_is_true::<Token>(start, &calls, &limits, share)?;
        the_wait_is_true::<Leaky>(start, &calls, &limits, share)?;
    }
}

/// Half of an odd quota has been refilled by half of the duration: half a token is on its way.
#[test]
fn the_wait_is_true_when_the_missing_tokens_come_on_the_very_microsecond() {
    let limits = Limits::new(10_000_000_001, 2_000).with_max_wait(1_000);
    let mut key = Key::<Token>::fresh();
    assert!(key.call(0, &limits, 10_000_000_001).is_admitted());
    let reply = key.call(0, &limits, 10_000_000_001);
    assert_eq!(reply.retry(), Some(1_000));
    assert!(key.ask(1_000, &limits, 10_000_000_001).is_admitted());
}

/// What a call would leave is rounded; how long it waits for is not.
#[test]
fn the_wait_is_true_when_the_call_would_make_the_level_round() {
    let limits = Limits::new(100_000_000, 315_360_000_000_000);
    let mut key = Key::<Token>::fresh();
    assert!(key.call(0, &limits, 1).is_admitted());
    let wait = key.call(1, &limits, 100_000_000).retry().unwrap();
    assert!(!key.ask(wait, &limits, 100_000_000).is_admitted());
    assert!(key.ask(1 + wait, &limits, 100_000_000).is_admitted());
}
