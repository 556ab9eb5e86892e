//! Every field of every reply is what the contract says, to the microsecond and to the unit.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{FixedWindow, LeakyQueue, Limits, Model, Reply, SlidingLog, TokenBucket};
use crate::scenario::{Call, Key, Kind, Subject, any_limits, calls, duration, exact_bucket, start};
use crate::strictness::any_window;

/// Returns the reply to a call of this kind, and the units charged if it is admitted.
pub(crate) fn answer<M: Model>(model: &M, now: u64, limits: &Limits, kind: Kind, cost: u64) -> (Reply, u64) {
    match kind {
        Kind::Forced => (model.reply_to_forced(now, limits, cost), model.charge(now, limits, cost)),
        _ => (model.reply(now, limits, cost), cost),
    }
}

/// Compares each reply with the model's. The limits take turns, one per call.
pub(crate) fn answers_as<M: Model, A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
    after_admission: impl Fn(&mut M, u64, &Limits),
) -> Result<(), TestCaseError> {
    let (mut key, mut model) = (Key::<A>::fresh(), M::default());
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let reply = key.make(now, limits, call.kind, cost);
        let (expected, units) = answer(&model, now, limits, call.kind, cost);
        prop_assert_eq!(reply, expected, "at {} for {} of {:?}", now, cost, limits);
        if reply.is_admitted() {
            model.admit(now, limits, units);
            after_admission(&mut model, now, limits);
        }
        last = Some(reply);
    }
    Ok(())
}

/// Buckets of one rate. The capacity and `max_wait` may change from call to call.
pub(crate) fn buckets_of_one_rate(first: impl Strategy<Value = Limits>) -> impl Strategy<Value = Vec<Limits>> {
    let changes = collection::vec((0..=64_u64, any::<bool>()), 0..8);
    (first, changes).prop_map(|(first, changes)| {
        let with = |(share, is_patient): (u64, bool)| Limits {
            capacity: Some((first.bucket() * share / 64).max(1)),
            max_wait: first.max_wait.filter(|_| is_patient),
            ..first
        };
        [first].into_iter().chain(changes.into_iter().map(with)).collect()
    })
}

pub(crate) fn windows_counted_exactly() -> impl Strategy<Value = Vec<Limits>> {
    let quota = prop_oneof![4 => 1..=10_u64, 1 => Just(0), 2 => 60..=64_u64];
    let window = (quota, duration()).prop_map(|(quota, duration)| Limits::new(quota, duration));
    collection::vec(window, 1..4)
}

proptest! {
    #[test]
    fn fixed_answers_exactly(
        start in start(), calls in calls(40), limits in collection::vec(any_limits(), 1..4)
    ) {
        answers_as::<FixedWindow, Fixed>(start, &calls, &limits, |_, _, _| {})?;
    }

    /// An admitted call drops what has expired: a longer window that comes later does not revive
    /// it.
    #[test]
    fn sliding_answers_exactly_up_to_a_quota_of_64(
        start in start(), calls in calls(60), limits in windows_counted_exactly()
    ) {
        answers_as::<SlidingLog, Sliding>(start, &calls, &limits, SlidingLog::forget)?;
    }

    /// However large the quotas are and however the durations change.
    #[test]
    fn sliding_answers_exactly_up_to_66_moments(
        start in start(), calls in calls(66), limits in collection::vec(any_window(), 1..4)
    ) {
        answers_as::<SlidingLog, Sliding>(start, &calls, &limits, SlidingLog::forget)?;
    }

    #[test]
    fn token_answers_exactly(start in start(), calls in calls(40), limits in buckets_of_one_rate(exact_bucket())) {
        answers_as::<TokenBucket, Token>(start, &calls, &limits, |_, _, _| {})?;
    }

    #[test]
    fn leaky_answers_exactly(start in start(), calls in calls(40), limits in buckets_of_one_rate(exact_bucket())) {
        answers_as::<LeakyQueue, Leaky>(start, &calls, &limits, |_, _, _| {})?;
    }
}

/// Charges a bucket so steadily that a rounding error would grow with each call.
fn a_bucket_that_is_never_empty_stays_exact<A: Subject>(limits: &Limits, pause: u64, at_first: u64) {
    let mut key = Key::<A>::fresh();
    assert!(key.call(0, limits, at_first).is_admitted());
    for call in 1..=5_000 {
        let reply = key.call(call * pause, limits, 1);
        assert!(reply.is_admitted());
        let [used, drained] = [(at_first + call, limits.duration), (call * pause, limits.quota)]
            .map(|(one, other)| u128::from(one) * u128::from(other));
        assert_eq!(u128::from(reply.reset), (used - drained).div_ceil(limits.quota.into()), "after {call} calls");
    }
}

#[test]
fn a_bucket_that_is_never_empty_does_not_drift() {
    const TEN_YEARS: u64 = 3650 * 24 * 60 * 60 * 1_000_000;
    for (quota, duration, capacity, at_first, pause) in [
        // Few units over a long duration, then many over the longest that is exact.
        (999_999_999_989, TEN_YEARS - 1, 1 << 23, 1 << 22, 315),
        (7, TEN_YEARS - 3, 1 << 23, 1_000, 1_000_000_007),
        (999_999_937, (1 << 32) - 5, 1_000_000_000, 900_000_000, 4),
        (7, 1 << 32, 1_000_000_000, 900_000_000, 600_000_001),
    ] {
        let limits = Limits::new(quota, duration).with_capacity(capacity);
        a_bucket_that_is_never_empty_stays_exact::<Token>(&limits, pause, at_first);
        a_bucket_that_is_never_empty_stays_exact::<Leaky>(&limits, pause, at_first);
    }
}
