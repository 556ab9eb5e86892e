//! A forced call is charged whatever is left; those after it are limited until it has drained.

use premier_algorithms::{Algorithm, Clock, Fixed, Leaky, MAX_USED, Sliding, State, Timestamp, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::encoding::{any_stamp, payload};
use crate::exactness::{answers_as, buckets_of_one_rate, windows_counted_exactly};
use crate::model::{FixedWindow, LeakyQueue, Limits, Outcome, Reply, SlidingLog, TokenBucket};
use crate::overflow::extreme_limits;
use crate::scenario::{
    Call, Key, Kind, MAX_UNITS, Subject, any_windows, calls_with_forced, encoded, huge_bucket, short_bucket, start,
};
use crate::strictness::{
    any_window, changing_limits, rounds_no_more_than_it_must, sliding_counts_long_enough_and_little_longer,
    window_above_64,
};
use crate::true_wait::what_a_limited_caller_is_told_is_true;

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const LAST_MOMENT: u64 = (1 << 54) - 1;

/// After each call whoever is limited is told true. `cost` is his.
fn the_wait_is_true_after_forced_calls<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &Limits,
    cost: u64,
    share: u64,
) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for call in calls {
        now = call.moment(now, last.as_ref(), limits);
        last = Some(key.make(now, limits, call.kind, call.cost(A::full(limits))));
        if !key.ask(now, limits, cost).is_admitted() {
            what_a_limited_caller_is_told_is_true(&key, now, limits, cost, share)?;
        }
    }
    Ok(())
}

/// What would have been admitted is answered and kept as if it had not been forced. A bucket may have to wait for no longer than
/// the caller is ready to.
fn is_as_not_forced_where_there_is_room<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let mut limited = key.clone();
        let reply = limited.call(now, limits, cost);
        if reply.is_admitted() {
            let mut forced = key.clone();
            prop_assert_eq!(forced.force(now, limits, cost), reply);
            prop_assert_eq!(&forced.state, &limited.state);
        }
        last = Some(key.make(now, limits, call.kind, cost));
    }
    Ok(())
}

fn is_limited_by_a_quota_of_nothing_only<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let (before, plain) = (encoded(&key.state), key.ask(now, limits, cost));
        let reply = key.make(now, limits, call.kind, cost);
        last = Some(reply);
        if call.kind == Kind::Forced && limits.quota == 0 {
            prop_assert_eq!(reply, plain);
            prop_assert_eq!(reply.outcome, Outcome::Limited { retry: None });
            prop_assert_eq!(encoded(&key.state), before);
        } else if call.kind == Kind::Forced {
            prop_assert!(reply.is_admitted());
            prop_assert!(reply.remaining <= plain.remaining);
        }
    }
    Ok(())
}

/// Every state on the way can be kept.
fn survives<A: Subject>(key: &mut Key<A>, calls: &[(u64, Limits, u64)]) -> Result<(), TestCaseError> {
    for (reading, limits, cost) in calls {
        let reply = key.force(*reading, limits, *cost);
        prop_assert_eq!(reply.is_admitted(), limits.quota > 0);
        prop_assert!(reply.remaining <= reply.limit);
        if reply.is_admitted() {
            prop_assert!(reply.reset > 0);
            let bytes = encoded(&key.state);
            prop_assert!(bytes.len() <= A::State::MAX_ENCODED_LEN);
            prop_assert_eq!(A::State::decode(&bytes), Some(key.state.clone()));
        }
        key.call(*reading, limits, *cost);
    }
    Ok(())
}

fn is_refused_or_harmless<A: Subject>(bytes: &[u8], calls: &[(u64, Limits, u64)]) -> Result<(), TestCaseError> {
    let Some(state) = <A as Algorithm>::State::decode(bytes) else {
        return Ok(());
    };
    let mut key = Key::<A>::fresh();
    key.clock.see(state.latest_stamp());
    key.state = state;
    survives(&mut key, calls)
}

fn any_calls() -> impl Strategy<Value = Vec<(u64, Limits, u64)>> {
    let reading = prop_oneof![2 => any_stamp(), 1 => Just(0), 1 => Just(LAST_MOMENT)];
    let cost = prop_oneof![1..=10_u64, 1..=MAX_UNITS, Just(MAX_UNITS)];
    collection::vec((reading, any_windows(), cost), 1..12)
}

proptest! {
    #[test]
    fn fixed_answers_forced_calls_exactly(
        start in start(), calls in calls_with_forced(40), limits in collection::vec(any_windows(), 1..4)
    ) {
        answers_as::<FixedWindow, Fixed>(start, &calls, &limits, |_, _, _| {})?;
    }

    #[test]
    fn sliding_answers_forced_calls_exactly_up_to_a_quota_of_64(
        start in start(), calls in calls_with_forced(60), limits in windows_counted_exactly()
    ) {
        answers_as::<SlidingLog, Sliding>(start, &calls, &limits, SlidingLog::forget)?;
    }

    #[test]
    fn token_answers_forced_calls_exactly(
        start in start(), calls in calls_with_forced(24), limits in buckets_of_one_rate(short_bucket())
    ) {
        answers_as::<TokenBucket, Token>(start, &calls, &limits, |_, _, _| {})?;
    }

    #[test]
    fn leaky_answers_forced_calls_exactly(
        start in start(), calls in calls_with_forced(24), limits in buckets_of_one_rate(short_bucket())
    ) {
        answers_as::<LeakyQueue, Leaky>(start, &calls, &limits, |_, _, _| {})?;
    }

    #[test]
    fn sliding_above_a_quota_of_64_counts_forced_calls_a_64th_of_a_period_too_long_at_most(
        start in start(), calls in calls_with_forced(60), window in window_above_64()
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &[window], 1)?;
    }

    #[test]
    fn sliding_through_changing_limits_counts_forced_calls_two_64ths_too_long_at_most(
        start in start(), calls in calls_with_forced(60), windows in collection::vec(any_window(), 2..4)
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &windows, 2)?;
    }

    #[test]
    fn buckets_round_no_more_when_calls_are_forced(
        start in start(),
        calls in calls_with_forced(10),
        limits in prop_oneof![huge_bucket().prop_map(|limits| vec![limits]), changing_limits()],
    ) {
        rounds_no_more_than_it_must::<Token>(start, &calls, &limits)?;
        rounds_no_more_than_it_must::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn the_wait_is_true_after_calls_were_forced(
        start in start(),
        calls in calls_with_forced(20),
        limits in prop_oneof![3 => any_windows(), 1 => huge_bucket()],
        cost in prop_oneof![3 => 1..=5_u64, 1 => 1..=MAX_UNITS],
        share in 0..64_u64,
    ) {
        the_wait_is_true_after_forced_calls::<Fixed>(start, &calls, &limits, cost, share)?;
        the_wait_is_true_after_forced_calls::<Sliding>(start, &calls, &limits, cost, share)?;
        the_wait_is_true_after_forced_calls::<Token>(start, &calls, &limits, cost, share)?;
        the_wait_is_true_after_forced_calls::<Leaky>(start, &calls, &limits, cost, share)?;
    }

    #[test]
    fn a_forced_call_is_as_any_other_where_there_is_room(
        start in start(), calls in calls_with_forced(30), limits in collection::vec(any_windows(), 1..4)
    ) {
        is_as_not_forced_where_there_is_room::<Fixed>(start, &calls, &limits)?;
        is_as_not_forced_where_there_is_room::<Sliding>(start, &calls, &limits)?;
        is_as_not_forced_where_there_is_room::<Token>(start, &calls, &limits)?;
        is_as_not_forced_where_there_is_room::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn a_forced_call_is_limited_by_a_quota_of_nothing_only(
        start in start(),
        calls in calls_with_forced(30),
        limits in collection::vec(any_windows(), 1..4),
    ) {
        is_limited_by_a_quota_of_nothing_only::<Fixed>(start, &calls, &limits)?;
        is_limited_by_a_quota_of_nothing_only::<Sliding>(start, &calls, &limits)?;
        is_limited_by_a_quota_of_nothing_only::<Token>(start, &calls, &limits)?;
        is_limited_by_a_quota_of_nothing_only::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn any_payload_is_refused_or_can_be_forced(bytes in payload(), calls in any_calls()) {
        is_refused_or_harmless::<Fixed>(&bytes, &calls)?;
        is_refused_or_harmless::<Sliding>(&bytes, &calls)?;
        is_refused_or_harmless::<Token>(&bytes, &calls)?;
        is_refused_or_harmless::<Leaky>(&bytes, &calls)?;
    }
}

fn survives_extremes<A: Subject>() {
    for limits in extreme_limits().flat_map(|limits| [limits, limits.aligned()]) {
        for cost in [1, MAX_UNITS] {
            let calls = [0, 0, 0, 1, 999, LAST_MOMENT, LAST_MOMENT, LAST_MOMENT, 0, 1, LAST_MOMENT, u64::MAX]
                .map(|reading| (reading, limits, cost));
            survives(&mut Key::<A>::fresh(), &calls).unwrap();
        }
    }
}

#[test]
fn no_arithmetic_overflows_when_calls_are_forced_at_the_extremes_of_everything() {
    survives_extremes::<Fixed>();
    survives_extremes::<Sliding>();
    survives_extremes::<Token>();
    survives_extremes::<Leaky>();
}

/// All of a key is given back, a largest refund after the other.
fn no_more_is_used_than_a_state_can_say<A: Subject>() {
    let limits = Limits::new(5, 10 * SECOND);
    let mut key = Key::<A>::fresh();
    for _ in 0..4 {
        assert!(key.force(NOW, &limits, MAX_UNITS).is_admitted());
    }
    let reset = key.force(NOW, &limits, 1).reset;
    let refunds = [(); 3].map(|()| key.refund(NOW, reset, MAX_UNITS).units);
    assert_eq!(refunds, [MAX_UNITS, MAX_USED - MAX_UNITS, 0]);
}

#[test]
fn however_much_is_forced_no_more_is_used_than_a_state_can_say() {
    no_more_is_used_than_a_state_can_say::<Fixed>();
    no_more_is_used_than_a_state_can_say::<Sliding>();
    no_more_is_used_than_a_state_can_say::<Token>();
    no_more_is_used_than_a_state_can_say::<Leaky>();
}

/// A call for which there is no room at all makes nothing newer.
#[test]
fn a_forced_call_that_is_charged_nothing_makes_no_key_live_longer() {
    let limits = Limits::new(5, 10 * SECOND);
    let mut key = Key::<Sliding>::fresh();
    for _ in 0..2 {
        assert_eq!(key.force(NOW, &limits, MAX_UNITS).reset, 10 * SECOND);
    }
    assert_eq!(key.force(NOW + 4 * SECOND, &limits, 1).reset, 6 * SECOND);
    assert_eq!(key.call(NOW + 4 * SECOND, &limits, 1).retry(), Some(6 * SECOND));
}

/// Five more after eight of ten in ten seconds, three seconds later; then what one more is told at once.
/// The stamp is an hour ahead of this clock, which has run for a hundred seconds: what it stands for is as long ago.
#[test]
fn a_forced_call_is_told_what_is_left_of_a_log_that_another_clock_stamped() {
    let five = Limits::new(5, 60 * SECOND);
    let mut key = Key::<Sliding>::fresh();
    assert!(key.call(NOW + 3_600 * SECOND, &five, 1).is_admitted());
    key.clock = Clock::new();
    key.clock.read(Timestamp::from_micros(NOW - 100 * SECOND));
    assert_eq!(key.force(NOW, &five, 2).remaining, 3);
}

fn thirteen_of_ten<A: Subject>(limits: &Limits) -> (Reply, Option<u64>) {
    let mut key = Key::<A>::fresh();
    assert!(key.call(NOW, limits, 8).is_admitted());
    assert!(key.ask(NOW, limits, 3).retry().is_some());
    let forced = key.force(NOW + 3 * SECOND, limits, 5 + 3);
    (forced, key.call(NOW + 3 * SECOND, limits, 1).retry())
}

#[test]
fn a_forced_call_takes_what_is_not_there_and_the_next_ones_wait_for_it() {
    let ten = Limits::new(10, 10 * SECOND);
    let reply = |wait, reset| Reply { outcome: Outcome::Admitted { wait }, limit: 10, remaining: 0, reset };
    // The window of all of them ends with the first call's.
    assert_eq!(thirteen_of_ten::<Fixed>(&ten), (reply(0, 7 * SECOND), Some(7 * SECOND)));
    // The first eight are out after seven seconds, and eight are left.
    assert_eq!(thirteen_of_ten::<Sliding>(&ten), (reply(0, 10 * SECOND), Some(7 * SECOND)));
    // Five of the eight are still there when eight more come: four must go before one fits.
    assert_eq!(thirteen_of_ten::<Token>(&ten), (reply(0, 13 * SECOND), Some(4 * SECOND)));
    assert_eq!(thirteen_of_ten::<Leaky>(&ten), (reply(5 * SECOND, 13 * SECOND), Some(4 * SECOND)));
}

#[test]
fn only_who_is_ready_to_wait_is_told_when_the_tokens_that_a_forced_call_borrowed_will_have_come() {
    let ten = Limits::new(10, 10 * SECOND);
    let thirteen = |limits: &Limits| Key::<Token>::fresh().force(NOW, limits, 13).wait();
    assert_eq!(thirteen(&ten), Some(0));
    assert_eq!(thirteen(&ten.with_max_wait(0)), Some(3 * SECOND));
    assert_eq!(thirteen(&ten.with_max_wait(60 * SECOND)), Some(3 * SECOND));
    assert_eq!(Key::<Token>::fresh().force(NOW, &ten.with_max_wait(0), 10).wait(), Some(0));
}

/// Of a queue that is longer than it may be, whoever is ready to wait for long enough or not.
#[test]
fn a_forced_call_queues_behind_all_that_were_forced_before() {
    let limits = Limits::new(10, 10 * SECOND).with_max_wait(2 * SECOND);
    let mut key = Key::<Leaky>::fresh();
    let waits = [(); 4].map(|()| key.force(NOW, &limits, 7).wait());
    assert_eq!(waits, [0, 7, 14, 21].map(|seconds| Some(seconds * SECOND)));
    // His turn comes in 28 seconds, and is near enough after 26; there is a place long before.
    assert_eq!(key.call(NOW, &limits, 1).retry(), Some(26 * SECOND));
}

fn is_blocked<A: Subject>() {
    let limits = Limits::new(0, SECOND);
    let mut key = Key::<A>::fresh();
    let reply = key.force(NOW, &limits, 1);
    assert_eq!(reply, Reply { outcome: Outcome::Limited { retry: None }, limit: 0, remaining: 0, reset: 0 });
    assert_eq!(key.state, Key::<A>::fresh().state);
}

#[test]
fn a_quota_of_nothing_blocks_forced_calls_too() {
    is_blocked::<Fixed>();
    is_blocked::<Sliding>();
    is_blocked::<Token>();
    is_blocked::<Leaky>();
}
