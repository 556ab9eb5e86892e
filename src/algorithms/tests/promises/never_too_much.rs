//! Never too much: not one unit more than the contract allows, over any span, for any pattern of
//! calls.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{ENDLESS, Limits};
use crate::scenario::{Call, Key, Subject, any_limits, calls, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;

/// An admitted call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) at: u64,
    pub(crate) wait: u64,
    pub(crate) units: u64,
}

impl Admitted {
    fn goes_ahead(&self) -> u64 {
        self.at + self.wait
    }
}

/// Returns each pair of calls, the later of them not before the first, with the units of all calls
/// from the one to the other.
fn spans(calls: &[Admitted]) -> impl Iterator<Item = (Admitted, Admitted, u128)> {
    (0..calls.len()).flat_map(move |first| {
        calls[first..].iter().scan(0, move |units, last| {
            *units += u128::from(last.units);
            Some((calls[first], *last, *units))
        })
    })
}

/// Returns whether these units are at most `capacity` plus what the rate admits in this time.
fn within(units: u128, capacity: u64, micros: u64, limits: &Limits) -> bool {
    let [capacity, micros] = [capacity, micros].map(u128::from);
    units * u128::from(limits.duration) <= capacity * u128::from(limits.duration) + micros * u128::from(limits.quota)
}

pub(crate) fn fixed_never_admits_too_much(calls: &[Admitted], limits: &Limits) -> Result<(), TestCaseError> {
    let mut window: Option<(u64, u64)> = None;
    for call in calls {
        let open = window.filter(|(opened, _)| call.at - opened < limits.duration);
        let (opened, used) = open.unwrap_or((call.at, 0));
        prop_assert!(used + call.units <= limits.quota, "too much since {opened}: {call:?}");
        window = Some((opened, used + call.units));
    }
    Ok(())
}

pub(crate) fn sliding_never_admits_too_much(calls: &[Admitted], limits: &Limits) -> Result<(), TestCaseError> {
    for (first, last, units) in spans(calls) {
        if last.at - first.at < limits.duration {
            prop_assert!(units <= limits.quota.into(), "{units} from {first:?} to {last:?}");
        }
    }
    Ok(())
}

/// A call that has to wait counts when it goes ahead. Waits are in whole microseconds, rounded up,
/// so the first call of a span may start it up to one microsecond late.
pub(crate) fn token_never_lets_too_much_go_ahead(calls: &[Admitted], limits: &Limits) -> Result<(), TestCaseError> {
    for (first, last, units) in spans(calls) {
        let late = u64::from(first.wait > 0);
        let span = last.goes_ahead() - first.goes_ahead() + late;
        prop_assert!(within(units, limits.bucket(), span, limits), "{units} from {first:?} to {last:?}");
    }
    Ok(())
}

pub(crate) fn leaky_never_admits_too_much(calls: &[Admitted], limits: &Limits) -> Result<(), TestCaseError> {
    for (first, last, units) in spans(calls) {
        let span = last.at - first.at;
        prop_assert!(within(units, limits.bucket(), span, limits), "{units} from {first:?} to {last:?}");
        if last.wait == ENDLESS {
            continue;
        }
        // Each call goes ahead only after all units before it were served.
        let before = units - u128::from(last.units);
        let late = u64::from(first.wait > 0);
        let served_in = last.goes_ahead() - first.goes_ahead() + late;
        prop_assert!(
            within(before, 0, served_in, limits),
            "{last:?} does not wait for the {before} units from {first:?} on"
        );
    }
    Ok(())
}

/// Makes calls, with the limits taking turns, and returns those that were admitted.
fn admitted<A: Subject>(start: u64, calls: &[Call], limits: &[Limits]) -> Vec<Admitted> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    let mut admitted = Vec::new();
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let units = call.cost(A::full(limits));
        let reply = key.call(now, limits, units);
        if let Some(wait) = reply.wait() {
            admitted.push(Admitted { at: now, wait, units });
        }
        last = Some(reply);
    }
    admitted
}

/// Makes the calls of one caller, each of this cost: without a pause until the caller is limited,
/// then after exactly the retry-after.
fn greedy<A: Subject>(start: u64, limits: &Limits, cost: u64) -> Vec<Admitted> {
    let mut key = Key::<A>::fresh();
    let mut now = start;
    let mut admitted = Vec::new();
    for _ in 0..100 {
        let reply = key.call(now, limits, cost);
        if let Some(wait) = reply.wait() {
            admitted.push(Admitted { at: now, wait, units: cost });
        }
        // Some waits are longer than any clock runs.
        now = reply.retry().map_or(now, |wait| (now + wait).min(LAST_MOMENT));
    }
    admitted
}

/// Changing limits of one bucket, without `max_wait`.
fn changing_buckets() -> impl Strategy<Value = Vec<Limits>> {
    let limits = any_limits().prop_map(|limits| Limits { max_wait: None, ..limits });
    collection::vec(limits, 2..4)
}

fn no_more_than_the_most_generous<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
) -> Result<(), TestCaseError> {
    let largest = limits.iter().map(Limits::bucket).max().unwrap();
    let fastest = limits.iter().max_by_key(|limits| limits.rate()).unwrap();
    for (first, last, units) in spans(&admitted::<A>(start, calls, limits)) {
        prop_assert!(within(units, largest, last.at - first.at, fastest), "{units} from {first:?} to {last:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn never_too_much_in_a_fixed_window(start in start(), calls in calls(60), limits in any_limits()) {
        fixed_never_admits_too_much(&admitted::<Fixed>(start, &calls, &[limits]), &limits)?;
    }

    #[test]
    fn never_too_much_in_any_span_of_a_sliding_window(start in start(), calls in calls(60), limits in any_limits()) {
        sliding_never_admits_too_much(&admitted::<Sliding>(start, &calls, &[limits]), &limits)?;
    }

    #[test]
    fn never_too_much_from_a_token_bucket(start in start(), calls in calls(60), limits in any_limits()) {
        token_never_lets_too_much_go_ahead(&admitted::<Token>(start, &calls, &[limits]), &limits)?;
    }

    #[test]
    fn never_too_much_into_and_out_of_a_leaky_bucket(start in start(), calls in calls(60), limits in any_limits()) {
        leaky_never_admits_too_much(&admitted::<Leaky>(start, &calls, &[limits]), &limits)?;
    }

    /// A caller that comes back at the first possible moment gets as much as there is. This is
    /// where rounding errors would add up.
    #[test]
    fn never_too_much_for_a_caller_that_never_pauses(
        start in start(), limits in any_limits(), share in 1..=64_u64
    ) {
        let cost = |full: u64| (full * share / 64).max(1);
        let window = cost(limits.quota);
        fixed_never_admits_too_much(&greedy::<Fixed>(start, &limits, window), &limits)?;
        sliding_never_admits_too_much(&greedy::<Sliding>(start, &limits, window), &limits)?;
        let bucket = cost(limits.bucket());
        token_never_lets_too_much_go_ahead(&greedy::<Token>(start, &limits, bucket), &limits)?;
        leaky_never_admits_too_much(&greedy::<Leaky>(start, &limits, bucket), &limits)?;
    }

    /// Limits change; the largest capacity and the fastest rate bound what is admitted.
    #[test]
    fn the_most_generous_limit_bounds_a_token_bucket(
        start in start(), calls in calls(40), limits in changing_buckets()
    ) {
        no_more_than_the_most_generous::<Token>(start, &calls, &limits)?;
    }

    /// Limits change; the largest capacity and the fastest rate bound what is admitted.
    #[test]
    fn the_most_generous_limit_bounds_a_leaky_bucket(
        start in start(), calls in calls(40), limits in changing_buckets()
    ) {
        no_more_than_the_most_generous::<Leaky>(start, &calls, &limits)?;
    }
}
