use premier_algorithms::{Clock, Timestamp, Units};

use super::table::Table;
use crate::limiters::by_algorithm;
use crate::{Algorithm, AnyLimit, Decision, Usage};

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
            pub(super) fn decide(&mut self, hash: u64, key: &str, reading: Timestamp, limit: &AnyLimit) -> Decision {
                let now = self.clock.read(reading);
                match limit {
                    $(AnyLimit::$variant(limit) => self.$name.decide(hash, key, now, &limit.terms),)+
                }
            }

            pub(super) fn peek(
                &mut self,
                hash: u64,
                key: &str,
                reading: Timestamp,
                limit: &AnyLimit,
            ) -> premier_algorithms::Decision<()> {
                let now = self.clock.read(reading);
                match limit {
                    $(AnyLimit::$variant(limit) => self.$name.peek(hash, key, now, &limit.terms),)+
                }
            }

            /// Returns the number of units returned.
            pub(super) fn refund(
                &mut self,
                hash: u64,
                key: &str,
                reading: Timestamp,
                algorithm: Algorithm,
                units: Units,
            ) -> u64 {
                let now = self.clock.read(reading);
                match algorithm {
                    $(Algorithm::$variant => self.$name.refund(hash, key, now, units),)+
                }
            }

            pub(super) fn inspect(
                &mut self,
                hash: u64,
                key: &str,
                reading: Timestamp,
                algorithm: Algorithm,
            ) -> Option<Usage> {
                let now = self.clock.read(reading);
                match algorithm {
                    $(Algorithm::$variant => self.$name.inspect(hash, key, now),)+
                }
            }

            /// Returns whether there was such a key.
            pub(super) fn reset(&mut self, hash: u64, key: &str, reading: Timestamp, algorithm: Algorithm) -> bool {
                let now = self.clock.read(reading);
                match algorithm {
                    $(Algorithm::$variant => self.$name.reset(hash, key, now),)+
                }
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
