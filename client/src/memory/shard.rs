use premier_algorithms::{Clock, Now, Timestamp, Units};

use super::table::Table;
use crate::limiters::by_algorithm;
use crate::{Algorithm, AnyLimit, Decision, Error, Usage};

/// Defines a shard, with a table for each algorithm.
macro_rules! shard {
    ($($(#[$default:meta])? $variant:ident($limiter:ident) {
        summary: $summary:literal,
        details: $details:literal,
        name: $name:ident,
        $($rest:tt)*
    })+) => {
        /// A part of the keys, by the hash of their names. Aligned so that no two shards share a
        /// cache line.
        #[derive(Default)]
        #[repr(align(128))]
        pub(super) struct Shard {
            clock: Clock,
            $($name: Table<premier_algorithms::$limiter>,)+
        }

        impl Shard {
            pub(super) fn decide(
                &mut self,
                hash: u64,
                key: &str,
                reading: Timestamp,
                limit: &AnyLimit,
            ) -> Result<Decision, Error> {
                let now = self.clock.read(reading);
                self.check_type(hash, key, now, limit.algorithm())?;
                Ok(match limit {
                    $(AnyLimit::$variant(limit) => self.$name.decide(hash, key, now, &limit.terms),)+
                })
            }

            pub(super) fn peek(
                &mut self,
                hash: u64,
                key: &str,
                reading: Timestamp,
                limit: &AnyLimit,
            ) -> Result<premier_algorithms::Decision<()>, Error> {
                let now = self.clock.read(reading);
                self.check_type(hash, key, now, limit.algorithm())?;
                Ok(match limit {
                    $(AnyLimit::$variant(limit) => self.$name.peek(hash, key, now, &limit.terms),)+
                })
            }

            /// Returns the number of units returned, whichever algorithm uses the key.
            pub(super) fn refund(&mut self, hash: u64, key: &str, reading: Timestamp, units: Units) -> u64 {
                let now = self.clock.read(reading);
                0 $(+ self.$name.refund(hash, key, now, units))+
            }

            /// Checks that no other algorithm uses the key, which a server would refuse too.
            fn check_type(&self, hash: u64, key: &str, now: Now, algorithm: Algorithm) -> Result<(), Error> {
                $(
                    if !matches!(algorithm, Algorithm::$variant) && self.$name.is_using(hash, key, now) {
                        return Err(Error::other_algorithm(key.to_owned()));
                    }
                )+
                Ok(())
            }

            /// Returns what is known of a key, whichever algorithm uses it.
            pub(super) fn inspect(&mut self, hash: u64, key: &str, reading: Timestamp) -> Option<Usage> {
                let now = self.clock.read(reading);
                None $(.or_else(|| self.$name.inspect(hash, key, now)))+
            }

            /// Returns whether there was such a key, whichever algorithm uses it.
            pub(super) fn reset(&mut self, hash: u64, key: &str, reading: Timestamp) -> bool {
                let now = self.clock.read(reading);
                false $(| self.$name.reset(hash, key, now))+
            }

            pub(super) fn len(&self) -> usize {
                0 $(+ self.$name.len())+
            }

            /// Deletes the keys that begin with the prefix. Returns their number.
            pub(super) fn clear(&mut self, prefix: &str) -> u64 {
                0 $(+ self.$name.clear(prefix))+
            }
        }
    };
}

by_algorithm! { shard! {} }
