//! Where exact counting would take too much room, an algorithm may be stricter than the contract,
//! by a stated bound. It is never more lenient.

use premier_algorithms::{Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{
    Exact, LeakyQueue, Level, Limits, MAX_USED, Model, Outcome, Reply, SlidingLog, TokenBucket, exact, leaky,
    rounded_up, token,
};
use crate::scenario::{
    Call, Key, Kind, MANY_UNITS, MAX_EXACT_DURATION, Subject, any_limits, calls, duration, huge_bucket, start,
};

/// Checks that nobody is better off than with the lenient reply.
pub(crate) fn no_more_lenient(reply: &Reply, lenient: &Reply) -> Result<(), TestCaseError> {
    match (reply.outcome, lenient.outcome) {
        (Outcome::Admitted { wait }, Outcome::Admitted { wait: least }) => prop_assert!(wait >= least),
        (Outcome::Admitted { .. }, Outcome::Limited { .. }) => prop_assert!(false, "should be limited: {lenient:?}"),
        (Outcome::Limited { retry: Some(wait) }, Outcome::Limited { retry }) => {
            prop_assert!(retry.is_some_and(|least| wait >= least), "waits too little: {lenient:?}");
        }
        // The other fields cannot be compared: one reply shows them without the call, the other
        // with it.
        (Outcome::Limited { .. }, _) => return Ok(()),
    }
    prop_assert_eq!(reply.limit, lenient.limit);
    prop_assert!(reply.remaining <= lenient.remaining, "more remains than {lenient:?}");
    prop_assert!(reply.reset >= lenient.reset, "resets too soon: {lenient:?}");
    Ok(())
}

/// Checks that nobody is worse off than with the strict reply.
pub(crate) fn no_stricter(reply: &Reply, strict: &Reply) -> Result<(), TestCaseError> {
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
    prop_assert!(reply.reset <= strict.reset, "resets too late: {strict:?}");
    Ok(())
}

pub(crate) trait Bucket: Subject {
    type Model: Model;

    fn level(model: &Self::Model) -> &Level;

    fn reply(level: &Exact, limits: &Limits, cost: u64) -> Reply;

    fn reply_to_charge(level: &Exact, limits: &Limits, units: u64) -> Reply;
}

impl Bucket for Token {
    type Model = TokenBucket;

    fn level(model: &TokenBucket) -> &Level {
        &model.missing
    }

    fn reply(level: &Exact, limits: &Limits, cost: u64) -> Reply {
        token::reply(level, limits, cost)
    }

    fn reply_to_charge(level: &Exact, limits: &Limits, units: u64) -> Reply {
        token::reply_to_charge(level, limits, units)
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

    fn reply_to_charge(level: &Exact, limits: &Limits, units: u64) -> Reply {
        leaky::reply_to_charge(level, limits, units)
    }
}

/// Returns 2 to the power of minus `power`.
fn half_to_the(power: u32) -> Exact {
    Exact::new(1.into(), (1_u64 << power).into())
}

/// Returns a tick in units: every level is rounded to a tick.
fn tick(limits: &Limits) -> Exact {
    Exact::new(1.into(), limits.duration.into())
}

/// Returns by how much a stored level may be too high that comes to this many units, with partly
/// drained ones counted as whole.
pub(crate) fn rounding(units: u64, limits: &Limits) -> Exact {
    let is_exact = units < MANY_UNITS || limits.duration <= MAX_EXACT_DURATION;
    if is_exact { exact(0) } else { half_to_the(32) + tick(limits) }
}

/// Returns the precision with which a level of this many units is stored.
pub(crate) fn fineness(units: u64) -> Exact {
    half_to_the(if units < MANY_UNITS { 49 } else { 32 })
}

/// A bucket: as it is stored, and exactly.
pub(crate) struct Kept<A: Bucket> {
    pub(crate) key: Key<A>,
    pub(crate) model: A::Model,
    /// By how much the stored level may be too high.
    pub(crate) high: Exact,
    /// The duration for which the level is stored, and the precision.
    pub(crate) as_of: Option<(u64, Exact)>,
}

/// Runs calls; the limits take turns. Each reply lies between those for the exact level less and
/// plus what may have been rounded so far. Nothing is forced for which there is no room.
pub(crate) fn rounds_no_more_than_it_must<A: Bucket>(
    start: u64,
    calls: &[Call],
    limits: &[Limits],
) -> Result<(), TestCaseError> {
    let fresh = Kept::<A> { key: Key::fresh(), model: A::Model::default(), high: exact(0), as_of: None };
    keeps_rounding_no_more_than_it_must(fresh, start, calls, limits)
}

/// Does the same for a bucket that was used before.
pub(crate) fn keeps_rounding_no_more_than_it_must<A: Bucket>(
    Kept { mut key, mut model, mut high, as_of: mut kept }: Kept<A>,
    start: u64,
    calls: &[Call],
    limits: &[Limits],
) -> Result<(), TestCaseError> {
    let (mut now, mut last) = (start, None);
    // By how much the stored level may be too low.
    let mut low = exact(0);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(A::full(limits));
        let level = A::level(&model).units(now, limits);
        let (mut less, mut more) = (low.clone(), high.clone());
        if let Some((_, fineness)) = kept.as_ref().filter(|(duration, _)| *duration != limits.duration) {
            // Stored rounded up, and read rounded down to a tick.
            less += fineness;
            more += tick(limits);
        }
        let units = rounded_up(&(&level + &more)) + cost;
        // An admitted call reports the level as it is stored.
        let after = &more + rounding(units, limits);
        let has_room = &level + &more + exact(cost) <= exact(MAX_USED);
        let is_forced = call.kind == Kind::Forced && has_room && limits.quota > 0;
        let answer = if is_forced { A::reply_to_charge } else { A::reply };
        let reply = if is_forced { key.force(now, limits, cost) } else { key.call(now, limits, cost) };
        let most = if reply.is_admitted() { &after } else { &more };
        no_more_lenient(&reply, &answer(&(&level - &less).max(exact(0)), limits, cost))?;
        no_stricter(&reply, &answer(&(&level + most), limits, cost))?;
        if reply.is_admitted() {
            model.admit(now, limits, cost);
            (low, high) = (less, after);
            kept = Some((limits.duration, fineness(units)));
        }
        last = Some(reply);
    }
    Ok(())
}

pub(crate) fn changing_limits() -> impl Strategy<Value = Vec<Limits>> {
    collection::vec(prop_oneof![any_limits(), huge_bucket()], 2..4)
}

/// Runs calls; the windows take turns. No unit counts longer than it should by more than `parts`
/// 64ths of the longest duration. Little enough is forced that there is always room.
pub(crate) fn sliding_counts_long_enough_and_little_longer(
    start: u64,
    calls: &[Call],
    windows: &[Limits],
    parts: u64,
) -> Result<(), TestCaseError> {
    // `longer` is in 64ths of a microsecond, so a 64th of a duration is as many as the duration has
    // microseconds.
    let longer = parts * windows.iter().map(|window| window.duration).max().unwrap();
    let (mut key, mut shortest_log, mut longest_log) =
        (Key::<Sliding>::fresh(), SlidingLog::default(), SlidingLog::default());
    let (mut now, mut last) = (start, None);
    for (call, window) in calls.iter().zip(windows.iter().cycle()) {
        now = call.moment(now, last.as_ref(), window);
        let cost = call.cost(window.quota);
        let is_forced = call.kind == Kind::Forced;
        let cost = if is_forced { cost.min(10_000_000_000) } else { cost };
        let reply = key.make(now, window, call.kind, cost);
        if is_forced {
            no_more_lenient(&reply, &shortest_log.reply_to_charge(now, window, cost))?;
        } else {
            no_more_lenient(&reply, &shortest_log.reply(now, window, cost))?;
            no_stricter(&reply, &longest_log.reply_when_counting_longer(longer, now, window, cost))?;
        }
        if reply.is_admitted() {
            shortest_log.admit(now, window, cost);
            shortest_log.forget(now, window);
            longest_log.admit(now, window, cost);
        }
        last = Some(reply);
    }
    Ok(())
}

pub(crate) fn window_above_64() -> impl Strategy<Value = Limits> {
    let quota = prop_oneof![3 => 65..=200_u64, 1 => 65..=1_000_000_000_000_u64, 1 => Just(1_000_000_000_000)];
    (quota, duration()).prop_map(|(quota, duration)| Limits::new(quota, duration))
}

pub(crate) fn any_window() -> impl Strategy<Value = Limits> {
    prop_oneof![2 => window_above_64(), 1 => (1..=64_u64, duration()).prop_map(|(q, d)| Limits::new(q, d))]
}

proptest! {
    /// Each call rounds by at most 2⁻³² of a token and a tick.
    #[test]
    fn a_huge_token_bucket_rounds_within_its_bound(
        start in start(), calls in calls(20), limits in huge_bucket()
    ) {
        rounds_no_more_than_it_must::<Token>(start, &calls, &[limits])?;
    }

    /// Each call rounds by at most 2⁻³² of a unit and a tick.
    #[test]
    fn a_huge_leaky_bucket_rounds_within_its_bound(
        start in start(), calls in calls(20), limits in huge_bucket()
    ) {
        rounds_no_more_than_it_must::<Leaky>(start, &calls, &[limits])?;
    }

    /// Nothing that was used is forgotten. A huge bucket is rounded on top of that.
    #[test]
    fn a_changed_rate_costs_a_token_bucket_one_tick_at_most(
        start in start(), calls in calls(20), limits in changing_limits()
    ) {
        rounds_no_more_than_it_must::<Token>(start, &calls, &limits)?;
    }

    /// Nothing that was used is forgotten. A huge bucket is rounded on top of that.
    #[test]
    fn a_changed_rate_costs_a_leaky_bucket_one_tick_at_most(
        start in start(), calls in calls(20), limits in changing_limits()
    ) {
        rounds_no_more_than_it_must::<Leaky>(start, &calls, &limits)?;
    }

    /// With a quota above 64: up to there it is exact.
    #[test]
    fn sliding_counts_a_64th_too_long_at_most(
        start in start(), calls in calls(60), window in window_above_64()
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &[window], 1)?;
    }

    /// Two 64ths of the longest duration.
    #[test]
    fn changing_limits_count_two_64ths_too_long_at_most(
        start in start(), calls in calls(60), windows in collection::vec(any_window(), 2..4)
    ) {
        sliding_counts_long_enough_and_little_longer(start, &calls, &windows, 2)?;
    }
}

/// Returns how long before the last call the oldest call was that still counts. Each of `calls`
/// took one unit.
fn oldest_counted(calls: &[u64], reply: &Reply) -> u64 {
    let counted = usize::try_from(reply.limit - reply.remaining).unwrap();
    calls[calls.len() - 1] - calls[calls.len() - counted]
}

/// Calls with the shorter duration start an entry whenever they may, and those with the longer one
/// fill it up. When only the longer duration counts, 65 wide entries side by side are more than
/// fit.
#[test]
fn two_durations_count_two_64ths_too_long_at_worst() {
    const PART: u64 = 1 << 20;
    const LENGTH: u64 = 65 * (PART + 1);
    let [long, short] = [LENGTH, 64 * PART].map(|duration| Limits::new(1_000_000_000_000, duration));
    let mut key = Key::<Sliding>::fresh();
    let mut calls = Vec::new();
    let mut call = |at, limits: &Limits| {
        calls.push(at);
        let oldest = oldest_counted(&calls, &key.call(at, limits, 1));
        assert!(oldest < limits.duration + 2 * LENGTH / 64, "a call of {oldest} µs ago counts");
    };
    let mut at = 1_800_000_000_000_000;
    for _ in 0..65 {
        at += PART + 1;
        call(at, &short);
        call(at + PART, &long);
    }
    at += 2 * PART;
    for quarter in 0..300 {
        call(at + quarter * PART / 4, &long);
    }
}

/// Returns how much too long a unit counts at most, with a call each millisecond around each 64th
/// of a window.
fn the_most_counted_too_long(duration: u64) -> u64 {
    let limits = Limits::new(1_000_000_000_000, duration);
    let mut key = Key::<Sliding>::fresh();
    let mut calls = Vec::new();
    let mut most = 0;
    for part in 0..140 {
        for milli in if part == 0 { 300..305 } else { 0..305 } {
            let at = 1_800_000_000_000_000 + part * (duration / 64) + milli * 1_000;
            calls.push(at);
            let reply = key.call(at, &limits, 1);
            let used = calls.len() - calls.partition_point(|call| call + duration <= at);
            assert!(reply.limit - reply.remaining >= u64::try_from(used).unwrap(), "fewer units count than were used");
            most = most.max(oldest_counted(&calls, &reply).saturating_sub(duration));
        }
    }
    most
}

#[test]
fn dense_calls_count_a_64th_too_long_at_most() {
    // The second is the longest duration for which a 64th is stored to the microsecond.
    for duration in [1_000_000_000, 1 << 38] {
        assert!(the_most_counted_too_long(duration) <= duration / 64);
    }
}

#[test]
fn long_windows_count_a_64th_too_long_at_most() {
    const DAY: u64 = 86_400_000_000;
    for days in [4, 7, 30, 365, 3650] {
        let late = the_most_counted_too_long(days * DAY).saturating_sub(days * DAY / 64);
        assert_eq!(late, 0, "{late} µs more than a 64th of {days} days");
    }
}

fn reports_the_level_as_stored<A: Subject>() {
    // A fraction of 32 bits distinguishes only every second or third tick of this duration.
    let limits = Limits::new(1, 3 << 31).with_capacity(2 * MANY_UNITS);
    for used in MANY_UNITS - 2..=MANY_UNITS + 1 {
        for at in 1..8 {
            let mut key = Key::<A>::fresh();
            assert!(key.call(0, &limits, used - 1).is_admitted());
            let reset = key.call(at, &limits, 1).reset;
            assert_eq!(key.ask(at, &limits, 2 * MANY_UNITS).reset, reset, "{used} units at {at}");
            assert!(reset >= used * limits.duration - at, "{used} units at {at} forget something");
        }
    }
}

/// Where the level is rounded.
#[test]
fn an_admitted_call_reports_the_level_as_it_is_stored() {
    reports_the_level_as_stored::<Token>();
    reports_the_level_as_stored::<Leaky>();
}
