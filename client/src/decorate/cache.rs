//! What `cache` stands on.
#![expect(missing_docs, clippy::missing_errors_doc, reason = "called by what the attributes write")]

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::LazyLock;

#[cfg(feature = "tokio")]
use crate::AsyncMemoryCache;
use crate::MemoryCache;

/// Takes a `Result` apart into what is remembered and what is not. Found before [`OfValue`].
pub trait OfResult<T, E> {
    fn split(&self, returned: Result<T, E>) -> Result<T, E> {
        returned
    }

    fn join(&self, outcome: Result<T, E>) -> Result<T, E> {
        outcome
    }
}

impl<T, E> OfResult<T, E> for &PhantomData<Result<T, E>> {}

/// Anything else is remembered whole.
pub trait OfValue<R> {
    fn split(&self, returned: R) -> Result<R, Infallible> {
        Ok(returned)
    }

    fn join(&self, outcome: Result<R, Infallible>) -> R {
        let Ok(returned) = outcome;
        returned
    }
}

impl<R> OfValue<R> for PhantomData<R> {}

/// The cache of the sync functions that name none: up to 10,000 values in memory.
#[must_use]
pub fn cache() -> &'static MemoryCache {
    static CACHE: LazyLock<MemoryCache> = LazyLock::new(|| MemoryCache::new(CAPACITY));
    &CACHE
}

/// The cache of the async functions that name none: up to 10,000 values in memory.
#[cfg(feature = "tokio")]
#[must_use]
pub fn async_cache() -> &'static AsyncMemoryCache {
    static CACHE: LazyLock<AsyncMemoryCache> = LazyLock::new(|| AsyncMemoryCache::new(CAPACITY));
    &CACHE
}

const CAPACITY: u64 = 10_000;
