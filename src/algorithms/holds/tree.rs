//! The holders by the end of their leases: a treap (R. Seidel and C. R. Aragon, "Randomized Search
//! Trees", Algorithmica 16, 1996) whose nodes know the units of their subtrees.
//!
//! Leases that end at the same moment are ordered by the ids of their holders. The priority of a
//! node is the hash of its id, seeded at random: no caller can foresee it, so no caller can make the
//! tree deep.

use super::{Holds, Slot};
use crate::Span;

/// The side of a node on which leases end earlier, as an index of `children`.
const EARLIER: usize = 0;

/// The side of a node on which leases end later.
const LATER: usize = 1;

/// A link in the tree: one of the two of a node, or that to the root.
type Place = Option<(Slot, usize)>;

impl Holds {
    /// Returns the units of all holders in a subtree, ended or not.
    pub(super) fn sum(&self, subtree: Slot) -> u64 {
        self.holders.0.get(subtree.index()).map_or(0, |root| root.sum)
    }

    /// Returns the units of a holder.
    pub(crate) fn units(&self, slot: Slot) -> u64 {
        let [earlier, later] = self.holders[slot].children;
        self.holders[slot].sum - self.sum(earlier) - self.sum(later)
    }

    /// Returns whether the lease of `one` ends before that of `other`.
    pub(crate) fn is_before(&self, one: Slot, other: Slot) -> bool {
        let (one, other) = (&self.holders[one], &self.holders[other]);
        let (end, other_end) = (one.end(), other.end());
        end < other_end || end == other_end && one.id < other.id
    }

    fn set(&mut self, place: Place, slot: Slot) {
        match place {
            Some((parent, side)) => self.holders[parent].children[side] = slot,
            None => self.root = slot,
        }
    }

    /// Puts a holder that is not in the tree into it. Its `sum` is the number of its units.
    pub(super) fn attach(&mut self, slot: Slot) {
        let (units, priority) = (self.holders[slot].sum, self.holders[slot].hash);
        let (mut place, mut at) = (None, self.root);
        while at.is_some() && self.holders[at].hash >= priority {
            self.holders[at].sum += units;
            let side = usize::from(self.is_before(at, slot));
            place = Some((at, side));
            at = self.holders[at].children[side];
        }
        self.set(place, slot);

        // Split the subtree that was there in two, on both sides of the holder.
        let earlier = self.sum_before(at, slot);
        let mut sums = [earlier, self.sum(at) - earlier];
        self.holders[slot].sum += self.sum(at);
        let mut places = [(slot, EARLIER), (slot, LATER)];
        while at.is_some() {
            let part = usize::from(self.is_before(slot, at));
            let inner = self.holders[at].children[1 - part];
            let kept = self.holders[at].sum - self.sum(inner);
            self.holders[at].sum = sums[part];
            sums[part] -= kept;
            self.set(Some(places[part]), at);
            places[part] = (at, 1 - part);
            at = inner;
        }
        for place in places {
            self.set(Some(place), Slot::NONE);
        }
    }

    /// Takes a holder out of the tree.
    pub(super) fn detach(&mut self, slot: Slot) {
        let units = self.units(slot);
        let (mut place, mut at) = (None, self.root);
        while at != slot {
            self.holders[at].sum -= units;
            let side = usize::from(self.is_before(at, slot));
            place = Some((at, side));
            at = self.holders[at].children[side];
        }

        // Merge the subtrees on both sides of the holder.
        let mut parts = self.holders[slot].children;
        while parts[EARLIER].is_some() && parts[LATER].is_some() {
            let part = usize::from(self.holders[parts[LATER]].hash > self.holders[parts[EARLIER]].hash);
            let top = parts[part];
            self.holders[top].sum += self.sum(parts[1 - part]);
            self.set(place, top);
            place = Some((top, 1 - part));
            parts[part] = self.holders[top].children[1 - part];
        }
        let rest = if parts[EARLIER].is_some() { parts[EARLIER] } else { parts[LATER] };
        self.set(place, rest);
        self.holders[slot].children = [Slot::NONE; 2];
        self.holders[slot].sum = units;
    }

    /// Puts `new` into the place of `old` in the tree. `new` is where `old` will be moved to.
    pub(super) fn replace_in_tree(&mut self, old: Slot, new: Slot) {
        let (mut place, mut at) = (None, self.root);
        while at != old {
            let side = usize::from(self.is_before(at, old));
            place = Some((at, side));
            at = self.holders[at].children[side];
        }
        self.set(place, new);
    }

    /// Returns the units in a subtree whose leases end before that of a holder outside of it.
    fn sum_before(&self, subtree: Slot, slot: Slot) -> u64 {
        let (mut units, mut at) = (0, subtree);
        while at.is_some() {
            let side = usize::from(self.is_before(at, slot));
            let next = self.holders[at].children[side];
            if side == LATER {
                units += self.holders[at].sum - self.sum(next);
            }
            at = next;
        }
        units
    }

    /// Returns the units whose leases have ended by this time since the Unix epoch.
    pub(crate) fn units_ended_by(&self, moment: Span) -> u64 {
        let (mut units, mut at) = (0, self.root);
        while at.is_some() {
            let side = usize::from(self.holders[at].end() <= moment);
            let next = self.holders[at].children[side];
            if side == LATER {
                units += self.holders[at].sum - self.sum(next);
            }
            at = next;
        }
        units
    }

    /// Returns the first holder up to whom the units add up to at least this many, in the order in
    /// which leases end. `None` if all are fewer.
    pub(crate) fn reaching(&self, units: u64) -> Option<Slot> {
        let (mut missing, mut at) = (units, self.root);
        while at.is_some() {
            let [earlier, later] = self.holders[at].children;
            let before = self.sum(earlier);
            let with = self.holders[at].sum - self.sum(later);
            if missing <= before {
                at = earlier;
            } else if missing <= with {
                return Some(at);
            } else {
                missing -= with;
                at = later;
            }
        }
        None
    }

    /// Returns the holder whose lease ends first.
    pub(super) fn first(&self) -> Option<Slot> {
        self.outermost(self.root, EARLIER)
    }

    /// Returns the holder whose lease ends last, but not this one.
    pub(crate) fn last_beside(&self, own: Option<Slot>) -> Option<Slot> {
        let (mut parent, mut at) = (None, self.root);
        while at.is_some() && self.holders[at].children[LATER].is_some() {
            parent = Some(at);
            at = self.holders[at].children[LATER];
        }
        if own.is_none_or(|own| own != at) {
            return at.some();
        }
        self.outermost(self.holders[at].children[EARLIER], LATER).or(parent)
    }

    fn outermost(&self, subtree: Slot, side: usize) -> Option<Slot> {
        let mut at = subtree.some()?;
        while let Some(next) = self.holders[at].children[side].some() {
            at = next;
        }
        Some(at)
    }
}
