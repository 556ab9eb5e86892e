//! The caches of decorated functions that name none.

use std::sync::LazyLock;

#[cfg(feature = "tokio")]
use crate::AsyncMemoryCache;
use crate::MemoryCache;

const CAPACITY: u64 = 10_000;

/// Returns the cache of the sync functions that name none: up to 10,000 values in memory.
#[must_use]
pub fn cache() -> &'static MemoryCache {
    static CACHE: LazyLock<MemoryCache> = LazyLock::new(|| MemoryCache::new(CAPACITY));
    &CACHE
}

/// Returns the cache of the async functions that name none: up to 10,000 values in memory.
#[cfg(feature = "tokio")]
#[must_use]
pub fn async_cache() -> &'static AsyncMemoryCache {
    static CACHE: LazyLock<AsyncMemoryCache> = LazyLock::new(|| AsyncMemoryCache::new(CAPACITY));
    &CACHE
}
