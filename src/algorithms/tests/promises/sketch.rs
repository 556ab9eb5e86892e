//! The sketch finds the most frequent keys of recent minutes: it counts exactly while keys are few,
//! and approximately among many. Integration tests cover the command.

use std::collections::BTreeMap;

use premier_algorithms::sketch::Sketch;
use premier_algorithms::{Span, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const HALF_LIFE: Span = Span::from_secs(5 * 60);

/// The beginning of a half-life.
const NOW: Timestamp = Timestamp::from_micros(6_000_000 * HALF_LIFE.as_micros());

/// A length that leaves out no key.
const ALL: usize = usize::MAX;

/// The number of keys that fit.
const ROOM: usize = 1_024;

fn count(sketch: &mut Sketch, key: &str, times: u32) {
    for _ in 0..times {
        sketch.count(key.as_bytes(), NOW, 1);
    }
}

fn highest(sketch: &mut Sketch, now: Timestamp, len: usize) -> Vec<(String, u32)> {
    let keys = sketch.highest(now, len).into_iter();
    keys.map(|(key, count)| (String::from_utf8(key.to_vec()).expect("text"), count)).collect()
}

fn counted(keys: &[(&str, u32)]) -> Vec<(String, u32)> {
    keys.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}

#[test]
fn counts_are_exact_while_keys_are_few() {
    const KEYS: u32 = 200;
    let mut random = SmallRng::seed_from_u64(1);
    let mut sketch = Sketch::default();
    let mut exact = BTreeMap::new();
    for _ in 0..20_000 {
        let key = format!("key:{}", random.random_range(0..KEYS) * random.random_range(0..KEYS) / KEYS);
        count(&mut sketch, &key, 1);
        *exact.entry(key).or_insert(0) += 1;
    }
    let mut expected: Vec<(String, u32)> = exact.into_iter().collect();
    expected.sort_by_key(|(_, count)| u32::MAX - count);
    assert_eq!(highest(&mut sketch, NOW, ALL), expected);
    assert_eq!(highest(&mut sketch, NOW, 7), expected[..7]);
    assert_eq!(highest(&mut sketch, NOW, 0), []);
}

#[test]
fn the_highest_come_first_and_ties_are_sorted_by_name() {
    let mut sketch = Sketch::default();
    for (key, times) in [("d", 2), ("b", 1), ("a", 2), ("", 1), ("c", 3), ("ab", 2)] {
        count(&mut sketch, key, times);
    }
    let expected = counted(&[("c", 3), ("a", 2), ("ab", 2), ("d", 2), ("", 1), ("b", 1)]);
    assert_eq!(highest(&mut sketch, NOW, ALL), expected);
    assert_eq!(highest(&mut sketch, NOW, 2), expected[..2]);
}

fn half_lives(times: u64) -> Timestamp {
    NOW.plus(Span::from_micros(times * HALF_LIFE.as_micros()))
}

#[test]
fn counts_halve_every_five_minutes_until_a_key_is_gone() {
    let mut sketch = Sketch::default();
    for (key, times) in [("nine", 9), ("four", 4), ("one", 1)] {
        count(&mut sketch, key, times);
    }
    let last = Timestamp::from_micros(half_lives(1).as_micros() - 1);
    assert_eq!(highest(&mut sketch, last, ALL), counted(&[("nine", 9), ("four", 4), ("one", 1)]));
    let halved = counted(&[("nine", 4), ("four", 2)]);
    // The counts are halved only once, however often they are read.
    for _ in 0..3 {
        assert_eq!(highest(&mut sketch, half_lives(1), ALL), halved);
    }
    sketch.count(b"four", half_lives(2), 1);
    assert_eq!(highest(&mut sketch, half_lives(2), ALL), counted(&[("four", 2), ("nine", 2)]));
    assert_eq!(highest(&mut sketch, half_lives(4), ALL), []);
}

#[test]
fn many_half_lives_at_once_equal_as_many_one_by_one() {
    for times in [2, 5, 31, 32, 33, 64, 1 << 20, 1 << 24] {
        let mut sketch = Sketch::default();
        count(&mut sketch, "key", 100);
        let left = u32::try_from(100_u64 >> times.min(63)).expect("no more than there was");
        let expected = if left > 0 { counted(&[("key", left)]) } else { Vec::new() };
        assert_eq!(highest(&mut sketch, half_lives(times), ALL), expected, "{times}");
    }
    let mut sketch = Sketch::default();
    count(&mut sketch, "key", 100);
    assert_eq!(highest(&mut sketch, Timestamp::MAX, ALL), []);
}

/// Neither may halve a count twice or raise it.
#[test]
fn a_clock_that_stops_or_steps_back_changes_no_count() {
    let mut sketch = Sketch::default();
    count(&mut sketch, "key", 8);
    let earlier = Timestamp::from_micros(NOW.as_micros() - 3 * HALF_LIFE.as_micros());
    for (now, left) in [(earlier, 8), (Timestamp::default(), 8), (NOW, 8), (half_lives(1), 4), (NOW, 4)] {
        assert_eq!(highest(&mut sketch, now, ALL), counted(&[("key", left)]));
    }
    sketch.count(b"key", earlier, 1);
    assert_eq!(highest(&mut sketch, half_lives(1), ALL), counted(&[("key", 5)]));
    assert_eq!(highest(&mut sketch, half_lives(2), ALL), counted(&[("key", 2)]));
}

#[test]
fn a_key_of_more_than_1024_bytes_is_not_counted() {
    let mut sketch = Sketch::default();
    let [longest, too_long] = [1_024, 1_025].map(|len| "k".repeat(len));
    count(&mut sketch, &longest, 2);
    count(&mut sketch, &too_long, 5);
    count(&mut sketch, &"k".repeat(1 << 20), 5);
    assert_eq!(highest(&mut sketch, NOW, ALL), counted(&[(&longest, 2)]));
}

#[test]
fn frequent_keys_are_found_among_a_million_rare_ones() {
    const OTHERS: usize = 1_000_000;
    let often: Vec<(String, u32)> =
        (1..=8).rev().map(|thousands| (format!("key:{thousands}"), thousands * 1_000)).collect();
    let mut random = SmallRng::seed_from_u64(2);
    let mut order = vec![None; OTHERS];
    order.extend(often.iter().flat_map(|(key, times)| (0..*times).map(move |_| Some(key))));
    let mut sketch = Sketch::default();
    for left in (0..order.len()).rev() {
        order.swap(left, random.random_range(0..=left));
        match order[left] {
            Some(key) => count(&mut sketch, key, 1),
            None => count(&mut sketch, &format!("other:{left}"), 1),
        }
    }
    let found = highest(&mut sketch, NOW, often.len());
    for ((key, its_count), (expected, times)) in found.iter().zip(&often) {
        assert_eq!(key, expected);
        assert!(its_count.abs_diff(*times) < 50, "{its_count} of {times}");
    }
    assert_eq!(sketch.highest(NOW, ALL).len(), ROOM);
}

/// Each level has twice as many keys as the one before, each of them half as frequent, down to one
/// call in ten million. Names in real data are distributed about like that.
#[test]
fn frequent_keys_are_found_in_a_zipf_distribution() {
    const CALLS: u32 = 1_000_000;
    const LEVELS: u32 = 20;
    // The keys of the first five levels: 1; 2 and 3; 4 to 7; and so on.
    const HIGH: usize = 31;
    let mut random = SmallRng::seed_from_u64(3);
    let mut sketch = Sketch::default();
    for _ in 0..CALLS {
        let first = 1 << random.random_range(0..LEVELS);
        count(&mut sketch, &random.random_range(first..2 * first).to_string(), 1);
    }
    let mut found = highest(&mut sketch, NOW, HIGH);
    found.sort_by_key(|(key, _)| key.parse::<u32>().expect("a number"));
    for ((key, its_count), expected) in found.iter().zip(1_u32..) {
        assert_eq!(key.parse(), Ok(expected));
        let times = CALLS / LEVELS / (1 << expected.ilog2());
        assert!(its_count.abs_diff(times) < times / 10, "{key}: {its_count} of {times}");
    }
}

/// A new key displaces another with a chance of 1 / (count + 1). To raise all counts by one thus
/// takes as many keys as the sum of (count + 1), and 100,000 keys make for counts of about 13.5.
#[test]
fn a_rare_key_seldom_displaces_a_frequent_one() {
    let mut sketch = Sketch::default();
    for key in 0..100_000 {
        count(&mut sketch, &format!("key:{key}"), 1);
    }
    let counts: Vec<u32> = sketch.highest(NOW, ALL).iter().map(|(_, count)| *count).collect();
    assert_eq!(counts.len(), ROOM, "as many keys are counted as there is room for");
    let sum: u32 = counts.iter().sum();
    assert!(sum.abs_diff(13_800) < 400, "{sum}");
}

#[test]
fn faded_keys_make_room_at_once() {
    let mut sketch = Sketch::default();
    for key in 0..100_000 {
        count(&mut sketch, &format!("old:{key}"), 1);
    }
    let later = half_lives(10);
    let mut expected: Vec<_> = (0..200).map(|key| (format!("new:{key}"), 1)).collect();
    expected.sort();
    for (key, _) in &expected {
        sketch.count(key.as_bytes(), later, 1);
    }
    assert_eq!(highest(&mut sketch, later, ALL), expected);
}

/// The key has faded out and appears again.
#[test]
fn a_faded_key_counts_from_zero_again() {
    let mut sketch = Sketch::default();
    count(&mut sketch, "key", 3);
    assert_eq!(highest(&mut sketch, half_lives(2), ALL), []);
    sketch.count(b"key", half_lives(2), 1);
    assert_eq!(highest(&mut sketch, half_lives(2), ALL), counted(&[("key", 1)]));
}

/// A half-life does not begin at a fixed time of day: after a first key all counts stay whole for
/// five minutes.
#[test]
fn half_lives_begin_with_the_first_key() {
    let at = |seconds: u64| NOW.plus(Span::from_secs(seconds));
    let mut sketch = Sketch::default();
    for _ in 0..4 {
        sketch.count(b"key", at(299), 1);
    }
    assert_eq!(highest(&mut sketch, at(598), ALL), counted(&[("key", 4)]));
    assert_eq!(highest(&mut sketch, at(599), ALL), counted(&[("key", 2)]));
    // A late reading does not move the half-lives.
    assert_eq!(highest(&mut sketch, at(299 + 2 * 300 + 1), ALL), counted(&[("key", 1)]));
    assert_eq!(highest(&mut sketch, at(299 + 3 * 300), ALL), []);
}
