//! What `cache` calls on the cache that it is given.
#![expect(missing_docs, reason = "called by what the attributes write")]

#[cfg(feature = "tokio")]
use crate::{AsyncMemoryCache, AsyncRedisCache};
use crate::{MemoryCache, RedisCache};

/// Checks that a cache is one for its function. Any cache has the methods, so that the compiler
/// says which one is needed.
pub trait AnyCache {
    fn of_sync_function(&self) -> &Self::Itself
    where
        Self: SyncCache,
    {
        self.itself()
    }

    fn of_async_function(&self) -> &Self::Itself
    where
        Self: AsyncCache,
    {
        self.itself()
    }
}

#[diagnostic::on_unimplemented(message = "a sync function needs a `MemoryCache` or a `RedisCache`")]
pub trait SyncCache {
    /// Unknown for other caches, which spares the compiler's reader further errors.
    type Itself;

    fn itself(&self) -> &Self::Itself;
}

#[diagnostic::on_unimplemented(message = "an async function needs an `AsyncMemoryCache` or an `AsyncRedisCache`")]
pub trait AsyncCache {
    type Itself;

    fn itself(&self) -> &Self::Itself;
}

macro_rules! caches {
    ($trait:ident: $($cache:ident)+) => {
        $(
            impl AnyCache for $cache {}

            impl $trait for $cache {
                type Itself = Self;

                fn itself(&self) -> &Self {
                    self
                }
            }
        )+
    };
}

caches!(SyncCache: MemoryCache RedisCache);
#[cfg(feature = "tokio")]
caches!(AsyncCache: AsyncMemoryCache AsyncRedisCache);
