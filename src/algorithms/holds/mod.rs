//! Who holds how many units of a key, since when and for how long.

mod change;
mod index;
mod tree;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::iter;
use core::ops::{Index, IndexMut};

use foldhash::quality::RandomState;

use crate::clock::Dating;
use crate::{Now, Span, Timestamp};

pub use change::{HoldChange, HoldEffect};

/// The most holders of a key.
pub const MAX_HOLDERS: usize = 65_536;

/// The holders of a key, found by their ids and by the end of their leases.
///
/// A lease that has ended does not count. It stays here until a later change drops it.
#[derive(Debug, Clone, Default)]
pub struct Holds {
    holders: Table,
    /// The first holder of each chain of the index.
    buckets: Vec<Slot>,
    /// The root of the tree.
    root: Slot,
    /// When the latest lease began, or later if its holder is gone.
    latest: Timestamp,
    /// Seeded at random.
    hasher: RandomState,
}

/// Holders in no order. The last one moves to the place of one that is removed.
#[derive(Debug, Clone, Default)]
struct Table(Vec<Holder>);

/// A holder, which is a node of the tree and a link in a chain of the index.
#[derive(Debug, Clone)]
struct Holder {
    id: Box<[u8]>,
    /// When its lease last began.
    since: Timestamp,
    lease: Span,
    /// The units of all holders in its subtree.
    sum: u64,
    /// The subtrees of leases that end earlier and later.
    children: [Slot; 2],
    /// The hash of the id, and the priority in the tree.
    hash: u32,
    /// The next holder in the same bucket.
    next: Slot,
}

/// The place of a holder in a table, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// What is known of a holder, apart from its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold<'state> {
    id: &'state [u8],
    since: Timestamp,
    lease: Span,
    units: u64,
}

impl Slot {
    const NONE: Self = Self(u32::MAX);

    const fn index(self) -> usize {
        self.0 as usize
    }

    const fn is_some(self) -> bool {
        self.0 != Self::NONE.0
    }

    fn some(self) -> Option<Self> {
        self.is_some().then_some(self)
    }

    /// Returns the slot behind this many others.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 65,536 holders")]
    const fn behind(others: usize) -> Self {
        Self(others as u32)
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::NONE
    }
}

impl Hold<'_> {
    fn end(self) -> Span {
        self.since.since_epoch().plus(self.lease)
    }
}

impl Holder {
    /// Returns when the lease ends, as a time since the Unix epoch. At that very moment it no
    /// longer counts.
    fn end(&self) -> Span {
        self.since.since_epoch().plus(self.lease)
    }
}

impl Table {
    fn get(&self, slot: Slot) -> Option<&Holder> {
        self.0.get(slot.index())
    }
}

impl Index<Slot> for Table {
    type Output = Holder;

    fn index(&self, slot: Slot) -> &Holder {
        &self.0[slot.index()]
    }
}

impl IndexMut<Slot> for Table {
    fn index_mut(&mut self, slot: Slot) -> &mut Holder {
        &mut self.0[slot.index()]
    }
}

impl Holds {
    /// Returns whether nobody holds anything: the state is that of a fresh key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.holders.0.is_empty()
    }

    /// Returns when the lease of each holder ends that has not ended, and its units.
    fn live(&self, now: Now) -> impl Iterator<Item = (Span, u64)> {
        let holders = (0..self.len()).map(Slot::behind);
        let ends = holders.map(move |slot| {
            let Holder { since, lease, .. } = self.holders[slot];
            (now.date(since).since_epoch().plus(lease), self.units(slot))
        });
        ends.filter(move |(end, _)| *end > now.at().since_epoch())
    }

    /// Returns the number of holders, including those whose leases have ended.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.holders.0.len()
    }

    /// Returns the units of all holders, including those whose leases have ended.
    pub(crate) fn total(&self) -> u64 {
        self.sum(self.root)
    }

    /// Returns when the lease of a holder ends, as a time since the Unix epoch.
    pub(crate) fn end(&self, slot: Slot) -> Span {
        self.holders[slot].end()
    }

    /// Returns whether a lease may have begun after `now`, on another clock. The leases must then
    /// be dated before a decision.
    pub(crate) fn is_ahead_of(&self, now: Now) -> bool {
        self.latest > now.at()
    }

    /// Returns the state with the beginnings of all leases [dated](Now::date).
    #[cold]
    pub(crate) fn dated(&self, now: Now) -> Self {
        let mut dated = self.clone();
        dated.date(now.dating(), now.at());
        dated
    }

    #[cold]
    fn date(&mut self, dating: Dating, now: Timestamp) {
        self.latest = Timestamp::default();
        for slot in (0..self.len()).map(Slot::behind) {
            let since = dating.date(self.holders[slot].since, now);
            if since != self.holders[slot].since {
                self.detach(slot);
                self.holders[slot].since = since;
                self.attach(slot);
            }
            self.latest = self.latest.max(since);
        }
    }

    /// Drops the leases that have ended.
    fn drop_ended(&mut self, now: Timestamp) {
        while let Some(first) = self.first().filter(|first| self.end(*first) <= now.since_epoch()) {
            self.remove(first);
        }
    }

    /// Lets a holder hold these units from `since` on.
    fn put(&mut self, hold: Hold<'_>) {
        let slot = match self.find(hold.id) {
            Some(slot) => {
                self.detach(slot);
                slot
            }
            None => self.add(hold.id),
        };
        let holder = &mut self.holders[slot];
        (holder.since, holder.lease, holder.sum) = (hold.since, hold.lease, hold.units);
        self.attach(slot);
        self.latest = self.latest.max(hold.since);
    }

    /// Adds a holder that is not in the tree yet.
    fn add(&mut self, id: &[u8]) -> Slot {
        // A decision has checked that there is room. An effect is not judged again.
        if self.len() == MAX_HOLDERS
            && let Some(first) = self.first()
        {
            self.remove(first);
        }
        let slot = Slot::behind(self.len());
        reserve_one(&mut self.holders.0);
        self.holders.0.push(Holder {
            id: id.into(),
            since: Timestamp::default(),
            lease: Span::ZERO,
            sum: 0,
            children: [Slot::NONE; 2],
            hash: self.hash(id),
            next: Slot::NONE,
        });
        self.enter(slot);
        slot
    }

    fn remove(&mut self, slot: Slot) {
        self.detach(slot);
        self.leave(slot);
        let last = Slot::behind(self.len() - 1);
        if slot != last {
            self.replace_in_tree(last, slot);
            self.replace_in_index(last, slot);
        }
        self.holders.0.swap_remove(slot.index());
        spare_little(&mut self.holders.0);
    }

    /// Returns the holders in the order in which their leases end, and in that of their ids.
    fn in_order(&self) -> impl Iterator<Item = Hold<'_>> {
        let (mut above, mut at) = (Vec::new(), self.root);
        iter::from_fn(move || {
            while at.is_some() {
                above.push(at);
                at = self.holders[at].children[0];
            }
            let slot = above.pop()?;
            let holder = &self.holders[slot];
            at = holder.children[1];
            Some(Hold { id: &holder.id, since: holder.since, lease: holder.lease, units: self.units(slot) })
        })
    }
}

impl PartialEq for Holds {
    fn eq(&self, other: &Self) -> bool {
        self.in_order().eq(other.in_order())
    }
}

/// The capacity up to which a table never shrinks.
const FEW: usize = 8;

/// Returns how many items fit into the block of memory that an allocator gives out for this many.
/// Allocators divide the sizes from one power of two to the next into four.
fn roomy<T>(len: usize) -> usize {
    let bytes = len * size_of::<T>();
    bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(1)) / size_of::<T>()
}

/// Makes room for one more item. A table grows by less than a quarter, as it may be large.
fn reserve_one<T>(items: &mut Vec<T>) {
    let len = items.len();
    if len == items.capacity() {
        items.reserve_exact(roomy::<T>(len + 1) - len);
    }
}

/// Gives memory back unless more than three quarters of it are in use.
fn spare_little<T>(items: &mut Vec<T>) {
    if items.capacity() > FEW && 4 * items.len() <= 3 * items.capacity() {
        items.shrink_to(roomy::<T>(items.len()));
    }
}
