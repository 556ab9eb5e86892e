//! Limits in the memory of one process.

mod clock;
mod joint;
mod shard;
mod table;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use premier_algorithms::{HolderId, Timestamp, Units};

use self::clock::{Clock, Reading};
use self::joint::Asked;
use self::shard::Shard;
use crate::decision::JointLimits;
use crate::{AnyLimit, Concurrency, Decision, Error, InvalidArgument, JointDecision, Keyspace, Usage};

/// Keeps limits in the memory of this process, and decides by the code that the module runs in the
/// server.
///
/// Exact under any number of threads. Each call forgets a few keys that are fully reset. Clones
/// share their keys.
#[derive(Debug, Clone)]
pub struct MemoryBackend(Arc<Memory>);

struct Memory {
    shards: Box<[ShardLock]>,
    hasher: RandomState,
    clock: Clock,
}

/// A shard behind its lock, so that one line of the processor's cache holds the lock and the clock.
/// Aligned so that no two shards share a line, nor two lines that are fetched together.
#[derive(Default)]
#[repr(align(128))]
struct ShardLock(Mutex<Shard>);

/// Shards per core, so that threads rarely wait for each other.
const SHARDS_PER_CORE: usize = 8;

impl MemoryBackend {
    /// Makes an empty memory on the monotonic clock of the system.
    ///
    /// The wall clock is read only now, for [aligned](crate::Limit::aligned) windows: they ignore
    /// later changes to it.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Clock::monotonic())
    }

    /// Makes an empty memory on another clock, for tests mostly. The clock returns the time since
    /// any fixed moment.
    ///
    /// If the clock steps back, time goes on from where it was. Aligned windows take that moment
    /// for 1 January 1970.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self::on(Clock::given(clock))
    }

    fn on(clock: Clock) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shards = (cores * SHARDS_PER_CORE).next_power_of_two();
        let shards = (0..shards).map(|_| ShardLock::default()).collect();
        Self(Arc::new(Memory { shards, hasher: RandomState::default(), clock }))
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards().map(|shard| shard.len()).sum()
    }

    /// Returns whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decides a call, and charges it if it is admitted. A [`Throttler`](crate::Throttler) calls
    /// this with the key as it is stored.
    ///
    /// # Errors
    /// If another algorithm uses the key ([`Refused`](crate::ErrorKind::Refused)).
    pub fn decide(&self, key: &str, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        self.decide_at(Instant::now(), key, &limit.into())
    }

    /// Decides a call that came at this moment.
    #[inline]
    pub(crate) fn decide_at(&self, came_at: Instant, key: &str, limit: &AnyLimit) -> Result<Decision, Error> {
        let (hash, mut shard, reading) = self.shard_of(key, came_at);
        shard.decide(hash, key, reading, limit)
    }

    /// Decides a call without charging it.
    ///
    /// # Errors
    /// As for [`decide`](Self::decide).
    pub fn peek(&self, key: &str, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        Ok(Decision::in_memory(&shard.peek(hash, key, reading, &limit.into())?))
    }

    /// Decides a call by several limits, each with its key, and charges it to all of them or to
    /// none.
    ///
    /// # Errors
    /// If there is no limit, or more than 16, or two have the same key; and as for
    /// [`decide`](Self::decide), for any of the keys.
    pub fn decide_all<K: AsRef<str>>(&self, limits: &[(K, AnyLimit)]) -> Result<JointDecision, Error> {
        self.decide_together(JointLimits::new(limits)?)
    }

    pub(crate) fn decide_together<K: AsRef<str>>(&self, limits: JointLimits<'_, K>) -> Result<JointDecision, Error> {
        let limits = limits.get().iter().map(|(key, limit)| (key.as_ref(), Asked::Rate(limit)));
        joint::decide(&self.0, limits)
    }

    /// Holds units until they are released, or until the lease ends. The id, 1 to 128 bytes, names
    /// the holder: the same id again renews its lease, and is never counted twice.
    ///
    /// # Errors
    /// If the id is out of bounds, the key has 65,536 other holders, or a rate limit uses it.
    pub fn hold(&self, key: &str, id: impl AsRef<[u8]>, concurrency: Concurrency) -> Result<Decision, Error> {
        let holder = holder(id.as_ref())?;
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        shard.hold(hash, key, reading, Some(holder), concurrency)
    }

    /// Decides the call of a new holder, which then holds nothing.
    ///
    /// # Errors
    /// If the key has 65,536 holders, or a rate limit uses it.
    pub fn peek_hold(&self, key: &str, concurrency: Concurrency) -> Result<Decision, Error> {
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        Ok(Decision::in_memory(&shard.peek_hold(hash, key, reading, None, concurrency)?))
    }

    /// Frees what a holder holds. Returns its units; 0 if it holds nothing.
    ///
    /// # Errors
    /// If the id is out of bounds.
    pub fn release(&self, key: &str, id: impl AsRef<[u8]>) -> Result<u64, InvalidArgument> {
        let holder = holder(id.as_ref())?;
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        Ok(shard.release(hash, key, reading, holder))
    }

    pub(crate) fn hold_together<K: AsRef<str>>(
        &self,
        id: &[u8],
        holds: &[(K, Concurrency)],
        limits: JointLimits<'_, K>,
    ) -> Result<JointDecision, Error> {
        let holder = holder(id)?;
        let holds = holds.iter().map(|(key, concurrency)| (key.as_ref(), Asked::Hold(holder, *concurrency)));
        let rates = limits.get().iter().map(|(key, limit)| (key.as_ref(), Asked::Rate(limit)));
        joint::decide(&self.0, holds.chain(rates))
    }

    /// Gives back 1 to 10¹² units of a key, at most those that are used now. Returns their number.
    ///
    /// # Errors
    /// If the units are out of bounds.
    pub fn refund(&self, key: &str, units: u64) -> Result<u64, InvalidArgument> {
        Ok(self.refund_units(key, Units::new(units).map_err(|_| InvalidArgument::refund(units))?))
    }

    pub(crate) fn refund_units(&self, key: &str, units: Units) -> u64 {
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        shard.refund(hash, key, reading, units)
    }

    /// Returns what is known of a key without its limit; `None` if nothing of it is used.
    #[must_use]
    pub fn inspect(&self, key: &str) -> Option<Usage> {
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        shard.inspect(hash, key, reading)
    }

    /// Deletes a key. Returns whether there was one.
    pub(crate) fn reset(&self, key: &str) -> bool {
        let (hash, mut shard, reading) = self.shard_of(key, Instant::now());
        shard.reset(hash, key, reading)
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.at(Instant::now())
    }

    /// Locks the shard of a key, and reads the clock for a call that came at this moment.
    #[inline]
    fn shard_of(&self, key: &str, came_at: Instant) -> (u64, MutexGuard<'_, Shard>, Reading) {
        let Memory { shards, hasher, clock } = &*self.0;
        let hash = hasher.hash_one(key);
        let shard = shards[self.0.index_of(hash)].lock();
        (hash, shard, clock.reading(came_at))
    }

    /// Deletes the keys of a keyspace. Returns their number.
    pub(crate) fn clear(&self, keyspace: &Keyspace) -> u64 {
        let prefix = keyspace.prefix();
        self.shards().map(|mut shard| shard.clear(&prefix)).sum()
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.0.shards.iter().map(ShardLock::lock)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Uses other bits of the hash than the tables do. The number of shards is a power of two.
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

fn holder(id: &[u8]) -> Result<HolderId<'_>, InvalidArgument> {
    HolderId::new(id).map_err(|_| InvalidArgument::id(id.len() as u64))
}

impl ShardLock {
    /// Locks the shard. A panic cannot leave it half changed, as nothing panics between two
    /// changes.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
