//! The limits of one process, in its memory.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use indexmap::map::raw_entry_v1::{RawEntryApiV1, RawEntryMut};
use premier_algorithms::{
    Algorithm, BucketState, Clock, Fixed, FixedState, Leaky, Log, Now, Outcome, Sliding, State, Timestamp, Token,
};

use crate::limit::with_limit;
use crate::{AnyLimit, Decision, Keyspace, Limit, Limiter};

/// Limits in the memory of this process, decided by the code that the module runs in the server.
///
/// Exact under any number of threads. Keys that are as good as new are forgotten, a few with each call. Clones share their
/// keys.
#[derive(Debug, Clone)]
pub struct MemoryBackend(Arc<Memory>);

struct Memory {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    time: Time,
}

/// Shards a core, so that threads seldom wait for each other.
const SHARDS_PER_CORE: usize = 8;

/// A part of the keys, by the hash of their names. Aligned so that none shares a cache line with another.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    clock: Clock,
    fixed: Table<FixedState>,
    sliding: Table<Log>,
    token: Table<BucketState>,
    leaky: Table<BucketState>,
}

impl MemoryBackend {
    /// A memory without keys, on the monotonic clock of the system.
    ///
    /// What its wall clock says is asked but once, for [aligned](Limit::aligned) windows: those do not follow when it is set.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Time::monotonic())
    }

    /// A memory without keys, on another clock: one that answers how long ago any fixed moment was. For tests, mostly.
    ///
    /// When it steps back, time goes on from where it was. Aligned windows begin at multiples of their duration since that moment.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self::on(Time::Given(Box::new(clock)))
    }

    fn on(time: Time) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shards = (cores * SHARDS_PER_CORE).next_power_of_two();
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Self(Arc::new(Memory { shards, hasher: RandomState::default(), time }))
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards().map(|shard| shard.len()).sum()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a call is admitted; it is charged if so. What a [`Throttler`](crate::Throttler) asks, by the key as it is stored.
    pub fn decide(&self, key: &str, limit: impl Into<AnyLimit>) -> Decision {
        with_limit!(limit.into(), limit => self.decide_by(key, &limit))
    }

    fn decide_by<A: InMemory>(&self, key: &str, limit: &Limit<A>) -> Decision {
        let memory = &*self.0;
        let hash = memory.hasher.hash_one(key);
        let mut shard = lock(memory.shard_of(hash));
        // Read under the lock: the readings of two threads must not come in the wrong order.
        let now = shard.clock.read(memory.time.now());
        A::table(&mut shard).decide(hash, key, now, limit)
    }

    /// Returns how many keys there were.
    pub(crate) fn clear(&self, keyspace: &Keyspace) -> u64 {
        let prefix = keyspace.prefix();
        self.shards().map(|mut shard| shard.clear(&prefix)).sum()
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.0.shards.iter().map(lock)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// There are as many shards as a power of two, and their tables go by other bits of the hash.
    fn shard_of(&self, hash: u64) -> &Mutex<Shard> {
        let bits = usize::try_from((hash >> 32) & 0xFF_FFFF).expect("24 bits fit");
        &self.shards[bits & (self.shards.len() - 1)]
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// A panic cannot leave a shard half changed: changes are made at one stroke.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn len(&self) -> usize {
        self.fixed.keys.len() + self.sliding.keys.len() + self.token.keys.len() + self.leaky.keys.len()
    }

    fn clear(&mut self, prefix: &str) -> u64 {
        self.fixed.clear(prefix) + self.sliding.clear(prefix) + self.token.clear(prefix) + self.leaky.clear(prefix)
    }
}

/// An algorithm, and where a shard keeps its keys.
trait InMemory: Limiter {
    fn table(shard: &mut Shard) -> &mut Table<<Self as Algorithm>::State>;
}

impl InMemory for Fixed {
    fn table(shard: &mut Shard) -> &mut Table<FixedState> {
        &mut shard.fixed
    }
}

impl InMemory for Sliding {
    fn table(shard: &mut Shard) -> &mut Table<Log> {
        &mut shard.sliding
    }
}

impl InMemory for Token {
    fn table(shard: &mut Shard) -> &mut Table<BucketState> {
        &mut shard.token
    }
}

impl InMemory for Leaky {
    fn table(shard: &mut Shard) -> &mut Table<BucketState> {
        &mut shard.leaky
    }
}

/// The keys of one algorithm.
struct Table<S> {
    /// Without a hasher: it takes the hashes that the shards go by.
    keys: IndexMap<Box<str>, Entry<S>, ()>,
    /// The next key to be looked at, whether it may be forgotten.
    hand: usize,
}

struct Entry<S> {
    state: S,
    /// When it will be as good as new.
    new_at: Timestamp,
}

/// No table is made smaller than for this many keys.
const MIN_CAPACITY: usize = 64;

impl<S: State> Table<S> {
    fn decide<A: Limiter<State = S>>(&mut self, hash: u64, key: &str, now: Now, limit: &Limit<A>) -> Decision {
        self.forget_one(now.at());
        match self.keys.raw_entry_mut_v1().from_hash(hash, |known| **known == *key) {
            RawEntryMut::Occupied(known) => {
                let entry = known.into_mut();
                if entry.new_at <= now.at() {
                    entry.state = S::default();
                }
                entry.decide(now, limit)
            }
            RawEntryMut::Vacant(vacant) => {
                let mut entry = Entry { state: S::default(), new_at: now.at() };
                let decision = entry.decide(now, limit);
                if decision.is_admitted() {
                    vacant.insert_hashed_nocheck(hash, key.into(), entry);
                    // So the hand goes round faster than keys are added.
                    self.forget_one(now.at());
                }
                decision
            }
        }
    }

    /// Forgets the next key if it is as good as new.
    fn forget_one(&mut self, now: Timestamp) {
        match self.keys.get_index(self.hand) {
            Some((_, entry)) if entry.new_at <= now => {
                // The last one takes its place, and is looked at next.
                self.keys.swap_remove_index(self.hand);
                self.shrink();
            }
            Some(_) => self.hand += 1,
            None => self.hand = 0,
        }
    }

    fn shrink(&mut self) {
        let keys = self.keys.len();
        if self.keys.capacity() > MIN_CAPACITY && keys < self.keys.capacity() / 4 {
            self.keys.shrink_to(MIN_CAPACITY.max(keys * 2));
        }
    }

    fn clear(&mut self, prefix: &str) -> u64 {
        let before = self.keys.len();
        self.keys.retain(|key, _| !key.starts_with(prefix));
        self.shrink();
        (before - self.keys.len()) as u64
    }
}

impl<S: State> Entry<S> {
    fn decide<A: Limiter<State = S>>(&mut self, now: Now, limit: &Limit<A>) -> Decision {
        let charge = if limit.is_forced { A::force } else { A::decide };
        let decision = charge(&self.state, now, &limit.bounds, limit.cost);
        let answer = Decision::from(&decision);
        if let Outcome::Admitted { change, .. } = decision.outcome {
            self.state.apply(change);
            self.new_at = now.at().plus(decision.reset);
        }
        answer
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { keys: IndexMap::default(), hand: 0 }
    }
}

enum Time {
    Monotonic {
        /// The processor's own counter where it has a steady one, which is read in less than half the time of `Instant`.
        clock: quanta::Clock,
        /// Microseconds from the Unix epoch to when that was zero.
        epoch: u64,
    },
    Given(Box<dyn Fn() -> Duration + Send + Sync>),
}

impl Time {
    fn monotonic() -> Self {
        let clock = quanta::Clock::new();
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = micros(since_epoch).saturating_sub(counted(&clock));
        Self::Monotonic { clock, epoch }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(match self {
            Self::Monotonic { clock, epoch } => counted(clock).saturating_add(*epoch),
            Self::Given(clock) => micros(clock()),
        })
    }
}

fn counted(clock: &quanta::Clock) -> u64 {
    clock.delta_as_nanos(0, clock.raw()) / 1_000
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
