//! The leased units of all keys of a throttler.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use premier_algorithms::{Clock, Demand, Timestamp};

use super::pool::Pool;
use crate::lease::StoreLimit;
use crate::{AnyLimit, Decision, Error, Lease};

/// The pools, by key and limit.
#[derive(Debug)]
pub(super) struct Pools {
    lease: Lease,
    /// Whether a keeper looks for leases that have ended. Otherwise the store is in memory: the
    /// next call looks for them, and the clock is that of the memory, which may step back.
    has_keeper: bool,
    shards: [RwLock<Shard>; SHARDS],
    hasher: RandomState,
    /// The number of the next pool or lease.
    next_number: AtomicU64,
}

/// A part of the keys. Aligned so that no two shards share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// So that time never steps back, even if the clock of a memory does.
    clock: Clock,
    keys: HashMap<Arc<str>, Vec<Pool>, RandomState>,
    /// The number of keys at which those without leases are forgotten.
    most: usize,
}

/// The answer to a call.
pub(super) struct Answer {
    /// The decision by leased units, if there were enough, and the number of their lease.
    pub(super) taken: Option<(Decision, u64)>,
    pub(super) errand: Option<Errand>,
}

/// Names a pool.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The key in the store.
    pub(super) key: Arc<str>,
    /// The number of the pool.
    pool: u64,
    /// The limit of the calls.
    limit: AnyLimit,
    /// The limit by which leases are asked for.
    pub(super) leased: AnyLimit,
}

/// What the keeper has to do for a pool.
#[derive(Debug)]
pub(super) enum Errand {
    /// Ask the store for a lease of this many units.
    Lease(Place, u64),
    /// Drop leases that have ended, and give back their units.
    LetGo(Place),
}

const SHARDS: usize = 32;

/// With fewer keys, no shard looks for keys to forget.
const FEW: usize = 64;

impl Pools {
    pub(super) fn new(lease: Lease, has_keeper: bool) -> Self {
        Self {
            lease,
            has_keeper,
            shards: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::default(),
            next_number: AtomicU64::new(0),
        }
    }

    /// Decides a call by leased units while there are units and no lease is due. Returns the
    /// decision and the number of the lease; `None` if [`take`](Self::take) has to decide.
    ///
    /// Threads share the lock, so none waits for one that was preempted. No unit is used twice or
    /// too late: [`Pool::take_concurrently`] takes each unit once, and whatever adds leases or
    /// gives back units takes the lock alone. So no unit is given back between the reading of the
    /// clock, by which its lease has not ended, and the taking.
    #[inline]
    pub(super) fn take_concurrently(
        &self,
        key: &str,
        limit: &AnyLimit,
        reading: impl FnOnce() -> Timestamp,
    ) -> Option<(Decision, u64)> {
        if !self.has_keeper {
            return None;
        }
        let shard = shared(self.shard_of(key));
        let demand = limit.terms().demand;
        let (decision, lease) = shard.pool(key, limit)?.take_concurrently(reading(), demand.cost().get())?;
        Some((granting(decision, demand), lease))
    }

    /// Decides a call by leased units, if there are enough, and returns what the keeper has to do.
    /// `asked` returns how the limit is leased.
    pub(super) fn take(
        &self,
        key: &str,
        limit: &AnyLimit,
        reading: impl FnOnce() -> Timestamp,
        asked: impl FnOnce() -> Result<StoreLimit, Error>,
    ) -> Result<Answer, Error> {
        let demand = limit.terms().demand;
        // The clock is read under the lock, so that units are used within their time.
        let mut shard = alone(self.shard_of(key));
        let now = shard.clock.read(reading()).at();
        let Some(pool) = shard.pool_mut(key, limit) else {
            let asked = asked()?;
            if asked.is_leased() {
                let pool = Pool::new(self.number(), self.lease, *limit, &asked, now);
                let _ = shard.add(key, now, pool).take(now, limit.cost());
            }
            return Ok(Answer { taken: None, errand: None });
        };
        let taken = pool.take(now, demand.cost().get());
        let next_lease = pool.next_lease(now, demand.cost().get());
        let has_ended = !self.has_keeper && next_lease.is_none() && pool.has_ended_leases(now);
        let (number, leased) = (pool.number(), *pool.limit());
        let errand = (next_lease.is_some() || has_ended).then(|| {
            let place = Place { key: shard.name(key), pool: number, limit: *limit, leased };
            next_lease.map_or(Errand::LetGo(place.clone()), |units| Errand::Lease(place, units))
        });
        let taken = taken.map(|(decision, lease)| (granting(decision, demand), lease));
        Ok(Answer { taken, errand })
    }

    /// Returns how a call would be decided by leased units, if there are enough.
    pub(super) fn peek(&self, key: &str, limit: &AnyLimit, reading: impl FnOnce() -> Timestamp) -> Option<Decision> {
        let mut shard = alone(self.shard_of(key));
        let now = shard.clock.read(reading()).at();
        let decision = shard.pool(key, limit)?.peek(now, limit.cost())?;
        Some(granting(decision, limit.terms().demand))
    }

    /// Puts units back into their lease. Returns `false` if it has ended.
    pub(super) fn put_back(&self, key: &str, number: u64, units: u64, reading: impl FnOnce() -> Timestamp) -> bool {
        let mut shard = alone(self.shard_of(key));
        let now = shard.clock.read(reading()).at();
        shard.keys.get_mut(key).is_some_and(|pools| pools.iter_mut().any(|pool| pool.put_back(now, number, units)))
    }

    /// Calls a function with the time and the pool of a place, if that pool is still there.
    pub(super) fn with<T>(
        &self,
        place: &Place,
        reading: impl FnOnce() -> Timestamp,
        call: impl FnOnce(Timestamp, &mut Pool) -> T,
    ) -> Option<T> {
        let mut shard = alone(self.shard_of(&place.key));
        let now = shard.clock.read(reading()).at();
        let pool = shard.pool_mut(&place.key, &place.limit).filter(|pool| pool.number() == place.pool);
        pool.map(|pool| call(now, pool))
    }

    /// Returns a number for a pool or a lease.
    pub(super) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets the units of a key whose charges are deleted, including those of a lease that is
    /// being asked for.
    pub(super) fn reset(&self, key: &str) {
        alone(self.shard_of(key)).keys.remove(key);
    }

    /// Forgets the units of all keys that begin like this.
    pub(super) fn clear(&self, prefix: &str) {
        for shard in &self.shards {
            alone(shard).keys.retain(|key, _| !key.starts_with(prefix));
        }
    }

    /// Takes out all pools that have leases, with their keys and clocks.
    pub(super) fn drain(&self) -> Vec<(Arc<str>, Pool, Clock)> {
        let mut drained = Vec::new();
        for shard in &self.shards {
            let mut shard = alone(shard);
            let clock = shard.clock;
            for (key, pools) in shard.keys.drain() {
                let leased = pools.into_iter().filter(Pool::has_leases);
                drained.extend(leased.map(|pool| (Arc::clone(&key), pool, clock)));
            }
        }
        drained
    }

    #[inline]
    fn shard_of(&self, key: &str) -> &RwLock<Shard> {
        // The lowest bits choose a place in the shard's own table.
        let hash = self.hasher.hash_one(key) >> 32;
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("it is less than their number")]
    }
}

impl Shard {
    #[inline]
    fn pool(&self, key: &str, limit: &AnyLimit) -> Option<&Pool> {
        self.keys.get(key)?.iter().find(|pool| pool.is_for(limit))
    }

    fn pool_mut(&mut self, key: &str, limit: &AnyLimit) -> Option<&mut Pool> {
        self.keys.get_mut(key)?.iter_mut().find(|pool| pool.is_for(limit))
    }

    /// Adds a pool to a key.
    fn add(&mut self, key: &str, now: Timestamp, pool: Pool) -> &mut Pool {
        if self.keys.len() >= self.most.max(FEW) {
            self.keys.retain(|_, pools| {
                pools.retain(|pool| !pool.is_over(now));
                !pools.is_empty()
            });
            self.most = self.keys.len() * 2;
        }
        let pools = self.keys.entry(key.into()).or_default();
        pools.retain(|pool| !pool.is_over(now));
        pools.push(pool);
        pools.last_mut().expect("it was added")
    }

    /// Returns the name of a key that is there, to keep it.
    fn name(&self, key: &str) -> Arc<str> {
        self.keys.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key))
    }
}

fn granting(decision: Decision, demand: Demand) -> Decision {
    decision.granting(demand, demand.cost().get())
}

/// Locks a shard for this thread and others that only take units.
#[inline]
fn shared(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks a shard for this thread alone. A panic cannot leave it half changed, as nothing panics
/// between two changes.
fn alone(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
