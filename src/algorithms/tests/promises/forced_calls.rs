//! A forced call is charged even if too little is left; later calls are limited until the excess
//! has drained or expired.

use premier_algorithms::{Algorithm, Clock, Fixed, Leaky, Log, MAX_USED, Sliding, State, Timestamp, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::accurate_retry_after::the_retry_after_is_accurate;
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

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const LAST_MOMENT: u64 = (1 << 54) - 1;

/// Checks the retry-after of a call of this cost after each of the calls.
fn is_accurate_after_forced_calls<A: Subject>(
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
            the_retry_after_is_accurate(&key, now, limits, cost, share)?;
        }
    }
    Ok(())
}

/// A call that would have been admitted gets the same reply and leaves the same state when it is
/// forced. For a bucket that includes calls that wait up to `max_wait`.
fn is_decided_like_any_other_with_room<A: Subject>(
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

fn is_limited_only_by_a_quota_of_0<A: Subject>(
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

/// Forces calls, and checks that every state can be stored.
fn survives<A: Subject>(key: &mut Key<A>, calls: &[(u64, Limits, u64)]) -> Result<(), TestCaseError> {
    for (reading, limits, cost) in calls {
        let reply = key.force(*reading, limits, *cost);
        prop_assert_eq!(reply.is_admitted(), limits.quota > 0);
        prop_assert!(reply.remaining <= reply.limit);
        if reply.is_admitted() {
            prop_assert!(reply.reset > 0);
            let bytes = encoded(&key.state);
            prop_assert!(bytes.len() <= Log::MAX_ENCODED_LEN);
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

    /// In a sliding window with a quota above 64.
    #[test]
    fn forced_calls_count_a_64th_too_long_at_most(
        start in start(), calls in calls_with_forced(60), window in window_above_64()
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &[window], 1)?;
    }

    /// In a sliding window whose limits change; two 64ths of the longest duration.
    #[test]
    fn forced_calls_count_two_64ths_too_long_at_most(
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
    fn the_retry_after_is_accurate_after_forced_calls(
        start in start(),
        calls in calls_with_forced(20),
        limits in prop_oneof![3 => any_windows(), 1 => huge_bucket()],
        cost in prop_oneof![3 => 1..=5_u64, 1 => 1..=MAX_UNITS],
        share in 0..64_u64,
    ) {
        is_accurate_after_forced_calls::<Fixed>(start, &calls, &limits, cost, share)?;
        is_accurate_after_forced_calls::<Sliding>(start, &calls, &limits, cost, share)?;
        is_accurate_after_forced_calls::<Token>(start, &calls, &limits, cost, share)?;
        is_accurate_after_forced_calls::<Leaky>(start, &calls, &limits, cost, share)?;
    }

    #[test]
    fn a_forced_call_with_room_is_decided_like_any_other(
        start in start(), calls in calls_with_forced(30), limits in collection::vec(any_windows(), 1..4)
    ) {
        is_decided_like_any_other_with_room::<Fixed>(start, &calls, &limits)?;
        is_decided_like_any_other_with_room::<Sliding>(start, &calls, &limits)?;
        is_decided_like_any_other_with_room::<Token>(start, &calls, &limits)?;
        is_decided_like_any_other_with_room::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn only_a_quota_of_0_limits_a_forced_call(
        start in start(),
        calls in calls_with_forced(30),
        limits in collection::vec(any_windows(), 1..4),
    ) {
        is_limited_only_by_a_quota_of_0::<Fixed>(start, &calls, &limits)?;
        is_limited_only_by_a_quota_of_0::<Sliding>(start, &calls, &limits)?;
        is_limited_only_by_a_quota_of_0::<Token>(start, &calls, &limits)?;
        is_limited_only_by_a_quota_of_0::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn any_payload_is_refused_or_takes_forced_calls(bytes in payload(), calls in any_calls()) {
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
fn forced_calls_at_the_extremes_do_not_overflow() {
    survives_extremes::<Fixed>();
    survives_extremes::<Sliding>();
    survives_extremes::<Token>();
    survives_extremes::<Leaky>();
}

/// Forces more than a state can record, and refunds it all, with refunds as large as possible.
fn uses_at_most_what_a_state_can_record<A: Subject>() {
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
fn forced_calls_use_at_most_what_a_state_can_record() {
    uses_at_most_what_a_state_can_record::<Fixed>();
    uses_at_most_what_a_state_can_record::<Sliding>();
    uses_at_most_what_a_state_can_record::<Token>();
    uses_at_most_what_a_state_can_record::<Leaky>();
}

/// There is no room for a single unit, so the newest entry stays as old as it was.
#[test]
fn a_forced_call_charged_nothing_extends_no_expiry() {
    let limits = Limits::new(5, 10 * SECOND);
    let mut key = Key::<Sliding>::fresh();
    for _ in 0..2 {
        assert_eq!(key.force(NOW, &limits, MAX_UNITS).reset, 10 * SECOND);
    }
    assert_eq!(key.force(NOW + 4 * SECOND, &limits, 1).reset, 6 * SECOND);
    assert_eq!(key.call(NOW + 4 * SECOND, &limits, 1).retry(), Some(6 * SECOND));
}

/// The timestamp is an hour ahead of this clock, which has run for a hundred seconds: it is dated
/// to a hundred seconds ago.
#[test]
fn a_forced_call_counts_a_log_from_another_clock() {
    let five = Limits::new(5, 60 * SECOND);
    let mut key = Key::<Sliding>::fresh();
    assert!(key.call(NOW + 3_600 * SECOND, &five, 1).is_admitted());
    key.clock = Clock::new();
    key.clock.read(Timestamp::from_micros(NOW - 100 * SECOND));
    assert_eq!(key.force(NOW, &five, 2).remaining, 3);
}

/// Uses eight units of ten in ten seconds, and forces eight more three seconds later. Returns the
/// reply to that, and the retry-after of one more unit right away.
fn sixteen_of_ten<A: Subject>(limits: &Limits) -> (Reply, Option<u64>) {
    let mut key = Key::<A>::fresh();
    assert!(key.call(NOW, limits, 8).is_admitted());
    assert!(key.ask(NOW, limits, 3).retry().is_some());
    let forced = key.force(NOW + 3 * SECOND, limits, 5 + 3);
    (forced, key.call(NOW + 3 * SECOND, limits, 1).retry())
}

#[test]
fn later_calls_wait_for_what_a_forced_call_took() {
    let ten = Limits::new(10, 10 * SECOND);
    let reply = |wait, reset| Reply { outcome: Outcome::Admitted { wait }, limit: 10, remaining: 0, reset };
    // The window of all of them ends with the first call's.
    assert_eq!(sixteen_of_ten::<Fixed>(&ten), (reply(0, 7 * SECOND), Some(7 * SECOND)));
    // The first eight expire after seven seconds, and eight are left.
    assert_eq!(sixteen_of_ten::<Sliding>(&ten), (reply(0, 10 * SECOND), Some(7 * SECOND)));
    // Five of the eight are still there when eight more come: four must drain before one fits.
    assert_eq!(sixteen_of_ten::<Token>(&ten), (reply(0, 13 * SECOND), Some(4 * SECOND)));
    assert_eq!(sixteen_of_ten::<Leaky>(&ten), (reply(5 * SECOND, 13 * SECOND), Some(4 * SECOND)));
}

#[test]
fn a_forced_call_waits_for_tokens_only_with_a_max_wait() {
    let ten = Limits::new(10, 10 * SECOND);
    let thirteen = |limits: &Limits| Key::<Token>::fresh().force(NOW, limits, 13).wait();
    assert_eq!(thirteen(&ten), Some(0));
    assert_eq!(thirteen(&ten.with_max_wait(0)), Some(3 * SECOND));
    assert_eq!(thirteen(&ten.with_max_wait(60 * SECOND)), Some(3 * SECOND));
    assert_eq!(Key::<Token>::fresh().force(NOW, &ten.with_max_wait(0), 10).wait(), Some(0));
}

/// The queue is longer than allowed, and forced calls join it whatever their `max_wait`.
#[test]
fn a_forced_call_queues_behind_earlier_forced_calls() {
    let limits = Limits::new(10, 10 * SECOND).with_max_wait(2 * SECOND);
    let mut key = Key::<Leaky>::fresh();
    let waits = [(); 4].map(|()| key.force(NOW, &limits, 7).wait());
    assert_eq!(waits, [0, 7, 14, 21].map(|seconds| Some(seconds * SECOND)));
    // The call's turn comes in 28 seconds, which is near enough after 26. There is room in the
    // queue long before.
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
fn a_quota_of_0_blocks_forced_calls() {
    is_blocked::<Fixed>();
    is_blocked::<Sliding>();
    is_blocked::<Token>();
    is_blocked::<Leaky>();
}
