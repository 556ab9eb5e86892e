//! Caches that remember for some time what functions return.

mod dependencies;
mod form;
mod format;
mod memory;
mod redis;
mod singleflight;

#[cfg(feature = "tokio")]
pub use self::memory::AsyncMemoryCache;
pub use self::memory::MemoryCache;
#[cfg(feature = "tokio")]
pub use self::redis::AsyncRedisCache;
pub use self::redis::RedisCache;
use self::singleflight::Singleflight;
use crate::{Key, Keyspace};

/// The keyspace of caches that are given none.
const KEYSPACE: Keyspace = Keyspace::from_static("premier-cache");

type Computations = Singleflight<std::sync::Mutex<()>>;
#[cfg(feature = "tokio")]
type AsyncComputations = Singleflight<tokio::sync::Mutex<()>>;

/// Returns a key as it is in the store.
fn name(keyspace: &Keyspace, key: &Key<'_>) -> String {
    keyspace.name(key, "cache").into()
}
