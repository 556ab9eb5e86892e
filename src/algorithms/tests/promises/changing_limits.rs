//! Limits come with each call: the next call obeys a changed limit at once, in both directions, and
//! nothing that was used is forgotten.

use premier_algorithms::{Fixed, Leaky, Sliding, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{FixedWindow, LeakyQueue, Limits, Model, SlidingLog, TokenBucket};
use crate::scenario::{Key, MANY_UNITS, MAX_EXACT_DURATION, Subject, any_limits, start};

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;

/// Changes the quota after six units of ten were used.
fn a_quota_applies_at_once<A: Subject>() {
    let ten = Limits::new(10, 10 * SECOND);
    let mut key = Key::<A>::fresh();
    assert!(key.call(NOW, &ten, 6).is_admitted());
    for (quota, remaining) in [(6, 0), (5, 0), (1, 0), (7, 1), (1_000, 994), (10, 4)] {
        let limits = Limits { quota, ..ten };
        assert_eq!(key.ask(NOW, &limits, remaining + 1).remaining, remaining, "of {quota}");
        assert!(!key.ask(NOW, &limits, remaining + 1).is_admitted());
        assert_eq!(remaining == 0, !key.ask(NOW, &limits, remaining.max(1)).is_admitted());
    }
}

/// A raised quota admits, a lowered one limits.
#[test]
fn a_changed_quota_applies_at_once() {
    a_quota_applies_at_once::<Fixed>();
    a_quota_applies_at_once::<Sliding>();
    a_quota_applies_at_once::<Token>();
    a_quota_applies_at_once::<Leaky>();
}

fn a_capacity_applies_at_once<A: Subject>() {
    let ten = Limits::new(1, SECOND).with_capacity(10);
    let mut key = Key::<A>::fresh();
    assert!(key.call(NOW, &ten, 6).is_admitted());
    for (capacity, remaining) in [(6, 0), (1, 0), (7, 1), (1_000, 994), (10, 4)] {
        let limits = ten.with_capacity(capacity);
        let reply = key.ask(NOW, &limits, remaining + 1);
        assert_eq!((reply.limit, reply.remaining), (capacity, remaining));
        assert!(!reply.is_admitted());
    }
    assert_eq!(key.ask(NOW, &ten.with_capacity(2), 1).retry(), Some(5 * SECOND));
    assert_eq!(key.ask(NOW, &ten.with_capacity(2), 3).retry(), None);
}

/// A raised capacity admits, a lowered one limits.
#[test]
fn a_changed_capacity_applies_at_once() {
    a_capacity_applies_at_once::<Token>();
    a_capacity_applies_at_once::<Leaky>();
}

/// Uses ten units of ten in ten seconds, and asks for ten more after five seconds, with another
/// duration. Returns the fields `remaining`, `retry` and `reset` of the reply.
fn after_five_seconds<A: Subject>(duration: u64) -> (u64, Option<u64>, u64) {
    let mut key = Key::<A>::fresh();
    let ten = Limits::new(10, 10 * SECOND);
    assert!(key.call(NOW, &ten, 10).is_admitted());
    let reply = key.ask(NOW + 5 * SECOND, &Limits { duration, ..ten }, 10);
    (reply.remaining, reply.retry(), reply.reset)
}

/// A longer duration limits, a shorter one admits.
#[test]
fn a_changed_duration_applies_at_once() {
    let rest = (0, Some(55 * SECOND), 55 * SECOND);
    assert_eq!(after_five_seconds::<Fixed>(60 * SECOND), rest);
    assert_eq!(after_five_seconds::<Sliding>(60 * SECOND), rest);
    assert_eq!(after_five_seconds::<Token>(60 * SECOND), rest);
    assert_eq!(after_five_seconds::<Leaky>(60 * SECOND), rest);
    let anew = (0, None, 5 * SECOND);
    assert_eq!(after_five_seconds::<Fixed>(5 * SECOND), anew);
    assert_eq!(after_five_seconds::<Sliding>(5 * SECOND), anew);
    assert_eq!(after_five_seconds::<Token>(5 * SECOND), anew);
    assert_eq!(after_five_seconds::<Leaky>(5 * SECOND), anew);
}

/// Makes calls at one moment, each with a limit of its own, then one with yet another limit.
fn only_what_was_used_counts<M: Model, A: Subject>(
    start: u64,
    burst: &[(Limits, u64)],
    pause: u64,
    limits: &Limits,
    cost: u64,
) -> Result<(), TestCaseError> {
    let (mut key, mut model) = (Key::<A>::fresh(), M::default());
    for (limits, cost) in burst {
        let reply = key.call(start, limits, *cost);
        prop_assert_eq!(reply, model.reply(start, limits, *cost));
        if reply.is_admitted() {
            model.admit(start, limits, *cost);
        }
    }
    let now = start + pause;
    prop_assert_eq!(key.call(now, limits, cost), model.reply(now, limits, cost));
    Ok(())
}

fn cost() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 1..=5_u64, 1 => 1..=1_000_000_000_000_u64]
}

proptest! {
    #[test]
    fn only_what_was_used_counts_not_the_limits_it_was_used_under(
        start in start(),
        burst in collection::vec((any_limits(), cost()), 1..8),
        pause in prop_oneof![0..=10_u64, 0..=10_000_u64, 0..=1_000_000_000_000_u64],
        limits in any_limits(),
        cost in cost(),
    ) {
        only_what_was_used_counts::<FixedWindow, Fixed>(start, &burst, pause, &limits, cost)?;
        // All was admitted at one moment, so the log has nothing to merge.
        only_what_was_used_counts::<SlidingLog, Sliding>(start, &burst, pause, &limits, cost)?;
        // A huge bucket is rounded when part of a unit has drained, so nothing drains from it here.
        let most_used = burst.iter().map(|(_, cost)| cost).sum::<u64>() + cost;
        let is_huge = most_used >= MANY_UNITS && limits.duration > MAX_EXACT_DURATION;
        let pause = if is_huge { 0 } else { pause };
        only_what_was_used_counts::<TokenBucket, Token>(start, &burst, pause, &limits, cost)?;
        only_what_was_used_counts::<LeakyQueue, Leaky>(start, &burst, pause, &limits, cost)?;
    }
}

/// Uses one unit, and 999 more half a day later, at a rate of one unit a day.
fn a_raised_rate_forgets_nothing<A: Subject>() {
    const DAY: u64 = 86_400 * SECOND;
    let slow = Limits::new(1, DAY).with_capacity(1_000);
    let fast = Limits::new(1_000, DAY / 24).with_capacity(1_000);
    let now = NOW + DAY / 2;
    let mut key = Key::<A>::fresh();
    assert!(key.call(NOW, &slow, 1).is_admitted());
    assert!(key.call(now, &slow, 999).is_admitted());
    assert!(!key.ask(now, &fast, 2).is_admitted(), "{:?}", key.ask(now, &fast, 2));
}

#[test]
fn a_raised_rate_forgets_nothing_in_a_token_bucket() {
    a_raised_rate_forgets_nothing::<Token>();
}

#[test]
fn a_raised_rate_forgets_nothing_in_a_leaky_bucket() {
    a_raised_rate_forgets_nothing::<Leaky>();
}

/// Two callers use windows of 60 and 59 s on one key, together fifty times a second. A unit that
/// the log has merged into an entry must not live for ever, passed on from one window's entries to
/// the other's.
#[test]
fn windows_of_two_durations_do_not_keep_units_alive() {
    let windows = [60, 59].map(|seconds| Limits::new(1_000_000, seconds * SECOND));
    let mut key = Key::<Sliding>::fresh();
    let mut now = NOW;
    while now < NOW + 180 * SECOND {
        let next = now + SECOND / 50;
        // Uses the window that has no 64th ending in between.
        let ends = windows.map(|window| now * 64 / window.duration < next * 64 / window.duration);
        now = next;
        let reply = key.call(now, &windows[usize::from(ends[0] && !ends[1])], 1);
        let counted = reply.limit - reply.remaining;
        assert!(counted <= 50 * 61, "{counted} calls count after {} s", (now - NOW) / SECOND);
    }
}

/// The previous rate counts up to the last admitted call: half a unit had drained by then, not a
/// thousand.
fn a_raised_rate_starts_at_the_last_admitted_call<A: Subject>() {
    const DAY: u64 = 86_400_000_000;
    let slow = Limits { capacity: Some(1_000), ..Limits::new(1, DAY) };
    let fast = Limits::new(1_000, 3_600_000_000);
    let mut key = Key::<A>::fresh();
    assert!(key.call(0, &slow, 1).is_admitted());
    assert!(key.call(DAY / 2, &slow, 999).is_admitted());
    // Half a unit less than 1,000 is used: 1.5 units must drain at 3.6 s each.
    assert_eq!(key.call(DAY / 2, &fast, 2).retry(), Some(5_400_000));
}

#[test]
fn a_raised_rate_applies_from_the_last_admitted_call() {
    a_raised_rate_starts_at_the_last_admitted_call::<Token>();
    a_raised_rate_starts_at_the_last_admitted_call::<Leaky>();
}

/// A unit that was passed on between the entries of two windows would never expire.
#[test]
fn alternating_durations_do_not_keep_units_alive() {
    let durations = [60_000_000, 59_000_000].map(|duration| Limits::new(1_000_000, duration));
    let mut key = Key::<Sliding>::fresh();
    for (call, limits) in (0..6_000_u64).zip(durations.iter().cycle()) {
        let reply = key.call(call * 20_000, limits, 1);
        // 50 calls a second, and at most those of two 64ths of the longest duration.
        assert!(reply.limit - reply.remaining <= 3_000 + 2 * 3_000 / 64 + 1);
    }
}
