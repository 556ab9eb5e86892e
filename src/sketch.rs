//! Which keys come up most of late, out of any number of them, in little memory.
//!
//! Counters for as many keys as there is room for, and randomized admission of the others: Ben Basat et al., "Randomized
//! Admission Policy for Efficient Top-k and Frequency Estimation" (INFOCOM 2017). All counts halve from time to time.

use std::cmp::Reverse;

use hashbrown::HashMap;
use premier_algorithms::{Span, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How long it takes until a count is half of what it was.
const HALF_LIFE: Span = Span::from_secs(5 * 60);

/// Longer keys are not counted, so that memory is bounded.
const MAX_KEY_LEN: usize = 1_024;

/// Counts keys: exactly, as long as there are no more than there is room for.
#[derive(Debug)]
pub(crate) struct Sketch {
    counts: HashMap<Box<[u8]>, u32>,
    /// No count is less.
    least: u32,
    /// When counts were last halved, or the first key came up.
    halved_at: Timestamp,
    random: SmallRng,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self { counts: HashMap::new(), least: 0, halved_at: Timestamp::default(), random: SmallRng::seed_from_u64(0) }
    }

    /// Counts a key that comes up now. No more than `room` keys are kept.
    pub(crate) fn count(&mut self, key: &[u8], now: Timestamp, room: usize) {
        self.fade(now);
        if let Some(count) = self.counts.get_mut(key) {
            *count = count.saturating_add(1);
        } else if key.len() <= MAX_KEY_LEN {
            self.admit(key, room);
        }
    }

    /// The keys with the highest counts, those first.
    pub(crate) fn highest(&mut self, now: Timestamp, len: usize) -> Vec<(&[u8], u32)> {
        self.fade(now);
        let mut keys: Vec<_> = self.counts.iter().map(|(key, count)| (&**key, *count)).collect();
        keys.sort_unstable_by_key(|(key, count)| (Reverse(*count), *key));
        keys.truncate(len);
        keys
    }

    /// Starts to count a key. Without room for it, it takes the place of one with the least count, with a chance of one to that
    /// count and one: many keys that come up once each put none out that comes up often.
    fn admit(&mut self, key: &[u8], room: usize) {
        if self.counts.len() > room {
            self.keep_highest(room);
        }
        if self.counts.len() < room {
            self.counts.insert(key.into(), 1);
            self.least = 0;
            return;
        }
        if self.random.random_range(0..=self.least) > 0 {
            return;
        }
        let least = self.counts.iter().min_by_key(|(_, count)| **count).map(|(key, count)| (key.clone(), *count));
        let Some((least_key, least)) = least else { return };
        if self.least < least {
            // So the chance was too good. From now on it is right.
            self.least = least;
            return;
        }
        self.counts.remove(&least_key);
        self.counts.insert(key.into(), least.saturating_add(1));
    }

    fn keep_highest(&mut self, room: usize) {
        let mut counts: Vec<_> = self.counts.drain().collect();
        counts.sort_unstable_by_key(|(_, count)| Reverse(*count));
        counts.truncate(room);
        self.counts.extend(counts);
    }

    /// Halves all counts once for each half-life that has gone by.
    fn fade(&mut self, now: Timestamp) {
        if self.counts.is_empty() {
            self.halved_at = now;
        }
        let half_lives = now.since(self.halved_at).as_micros() / HALF_LIFE.as_micros();
        if half_lives > 0 {
            self.halved_at = self.halved_at.plus(Span::from_micros(half_lives * HALF_LIFE.as_micros()));
            self.least = 0;
            let halvings = u32::try_from(half_lives).unwrap_or(u32::MAX);
            self.counts.retain(|_, count| {
                *count = count.checked_shr(halvings).unwrap_or(0);
                *count > 0
            });
        }
    }
}
