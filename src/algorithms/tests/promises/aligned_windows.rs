//! An aligned window begins at a multiple of its duration since the Unix epoch, whenever it is
//! opened.

use std::collections::BTreeMap;

use premier_algorithms::Fixed;
use proptest::collection;
use proptest::prelude::*;

use crate::accurate_retry_after::{every_retry_after_is_accurate, the_retry_after_is_accurate};
use crate::exactness::answers_as;
use crate::model::{FixedWindow, Limits, Outcome, Reply};
use crate::scenario::{
    Call, Key, Subject, any_limits, any_windows, calls, calls_with_forced, duration, encoded, start,
};

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const LAST_MOMENT: u64 = (1 << 54) - 1;

/// Makes calls with one limit, and returns the moment, the cost and the reply of each.
fn replies(start: u64, calls: &[Call], limits: &Limits) -> Vec<(u64, u64, Reply)> {
    let mut key = Key::<Fixed>::fresh();
    let (mut now, mut last) = (start, None);
    let reply = |call: &Call| {
        now = call.moment(now, last.as_ref(), limits);
        let cost = call.cost(Fixed::full(limits));
        let reply = key.make(now, limits, call.kind, cost);
        last = Some(reply);
        (now, cost, reply)
    };
    calls.iter().map(reply).collect()
}

/// Windows of one limit, some of them aligned and some not.
fn mixed_windows() -> impl Strategy<Value = Vec<Limits>> {
    let aligned = collection::vec(any::<bool>(), 2..9);
    (any_limits(), aligned)
        .prop_map(|(limits, aligned)| aligned.into_iter().map(|is_aligned| Limits { is_aligned, ..limits }).collect())
}

proptest! {
    #[test]
    fn aligned_windows_and_others_answer_exactly(
        start in start(), calls in calls(40), limits in collection::vec(any_windows(), 1..4)
    ) {
        answers_as::<FixedWindow, Fixed>(start, &calls, &limits, |_, _, _| {})?;
    }

    #[test]
    fn at_most_a_quota_is_admitted_between_two_multiples(
        start in start(), calls in calls(60), limits in any_limits()
    ) {
        let mut used = BTreeMap::<u64, u64>::new();
        for (at, units, reply) in replies(start, &calls, &limits.aligned()) {
            if reply.is_admitted() {
                let used = used.entry(at / limits.duration).or_default();
                *used += units;
                prop_assert!(*used <= limits.quota);
                prop_assert_eq!(reply.remaining, limits.quota - *used);
            }
        }
    }

    /// This holds for forced calls, too.
    #[test]
    fn an_aligned_window_ends_at_the_next_multiple(
        start in start(), calls in calls_with_forced(60), limits in any_limits()
    ) {
        for (at, _, reply) in replies(start, &calls, &limits.aligned()) {
            let next = (at / limits.duration + 1) * limits.duration;
            if reply.is_admitted() {
                prop_assert_eq!(at + reply.reset, next);
            } else if let Some(wait) = reply.retry() {
                prop_assert_eq!((at + wait, at + reply.reset), (next, next));
            }
        }
    }

    #[test]
    fn an_aligned_window_resets_exactly_at_the_next_multiple(
        now in start(), limits in any_limits(), share in 1..=64_u64
    ) {
        let limits = Limits { quota: limits.quota.max(1), ..limits }.aligned();
        let mut key = Key::<Fixed>::fresh();
        let reset = key.call(now, &limits, (limits.quota * share / 64).max(1)).reset;
        let all = |key: &Key<Fixed>, at| key.ask(at, &limits, limits.quota).is_admitted();
        prop_assert!(!all(&key, now + reset - 1));
        prop_assert!(all(&key, now + reset));
    }

    #[test]
    fn the_retry_after_for_an_aligned_window_is_accurate(
        start in start(), calls in calls(40), limits in any_limits(), share in 0..64_u64
    ) {
        every_retry_after_is_accurate::<Fixed>(start, &calls, &limits.aligned(), share)?;
    }

    /// The call that opens a window decides where it begins. Windows follow one another, so a
    /// reported end stays accurate, and at most a quota is admitted up to there.
    #[test]
    fn mixed_alignment_admits_at_most_a_quota_per_window(
        start in start(), calls in calls(60), limits in mixed_windows(), share in 0..64_u64
    ) {
        let mut key = Key::<Fixed>::fresh();
        let (mut now, mut last) = (start, None);
        let (mut end, mut used) = (0, 0);
        for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
            now = call.moment(now, last.as_ref(), limits);
            let cost = call.cost(limits.quota);
            let reply = key.call(now, limits, cost);
            if reply.is_admitted() {
                if now >= end {
                    end = if limits.is_aligned { (now / limits.duration + 1) * limits.duration } else { now + limits.duration };
                    used = 0;
                }
                used += cost;
                prop_assert_eq!(now + reply.reset, end);
                prop_assert!(used <= limits.quota, "{used} up to {end}");
            } else {
                the_retry_after_is_accurate(&key, now, limits, cost, share)?;
            }
            last = Some(reply);
        }
    }

    /// The state does not depend on which kind of call comes later.
    #[test]
    fn an_open_window_keeps_its_alignment(
        now in start(), duration in duration(), is_aligned: bool, share in 0..64_u64
    ) {
        let limits = Limits { is_aligned, ..Limits::new(10, duration) };
        let other = Limits { is_aligned: !is_aligned, ..limits };
        let mut key = Key::<Fixed>::fresh();
        let reset = key.call(now, &limits, 1).reset;
        let later = now + u64::try_from(u128::from(reset) * u128::from(share) / 64).unwrap();
        prop_assert_eq!(key.ask(later, &limits, 1), key.ask(later, &other, 1));
        let [mut as_opened, mut as_not] = [key.clone(), key];
        as_opened.call(later, &limits, 1);
        as_not.call(later, &other, 1);
        prop_assert_eq!(encoded(&as_opened.state), encoded(&as_not.state));
    }
}

/// `NOW` is 2027-01-15 08:00 UTC.
#[test]
fn a_day_begins_at_midnight_and_an_hour_at_the_full_hour() {
    for (duration, to_the_end) in [(DAY, 16 * HOUR), (HOUR, HOUR), (7 * HOUR, 3 * HOUR), (60 * SECOND, 60 * SECOND)] {
        let limits = Limits::new(3, duration).aligned();
        let reset = Key::<Fixed>::fresh().call(NOW, &limits, 1).reset;
        assert_eq!(reset, to_the_end, "of {duration}");
        assert_eq!((NOW + reset) % duration, 0);
    }
    let mut key = Key::<Fixed>::fresh();
    let limits = Limits::new(3, HOUR).aligned();
    assert_eq!(key.call(NOW + HOUR - 1, &limits, 3).reset, 1);
    assert_eq!(key.call(NOW + HOUR - 1, &limits, 1).retry(), Some(1));
    assert_eq!(key.call(NOW + HOUR, &limits, 3).reset, HOUR);
}

#[test]
fn a_new_duration_moves_only_the_end_of_an_open_window() {
    let hour = Limits::new(3, HOUR).aligned();
    let mut key = Key::<Fixed>::fresh();
    // A window from eight to nine, opened at half past eight.
    assert_eq!(key.call(NOW + HOUR / 2, &hour, 2).reset, HOUR / 2);
    let at = NOW + HOUR * 3 / 4;
    // It then ends at ten, although no aligned window of two hours begins at eight.
    assert_eq!(key.ask(at, &Limits { duration: 2 * HOUR, ..hour }, 1).reset, HOUR * 5 / 4);
    assert_eq!(key.ask(at, &Limits { duration: 7 * HOUR, ..hour }, 2).retry(), Some(HOUR * 25 / 4));
    // With forty minutes it is over at twenty to nine, and the next one is aligned to forty
    // minutes.
    let over = Limits { duration: 40 * 60 * SECOND, ..hour };
    assert_eq!((key.ask(at, &over, 1).remaining, key.ask(at, &over, 1).reset), (2, 35 * 60 * SECOND));
    // A call that would not align its window still obeys the one that is open.
    let first_call = Limits { is_aligned: false, ..hour };
    assert_eq!(key.ask(at, &first_call, 2).retry(), Some(HOUR / 4));
    assert_eq!(key.ask(NOW + HOUR, &first_call, 1).reset, HOUR);
}

#[test]
fn aligned_windows_cover_the_first_and_last_moment() {
    let limits = Limits::new(1, HOUR).aligned();
    assert_eq!(Key::<Fixed>::fresh().call(0, &limits, 1).reset, HOUR);
    assert_eq!(Key::<Fixed>::fresh().call(1, &limits, 1).reset, HOUR - 1);
    let reset = Key::<Fixed>::fresh().call(LAST_MOMENT, &limits, 1).reset;
    assert_eq!((LAST_MOMENT + reset) % HOUR, 0);
    assert!((1..=HOUR).contains(&reset));
}

/// A limited call opens no window, and the key stays fully reset.
#[test]
fn a_limited_call_opens_no_aligned_window() {
    let limits = Limits::new(3, HOUR).aligned();
    let reply = Key::<Fixed>::fresh().call(NOW + 1, &limits, 4);
    assert_eq!(reply, Reply { outcome: Outcome::Limited { retry: None }, limit: 3, remaining: 3, reset: 0 });
}
