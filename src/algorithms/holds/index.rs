//! The holders by their ids: a hash table that grows and shrinks by one bucket at a time (W.
//! Litwin, "Linear Hashing: A New Tool for File and Table Addressing", VLDB 1980), so that no call
//! has to hash all ids anew. It has as many buckets as there are holders.

use core::hash::BuildHasher;
use core::mem;

use super::{Holds, Slot, reserve_one, spare_little};

impl Holds {
    /// Returns the hash of an id.
    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough")]
    pub(super) fn hash(&self, id: &[u8]) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    /// Returns where the holder with this id is.
    pub(crate) fn find(&self, id: &[u8]) -> Option<Slot> {
        let hash = self.hash(id);
        let mut at = *self.buckets.get(self.bucket(hash))?;
        while let Some(holder) = self.holders.get(at) {
            if holder.hash == hash && *holder.id == *id {
                return Some(at);
            }
            at = holder.next;
        }
        None
    }

    /// Returns the bucket of a hash. The buckets from the first power of two on are not complete:
    /// those that do not exist yet are part of the ones from which they will be split.
    fn bucket(&self, hash: u32) -> usize {
        let mask = self.buckets.len().next_power_of_two() - 1;
        let bucket = hash as usize & mask;
        if bucket < self.buckets.len() { bucket } else { bucket & (mask >> 1) }
    }

    /// Puts the holders of a chain into their buckets.
    fn distribute(&mut self, chain: Slot) {
        let mut at = chain;
        while at.is_some() {
            let bucket = self.bucket(self.holders[at].hash);
            let first = mem::replace(&mut self.buckets[bucket], at);
            at = mem::replace(&mut self.holders[at].next, first);
        }
    }

    /// Adds a bucket, and a holder that is in no bucket yet.
    pub(super) fn enter(&mut self, slot: Slot) {
        let added = self.buckets.len();
        let split = added.checked_ilog2().and_then(|bits| self.buckets.get_mut(added - (1 << bits)));
        let chain = split.map_or(Slot::NONE, mem::take);
        reserve_one(&mut self.buckets);
        self.buckets.push(Slot::NONE);
        self.distribute(chain);
        self.distribute(slot);
    }

    /// Removes a bucket, and this holder from its own.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.replace_in_index(slot, self.holders[slot].next);
        let chain = self.buckets.pop().unwrap_or_default();
        self.distribute(chain);
        spare_little(&mut self.buckets);
    }

    /// Lets the link that leads to `old` lead to `new`.
    pub(super) fn replace_in_index(&mut self, old: Slot, new: Slot) {
        let bucket = self.bucket(self.holders[old].hash);
        let mut at = self.buckets[bucket];
        if at == old {
            self.buckets[bucket] = new;
            return;
        }
        while self.holders[at].next != old {
            at = self.holders[at].next;
        }
        self.holders[at].next = new;
    }
}
