//! No arithmetic overflows, for any arguments in bounds: tests run with overflow checks.

use premier_algorithms::{Fixed, Leaky, MAX_USED, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Key, Subject, any_limits};

const MAX_UNITS: u64 = 1_000_000_000_000;
const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;
const LAST_MOMENT: u64 = (1 << 54) - 1;

pub(crate) fn extreme_limits() -> impl Iterator<Item = Limits> {
    let quotas = [0, 1, 64, 65, 1 << 33, (1 << 33) + 1, MAX_UNITS];
    let capacities = [None, Some(1), Some(MAX_UNITS)];
    let max_waits = [None, Some(0), Some(MAX_TIME)];
    quotas.into_iter().flat_map(move |quota| {
        [1_000, MAX_TIME].into_iter().flat_map(move |duration| {
            capacities.into_iter().flat_map(move |capacity| {
                max_waits.into_iter().map(move |max_wait| Limits { capacity, max_wait, ..Limits::new(quota, duration) })
            })
        })
    })
}

fn answers_sensibly<A: Subject>(key: &mut Key<A>, reading: u64, limits: &Limits, cost: u64) -> bool {
    let reply = key.call(reading, limits, cost);
    reply.limit == A::full(limits)
        && reply.remaining <= reply.limit
        && !(reply.is_admitted() && cost > reply.limit)
        && !(reply.is_admitted() && reply.reset == 0)
}

fn survives_extremes<A: Subject>() {
    for limits in extreme_limits() {
        for cost in [1, MAX_UNITS] {
            let mut key = Key::<A>::fresh();
            for reading in [0, 0, 0, LAST_MOMENT, LAST_MOMENT, LAST_MOMENT, 0, 1, LAST_MOMENT, u64::MAX] {
                assert!(answers_sensibly(&mut key, reading, &limits, cost), "{reading} {cost} {limits:?}");
            }
        }
    }
}

#[test]
fn nothing_overflows_at_the_extremes() {
    survives_extremes::<Fixed>();
    survives_extremes::<Sliding>();
    survives_extremes::<Token>();
    survives_extremes::<Leaky>();
}

#[test]
fn at_most_10_12_tokens_are_owed_beyond_the_capacity() {
    const TENTH: u64 = MAX_UNITS / 10;
    let limits = Limits::new(MAX_UNITS, 1_000).with_capacity(TENTH).with_max_wait(MAX_TIME);
    let mut key = Key::<Token>::fresh();
    for call in 0..=10 {
        assert_eq!(key.call(0, &limits, TENTH).wait(), Some(call * 100));
    }
    assert_eq!(key.ask(0, &limits, 1).retry(), Some(1));
    assert_eq!(key.ask(0, &limits, TENTH).retry(), Some(100));
    // A caller that may borrow this much from a larger bucket owes too much for a smaller one.
    let one = limits.with_capacity(1);
    assert_eq!(key.ask(0, &one, 1).retry(), Some(100));
    assert_eq!(key.ask(100, &one, 1).wait(), Some(1_000));
}

#[test]
fn at_most_what_a_state_can_record_is_owed() {
    let limits = Limits::new(MAX_UNITS, 1_000).with_max_wait(MAX_TIME);
    let mut key = Key::<Token>::fresh();
    assert_eq!(key.call(0, &limits, MAX_UNITS).wait(), Some(0));
    assert_eq!(key.call(0, &limits, MAX_UNITS).wait(), Some(1_000));
    assert_eq!(2 * MAX_UNITS, MAX_USED);
    assert_eq!(key.ask(0, &limits, 1).retry(), Some(1));
    let all = key.call(0, &limits, MAX_UNITS);
    assert_eq!(all.retry(), Some(1_000));
    assert_eq!(key.call(1_000, &limits, MAX_UNITS).wait(), Some(1_000));
}

fn survives<A: Subject>(calls: &[(u64, Limits, u64)]) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    for (reading, limits, cost) in calls {
        prop_assert!(answers_sensibly(&mut key, *reading, limits, *cost), "{calls:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_overflows_whatever_changes_between_calls(
        calls in collection::vec(
            (
                prop_oneof![0..=LAST_MOMENT, Just(LAST_MOMENT), Just(0), 0..=10_000_u64],
                any_limits(),
                prop_oneof![1..=10_u64, 1..=MAX_UNITS, Just(MAX_UNITS)],
            ),
            1..30,
        )
    ) {
        survives::<Fixed>(&calls)?;
        survives::<Sliding>(&calls)?;
        survives::<Token>(&calls)?;
        survives::<Leaky>(&calls)?;
    }
}
