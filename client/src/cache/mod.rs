//! Caches: what functions return, for some time.

mod flights;
mod memory;
mod redis;

#[cfg(feature = "tokio")]
pub use self::memory::AsyncMemoryCache;
pub use self::memory::MemoryCache;
#[cfg(feature = "tokio")]
pub use self::redis::AsyncRedisCache;
pub use self::redis::RedisCache;
use crate::{Key, Keyspace};

/// The keyspace of caches, if not given otherwise.
const KEYSPACE: Keyspace = Keyspace::from_static("premier-cache");

/// A key as it is in the store.
fn name(keyspace: &Keyspace, key: &Key<'_>) -> String {
    keyspace.name(key, "cache")
}
