//! Which keys come up most of late, out of any number of them, in little memory.
//!
//! A table of counters in sets, in which a key that has none may take the place of another of its set: the d-way randomized
//! admission policy of Ben Basat et al., "Randomized Admission Policy for Efficient Top-k and Frequency Estimation" (INFOCOM
//! 2017). Beyond that, all counts halve from time to time.

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::iter;
use std::ops::Range;

use foldhash::fast::RandomState;
use premier_algorithms::{Span, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const SETS: usize = 64;
const COUNTERS_PER_SET: usize = 16;

/// How long it takes until a count is half of what it was.
pub(crate) const HALF_LIFE: Span = Span::from_secs(5 * 60);

/// Longer keys are not counted, so that memory is bounded.
const MAX_KEY_LEN: usize = 1_024;

/// Counts keys: exactly, as long as there are few.
#[derive(Debug)]
pub(crate) struct Sketch {
    counters: Vec<Counter>,
    /// When counts were last halved, or the first key came up.
    halved_at: Option<Timestamp>,
    /// Seeded at random. Keys are told apart by their hashes alone, of 64 bits.
    hasher: RandomState,
    random: SmallRng,
}

/// Free when it counts 0.
#[derive(Debug, Default)]
struct Counter {
    hash: u64,
    key: Box<[u8]>,
    count: u32,
}

/// Where the counters of a set are.
#[expect(clippy::cast_possible_truncation, reason = "there are few sets")]
fn set_of(hash: u64) -> Range<usize> {
    let first = (hash % SETS as u64) as usize * COUNTERS_PER_SET;
    first..first + COUNTERS_PER_SET
}

impl Sketch {
    #[cold]
    pub(crate) fn new() -> Self {
        Self {
            counters: iter::repeat_with(Counter::default).take(SETS * COUNTERS_PER_SET).collect(),
            halved_at: None,
            hasher: RandomState::default(),
            random: SmallRng::seed_from_u64(0),
        }
    }

    /// Counts a key that comes up now so many times, once at least.
    pub(crate) fn count(&mut self, key: &[u8], now: Timestamp, times: u32) {
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

    /// Gives a key the counter of its set with the least count, by a chance of what it comes up with to both together. So many keys
    /// that come up once put none out that comes up often.
    #[inline(never)]
    fn admit(&mut self, key: &[u8], hash: u64, times: u32) {
        let least = self.counters[set_of(hash)].iter_mut().min_by_key(|counter| counter.count);
        if let Some(least) = least
            && self.random.random_range(0..least.count.saturating_add(times)) < times
        {
            *least = Counter { hash, key: key.into(), count: least.count.saturating_add(times) };
        }
    }

    /// The keys with the highest counts, those first.
    pub(crate) fn highest(&mut self, now: Timestamp, len: usize) -> Vec<(&[u8], u32)> {
        self.fade(now);
        let counted = self.counters.iter().filter(|counter| counter.count > 0);
        let mut keys: Vec<_> = counted.map(|counter| (&*counter.key, counter.count)).collect();
        keys.sort_unstable_by_key(|(key, count)| (Reverse(*count), *key));
        keys.truncate(len);
        keys
    }

    /// Halves all counts once for each half-life that has gone by.
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
