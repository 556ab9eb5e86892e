//! A call may ask for as many units as fit, may have to leave a reserve, or may only look.

use core::fmt::Debug;

use premier_algorithms::{Cost, Demand, Fixed, Keep, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::exactness::{buckets_of_one_rate, windows_counted_exactly};
use crate::model::{FixedWindow, LeakyQueue, Limits, Model, Outcome, Reply, SlidingLog, TokenBucket};
use crate::scenario::{Call, Key, MAX_UNITS, Subject, any_limits, calls, calls_with_forced, exact_bucket, start};

/// What a call asks besides its cost.
#[derive(Debug, Clone, Copy)]
struct Asked {
    is_at_most: bool,
    /// The reserve, in 64ths of the limit.
    reserve: u64,
    more: u64,
}

fn asked() -> impl Strategy<Value = Asked> {
    let reserve = prop_oneof![2 => Just(0), 3 => 0..=64_u64];
    let more = prop_oneof![4 => 0..=2_u64, 1 => Just(MAX_UNITS)];
    (any::<bool>(), reserve, more).prop_map(|(is_at_most, reserve, more)| Asked { is_at_most, reserve, more })
}

/// Returns the model's reply, and the units that are granted.
fn expected<M: Model>(model: &M, now: u64, limits: &Limits, demand: Demand) -> (Reply, u64) {
    let fits = |units: u64, keep: Keep| model.reply(now, limits, units + keep.get()).is_admitted();
    let (units, keep) = match demand {
        Demand::Exactly(cost, keep) => (if fits(cost.get(), keep) { cost.get() } else { 0 }, keep),
        Demand::AtMost(cost, keep) => {
            // Whether a call fits depends on its cost alone, so search for the largest that does.
            let (mut most, mut too_much) = (0, cost.get() + 1);
            while too_much - most > 1 {
                let middle = most + (too_much - most) / 2;
                if fits(middle, keep) { most = middle } else { too_much = middle }
            }
            (most, keep)
        }
        Demand::Forced(_) => unreachable!("no call here is forced"),
    };
    match (units, demand) {
        (0, Demand::Exactly(cost, _)) => (model.reply(now, limits, cost.get() + keep.get()), 0),
        (0, _) => (model.reply(now, limits, 1 + keep.get()), 0),
        (units, _) => (model.reply(now, limits, units), units),
    }
}

fn is_granted_exactly<M: Model, A: Subject>(
    start: u64,
    calls: &[Call],
    asked: &[Asked],
    limits: &[Limits],
    after_admission: impl Fn(&mut M, u64, &Limits),
) -> Result<(), TestCaseError> {
    let (mut key, mut model) = (Key::<A>::fresh(), M::default());
    let (mut now, mut last) = (start, None);
    for ((call, asked), limits) in calls.iter().zip(asked.iter().cycle()).zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = Cost::new(call.cost(A::full(limits))).unwrap();
        let keep = Keep::new((A::full(limits) * asked.reserve / 64 + asked.more).min(MAX_UNITS)).unwrap();
        let demand = if asked.is_at_most { Demand::AtMost(cost, keep) } else { Demand::Exactly(cost, keep) };
        let granted = key.ask_for(now, limits, demand);
        let (reply, units) = expected(&model, now, limits, demand);
        prop_assert_eq!(granted, (reply, units), "at {} for {:?} of {:?}", now, demand, limits);
        if reply.is_admitted() {
            model.admit(now, limits, units);
            after_admission(&mut model, now, limits);
        }
        last = Some(reply);
    }
    Ok(())
}

/// A look reports what a call that can never be admitted reports, and is limited only by a quota
/// of 0.
fn looks_exactly<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
    wait_of: impl Fn(&Reply) -> u64,
) -> Result<(), TestCaseError>
where
    A::State: Debug,
{
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let look = key.look(now, limits);
        if A::full(limits) < MAX_UNITS {
            let mut refused = key.ask(now, limits, A::full(limits) + 1);
            if limits.quota > 0 {
                refused.outcome = Outcome::Admitted { wait: wait_of(&refused) };
            }
            prop_assert_eq!(look, refused);
        }
        last = Some(key.make(now, limits, call.kind, call.cost(A::full(limits))));
    }
    Ok(())
}

proptest! {
    #[test]
    fn fixed_grants_what_fits(
        start in start(),
        calls in calls(30),
        asked in collection::vec(asked(), 1..30),
        limits in collection::vec(any_limits(), 1..4),
    ) {
        is_granted_exactly::<FixedWindow, Fixed>(start, &calls, &asked, &limits, |_, _, _| {})?;
    }

    #[test]
    fn sliding_grants_what_fits(
        start in start(),
        calls in calls(30),
        asked in collection::vec(asked(), 1..30),
        limits in windows_counted_exactly(),
    ) {
        is_granted_exactly::<SlidingLog, Sliding>(start, &calls, &asked, &limits, SlidingLog::forget)?;
    }

    #[test]
    fn token_grants_what_fits(
        start in start(),
        calls in calls(30),
        asked in collection::vec(asked(), 1..30),
        limits in buckets_of_one_rate(exact_bucket()),
    ) {
        is_granted_exactly::<TokenBucket, Token>(start, &calls, &asked, &limits, |_, _, _| {})?;
    }

    #[test]
    fn leaky_grants_what_fits(
        start in start(),
        calls in calls(30),
        asked in collection::vec(asked(), 1..30),
        limits in buckets_of_one_rate(exact_bucket()),
    ) {
        is_granted_exactly::<LeakyQueue, Leaky>(start, &calls, &asked, &limits, |_, _, _| {})?;
    }

    #[test]
    fn a_look_reports_what_is_left(
        start in start(), calls in calls_with_forced(20), limits in collection::vec(any_limits(), 1..4)
    ) {
        let none = |_: &Reply| 0;
        looks_exactly::<Fixed>(start, &calls, &limits, none)?;
        looks_exactly::<Sliding>(start, &calls, &limits, none)?;
        looks_exactly::<Token>(start, &calls, &limits, none)?;
        // The turn of a call made now.
        looks_exactly::<Leaky>(start, &calls, &limits, |reply| reply.reset)?;
    }
}
