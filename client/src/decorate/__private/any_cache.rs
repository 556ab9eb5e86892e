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

    fn of_function_made_sync(&self) -> &Self::Itself
    where
        Self: CacheOfFunctionMadeSync,
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

#[diagnostic::on_unimplemented(
    message = "an attribute above, like `#[tokio::main]`, has made this function sync: move it below this one"
)]
pub trait CacheOfFunctionMadeSync {
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
caches!(CacheOfFunctionMadeSync: MemoryCache RedisCache);
#[cfg(feature = "tokio")]
caches!(AsyncCache: AsyncMemoryCache AsyncRedisCache);

impl AnyCache for MemoryCache {}
impl AnyCache for RedisCache {}
#[cfg(feature = "tokio")]
impl AnyCache for AsyncMemoryCache {}
#[cfg(feature = "tokio")]
impl AnyCache for AsyncRedisCache {}
