//! A sliding window takes at most 66 entries of 16 bytes per key, whatever the calls and the
//! limits.

use premier_algorithms::{Sliding, State};
use proptest::collection;
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Key, any_quota, duration, encoded};

const NOW: u64 = 1_800_000_000_000_000;
const MAX_ENTRIES: usize = 66;

fn entries(key: &Key<Sliding>) -> usize {
    encoded(&key.state).len() / 16
}

/// The calls are ten times as dense as the entries.
#[test]
fn dense_calls_take_at_most_66_entries() {
    for duration in [1_000, 1_001, 64_000, 1_000_000] {
        let limits = Limits::new(1_000_000_000_000, duration);
        let mut key = Key::<Sliding>::fresh();
        for call in 0..2_000 {
            assert!(key.call(NOW + call * duration / 640, &limits, 1).is_admitted());
            assert!(entries(&key) <= MAX_ENTRIES);
        }
        // Eleven calls fit into a 64th of the duration, both ends included.
        assert!(entries(&key) >= MAX_ENTRIES * 10 / 11 - 1);
    }
}

/// Makes 64 exact entries, then one more under a larger quota, then more than fit.
#[test]
fn an_exact_log_that_grows_too_long_loses_no_unit() {
    let (exact, large) = (Limits::new(64, 64_000), Limits::new(1_000, 64_000));
    let mut key = Key::<Sliding>::fresh();
    for call in 0..64 {
        assert!(key.call(NOW + call * 250, &exact, 1).is_admitted());
    }
    for call in 64..80 {
        assert_eq!(key.call(NOW + call * 250, &large, 1).remaining, 1_000 - call - 1);
    }
    assert!(entries(&key) <= MAX_ENTRIES);
    // No unit counts a microsecond less than the window, or more than a 64th of it longer.
    for call in 0..80 {
        let end = NOW + call * 250 + large.duration;
        assert!(key.ask(end - 1, &large, 1_001).remaining <= 1_000 - 80 + call);
        assert!(key.ask(end + large.duration / 64, &large, 1_001).remaining > 1_000 - 80 + call);
    }
}

/// The 67th entry merges the 41st and the 42nd, which are the closest.
#[test]
fn merging_the_densest_entries_loses_no_unit() {
    let (exact, large) = (Limits::new(64, 64_000), Limits::new(1_000, 64_000));
    let (mut key, mut now, mut moments) = (Key::<Sliding>::fresh(), NOW, Vec::new());
    for call in 1..=67 {
        let (pause, limits) = match call {
            42 => (100, &exact),
            ..=64 => (500, &exact),
            _ => (1_300, &large),
        };
        now += pause;
        assert!(key.call(now, limits, 1).is_admitted());
        moments.push(now);
    }
    assert_eq!(entries(&key), MAX_ENTRIES);
    for (before, moment) in (0_u64..).zip(moments) {
        let end = moment + large.duration;
        assert!(key.ask(end - 1, &large, 1_001).remaining <= 1_000 - 67 + before);
        assert!(key.ask(end + 150, &large, 1_001).remaining > 1_000 - 67 + before);
    }
}

#[test]
fn a_log_has_only_its_entries_on_the_heap() {
    let limits = Limits::new(1_000_000, 64_000);
    let mut key = Key::<Sliding>::fresh();
    for call in 0..200 {
        assert!(key.call(NOW + call * 1_000, &limits, 1).is_admitted());
        assert_eq!(key.state.heap_size(), entries(&key) * 16);
    }
    // Those of 147 to 199 ms still count.
    key.refund(NOW + 210_000, 53_000, 10);
    assert_eq!(key.state.heap_size(), (53 - 10) * 16);
    assert!(key.call(NOW + 1_000_000, &limits, 1).is_admitted());
    assert_eq!(key.state.heap_size(), 16);
    assert_eq!(size_of_val(&key.state), 16);
}

/// The units used 50 minutes ago are none of the last minute's.
#[test]
fn a_shorter_duration_counts_only_what_it_spans() {
    const MINUTE: u64 = 60_000_000;
    let [long, short] = [64 * 60 * MINUTE, MINUTE].map(|duration| Limits::new(100, duration));
    let mut key = Key::<Sliding>::fresh();
    assert!(key.call(NOW, &long, 99).is_admitted());
    assert!(key.call(NOW + 50 * MINUTE, &long, 1).is_admitted());
    assert_eq!(key.call(NOW + 50 * MINUTE + 1_000_000, &short, 1).remaining, 98);
}

#[test]
fn an_exact_log_takes_an_entry_for_each_moment() {
    let limits = Limits::new(64, 1_000_000);
    let mut key = Key::<Sliding>::fresh();
    for call in 0..64 {
        assert!(key.call(NOW + call, &limits, 1).is_admitted());
    }
    assert_eq!(entries(&key), 64);
    assert!(!key.call(NOW + 64, &limits, 1).is_admitted());
    // Calls at the same moment share an entry.
    let mut key = Key::<Sliding>::fresh();
    for _ in 0..64 {
        assert!(key.call(NOW, &limits, 1).is_admitted());
    }
    assert_eq!(entries(&key), 1);
}

proptest! {
    #[test]
    fn a_log_takes_at_most_66_entries(
        limits in collection::vec((any_quota(), duration()), 1..4),
        calls in collection::vec((0..4_u64, 0..640_u64, 1..=3_u64, 1..=40_u64), 1..20),
    ) {
        let mut key = Key::<Sliding>::fresh();
        let mut now = NOW;
        for (window, step, units, repeated) in calls {
            let (quota, duration) = limits[usize::try_from(window).unwrap() % limits.len()];
            let window = Limits::new(quota, duration);
            for _ in 0..repeated {
                now += step * duration / 64 / 100;
                key.call(now, &window, units);
                prop_assert!(entries(&key) <= MAX_ENTRIES);
            }
        }
    }

    /// A clock that steps back turns several moments into one: many entries of that moment.
    #[test]
    fn steps_back_take_at_most_66_entries(
        steps in collection::vec((-100_i64..=100, 65..=1_000_u64), 100..300)
    ) {
        let mut key = Key::<Sliding>::fresh();
        let mut now = NOW;
        for (step, quota) in steps {
            now = now.saturating_add_signed(step);
            key.call(now, &Limits::new(quota, 1_000), 1);
            prop_assert!(entries(&key) <= MAX_ENTRIES);
        }
    }
}
