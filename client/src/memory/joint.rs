//! Calls with several limits, whose keys are in several shards.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::MutexGuard;

use premier_algorithms::{Joint, Outcome};

use super::shard::Shard;
use super::{Memory, lock};
use crate::decision::JointLimits;
use crate::{AnyLimit, Error, JointDecision};

/// A limit, and where its key is.
struct Placed<'a> {
    shard: usize,
    hash: u64,
    key: &'a str,
    limit: &'a AnyLimit,
}

/// The shards of a call, locked.
struct Locked<'a>(BTreeMap<usize, MutexGuard<'a, Shard>>);

impl<'a> Locked<'a> {
    fn new(memory: &'a Memory, limits: &[Placed<'_>]) -> Self {
        let shards: BTreeSet<_> = limits.iter().map(|limit| limit.shard).collect();
        // In ascending order, so that no two calls wait for each other.
        Self(shards.into_iter().map(|shard| (shard, lock(&memory.shards[shard]))).collect())
    }

    fn shard_of(&mut self, limit: &Placed<'_>) -> &mut Shard {
        self.0.get_mut(&limit.shard).expect("the shards of all limits are locked")
    }
}

pub(super) fn decide<K: AsRef<str>>(memory: &Memory, limits: JointLimits<'_, K>) -> Result<JointDecision, Error> {
    let placed = |key, limit| {
        let hash = memory.hasher.hash_one(key);
        Placed { shard: memory.index_of(hash), hash, key, limit }
    };
    let limits: Vec<_> = limits.get().iter().map(|(key, limit)| placed(key.as_ref(), limit)).collect();
    let mut locked = Locked::new(memory, &limits);
    let now = memory.clock.now();

    let alone = limits.iter().map(|limit| locked.shard_of(limit).peek(limit.hash, limit.key, now, limit.limit));
    let alone = alone.collect::<Result<Vec<_>, Error>>()?;
    let joint = Joint::new(&alone).expect("there is a limit");
    if let Outcome::Admitted { .. } = joint.decision.outcome {
        for limit in &limits {
            // Decided as before, as no two limits have the same key.
            let _ = locked.shard_of(limit).decide(limit.hash, limit.key, now, limit.limit)?;
        }
    }
    Ok(JointDecision::in_memory(&joint, &alone))
}
