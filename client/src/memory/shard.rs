use std::convert::Infallible;

use premier_algorithms::{
    Full, Grant, Hold, HoldChange, HoldLimit, HolderId, Holds, Now, Outcome, State as _, SteadyClock, Units,
};

use super::clock::Reading;
use super::table::{Table, by_terms, refund};
use crate::limiters::by_algorithm;
use crate::{Algorithm, AnyAlgorithm, AnyLimit, Concurrency, Decision, Error, Usage};

/// Defines a shard, with a table for each algorithm.
macro_rules! shard {
    ($($(#[$default:meta])? $variant:ident($limiter:ident) {
        summary: $summary:literal,
        details: $details:literal,
        name: $name:ident,
        $($rest:tt)*
    })+) => {
        /// A part of the keys, by the hash of their names.
        #[derive(Default)]
        pub(super) struct Shard {
            clock: SteadyClock,
            $($name: Table<premier_algorithms::$limiter>,)+
            hold: Table<Hold>,
        }

        impl Shard {
            #[inline]
            pub(super) fn decide(
                &mut self,
                hash: u64,
                key: &str,
                reading: Reading,
                limit: &AnyLimit,
            ) -> Result<Decision, Error> {
                let now = self.time(reading);
                self.check_type(hash, key, now, limit.algorithm().into())?;
                let Ok(grant) = match limit {
                    $(AnyLimit::$variant(limit) => {
                        self.$name.decide(hash, key, now, |state| Ok::<_, Infallible>(by_terms::<premier_algorithms::$limiter>(state, now, &limit.terms)))
                    })+
                };
                Ok(Decision::in_memory(&grant.decision).granting(limit.terms().demand, grant.units()))
            }

            pub(super) fn peek(
                &mut self,
                hash: u64,
                key: &str,
                reading: Reading,
                limit: &AnyLimit,
            ) -> Result<premier_algorithms::Decision<()>, Error> {
                let now = self.time(reading);
                self.check_type(hash, key, now, limit.algorithm().into())?;
                let Ok(decision) = match limit {
                    $(AnyLimit::$variant(limit) => {
                        self.$name.peek(hash, key, now, |state| Ok::<_, Infallible>(by_terms::<premier_algorithms::$limiter>(state, now, &limit.terms)))
                    })+
                };
                Ok(decision)
            }

            /// Returns the number of units returned, whichever algorithm uses the key.
            pub(super) fn refund(&mut self, hash: u64, key: &str, reading: Reading, units: Units) -> u64 {
                let now = self.time(reading);
                0 $(+ self.$name.give_back(hash, key, now, |state, reset| Some(refund(state, now, reset, units))))+
            }

            /// Checks that no other algorithm uses the key, which a server would refuse too.
            #[inline]
            fn check_type(&self, hash: u64, key: &str, now: Now, algorithm: AnyAlgorithm) -> Result<(), Error> {
                let is_other = algorithm != AnyAlgorithm::Hold && self.hold.is_using(hash, key, now)
                    $(|| algorithm != AnyAlgorithm::Rate(Algorithm::$variant) && self.$name.is_using(hash, key, now))+;
                if is_other { Err(Error::other_algorithm(key.to_owned())) } else { Ok(()) }
            }

            /// Returns what is known of a key, whichever algorithm uses it.
            pub(super) fn inspect(&mut self, hash: u64, key: &str, reading: Reading) -> Option<Usage> {
                let now = self.time(reading);
                self.hold.inspect(hash, key, now) $(.or_else(|| self.$name.inspect(hash, key, now)))+
            }

            /// Returns whether there was such a key, whichever algorithm uses it.
            pub(super) fn reset(&mut self, hash: u64, key: &str, reading: Reading) -> bool {
                let now = self.time(reading);
                self.hold.reset(hash, key, now) $(| self.$name.reset(hash, key, now))+
            }

            pub(super) fn len(&self) -> usize {
                self.hold.len() $(+ self.$name.len())+
            }

            /// Deletes the keys that begin with the prefix. Returns their number.
            pub(super) fn clear(&mut self, prefix: &str) -> u64 {
                self.hold.clear(prefix) $(+ self.$name.clear(prefix))+
            }
        }
    };
}

by_algorithm! { shard! {} }

impl Shard {
    /// Turns a reading into the time of a decision.
    #[inline]
    fn time(&mut self, reading: Reading) -> Now {
        match reading {
            // Another call may have come later and locked the shard before.
            Reading::Steady(reading) => self.clock.read(reading),
            Reading::Given(now) => now,
        }
    }

    /// Holds units. A holder that is not named is a new one.
    pub(super) fn hold(
        &mut self,
        hash: u64,
        key: &str,
        reading: Reading,
        holder: Option<HolderId<'_>>,
        concurrency: Concurrency,
    ) -> Result<Decision, Error> {
        let now = self.time(reading);
        self.check_type(hash, key, now, AnyAlgorithm::Hold)?;
        let grant = self.hold.decide(hash, key, now, |state| hold(state, now, holder, concurrency))?;
        Ok(Decision::in_memory(&grant.decision))
    }

    pub(super) fn peek_hold(
        &mut self,
        hash: u64,
        key: &str,
        reading: Reading,
        holder: Option<HolderId<'_>>,
        concurrency: Concurrency,
    ) -> Result<premier_algorithms::Decision<()>, Error> {
        let now = self.time(reading);
        self.check_type(hash, key, now, AnyAlgorithm::Hold)?;
        Ok(self.hold.peek(hash, key, now, |state| hold(state, now, holder, concurrency))?)
    }

    /// Returns the units that the holder has held.
    pub(super) fn release(&mut self, hash: u64, key: &str, reading: Reading, holder: HolderId<'_>) -> u64 {
        let now = self.time(reading);
        self.hold.give_back(hash, key, now, |state, _| {
            let release = Hold::release(state, now, holder)?;
            let (units, reset) = (release.units, release.reset);
            state.apply(&release.change);
            Some((units, reset))
        })
    }
}

fn hold<'call>(
    state: &Holds,
    now: Now,
    holder: Option<HolderId<'call>>,
    concurrency: Concurrency,
) -> Result<Grant<HoldChange<'call>>, Full> {
    let Concurrency { quota, lease, cost, keep } = concurrency;
    let limit = HoldLimit { quota, lease, holder };
    let grant = Grant::exactly::<Hold>(state, now, &limit, cost, keep);
    if let Outcome::Admitted { .. } = grant.decision.outcome {
        Hold::check_room(state, now, &limit)?;
    }
    Ok(grant)
}
