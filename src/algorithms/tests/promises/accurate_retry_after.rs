//! The retry-after is accurate: a limited caller that comes back after it is admitted if nobody
//! else called, and not before.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Call, Key, Subject, any_limits, calls, huge_bucket, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;

/// Checks the retry-after of a limited call. The caller asks again when `share` 64ths of it have
/// passed.
pub(crate) fn the_retry_after_is_accurate<A: Subject>(
    key: &Key<A>,
    now: u64,
    limits: &Limits,
    cost: u64,
    share: u64,
) -> Result<(), TestCaseError> {
    let reply = key.ask(now, limits, cost);
    prop_assert!(!reply.is_admitted());
    prop_assert_eq!(reply.retry().is_none(), cost > reply.limit, "never if the cost exceeds the limit, and only then");
    let Some(wait) = reply.retry().filter(|wait| *wait <= LAST_MOMENT - now) else {
        return Ok(());
    };
    let then = now + wait;
    prop_assert!(wait > 0);
    prop_assert!(!key.ask(then - 1, limits, cost).is_admitted(), "{cost} are admitted before {then}");
    prop_assert!(key.ask(then, limits, cost).is_admitted(), "{cost} are not admitted at {then}");
    // Replies are in milliseconds, rounded up.
    let rounded = (now + wait.next_multiple_of(1000)).min(LAST_MOMENT);
    prop_assert!(key.ask(rounded, limits, cost).is_admitted(), "{cost} are not admitted at {rounded}");

    let waited = u64::try_from(u128::from(wait) * u128::from(share) / 64).unwrap();
    prop_assert_eq!(key.ask(now + waited, limits, cost).retry(), Some(wait - waited), "after {} of {}", waited, wait);
    Ok(())
}

pub(crate) fn every_retry_after_is_accurate<A: Subject>(
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
            the_retry_after_is_accurate(&key, now, limits, cost, share)?;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_retry_after_for_a_fixed_window_is_accurate(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        every_retry_after_is_accurate::<Fixed>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_retry_after_for_a_sliding_window_is_accurate(
        start in start(), calls in calls(80), limits in any_limits(), share in 0..64_u64
    ) {
        every_retry_after_is_accurate::<Sliding>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_retry_after_for_tokens_is_accurate(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        every_retry_after_is_accurate::<Token>(start, &calls, &limits, share)?;
    }

    #[test]
    fn the_retry_after_for_a_leaky_bucket_is_accurate(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        every_retry_after_is_accurate::<Leaky>(start, &calls, &limits, share)?;
    }

    /// For callers that are willing to wait.
    #[test]
    fn a_rounded_level_keeps_the_retry_after_accurate(
        start in start(), calls in calls(40), limits in huge_bucket(), wait in 1..=3000_u64, share in 0..64_u64
    ) {
        let limits = limits.with_max_wait(wait);
        every_retry_after_is_accurate::<Token>(start, &calls, &limits, share)?;
        every_retry_after_is_accurate::<Leaky>(start, &calls, &limits, share)?;
    }
}

/// The missing tokens come on the very microsecond: half of an odd quota has been refilled by half
/// of the duration, and half a token is on its way.
#[test]
fn the_retry_after_is_accurate_to_the_microsecond() {
    let limits = Limits::new(10_000_000_001, 2_000).with_max_wait(1_000);
    let mut key = Key::<Token>::fresh();
    assert!(key.call(0, &limits, 10_000_000_001).is_admitted());
    let reply = key.call(0, &limits, 10_000_000_001);
    assert_eq!(reply.retry(), Some(1_000));
    assert!(key.ask(1_000, &limits, 10_000_000_001).is_admitted());
}

/// The level after the call would be rounded; the time to wait for is not.
#[test]
fn the_retry_after_ignores_the_rounding_of_the_call() {
    let limits = Limits::new(100_000_000, 315_360_000_000_000);
    let mut key = Key::<Token>::fresh();
    assert!(key.call(0, &limits, 1).is_admitted());
    let wait = key.call(1, &limits, 100_000_000).retry().unwrap();
    assert!(!key.ask(wait, &limits, 100_000_000).is_admitted());
    assert!(key.ask(1 + wait, &limits, 100_000_000).is_admitted());
}
