//! Finds the most frequent keys of recent minutes, out of any number of keys, in bounded memory.
//!
//! The counters form sets. A key without a counter may take over a counter of its set, by the d-way
//! randomized admission policy of Ben Basat et al., "Randomized Admission Policy for Efficient
//! Top-k and Frequency Estimation" (INFOCOM 2017). Unlike there, all counts are halved at each
//! [half-life](HALF_LIFE), so that old counts fade.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::hash::BuildHasher;
use core::iter;
use core::ops::Range;

use foldhash::fast::RandomState;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::{Span, Timestamp};

const SETS: usize = 64;
const COUNTERS_PER_SET: usize = 16;

/// The time after which all counts are halved.
pub const HALF_LIFE: Span = Span::from_secs(5 * 60);

/// The length of the longest key that is counted, in bytes. This bounds the memory.
const MAX_KEY_LEN: usize = 1_024;

/// Counts keys: exactly as long as they are few, approximately when they are many.
#[derive(Debug)]
pub struct Sketch {
    counters: Vec<Counter>,
    /// When the counts were last halved, or when the first key was counted.
    halved_at: Option<Timestamp>,
    /// The hasher, seeded at random. Two keys are the same if their 64-bit hashes are.
    hasher: RandomState,
    /// Seeded by the hasher, so that no caller can foresee which keys are admitted.
    random: SmallRng,
}

/// The counter of one key. It is free if its count is 0.
#[derive(Debug, Default)]
struct Counter {
    hash: u64,
    key: Box<[u8]>,
    count: u32,
}

/// Returns the counters of the set that a hash belongs to.
#[expect(clippy::cast_possible_truncation, reason = "there are few sets")]
fn set_of(hash: u64) -> Range<usize> {
    let first = (hash % SETS as u64) as usize * COUNTERS_PER_SET;
    first..first + COUNTERS_PER_SET
}

impl Default for Sketch {
    #[cold]
    fn default() -> Self {
        let hasher = RandomState::default();
        Self {
            counters: iter::repeat_with(Counter::default).take(SETS * COUNTERS_PER_SET).collect(),
            halved_at: None,
            random: SmallRng::seed_from_u64(hasher.hash_one(SETS)),
            hasher,
        }
    }
}

impl Sketch {
    /// Adds `times`, at least 1, to the count of a key.
    pub fn count(&mut self, key: &[u8], now: Timestamp, times: u32) {
        if key.len() > MAX_KEY_LEN {
            return;
        }
        self.fade(now);
        let hash = self.hasher.hash_one(key);
        match self.counters[set_of(hash)].iter_mut().find(|counter| counter.hash == hash) {
            Some(counter) => counter.count = counter.count.saturating_add(times),
            None => self.admit(key, hash, times),
        }
    }

    /// Lets a key take over the counter with the lowest count in its set, with a probability of
    /// `times` divided by the sum of both counts. A flood of keys that each appear only once thus
    /// does not displace a frequent one.
    #[inline(never)]
    fn admit(&mut self, key: &[u8], hash: u64, times: u32) {
        let least = self.counters[set_of(hash)].iter_mut().min_by_key(|counter| counter.count);
        if let Some(least) = least
            && self.random.random_range(0..least.count.saturating_add(times)) < times
        {
            *least = Counter { hash, key: key.into(), count: least.count.saturating_add(times) };
        }
    }

    /// Returns the keys with the highest counts, at most `len`, the highest count first.
    pub fn highest(&mut self, now: Timestamp, len: usize) -> Vec<(&[u8], u32)> {
        self.fade(now);
        let counted = self.counters.iter().filter(|counter| counter.count > 0);
        let mut keys: Vec<_> = counted.map(|counter| (&*counter.key, counter.count)).collect();
        keys.sort_unstable_by_key(|(key, count)| (Reverse(*count), *key));
        keys.truncate(len);
        keys
    }

    /// Halves all counts for each half-life that has passed.
    fn fade(&mut self, now: Timestamp) {
        let halved_at = *self.halved_at.get_or_insert(now);
        if now.since(halved_at) >= HALF_LIFE {
            self.halve(halved_at, now.since(halved_at));
        }
    }

    #[cold]
    fn halve(&mut self, halved_at: Timestamp, elapsed: Span) {
        let half_lives = elapsed.as_micros() / HALF_LIFE.as_micros();
        self.halved_at = Some(halved_at.plus(Span::from_micros(half_lives * HALF_LIFE.as_micros())));
        let halvings = u32::try_from(half_lives).unwrap_or(u32::MAX);
        for counter in &mut self.counters {
            counter.count = counter.count.checked_shr(halvings).unwrap_or(0);
        }
    }
}
