//! Calls with several limits, whose keys are in several shards.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::MutexGuard;
use std::time::Instant;

use premier_algorithms::{HolderId, Joint, Outcome};

use super::Memory;
use super::clock::Reading;
use super::shard::Shard;
use crate::{AnyLimit, Concurrency, Decision, Error, JointDecision};

/// A limit, and where its key is.
struct Placed<'a> {
    shard: usize,
    hash: u64,
    key: &'a str,
    limit: Asked<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    Rate(&'a AnyLimit),
    Hold(HolderId<'a>, Concurrency),
}

impl Placed<'_> {
    fn peek(&self, shard: &mut Shard, reading: Reading) -> Result<premier_algorithms::Decision<()>, Error> {
        match self.limit {
            Asked::Rate(limit) => shard.peek(self.hash, self.key, reading, limit),
            Asked::Hold(holder, concurrency) => {
                shard.peek_hold(self.hash, self.key, reading, Some(holder), concurrency)
            }
        }
    }

    fn decide(&self, shard: &mut Shard, reading: Reading) -> Result<Decision, Error> {
        match self.limit {
            Asked::Rate(limit) => shard.decide(self.hash, self.key, reading, limit),
            Asked::Hold(holder, concurrency) => shard.hold(self.hash, self.key, reading, Some(holder), concurrency),
        }
    }
}

/// The shards of a call, locked.
struct Locked<'a>(BTreeMap<usize, MutexGuard<'a, Shard>>);

impl<'a> Locked<'a> {
    fn new(memory: &'a Memory, limits: &[Placed<'_>]) -> Self {
        let shards: BTreeSet<_> = limits.iter().map(|limit| limit.shard).collect();
        // In ascending order, so that no two calls wait for each other.
        Self(shards.into_iter().map(|shard| (shard, memory.shards[shard].lock())).collect())
    }

    fn shard_of(&mut self, limit: &Placed<'_>) -> &mut Shard {
        self.0.get_mut(&limit.shard).expect("the shards of all limits are locked")
    }
}

/// Decides a call by limits, of which no two have the same key.
pub(super) fn decide<'a>(
    memory: &Memory,
    limits: impl Iterator<Item = (&'a str, Asked<'a>)>,
) -> Result<JointDecision, Error> {
    let placed = |(key, limit)| {
        let hash = memory.hasher.hash_one(key);
        Placed { shard: memory.index_of(hash), hash, key, limit }
    };
    let limits: Vec<_> = limits.map(placed).collect();
    let mut locked = Locked::new(memory, &limits);
    let reading = memory.clock.reading(Instant::now());

    let alone: Vec<_> =
        limits.iter().map(|limit| limit.peek(locked.shard_of(limit), reading)).collect::<Result<_, _>>()?;
    let joint = Joint::new(&alone).expect("there is a limit");
    if let Outcome::Admitted { .. } = joint.decision.outcome {
        for limit in &limits {
            // Decided as before, as no two limits have the same key.
            let _ = limit.decide(locked.shard_of(limit), reading)?;
        }
    }
    Ok(JointDecision::in_memory(&joint, &alone))
}
