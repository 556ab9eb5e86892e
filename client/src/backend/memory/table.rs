use indexmap::IndexMap;
use indexmap::map::raw_entry_v1::{RawEntryApiV1, RawEntryMut};
use premier_algorithms::{Now, Outcome, Span, State, Timestamp, Units};

use crate::{Decision, Limit, Limiter};

/// The keys of one algorithm.
pub(super) struct Table<S> {
    /// Without a hasher: it takes the hashes that the shards go by.
    keys: IndexMap<Box<str>, Entry<S>, ()>,
    /// The next key to be looked at, whether it may be forgotten.
    hand: usize,
}

struct Entry<S> {
    state: S,
    /// When it will be as good as new: how long after the epoch, as that may be later than any moment that there is.
    new_at: Span,
}

/// No table is made smaller than for this many keys.
const MIN_CAPACITY: usize = 64;

impl<S: State> Table<S> {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn decide<A: Limiter<State = S>>(
        &mut self,
        hash: u64,
        key: &str,
        now: Now,
        limit: &Limit<A>,
    ) -> Decision {
        self.forget_one(now.at());
        match self.keys.raw_entry_mut_v1().from_hash(hash, |known| **known == *key) {
            RawEntryMut::Occupied(known) => {
                let entry = known.into_mut();
                if entry.is_as_good_as_new(now.at()) {
                    entry.state = S::default();
                }
                entry.decide(now, limit)
            }
            RawEntryMut::Vacant(vacant) => {
                let mut entry = Entry { state: S::default(), new_at: Span::ZERO };
                let decision = entry.decide(now, limit);
                if decision.is_admitted() {
                    vacant.insert_hashed_nocheck(hash, key.into(), entry);
                    // So the hand goes round faster than keys are added.
                    self.forget_one(now.at());
                }
                decision
            }
        }
    }

    pub(super) fn peek<A: Limiter<State = S>>(
        &self,
        hash: u64,
        key: &str,
        now: Now,
        limit: &Limit<A>,
    ) -> premier_algorithms::Decision<()> {
        match self.keys.raw_entry_v1().from_hash(hash, |known| **known == *key) {
            Some((_, entry)) if !entry.is_as_good_as_new(now.at()) => decide(&entry.state, now, limit).answer(),
            _ => decide(&S::default(), now, limit).answer(),
        }
    }

    /// How many units were given back.
    pub(super) fn refund(&mut self, hash: u64, key: &str, now: Now, units: Units) -> u64 {
        let RawEntryMut::Occupied(mut known) = self.keys.raw_entry_mut_v1().from_hash(hash, |known| **known == *key)
        else {
            return 0;
        };
        let entry = known.get_mut();
        let refund = entry.state.refund(now, entry.reset(now.at()), units);
        entry.reset_after(now.at(), refund.reset);
        if entry.is_as_good_as_new(now.at()) {
            known.swap_remove();
            self.shrink();
        }
        refund.units
    }

    /// Forgets the next key if it is as good as new.
    fn forget_one(&mut self, now: Timestamp) {
        match self.keys.get_index(self.hand) {
            Some((_, entry)) if entry.is_as_good_as_new(now) => {
                // The last one takes its place, and is looked at next.
                self.keys.swap_remove_index(self.hand);
                self.shrink();
            }
            Some(_) => self.hand += 1,
            None => self.hand = 0,
        }
    }

    fn shrink(&mut self) {
        let keys = self.keys.len();
        if self.keys.capacity() > MIN_CAPACITY && keys < self.keys.capacity() / 4 {
            self.keys.shrink_to(MIN_CAPACITY.max(keys * 2));
        }
    }

    pub(super) fn clear(&mut self, prefix: &str) -> u64 {
        let before = self.keys.len();
        self.keys.retain(|key, _| !key.starts_with(prefix));
        self.shrink();
        (before - self.keys.len()) as u64
    }
}

impl<S: State> Entry<S> {
    fn decide<A: Limiter<State = S>>(&mut self, now: Now, limit: &Limit<A>) -> Decision {
        let decision = decide(&self.state, now, limit);
        let answer = Decision::from(&decision);
        if let Outcome::Admitted { change, .. } = decision.outcome {
            self.state.apply(change);
            self.reset_after(now.at(), decision.reset);
        }
        answer
    }

    fn reset_after(&mut self, now: Timestamp, reset: Span) {
        self.new_at = Span::from_micros(now.as_micros().saturating_add(reset.as_micros()));
    }

    /// How long until it is as good as new.
    fn reset(&self, now: Timestamp) -> Span {
        self.new_at.saturating_sub(Span::from_micros(now.as_micros()))
    }

    fn is_as_good_as_new(&self, now: Timestamp) -> bool {
        self.reset(now) == Span::ZERO
    }
}

/// What the call is answered, and what it changes.
fn decide<A: Limiter>(
    state: &A::State,
    now: Now,
    limit: &Limit<A>,
) -> premier_algorithms::Decision<<A::State as State>::Change> {
    if limit.is_forced {
        A::force(state, now, &limit.bounds, limit.cost)
    } else {
        A::decide(state, now, &limit.bounds, limit.cost)
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { keys: IndexMap::default(), hand: 0 }
    }
}
