//! Refunded units count as if they had never been used: no more than were used, and nothing extra
//! is admitted.

use premier_algorithms::{
    Algorithm, Clock, Fixed, Leaky, Log, MAX_USED, Refund, Refundable, Sliding, Span, State, Timestamp, Token, Units,
};
use proptest::collection;
use proptest::prelude::*;

use crate::encoding::{any_stamp, payload};
use crate::exactness::{answer, buckets_of_one_rate, windows_counted_exactly};
use crate::model::{
    ENDLESS, Exact, FixedWindow, LeakyQueue, Limits, Model, Reply, SlidingLog, TokenBucket, rounded_up,
};
use crate::never_too_much::{
    Admitted, fixed_never_admits_too_much, leaky_never_admits_too_much, sliding_never_admits_too_much,
    token_never_lets_too_much_go_ahead,
};
use crate::scenario::{
    Call, Key, Kind, MAX_UNITS, Stored, Subject, any_limits, any_windows, calls, calls_of, calls_with_forced,
    calls_with_refunds, encoded, huge_bucket, short_bucket, start,
};
use crate::strictness::no_more_lenient;

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const LAST_MOMENT: u64 = (1 << 54) - 1;

/// How a server stores the moment at which a key expires.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    /// The unit of time to which the expiry is rounded up.
    grain: u64,
    /// How late the expiry may be for each time that it was rounded.
    pub(crate) late: u64,
}

pub(crate) const OF_A_WINDOW: Expiry = Expiry { grain: 1, late: 0 };
pub(crate) const OF_A_BUCKET: Expiry = Expiry { grain: 1, late: 1 };
const IN_MILLIS: Expiry = Expiry { grain: 1_000, late: 1_000 };

/// Returns the time until the key is fully reset.
fn reset<M: Model>(model: &M, now: u64, limits: &Limits) -> u64 {
    // A call that is limited in any case reports it.
    model.reply(now, limits, 2 * MAX_USED).reset
}

/// Compares each reply with the model's; the limits take turns. A refund gives back what was used,
/// by the limit of the last admitted call, and is as exact as the expiry.
fn answers_as<M: Model, A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
    expiry: Expiry,
    forget: impl Fn(&mut M, u64, &Limits),
) -> Result<(), TestCaseError> {
    let (mut key, mut model) = (Stored::<A>::fresh(expiry.grain), M::default());
    let (mut now, mut last) = (start, None);
    let (mut used_under, mut rounded) = (limits[0], 0);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let units = call.cost(A::full(limits));
        if !key.is_there(now) {
            prop_assert_eq!(rounded_up(&model.used(now, &used_under)), 0, "expired too soon");
            model = M::default();
        }
        if call.kind == Kind::Refund && !key.is_there(now) {
            prop_assert_eq!(key.refund(now, units), Refund { units: 0, reset: Span::ZERO });
            continue;
        }
        if call.kind == Kind::Refund {
            let used = model.used(now, &used_under);
            let used_before = model.used(now.saturating_sub(rounded * expiry.late), &used_under);
            let refund = key.refund(now, units);
            let [used, used_before] = [used, used_before + rounding(expiry)].map(|used| units.min(rounded_up(&used)));
            prop_assert!(
                (used..=used_before).contains(&refund.units),
                "{refund:?} of {units}, not {used} to {used_before}, at {now}"
            );

            model.refund(now, &used_under, units);
            forget(&mut model, now, &used_under);
            rounded += 1;
            let (reset_after, exact_reset) = (refund.reset.as_micros(), reset(&model, now, &used_under));
            let latest = exact_reset + rounded * expiry.late + rounded_up(&(rounding(expiry) / used_under.rate()));
            prop_assert!(
                (exact_reset..=latest).contains(&reset_after),
                "{refund:?} of {units}, not {exact_reset} to {latest}, at {now}"
            );
            continue;
        }
        let reply = key.call(now, limits, call.kind, units);
        let (expected, charge) = answer(&model, now, limits, call.kind, units);
        prop_assert_eq!(reply, expected, "at {} for {} of {:?}", now, units, limits);
        if reply.is_admitted() {
            model.admit(now, limits, charge);
            forget(&mut model, now, limits);
            (used_under, rounded) = (*limits, 1);
        }
        if reply.reset == ENDLESS {
            // The rate at which that drains cannot be derived.
            break;
        }
        last = Some(reply);
    }
    Ok(())
}

/// Returns how far a refund may be rounded: a bucket's level at its last call is rounded up to a
/// 2¹⁶th of a unit, and so is what drains of it.
pub(crate) fn rounding(expiry: Expiry) -> Exact {
    Exact::new((2 * u64::from(expiry.late > 0)).into(), (1 << 16).into())
}

/// Refunds each call, limited or forced, at once. `same` then compares later replies with those
/// that there would have been without the call.
fn leaves_no_trace<A: Subject>(
    start: u64,
    [before, after]: [&[Call]; 2],
    limits: &Limits,
    grain: u64,
    same: impl Fn(&Reply, &Reply) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut key = Stored::<A>::fresh(grain);
    let (mut now, mut last) = (start, None);
    for call in before {
        now = call.moment(now, last.as_ref(), limits);
        let cost = match (call.kind, call.cost(A::full(limits))) {
            // So little that there is always room for it.
            (Kind::Forced, cost) => cost.min(10_000_000_000),
            (_, cost) => cost,
        };
        let spared = key.key().clone();
        let reply = key.call(now, limits, call.kind, cost);
        if !reply.is_admitted() {
            continue;
        }
        let mut charged = key.clone();
        let refund = charged.refund(now, cost);
        prop_assert_eq!(refund.units, cost);
        prop_assert!(refund.reset.as_micros() <= reply.reset.next_multiple_of(grain) + grain);
        let mut then = now;
        for call in after {
            then = call.moment(then, Some(&reply), limits);
            let cost = call.cost(A::full(limits));
            same(&charged.ask(then, limits, cost), &spared.ask(then, limits, cost))?;
        }
        last = Some(reply);
    }
    Ok(())
}

fn exactly_as(reply: &Reply, expected: &Reply) -> Result<(), TestCaseError> {
    prop_assert_eq!(reply, expected);
    Ok(())
}

/// Refunds more than is used, in as many refunds as that takes. Then the key is fresh.
fn an_excessive_refund_gives_back_all<A: Subject>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
    grain: u64,
) -> Result<(), TestCaseError> {
    let mut key = Stored::<A>::fresh(grain);
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        if call.kind != Kind::Refund {
            last = Some(key.call(now, limits, call.kind, cost));
            continue;
        }
        let was_there = key.is_there(now);
        let first = key.refund(now, MAX_UNITS);
        let second = key.refund(now, MAX_UNITS);
        let all = first.units + second.units;
        prop_assert!(all <= MAX_USED);
        prop_assert!(!was_there || all > 0, "something is used until the key expires");
        prop_assert_eq!(second.reset, Span::ZERO);
        prop_assert_eq!(first.reset == Span::ZERO, second.units == 0);
        prop_assert_eq!(key.refund(now, 1), Refund { units: 0, reset: Span::ZERO });
        prop_assert_eq!(key.ask(now, limits, cost), Key::<A>::fresh().ask(now, limits, cost));
    }
    Ok(())
}

/// Returns what was admitted, less what was refunded of it, the newest units first.
fn net<A: Subject>(start: u64, calls: &[Call], limits: &Limits, grain: u64) -> Vec<Admitted> {
    let mut key = Stored::<A>::fresh(grain);
    let (mut now, mut last) = (start, None);
    let mut admitted = Vec::<Admitted>::new();
    for call in calls {
        now = call.moment(now, last.as_ref(), limits);
        let units = call.cost(A::full(limits));
        if call.kind == Kind::Refund {
            let mut left = key.refund(now, units).units;
            while let Some(newest) = admitted.last_mut().filter(|_| left > 0) {
                let taken = left.min(newest.units);
                newest.units -= taken;
                left -= taken;
                admitted.pop_if(|call| call.units == 0);
            }
            continue;
        }
        let reply = key.call(now, limits, call.kind, units);
        if let Some(wait) = reply.wait() {
            admitted.push(Admitted { at: now, wait, units });
        }
        last = Some(reply);
    }
    admitted
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Call(Kind, Limits, u64),
    Refund { reset: u64, units: u64 },
}

/// Checks that any state that can be read can be forced and refunded, at any time and with any
/// expiry.
fn is_refused_or_harmless<A: Subject>(bytes: &[u8], steps: &[(u64, Step)]) -> Result<(), TestCaseError> {
    let Some(state) = <A as Algorithm>::State::decode(bytes) else {
        return Ok(());
    };
    let mut key = Key::<A>::fresh();
    key.clock.see(state.latest_stamp());
    key.state = state;
    for (reading, step) in steps {
        match step {
            Step::Call(kind, limits, cost) => {
                key.make(*reading, limits, *kind, *cost);
            }
            Step::Refund { reset, units } => {
                let refund = key.refund(*reading, *reset, *units);
                prop_assert!(refund.units <= *units);
                prop_assert!(refund.reset <= Span::from_micros(*reset));
            }
        }
        if key.state == Key::<A>::fresh().state {
            continue;
        }
        let bytes = encoded(&key.state);
        prop_assert!(bytes.len() <= Log::MAX_ENCODED_LEN);
        prop_assert_eq!(A::State::decode(&bytes), Some(key.state.clone()));
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let reading = prop_oneof![2 => any_stamp(), 1 => Just(0), 1 => Just(LAST_MOMENT)];
    let units = || prop_oneof![1..=10_u64, 1..=MAX_UNITS, Just(MAX_UNITS)];
    let reset = prop_oneof![0..=10_000_u64, 0..=LAST_MOMENT, any::<u64>(), Just(0), Just(u64::MAX)];
    let kind = prop_oneof![Just(Kind::Limited), Just(Kind::Forced)];
    let step = prop_oneof![
        (kind, any_windows(), units()).prop_map(|(kind, limits, cost)| Step::Call(kind, limits, cost)),
        (reset, units()).prop_map(|(reset, units)| Step::Refund { reset, units }),
    ];
    collection::vec((reading, step), 1..12)
}

/// Calls of which none is forced, so that no more than a limit is admitted.
fn limited_calls_and_refunds(most: usize) -> impl Strategy<Value = Vec<Call>> {
    calls_of(prop_oneof![Just(Kind::Limited), Just(Kind::Refund)], most)
}

fn grain() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), Just(1_000)]
}

fn window_counted_exactly() -> impl Strategy<Value = Limits> {
    windows_counted_exactly().prop_map(|limits| limits[0])
}

proptest! {
    #[test]
    fn fixed_refunds_exactly(
        start in start(), calls in calls_with_refunds(40), limits in collection::vec(any_windows(), 1..4)
    ) {
        answers_as::<FixedWindow, Fixed>(start, &calls, &limits, OF_A_WINDOW, |_, _, _| {})?;
        answers_as::<FixedWindow, Fixed>(start, &calls, &limits[..1], IN_MILLIS, |_, _, _| {})?;
    }

    #[test]
    fn sliding_refunds_exactly_up_to_a_quota_of_64(
        start in start(), calls in calls_with_refunds(40), limits in windows_counted_exactly()
    ) {
        answers_as::<SlidingLog, Sliding>(start, &calls, &limits, OF_A_WINDOW, SlidingLog::forget)?;
        answers_as::<SlidingLog, Sliding>(start, &calls, &limits[..1], IN_MILLIS, |_, _, _| {})?;
    }

    #[test]
    fn token_refunds_exactly(
        start in start(), calls in calls_with_refunds(24), limits in buckets_of_one_rate(short_bucket())
    ) {
        answers_as::<TokenBucket, Token>(start, &calls, &limits, OF_A_BUCKET, |_, _, _| {})?;
        answers_as::<TokenBucket, Token>(start, &calls, &limits, IN_MILLIS, |_, _, _| {})?;
    }

    #[test]
    fn leaky_refunds_exactly(
        start in start(), calls in calls_with_refunds(24), limits in buckets_of_one_rate(short_bucket())
    ) {
        answers_as::<LeakyQueue, Leaky>(start, &calls, &limits, OF_A_BUCKET, |_, _, _| {})?;
        answers_as::<LeakyQueue, Leaky>(start, &calls, &limits, IN_MILLIS, |_, _, _| {})?;
    }

    #[test]
    fn a_refunded_call_leaves_no_trace_in_a_fixed_window(
        start in start(), before in calls_with_forced(12), after in calls(6), limits in any_windows(), grain in grain()
    ) {
        leaves_no_trace::<Fixed>(start, [&before, &after], &limits, grain, exactly_as)?;
    }

    #[test]
    fn a_refunded_call_leaves_no_trace_in_a_sliding_window(
        start in start(), before in calls_with_forced(12), after in calls(6), window in window_counted_exactly(), grain in grain()
    ) {
        leaves_no_trace::<Sliding>(start, [&before, &after], &window, grain, exactly_as)?;
    }

    #[test]
    fn a_refunded_call_leaves_no_trace_in_a_bucket(
        start in start(), before in calls_with_forced(12), after in calls(6), limits in short_bucket(), grain in grain()
    ) {
        leaves_no_trace::<Leaky>(start, [&before, &after], &limits, grain, exactly_as)?;
        let limits = Limits { max_wait: None, ..limits };
        leaves_no_trace::<Token>(start, [&before, &after], &limits, grain, exactly_as)?;
    }

    #[test]
    fn a_rounded_refund_leaves_nobody_better_off(
        start in start(),
        before in calls_with_forced(12),
        after in calls(6),
        limits in prop_oneof![any_limits(), huge_bucket()],
        grain in grain(),
    ) {
        leaves_no_trace::<Sliding>(start, [&before, &after], &limits, grain, no_more_lenient)?;
        leaves_no_trace::<Leaky>(start, [&before, &after], &limits, grain, no_more_lenient)?;
        let limits = Limits { max_wait: None, ..limits };
        leaves_no_trace::<Token>(start, [&before, &after], &limits, grain, no_more_lenient)?;
    }

    #[test]
    fn an_excessive_refund_gives_back_all_and_resets_the_key(
        start in start(),
        calls in calls_with_refunds(30),
        limits in collection::vec(any_windows(), 1..4),
        grain in grain(),
    ) {
        an_excessive_refund_gives_back_all::<Fixed>(start, &calls, &limits, grain)?;
        an_excessive_refund_gives_back_all::<Sliding>(start, &calls, &limits, grain)?;
        an_excessive_refund_gives_back_all::<Token>(start, &calls, &limits, grain)?;
        an_excessive_refund_gives_back_all::<Leaky>(start, &calls, &limits, grain)?;
    }

    /// A call counts as if it had cost that much less.
    #[test]
    fn a_refund_admits_nothing_extra(
        start in start(), calls in limited_calls_and_refunds(60), limits in any_limits(), grain in grain()
    ) {
        fixed_never_admits_too_much(&net::<Fixed>(start, &calls, &limits, grain), &limits)?;
        sliding_never_admits_too_much(&net::<Sliding>(start, &calls, &limits, grain), &limits)?;
        leaky_never_admits_too_much(&net::<Leaky>(start, &calls, &limits, grain), &limits)?;
        let limits = Limits { max_wait: None, ..limits };
        token_never_lets_too_much_go_ahead(&net::<Token>(start, &calls, &limits, grain), &limits)?;
    }

    #[test]
    fn any_payload_is_refused_or_can_be_refunded(bytes in payload(), steps in steps()) {
        is_refused_or_harmless::<Fixed>(&bytes, &steps)?;
        is_refused_or_harmless::<Sliding>(&bytes, &steps)?;
        is_refused_or_harmless::<Token>(&bytes, &steps)?;
        is_refused_or_harmless::<Leaky>(&bytes, &steps)?;
    }
}

/// Uses one unit a second for three seconds, of five in ten seconds.
fn three_seconds<A: Subject>() -> (Stored<A>, Limits) {
    let five = Limits::new(5, 10 * SECOND);
    let mut key = Stored::<A>::fresh(1_000);
    for second in 0..3 {
        assert!(key.call(NOW + second * SECOND, &five, Kind::Limited, 1).is_admitted());
    }
    (key, five)
}

/// Charges a key so much that its reset is beyond all times, and refunds that.
fn releases_a_key_that_was_blocked_for_ever<A: Subject>() {
    const DAY: u64 = 24 * 60 * 60 * SECOND;
    let one = Limits::new(1, DAY);
    let mut key = Stored::<A>::fresh(1_000);
    assert!(key.call(NOW, &one, Kind::Limited, 1).is_admitted());
    assert_eq!(key.call(NOW, &one, Kind::Forced, MAX_UNITS).reset, ENDLESS);
    assert_eq!(key.refund(NOW, MAX_UNITS).units, MAX_UNITS);
    for later in [0, SECOND, DAY - 1] {
        assert_eq!(key.ask(NOW + later, &one, 1).retry(), Some(DAY - later));
    }
    assert!(key.ask(NOW + DAY, &one, 1).is_admitted());

    // Nothing is lost either when the refund comes long after and is for more than the key reports
    // as used.
    assert_eq!(key.call(NOW, &one, Kind::Forced, MAX_UNITS).reset, ENDLESS);
    assert_eq!(key.refund(NOW + 365 * DAY, MAX_UNITS).units, MAX_UNITS);
    assert!(key.ask(NOW + 365 * DAY, &one, 1).is_admitted());
}

#[test]
fn a_refund_releases_a_key_that_was_blocked_for_ever() {
    releases_a_key_that_was_blocked_for_ever::<Token>();
    releases_a_key_that_was_blocked_for_ever::<Leaky>();
}

fn refund(units: u64, reset: u64) -> Refund {
    Refund { units, reset: Span::from_micros(reset) }
}

#[test]
fn a_sliding_window_refunds_the_newest_units_first() {
    let (mut key, five) = three_seconds::<Sliding>();
    let now = NOW + 4 * SECOND;
    assert_eq!(key.refund(now, 2), refund(2, 6 * SECOND));
    // The oldest unit still counts for as long as before.
    assert_eq!(key.ask(now, &five, 5).retry(), Some(6 * SECOND));
    assert_eq!(key.ask(NOW + 10 * SECOND - 1, &five, 6).remaining, 4);
    assert_eq!(key.ask(NOW + 10 * SECOND, &five, 6).remaining, 5);
    assert!(!key.is_there(NOW + 10 * SECOND));

    // Part of the units that were used at one moment may stay.
    let mut key = Stored::<Sliding>::fresh(1_000);
    for (second, units) in [(0, 1), (1, 4)] {
        assert!(key.call(NOW + second * SECOND, &five, Kind::Limited, units).is_admitted());
    }
    assert_eq!(key.refund(now, 3), refund(3, 7 * SECOND));
    assert_eq!(key.ask(NOW + 10 * SECOND, &five, 6).remaining, 4);
    assert_eq!(key.ask(NOW + 11 * SECOND, &five, 6).remaining, 5);
}

#[test]
fn a_sliding_window_does_not_refund_expired_units() {
    let (mut key, five) = three_seconds::<Sliding>();
    assert_eq!(key.refund(NOW + 11 * SECOND, 5), refund(1, 0));
    let (mut key, _) = three_seconds::<Sliding>();
    assert_eq!(key.refund(NOW + 10 * SECOND, 1), refund(1, SECOND));
    assert_eq!(key.ask(NOW + 10 * SECOND, &five, 6).remaining, 4);
}

/// The log was stamped by another clock, and is read between two of its timestamps: none is dated
/// later than the earlier one.
#[test]
fn a_refund_does_not_extend_a_log_from_another_clock() {
    let five = Limits::new(5, 60 * SECOND);
    let mut key = Key::<Sliding>::fresh();
    for second in [0, 20] {
        assert!(key.call(NOW + second * SECOND, &five, 1).is_admitted());
    }
    key.clock = Clock::new();
    key.clock.read(Timestamp::from_micros(NOW - 100 * SECOND));
    assert_eq!(key.refund(NOW + 10 * SECOND, 5 * SECOND, 1), refund(1, 5 * SECOND));
}

/// Unless nothing is left in the window: the key is then fresh.
#[test]
fn a_refund_keeps_the_end_of_a_fixed_window() {
    let (mut key, five) = three_seconds::<Fixed>();
    let now = NOW + 4 * SECOND;
    assert_eq!(key.refund(now, 2), refund(2, 6 * SECOND));
    assert_eq!(key.call(now, &five, Kind::Limited, 5).retry(), Some(6 * SECOND));
    assert_eq!(key.refund(now, 9), refund(1, 0));
    // The next call opens a new window.
    assert_eq!(key.call(now, &five, Kind::Limited, 1).reset, 10 * SECOND);
}

/// A unit drains in two seconds.
fn refunds_only_what_has_not_drained<A: Subject>() {
    let (key, five) = three_seconds::<A>();
    let after = |micros: u64| (key.clone(), NOW + 2 * SECOND + micros);
    // Two units are used after two seconds: those of the last two calls.
    let (mut bucket, now) = after(0);
    assert_eq!(bucket.refund(now, 1), refund(1, 2 * SECOND));
    assert_eq!(bucket.ask(now, &five, 6).remaining, 4);
    assert_eq!(bucket.refund(now, 5), refund(1, 0));
    // A partly drained unit counts as a whole.
    let (mut bucket, now) = after(SECOND);
    assert_eq!(bucket.refund(now, 5), refund(2, 0));
    let (mut bucket, now) = after(SECOND);
    assert_eq!(bucket.refund(now, 1), refund(1, SECOND));
    assert_eq!(bucket.ask(now, &five, 5).retry(), Some(SECOND));
    // The refund takes what is left, although more had been used, and drained.
    let (mut bucket, now) = after(3 * SECOND);
    assert_eq!(bucket.refund(now, 5), refund(1, 0));
}

#[test]
fn a_bucket_refunds_only_what_has_not_drained() {
    refunds_only_what_has_not_drained::<Token>();
    refunds_only_what_has_not_drained::<Leaky>();
}

/// Charges an estimate and refunds the rest: the key is as if the true cost had been charged.
fn corrects_an_estimated_cost<A: Subject>() {
    let hundred = Limits::new(100, 60 * SECOND);
    let (mut guessed, mut known) = (Stored::<A>::fresh(1_000), Stored::<A>::fresh(1_000));
    assert!(guessed.call(NOW, &hundred, Kind::Limited, 50).is_admitted());
    assert!(known.call(NOW, &hundred, Kind::Limited, 20).is_admitted());
    let now = NOW + 3 * SECOND;
    assert_eq!(guessed.refund(now, 30).units, 30);
    for later in [now, now + SECOND, now + 30 * SECOND, now + 56 * SECOND, now + 57 * SECOND] {
        for cost in [1, 80, 90, 100, 101] {
            assert_eq!(guessed.ask(later, &hundred, cost), known.ask(later, &hundred, cost));
        }
    }
}

#[test]
fn a_refund_corrects_an_estimated_cost() {
    corrects_an_estimated_cost::<Fixed>();
    corrects_an_estimated_cost::<Sliding>();
    corrects_an_estimated_cost::<Token>();
    corrects_an_estimated_cost::<Leaky>();
}

fn has_nothing_to_refund<A: Subject>() {
    let mut state = A::State::default();
    let now = Key::<A>::fresh().clock.read(Timestamp::from_micros(NOW));
    for reset in [Span::ZERO, Span::from_secs(1), Span::MAX] {
        let units = Units::new(MAX_UNITS).unwrap();
        assert_eq!(state.refund(now, reset, units), refund(0, 0));
        assert_eq!(state, A::State::default());
    }
}

#[test]
fn a_fresh_key_has_nothing_to_refund() {
    has_nothing_to_refund::<Fixed>();
    has_nothing_to_refund::<Sliding>();
    has_nothing_to_refund::<Token>();
    has_nothing_to_refund::<Leaky>();
}
