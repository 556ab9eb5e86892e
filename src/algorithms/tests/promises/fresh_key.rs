//! A fresh key admits exactly its limit, counts down what remains, and then limits.

use premier_algorithms::{BucketLimit, Capacity, Fixed, Leaky, LimitDuration, Quota, Sliding, Span, Token};
use proptest::prelude::*;

use crate::model::{Limits, Outcome};
use crate::scenario::{Key, Subject, any_limits, small_limits, start};

const NOW: u64 = 1_800_000_000_000_000;

fn admits_exactly_its_limit<A: Subject>(now: u64, limits: &Limits) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let limit = A::full(limits);
    for remaining in (0..limit).rev() {
        let reply = key.call(now, limits, 1);
        prop_assert!(reply.is_admitted());
        prop_assert_eq!((reply.limit, reply.remaining), (limit, remaining));
    }
    let reply = key.call(now, limits, 1);
    prop_assert!(!reply.is_admitted());
    prop_assert_eq!((reply.limit, reply.remaining), (limit, 0));
    prop_assert!(reply.retry() > Some(0));
    Ok(())
}

fn admits_its_limit_in_one_call<A: Subject>(now: u64, limits: &Limits) -> Result<(), TestCaseError> {
    let limit = A::full(limits);
    let mut key = Key::<A>::fresh();
    prop_assert_eq!(key.ask(now, limits, 1).is_admitted(), limit > 0);
    if limit < 1_000_000_000_000 {
        prop_assert_eq!(key.call(now, limits, limit + 1).outcome, Outcome::Limited { retry: None });
    }
    if limit > 0 {
        let reply = key.call(now, limits, limit);
        prop_assert_eq!(reply.wait(), Some(0));
        prop_assert_eq!((reply.limit, reply.remaining), (limit, 0));
        prop_assert!(!key.call(now, limits, 1).is_admitted());
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_fresh_key_admits_exactly_its_limit_then_limits(now in start(), limits in small_limits()) {
        admits_exactly_its_limit::<Fixed>(now, &limits)?;
        admits_exactly_its_limit::<Sliding>(now, &limits)?;
        admits_exactly_its_limit::<Token>(now, &limits)?;
        admits_exactly_its_limit::<Leaky>(now, &limits)?;
    }

    #[test]
    fn a_fresh_key_admits_its_limit_in_one_call_however_large(now in start(), limits in any_limits()) {
        let limits = Limits { max_wait: None, ..limits };
        admits_its_limit_in_one_call::<Fixed>(now, &limits)?;
        admits_its_limit_in_one_call::<Sliding>(now, &limits)?;
        admits_its_limit_in_one_call::<Token>(now, &limits)?;
        admits_its_limit_in_one_call::<Leaky>(now, &limits.with_max_wait(0))?;
    }
}

/// The waits are zero, one and two intervals.
#[test]
fn a_leaky_bucket_of_three_admits_three_at_intervals() {
    let limits = Limits::new(2, 1_000_001).with_capacity(3);
    let mut key = Key::<Leaky>::fresh();
    let waits = [(); 4].map(|()| key.call(NOW, &limits, 1).wait());
    assert_eq!(waits, [Some(0), Some(500_001), Some(1_000_001), None]);
}

#[test]
fn a_token_bucket_lends_what_comes_within_max_wait() {
    let limits = Limits::new(1, 1_000_000).with_max_wait(2_000_000);
    let mut key = Key::<Token>::fresh();
    let waits = [(); 4].map(|()| key.call(NOW, &limits, 1).wait());
    assert_eq!(waits, [Some(0), Some(1_000_000), Some(2_000_000), None]);
}

fn blocks<A: Subject>() {
    for capacity in [None, Some(1), Some(1_000_000_000_000)] {
        let limits = Limits { capacity, ..Limits::new(0, 1_000_000) };
        let reply = Key::<A>::fresh().call(NOW, &limits, 1);
        assert_eq!(reply.outcome, Outcome::Limited { retry: None });
        assert_eq!((reply.limit, reply.remaining, reply.reset), (0, 0, 0));
    }
}

/// With a quota of 0 nothing drains, and the bucket holds nothing.
#[test]
fn a_bucket_holds_its_capacity_or_else_its_quota() {
    let full = |quota, capacity| {
        let duration = LimitDuration::new(Span::from_secs(1)).unwrap();
        let (quota, capacity) = (Quota::new(quota).unwrap(), capacity);
        BucketLimit { quota, duration, capacity, max_wait: None }.limit()
    };
    let seven = Some(Capacity::new(7).unwrap());
    assert_eq!([full(5, None), full(5, seven), full(0, None), full(0, seven)], [5, 7, 0, 0]);
}

#[test]
fn a_quota_of_0_blocks_every_call() {
    blocks::<Fixed>();
    blocks::<Sliding>();
    blocks::<Token>();
    blocks::<Leaky>();
}
