use indexmap::IndexMap;
use indexmap::map::raw_entry_v1::{RawEntryApiV1, RawEntryMut};
use premier_algorithms::{
    Algorithm, BucketLimit, Calendar, Change, FixedLimit, Grant, Now, Outcome, RateLimit, Refundable, SlidingLimit,
    Span, State, Timestamp, Units,
};

use crate::Usage;
use crate::limit::{Terms, Window};

/// The keys of one algorithm.
pub(super) struct Table<A: Algorithm> {
    /// Without a hasher: the shards pass the hashes.
    keys: IndexMap<Box<str>, Entry<A>, ()>,
    /// The index of the key that is next to be forgotten if it is fully reset.
    cursor: usize,
}

struct Entry<A: Algorithm> {
    state: A::State,
    /// When the key is fully reset, since the epoch: a span, as that may be later than any
    /// timestamp.
    reset_at: Span,
}

/// No table shrinks below the space for this many keys.
const MIN_CAPACITY: usize = 64;

impl<A: Algorithm> Table<A> {
    /// Decides a call, and applies the change of an admitted one.
    #[inline]
    pub(super) fn decide<'call, E>(
        &mut self,
        hash: u64,
        key: &str,
        now: Now,
        decide: impl FnOnce(&A::State) -> Result<Grant<Change<'call, A>>, E>,
    ) -> Result<Grant<()>, E> {
        self.forget_one(now.at());
        match self.keys.raw_entry_mut_v1().from_hash(hash, |known| **known == *key) {
            RawEntryMut::Occupied(known) => {
                let entry = known.into_mut();
                if entry.is_reset(now.at()) {
                    entry.state = A::State::default();
                }
                entry.decide(now, decide)
            }
            RawEntryMut::Vacant(vacant) => {
                let mut entry = Entry { state: A::State::default(), reset_at: Span::ZERO };
                let grant = entry.decide(now, decide)?;
                if let Outcome::Admitted { .. } = grant.decision.outcome {
                    vacant.insert_hashed_nocheck(hash, key.into(), entry);
                    // A second time, so that the cursor moves faster than keys are added.
                    self.forget_one(now.at());
                }
                Ok(grant)
            }
        }
    }

    /// Decides a call without applying its change.
    pub(super) fn peek<'call, E>(
        &self,
        hash: u64,
        key: &str,
        now: Now,
        decide: impl FnOnce(&A::State) -> Result<Grant<Change<'call, A>>, E>,
    ) -> Result<premier_algorithms::Decision<()>, E> {
        let grant = match self.keys.raw_entry_v1().from_hash(hash, |known| **known == *key) {
            Some((_, entry)) if !entry.is_reset(now.at()) => decide(&entry.state),
            _ => decide(&A::State::default()),
        };
        Ok(grant?.decision.answer())
    }

    /// Returns whether the key is there, and not fully reset.
    pub(super) fn is_using(&self, hash: u64, key: &str, now: Now) -> bool {
        // Most memories have keys of one or two algorithms.
        if self.keys.is_empty() {
            return false;
        }
        let entry = self.keys.raw_entry_v1().from_hash(hash, |known| **known == *key);
        entry.is_some_and(|(_, entry)| !entry.is_reset(now.at()))
    }

    /// Gives units back, by a function that changes the state and returns their number, and the
    /// time until the key is then fully reset. `None` changes nothing.
    pub(super) fn give_back(
        &mut self,
        hash: u64,
        key: &str,
        now: Now,
        give_back: impl FnOnce(&mut A::State, Span) -> Option<(u64, Span)>,
    ) -> u64 {
        let RawEntryMut::Occupied(mut known) = self.keys.raw_entry_mut_v1().from_hash(hash, |known| **known == *key)
        else {
            return 0;
        };
        let entry = known.get_mut();
        let reset = entry.reset_after(now.at());
        let Some((units, reset)) = give_back(&mut entry.state, reset) else { return 0 };
        entry.set_reset_after(now.at(), reset);
        if entry.is_reset(now.at()) {
            known.swap_remove();
            self.shrink();
        }
        units
    }

    pub(super) fn inspect(&self, hash: u64, key: &str, now: Now) -> Option<Usage> {
        let (_, entry) = self.keys.raw_entry_v1().from_hash(hash, |known| **known == *key)?;
        let reset = entry.reset_after(now.at());
        (reset > Span::ZERO).then(|| Usage::in_memory(entry.state.used(now, reset), reset))
    }

    /// Returns whether there was such a key.
    pub(super) fn reset(&mut self, hash: u64, key: &str, now: Now) -> bool {
        let RawEntryMut::Occupied(known) = self.keys.raw_entry_mut_v1().from_hash(hash, |known| **known == *key) else {
            return false;
        };
        let was_used = !known.get().is_reset(now.at());
        known.swap_remove();
        self.shrink();
        was_used
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Deletes the keys that begin with the prefix. Returns their number.
    pub(super) fn clear(&mut self, prefix: &str) -> u64 {
        let before = self.keys.len();
        self.keys.retain(|key, _| !key.starts_with(prefix));
        self.shrink();
        (before - self.keys.len()) as u64
    }

    /// Forgets the key at the cursor if it is fully reset, or else moves the cursor.
    fn forget_one(&mut self, now: Timestamp) {
        match self.keys.get_index(self.cursor) {
            Some((_, entry)) if entry.is_reset(now) => {
                // The last key moves to this index, so it is next.
                self.keys.swap_remove_index(self.cursor);
                self.shrink();
            }
            Some(_) => self.cursor += 1,
            None => self.cursor = 0,
        }
    }

    fn shrink(&mut self) {
        let keys = self.keys.len();
        if self.keys.capacity() > MIN_CAPACITY && keys < self.keys.capacity() / 4 {
            self.keys.shrink_to(MIN_CAPACITY.max(keys * 2));
        }
    }
}

impl<A: Algorithm> Entry<A> {
    #[inline]
    fn decide<'call, E>(
        &mut self,
        now: Now,
        decide: impl FnOnce(&A::State) -> Result<Grant<Change<'call, A>>, E>,
    ) -> Result<Grant<()>, E> {
        let Grant { decision, charge } = decide(&self.state)?;
        let answer = decision.answer();
        if let Outcome::Admitted { change, .. } = decision.outcome {
            self.state.apply(&change);
            self.set_reset_after(now.at(), decision.reset);
        }
        Ok(Grant { decision: answer, charge })
    }

    fn set_reset_after(&mut self, now: Timestamp, reset: Span) {
        self.reset_at = Span::from_micros(now.as_micros().saturating_add(reset.as_micros()));
    }

    fn reset_after(&self, now: Timestamp) -> Span {
        self.reset_at.saturating_sub(Span::from_micros(now.as_micros()))
    }

    /// Returns whether the key is fully reset.
    fn is_reset(&self, now: Timestamp) -> bool {
        self.reset_after(now) == Span::ZERO
    }
}

/// Decides a call by the terms of a rate limit.
pub(super) fn by_terms<A>(state: &A::State, now: Now, terms: &Terms) -> Grant<Change<'static, A>>
where
    A: RateLimit<State: Refundable, Limit<'static>: From<Terms>>,
{
    terms.demand.decide::<A>(state, now, &A::Limit::from(*terms))
}

/// Gives back units of a rate limit.
pub(super) fn refund<S: Refundable>(state: &mut S, now: Now, reset: Span, units: Units) -> (u64, Span) {
    let refund = state.refund(now, reset, units);
    (refund.units, refund.reset)
}

impl<A: Algorithm> Default for Table<A> {
    fn default() -> Self {
        Self { keys: IndexMap::default(), cursor: 0 }
    }
}

impl From<Terms> for FixedLimit {
    fn from(Terms { quota, window, .. }: Terms) -> Self {
        let window = match window {
            Window::FromFirstCall(duration) => premier_algorithms::Window::FromFirstCall(duration),
            Window::Aligned { period, zone } => {
                premier_algorithms::Window::Aligned(Calendar { period, zone: zone.now() })
            }
        };
        Self { quota, window }
    }
}

impl From<Terms> for SlidingLimit {
    fn from(Terms { quota, window, .. }: Terms) -> Self {
        Self { quota, duration: window.duration() }
    }
}

impl From<Terms> for BucketLimit {
    fn from(Terms { quota, window, capacity, max_wait, .. }: Terms) -> Self {
        Self { quota, duration: window.duration(), capacity, max_wait }
    }
}
