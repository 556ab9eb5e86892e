//! The holders by the end of their leases: a treap (R. Seidel and C. R. Aragon, "Randomized Search
//! Trees", Algorithmica 16, 1996) whose nodes know the units of their subtrees.
//!
//! Leases that end at the same moment are ordered by the ids of their holders. The priority of a
//! node is the hash of its id, seeded at random: no caller can foresee it, so no caller can make
//! the tree deep.

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
        self.holders.get(subtree).map_or(0, |root| root.sum)
    }

    /// Returns the units of a holder.
    pub(crate) fn units(&self, slot: Slot) -> u64 {
        let [earlier, later] = self.holders[slot].children;
        self.holders[slot].sum - self.sum(earlier) - self.sum(later)
    }

    /// Returns whether the lease of `one` ends before that of `other`.
    pub(crate) fn is_before(&self, one: Slot, other: Slot) -> bool {
        self.ends_before(one, self.end(other), other)
    }

    /// Returns whether the lease of `one` ends before that of `other`, which ends at `end`.
    #[inline]
    fn ends_before(&self, one: Slot, end: Span, other: Slot) -> bool {
        let one_end = self.end(one);
        one_end < end || one_end == end && self.is_id_before(one, other)
    }

    #[cold]
    fn is_id_before(&self, one: Slot, other: Slot) -> bool {
        self.holders[one].id < self.holders[other].id
    }

    fn set(&mut self, place: Place, slot: Slot) {
        match place {
            Some((parent, side)) => self.holders[parent].children[side] = slot,
            None => self.root = slot,
        }
    }

    /// Puts a holder that is not in the tree into it. Its `sum` is the number of its units.
    pub(super) fn attach(&mut self, slot: Slot) {
        let (units, priority, end) = (self.holders[slot].sum, self.holders[slot].hash, self.end(slot));
        let (mut place, mut at) = (None, self.root);
        while self.holders.get(at).is_some_and(|node| node.hash >= priority) {
            let side = usize::from(self.ends_before(at, end, slot));
            place = Some((at, side));
            let node = &mut self.holders[at];
            node.sum += units;
            at = node.children[side];
        }
        self.set(place, slot);

        // Split the subtree that was there in two, on both sides of the holder.
        let earlier = self.sum_before(at, slot);
        let mut sums = [earlier, self.sum(at) - earlier];
        self.holders[slot].sum += self.sum(at);
        let mut places = [(slot, EARLIER), (slot, LATER)];
        while at.is_some() {
            let part = usize::from(!self.ends_before(at, end, slot));
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
        let (units, end) = (self.units(slot), self.end(slot));
        let (mut place, mut at) = (None, self.root);
        while at != slot {
            let side = usize::from(self.ends_before(at, end, slot));
            place = Some((at, side));
            let node = &mut self.holders[at];
            node.sum -= units;
            at = node.children[side];
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
        let end = self.end(old);
        let (mut place, mut at) = (None, self.root);
        while at != old {
            let side = usize::from(self.ends_before(at, end, old));
            place = Some((at, side));
            at = self.holders[at].children[side];
        }
        self.set(place, new);
    }

    /// Returns the units in a subtree whose leases end before that of a holder outside of it.
    fn sum_before(&self, subtree: Slot, slot: Slot) -> u64 {
        let end = self.end(slot);
        self.sum_while(subtree, |at| self.ends_before(at, end, slot))
    }

    /// Returns the units whose leases have ended by this time since the Unix epoch.
    pub(crate) fn units_ended_by(&self, moment: Span) -> u64 {
        self.sum_while(self.root, |at| self.end(at) <= moment)
    }

    /// Returns the units of the first holders in a subtree, as long as this holds for them.
    #[inline]
    fn sum_while(&self, subtree: Slot, holds: impl Fn(Slot) -> bool) -> u64 {
        let (mut units, mut at) = (0, subtree);
        while let Some(node) = self.holders.get(at) {
            if holds(at) {
                at = node.children[LATER];
                units += node.sum - self.sum(at);
            } else {
                at = node.children[EARLIER];
            }
        }
        units
    }

    /// Returns the first holder up to whom the units add up to at least this many, in the order in
    /// which leases end. `None` if all are fewer.
    pub(crate) fn reaching(&self, units: u64) -> Option<Slot> {
        let (mut missing, mut at) = (units, self.root);
        while let Some(node) = self.holders.get(at) {
            let [earlier, later] = node.children;
            let with = node.sum - self.sum(later);
            if missing <= self.sum(earlier) {
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
        let [_, first] = self.outermost(self.root, EARLIER);
        first.some()
    }

    /// Returns the holder whose lease ends last, but not this one.
    pub(crate) fn last_beside(&self, own: Option<Slot>) -> Option<Slot> {
        let [parent, last] = self.outermost(self.root, LATER);
        if own != Some(last) {
            return last.some();
        }
        let [_, before] = self.outermost(self.holders[last].children[EARLIER], LATER);
        before.some().or(parent.some())
    }

    /// Returns the last node on this side of a subtree, and its parent within it.
    fn outermost(&self, subtree: Slot, side: usize) -> [Slot; 2] {
        let (mut parent, mut last, mut at) = (Slot::NONE, Slot::NONE, subtree);
        while let Some(node) = self.holders.get(at) {
            (parent, last, at) = (last, at, node.children[side]);
        }
        [parent, last]
    }
}
