//! The limits of one process, in its memory.

mod table;
mod time;
mod together;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use foldhash::fast::RandomState;
use premier_algorithms::{
    Algorithm, BucketState, Clock, Fixed, FixedState, InvalidArgument, Leaky, Log, Sliding, Timestamp, Token, Units,
};

use self::table::Table;
use self::time::Time;
use crate::joint::Limits;
use crate::limit::with_limit;
use crate::{AnyLimit, Decision, Error, JointDecision, Keyspace, Limit, Limiter};

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
        let (hash, mut shard) = self.shard_of(key);
        // Read under the lock: the readings of two threads must not come in the wrong order.
        shard.decide(hash, key, self.0.time.now(), &limit.into())
    }

    /// What the call would be answered now. Changes nothing.
    pub fn peek(&self, key: &str, limit: impl Into<AnyLimit>) -> Decision {
        let (hash, mut shard) = self.shard_of(key);
        Decision::from(&shard.peek(hash, key, self.0.time.now(), &limit.into()))
    }

    /// Whether a call is admitted by all of these limits, each with its key; it is charged to all of them if so, and to none
    /// otherwise.
    ///
    /// # Errors
    /// When there is no limit, or more than 16, or a key is named twice.
    pub fn decide_all<K: AsRef<str>>(&self, limits: &[(K, AnyLimit)]) -> Result<JointDecision, Error> {
        Ok(self.decide_together(Limits::new(limits)?))
    }

    pub(super) fn decide_together<K: AsRef<str>>(&self, limits: Limits<'_, K>) -> JointDecision {
        together::decide(&self.0, limits)
    }

    /// Gives back 1 to 10¹² units that were used by the limit's algorithm, no more than are used now. Returns how many were given
    /// back.
    ///
    /// # Errors
    /// When the units are out of bounds.
    pub fn refund(&self, key: &str, limit: impl Into<AnyLimit>, units: u64) -> Result<u64, InvalidArgument> {
        Ok(self.give_back(key, &limit.into(), Units::new(units)?))
    }

    pub(super) fn give_back(&self, key: &str, limit: &AnyLimit, units: Units) -> u64 {
        let (hash, mut shard) = self.shard_of(key);
        let now = shard.clock.read(self.0.time.now());
        with_limit!(limit, limit => shard.table(limit).refund(hash, key, now, units))
    }

    fn shard_of(&self, key: &str) -> (u64, MutexGuard<'_, Shard>) {
        let hash = self.0.hasher.hash_one(key);
        (hash, lock(&self.0.shards[self.0.index_of(hash)]))
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
    fn index_of(&self, hash: u64) -> usize {
        let bits = usize::try_from((hash >> 32) & 0xFF_FFFF).expect("24 bits fit");
        bits & (self.shards.len() - 1)
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
    fn decide(&mut self, hash: u64, key: &str, reading: Timestamp, limit: &AnyLimit) -> Decision {
        let now = self.clock.read(reading);
        with_limit!(limit, limit => self.table(limit).decide(hash, key, now, limit))
    }

    fn peek(&mut self, hash: u64, key: &str, reading: Timestamp, limit: &AnyLimit) -> premier_algorithms::Decision<()> {
        let now = self.clock.read(reading);
        with_limit!(limit, limit => self.table(limit).peek(hash, key, now, limit))
    }

    fn table<A: InMemory>(&mut self, _: &Limit<A>) -> &mut Table<A::State> {
        A::table(self)
    }

    fn len(&self) -> usize {
        self.fixed.len() + self.sliding.len() + self.token.len() + self.leaky.len()
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
