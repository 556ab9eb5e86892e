//! Every field of every reply is what the contract says, to the microsecond and the unit.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{FixedWindow, LeakyQueue, Limits, Model, SlidingLog, TokenBucket};
use crate::scenario::{Call, Key, Subject, any_limits, calls, exact_bucket, period, start};

/// Each call comes with the next of the limits, over and over.
fn answers_as<M: Model, A: Subject>(
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
        let reply = key.call(now, limits, cost);
        prop_assert_eq!(reply, model.reply(now, limits, cost), "at {} for {} of {:?}", now, cost, limits);
        if reply.is_admitted() {
            model.admit(now, limits, cost);
            after_admission(&mut model, now, limits);
        }
        last = Some(reply);
    }
    Ok(())
}

/// The rate stays, the capacity and how long callers are ready to wait may change from call to call.
fn buckets_of_one_rate() -> impl Strategy<Value = Vec<Limits>> {
    let changes = collection::vec((0..=64_u64, any::<bool>()), 0..8);
    (exact_bucket(), changes).prop_map(|(first, changes)| {
        let with = |(share, is_patient): (u64, bool)| Limits {
            capacity: Some((first.bucket() * share / 64).max(1)),
            max_wait: first.max_wait.filter(|_| is_patient),
            ..first
        };
        [first].into_iter().chain(changes.into_iter().map(with)).collect()
    })
}

fn windows_counted_exactly() -> impl Strategy<Value = Vec<Limits>> {
    let quota = prop_oneof![4 => 1..=10_u64, 1 => Just(0), 2 => 60..=64_u64];
    let window = (quota, period()).prop_map(|(quota, period)| Limits::new(quota, period));
    collection::vec(window, 1..4)
}

proptest! {
    #[test]
    fn fixed_answers_exactly(
        start in start(), calls in calls(40), limits in collection::vec(any_limits(), 1..4)
    ) {
        answers_as::<FixedWindow, Fixed>(start, &calls, &limits, |_, _, _| {})?;
    }

    /// What no longer counts when a call is admitted is forgotten: a longer window that comes later does not bring it back.
    #[test]
    fn sliding_answers_exactly_up_to_a_quota_of_64(
        start in start(), calls in calls(60), limits in windows_counted_exactly()
    ) {
        answers_as::<SlidingLog, Sliding>(start, &calls, &limits, SlidingLog::forget)?;
    }

    #[test]
    fn token_answers_exactly(start in start(), calls in calls(40), limits in buckets_of_one_rate()) {
        answers_as::<TokenBucket, Token>(start, &calls, &limits, |_, _, _| {})?;
    }

    #[test]
    fn leaky_answers_exactly(start in start(), calls in calls(40), limits in buckets_of_one_rate()) {
        answers_as::<LeakyQueue, Leaky>(start, &calls, &limits, |_, _, _| {})?;
    }
}
