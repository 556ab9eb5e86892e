//! A call of cost 0 only looks: it reports how things are, and changes nothing.

use premier_algorithms::Token;
use proptest::collection;
use proptest::prelude::*;

use crate::exactness::{answer, buckets_of_one_rate};
use crate::model::token::reply_to_look;
use crate::model::{Limits, Model, Outcome, TokenBucket};
use crate::scenario::{Call, Key, any_limits, calls_with_forced, huge_bucket, short_bucket, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;

/// Checks that a look agrees with the call that follows it.
fn look_agrees_with_the_next_call(key: &Key<Token>, now: u64, limits: &Limits, cost: u64) -> Result<(), TestCaseError> {
    let look = key.look_as_cell(now, limits);
    let call = key.ask(now, limits, cost);
    prop_assert_eq!(look.limit, call.limit);
    match call.outcome {
        Outcome::Admitted { wait: 0 } => {
            prop_assert_eq!(look.outcome, Outcome::Admitted { wait: 0 });
            prop_assert_eq!(look.remaining, call.remaining + cost);
            prop_assert!(look.reset <= call.reset);
        }
        // The call borrows.
        Outcome::Admitted { .. } => prop_assert!(look.remaining < cost && call.remaining == 0),
        Outcome::Limited { .. } => prop_assert_eq!((look.remaining, look.reset), (call.remaining, call.reset)),
    }
    let Outcome::Limited { retry } = look.outcome else {
        prop_assert!(limits.quota > 0);
        return Ok(());
    };
    prop_assert_eq!(look.remaining, 0);
    prop_assert_eq!(retry.is_none(), limits.quota == 0, "never if the quota is 0, and only then");
    if let Some(wait) = retry.filter(|wait| *wait <= LAST_MOMENT - now) {
        prop_assert!(wait > 0);
        prop_assert!(!key.look_as_cell(now + wait - 1, limits).is_admitted(), "admitted before {}", wait);
        prop_assert!(key.look_as_cell(now + wait, limits).is_admitted(), "not admitted after {}", wait);
    }
    Ok(())
}

/// Makes calls with the limits taking turns, and before each call a look with every limit.
fn every_look_agrees_with_the_next_call(start: u64, calls: &[Call], limits: &[Limits]) -> Result<(), TestCaseError> {
    let mut key = Key::<Token>::fresh();
    let (mut now, mut last) = (start, None);
    for (call, with) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), with);
        let cost = call.cost(with.bucket());
        for limits in limits {
            look_agrees_with_the_next_call(&key, now, limits, cost)?;
        }
        last = Some(key.make(now, with, call.kind, cost));
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_look_answers_exactly(
        start in start(), calls in calls_with_forced(30), limits in buckets_of_one_rate(short_bucket())
    ) {
        let (mut key, mut model) = (Key::<Token>::fresh(), TokenBucket::default());
        let (mut now, mut last) = (start, None);
        for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
            now = call.moment(now, last.as_ref(), limits);
            let cost = call.cost(limits.bucket());
            prop_assert_eq!(key.look_as_cell(now, limits), reply_to_look(&model.missing.units(now, limits), limits));
            let (_, units) = answer(&model, now, limits, call.kind, cost);
            let reply = key.make(now, limits, call.kind, cost);
            if reply.is_admitted() {
                model.admit(now, limits, units);
            }
            last = Some(reply);
        }
    }

    #[test]
    fn a_look_agrees_with_the_next_call(
        start in start(),
        calls in calls_with_forced(20),
        limits in collection::vec(prop_oneof![any_limits(), huge_bucket()], 1..4),
    ) {
        every_look_agrees_with_the_next_call(start, &calls, &limits)?;
    }
}

/// A look is limited only while more is used than the bucket holds.
#[test]
fn only_overuse_limits_a_look() {
    let limits = Limits::new(10, 10_000_000);
    let mut key = Key::<Token>::fresh();
    let look = |key: &Key<Token>, now| {
        let look = key.look_as_cell(now, &limits);
        (look.outcome, look.remaining, look.reset)
    };
    let admitted = Outcome::Admitted { wait: 0 };
    assert_eq!(look(&key, 0), (admitted, 10, 0));
    key.call(0, &limits, 10);
    assert_eq!(look(&key, 0), (admitted, 0, 10_000_000));
    key.force(0, &limits, 2);
    let limited = |wait| Outcome::Limited { retry: Some(wait) };
    assert_eq!(look(&key, 0), (limited(2_000_000), 0, 12_000_000));
    assert_eq!(look(&key, 1_999_999), (limited(1), 0, 10_000_001));
    assert_eq!(look(&key, 2_000_000), (admitted, 0, 10_000_000));
    // That does not depend on max_wait: there is nothing to wait for.
    assert_eq!(key.look_as_cell(0, &limits.with_max_wait(5_000_000)).retry(), Some(2_000_000));
}

#[test]
fn a_quota_of_0_blocks_a_look() {
    let limits = Limits::new(0, 1_000_000).with_capacity(5);
    let look = Key::<Token>::fresh().look_as_cell(0, &limits);
    assert_eq!(look.outcome, Outcome::Limited { retry: None });
    assert_eq!((look.limit, look.remaining, look.reset), (0, 0, 0));
}
