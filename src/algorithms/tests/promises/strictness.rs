//! Where counting exactly would take too much room, an algorithm may be stricter than the contract, by a stated bound, and
//! is never more lenient.

use premier_algorithms::{Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{
    Exact, LeakyQueue, Level, Limits, Model, Outcome, Reply, SlidingLog, TokenBucket, exact, leaky, token,
};
use crate::scenario::{Call, Key, Subject, any_limits, calls, huge_bucket, period, start};

/// Nobody is better off than with the lenient answer.
fn no_more_lenient(reply: &Reply, lenient: &Reply) -> Result<(), TestCaseError> {
    match (reply.outcome, lenient.outcome) {
        (Outcome::Admitted { wait }, Outcome::Admitted { wait: least }) => prop_assert!(wait >= least),
        (Outcome::Admitted { .. }, Outcome::Limited { .. }) => prop_assert!(false, "should be limited: {lenient:?}"),
        (Outcome::Limited { retry: Some(wait) }, Outcome::Limited { retry }) => {
            prop_assert!(retry.is_some_and(|least| wait >= least), "waits too little: {lenient:?}");
        }
        // The rest cannot be compared: one says how it was, the other how it would be after the call.
        (Outcome::Limited { .. }, _) => return Ok(()),
    }
    prop_assert_eq!(reply.limit, lenient.limit);
    prop_assert!(reply.remaining <= lenient.remaining, "more remains than {lenient:?}");
    prop_assert!(reply.reset >= lenient.reset, "is as new too soon: {lenient:?}");
    Ok(())
}

/// Nobody is worse off than with the strict answer.
fn no_stricter(reply: &Reply, strict: &Reply) -> Result<(), TestCaseError> {
    match (reply.outcome, strict.outcome) {
        (Outcome::Admitted { wait }, Outcome::Admitted { wait: most }) => prop_assert!(wait <= most),
        (Outcome::Limited { .. }, Outcome::Admitted { .. }) => prop_assert!(false, "should be admitted: {strict:?}"),
        (Outcome::Limited { retry: Some(wait) }, Outcome::Limited { retry }) => {
            prop_assert!(retry.is_some_and(|most| wait <= most), "waits too long: {strict:?}");
        }
        (Outcome::Limited { retry: None }, Outcome::Limited { retry }) => prop_assert_eq!(retry, None),
        (Outcome::Admitted { .. }, Outcome::Limited { .. }) => return Ok(()),
    }
    prop_assert_eq!(reply.limit, strict.limit);
    prop_assert!(reply.remaining >= strict.remaining, "less remains than {strict:?}");
    prop_assert!(reply.reset <= strict.reset, "is as new too late: {strict:?}");
    Ok(())
}

trait Bucket: Subject {
    type Model: Model;

    fn level(model: &Self::Model) -> &Level;

    fn reply(level: &Exact, limits: &Limits, cost: u64) -> Reply;
}

impl Bucket for Token {
    type Model = TokenBucket;

    fn level(model: &TokenBucket) -> &Level {
        &model.missing
    }

    fn reply(level: &Exact, limits: &Limits, cost: u64) -> Reply {
        token::reply(level, limits, cost)
    }
}

impl Bucket for Leaky {
    type Model = LeakyQueue;

    fn level(model: &LeakyQueue) -> &Level {
        &model.queue
    }

    fn reply(level: &Exact, limits: &Limits, cost: u64) -> Reply {
        leaky::reply(level, limits, cost)
    }
}

/// 2⁻³² of a unit.
fn rounding() -> Exact {
    Exact::new(1.into(), (1_u64 << 32).into())
}

/// Runs calls, each with the next of the limits, and checks each answer against the exact level. How many calls were
/// admitted before, and how many of those came with another rate than the one before, is told too.
fn runs<A: Bucket>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
    check: impl Fn(&Reply, &Exact, &Limits, u64, [u64; 2]) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut key, mut model) = (Key::<A>::fresh(), A::Model::default());
    let (mut now, mut last) = (start, None);
    let (mut admitted, mut changes, mut rate) = (0, 0, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let is_new = u64::from(rate.is_some_and(|rate| rate != (limits.quota, limits.period)));
        let level = A::level(&model).units(now, limits);
        let reply = key.call(now, limits, cost);
        check(&reply, &level, limits, cost, [admitted, changes + is_new])?;
        if reply.is_admitted() {
            model.admit(now, limits, cost);
            admitted += 1;
            changes += is_new;
            rate = Some((limits.quota, limits.period));
        }
        last = Some(reply);
    }
    Ok(())
}

fn changing_limits() -> impl Strategy<Value = Vec<Limits>> {
    collection::vec(any_limits(), 2..4)
}

/// Each admitted call may lose so much of what had drained, and the answer tells what is kept.
fn rounds_little<A: Bucket>(start: u64, calls: &[Call], limits: Limits) -> Result<(), TestCaseError> {
    runs::<A>(start, calls, &[limits], |reply, level, limits, cost, [admitted, _]| {
        no_more_lenient(reply, &A::reply(level, limits, cost))?;
        no_stricter(reply, &A::reply(&(level + rounding() * exact(admitted + 1)), limits, cost))
    })
}

/// How far the first unit has drained is read anew at another rate: to a tick, which is 1/period of a unit.
fn rate_changes_cost_a_tick_at_most<A: Bucket>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
) -> Result<(), TestCaseError> {
    let shortest = limits.iter().map(|limits| limits.period).min().unwrap();
    runs::<A>(start, calls, limits, |reply, level, limits, cost, [admitted, changes]| {
        no_more_lenient(reply, &A::reply(&(level - rounding() * exact(changes)).max(exact(0)), limits, cost))?;
        let ticks = Exact::new(1.into(), shortest.into()) * exact(changes);
        no_stricter(reply, &A::reply(&(level + ticks + rounding() * exact(admitted + 1)), limits, cost))
    })
}

/// Runs calls, each with the next of the windows: none counts for more than a 64th of the longest too long.
fn sliding_counts_long_enough_and_little_longer(
    start: u64,
    calls: &[Call],
    windows: &[Limits],
) -> Result<(), TestCaseError> {
    // A 64th of it is as many 64ths of a microsecond as it has microseconds.
    let longer = windows.iter().map(|window| window.period).max().unwrap();
    let (mut key, mut shortest_log, mut longest_log) =
        (Key::<Sliding>::fresh(), SlidingLog::default(), SlidingLog::default());
    let (mut now, mut last) = (start, None);
    for (call, window) in calls.iter().zip(windows.iter().cycle()) {
        now = call.moment(now, last.as_ref(), window);
        let cost = call.cost(window.quota);
        let reply = key.call(now, window, cost);
        no_more_lenient(&reply, &shortest_log.reply(now, window, cost))?;
        no_stricter(&reply, &longest_log.reply_when_counting_longer(longer, now, window, cost))?;
        if reply.is_admitted() {
            shortest_log.admit(now, window, cost);
            shortest_log.forget(now, window);
            longest_log.admit(now, window, cost);
        }
        last = Some(reply);
    }
    Ok(())
}

fn window_above_64() -> impl Strategy<Value = Limits> {
    let quota = prop_oneof![3 => 65..=200_u64, 1 => 65..=1_000_000_000_000_u64, 1 => Just(1_000_000_000_000)];
    (quota, period()).prop_map(|(quota, period)| Limits::new(quota, period))
}

fn any_window() -> impl Strategy<Value = Limits> {
    prop_oneof![2 => window_above_64(), 1 => (1..=64_u64, period()).prop_map(|(q, d)| Limits::new(q, d))]
}

proptest! {
    #[test]
    fn many_tokens_for_long_are_rounded_by_2_32nds_of_a_token_a_call(
        start in start(), calls in calls(40), limits in huge_bucket()
    ) {
        rounds_little::<Token>(start, &calls, limits)?;
    }

    #[test]
    fn a_long_queue_for_long_is_rounded_by_2_32nds_of_a_unit_a_call(
        start in start(), calls in calls(40), limits in huge_bucket()
    ) {
        rounds_little::<Leaky>(start, &calls, limits)?;
    }

    #[test]
    fn a_changed_rate_makes_a_token_bucket_forget_nothing_and_lose_a_tick_at_most(
        start in start(), calls in calls(40), limits in changing_limits()
    ) {
        rate_changes_cost_a_tick_at_most::<Token>(start, &calls, &limits)?;
    }

    #[test]
    fn a_changed_rate_makes_a_leaky_bucket_forget_nothing_and_lose_a_tick_at_most(
        start in start(), calls in calls(40), limits in changing_limits()
    ) {
        rate_changes_cost_a_tick_at_most::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn sliding_above_a_quota_of_64_counts_a_64th_of_a_period_too_long_at_most(
        start in start(), calls in calls(60), window in window_above_64()
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &[window])?;
    }

    #[test]
    fn sliding_through_changing_limits_counts_a_64th_of_the_longest_period_too_long_at_most(
        start in start(), calls in calls(60), windows in collection::vec(any_window(), 2..4)
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &windows)?;
    }
}
