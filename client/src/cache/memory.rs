use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use premier_blocking::async_track_caller;

#[cfg(feature = "tokio")]
use super::AsyncComputations;
use super::{Computations, KEYSPACE, name};
use crate::Key;

type Entries = moka::sync::Cache<String, Entry>;
#[cfg(feature = "tokio")]
type AsyncEntries = moka::future::Cache<String, Entry>;

/// Remembers values in the memory of this process, for sync code. Cheap to clone; clones share
/// their values.
///
/// Values are of any type that can be cloned; an [`Arc`] makes cloning cheap. When the cache is
/// full, moka keeps the values that are used most.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{MemoryCache, key};
///
/// let cache = MemoryCache::new(1_000);
/// let (key, ttl) = (key!("length", "ada"), Duration::from_secs(30));
/// let fail = || Err("asked again".to_owned());
///
/// let length: Result<usize, String> = cache.get_or_compute(&key, ttl, || Ok(3));
/// assert_eq!(length, Ok(3));
/// assert_eq!(cache.get_or_compute(&key, ttl, fail), Ok(3));
///
/// cache.invalidate(&key);
/// let length: Result<usize, String> = cache.get_or_compute(&key, ttl, fail);
/// assert_eq!(length, Err("asked again".to_owned()));
/// ```
#[derive(Clone)]
pub struct MemoryCache {
    entries: Entries,
    computations: Arc<Computations>,
}

/// [`MemoryCache`] for async code.
///
/// If a computing call is dropped, one of the calls that wait for it computes the value.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub struct AsyncMemoryCache {
    entries: AsyncEntries,
    computations: Arc<AsyncComputations>,
}

#[also_blocking]
impl AsyncMemoryCache {
    /// Makes a cache for up to `capacity` values.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self {
            entries: AsyncEntries::builder().max_capacity(capacity).expire_after(Ttl).build(),
            computations: Arc::default(),
        }
    }

    /// Returns the value of this key, or computes it and remembers it for `ttl`. Errors are not
    /// remembered.
    ///
    /// Callers that ask for the same key at the same time share one computation (singleflight). If
    /// it fails, its caller gets the error, and each of the others computes for itself.
    ///
    /// # Errors
    /// If the computation fails.
    ///
    /// # Panics
    /// If the computation asks for the same key, directly or through other cached values, because
    /// it would wait for itself forever. What it asks on other threads or tasks is not noticed.
    #[async_track_caller]
    pub async fn get_or_compute<T, E>(
        &self,
        key: &Key<'_>,
        ttl: Duration,
        compute: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Clone + Send + Sync + 'static,
    {
        let name = name(&KEYSPACE, key);
        if let Some(value) = self.get(&name).await {
            return Ok(value);
        }
        let caller = self.computations.join(&name);
        let turn = Some(caller.lock().lock().await).filter(|_| !caller.is_done());
        let result = if let Some(value) = self.get(&name).await {
            Ok(value)
        } else {
            let result = caller.async_compute(compute).await;
            if let Ok(value) = &result {
                self.entries.insert(name.clone(), Entry::new(T::clone(value), ttl)).await;
            }
            result
        };
        caller.finish();
        drop(turn);
        result
    }

    async fn get<T: Any + Clone>(&self, name: &str) -> Option<T> {
        self.entries.get(name).await.and_then(|entry| entry.value())
    }

    /// Forgets the value of this key.
    ///
    /// The key of a decorated function consists of its module, its name, and its arguments:
    /// `Key::new(module_path!(), "price").custom_parts(&[&product, &currency])`. If the attribute
    /// has a `key`, its result takes the place of the arguments: `….custom(product)`. The name of a
    /// method includes its type: `"Shop::price"`, or for one of a trait
    /// `"<app::Shop as app::Prices>::price"`. The section *Keys* of the module `decorate` has more.
    pub async fn invalidate(&self, key: &Key<'_>) {
        self.entries.invalidate(&name(&KEYSPACE, key)).await;
    }
}

#[also_blocking]
impl fmt::Debug for AsyncMemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(stringify!(AsyncMemoryCache))
            .field("values", &self.entries.entry_count())
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    ttl: Duration,
}

impl Entry {
    fn new(value: impl Any + Send + Sync, ttl: Duration) -> Self {
        Self { value: Arc::new(value), ttl }
    }

    fn value<T: Any + Clone>(&self) -> Option<T> {
        self.value.downcast_ref().cloned()
    }
}

/// Gives each entry its own time to live.
struct Ttl;

impl Expiry<String, Entry> for Ttl {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &String, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}
