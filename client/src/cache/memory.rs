use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;

use super::flights::Flights;
use super::{KEYSPACE, name};
use crate::Key;

/// Remembers values in the memory of this process, for sync code. Cheap to clone, and clones share what they remember.
///
/// Values are of any type that can be cloned; an [`Arc`] makes that cheap. By moka, which keeps what is asked for most when
/// there is no room for all.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{MemoryCache, key};
///
/// let cache = MemoryCache::new(1_000);
/// let ttl = Duration::from_secs(30);
/// let length: Result<usize, String> = cache.get_or_compute(&key!("length", "ada"), ttl, || Ok(3));
/// assert_eq!(length, Ok(3));
/// let length: Result<usize, String> = cache.get_or_compute(&key!("length", "ada"), ttl, || Err("asked again".to_owned()));
/// assert_eq!(length, Ok(3));
///
/// cache.invalidate(&key!("length", "ada"));
/// let length: Result<usize, String> = cache.get_or_compute(&key!("length", "ada"), ttl, || Err("asked again".to_owned()));
/// assert_eq!(length, Err("asked again".to_owned()));
/// ```
#[derive(Clone)]
pub struct MemoryCache {
    entries: moka::sync::Cache<String, Entry>,
    flights: Arc<Flights<std::sync::Mutex<()>>>,
}

/// [`MemoryCache`] for async code.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub struct AsyncMemoryCache {
    entries: moka::future::Cache<String, Entry>,
    flights: Arc<Flights<tokio::sync::Mutex<()>>>,
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

/// Each entry says itself how long it lives.
struct Ttl;

impl Expiry<String, Entry> for Ttl {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &String, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl MemoryCache {
    /// A cache of up to so many values.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self {
            entries: moka::sync::Cache::builder().max_capacity(capacity).expire_after(Ttl).build(),
            flights: Arc::default(),
        }
    }

    /// What is remembered under this key, or what comes of computing it, which is remembered for `ttl` unless it is an error.
    ///
    /// One caller computes it, and the others who ask for it meanwhile wait for that. If it is an error, that one gets it, and
    /// those who waited compute on their own.
    ///
    /// # Errors
    /// Those of the computation.
    pub fn get_or_compute<T, E>(
        &self,
        key: &Key<'_>,
        ttl: Duration,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Clone + Send + Sync + 'static,
    {
        let name = name(&KEYSPACE, key);
        if let Some(value) = self.get(&name) {
            return Ok(value);
        }
        let seat = self.flights.board(&name);
        let turn = Some(seat.lock().lock()).filter(|_| !seat.is_over());
        let result = match self.get(&name) {
            Some(value) => Ok(value),
            None => compute().inspect(|value| self.entries.insert(name.clone(), Entry::new(value.clone(), ttl))),
        };
        seat.land();
        drop(turn);
        result
    }

    fn get<T: Any + Clone>(&self, name: &str) -> Option<T> {
        self.entries.get(name).and_then(|entry| entry.value())
    }

    /// Forgets what is remembered under this key.
    ///
    /// The key of a decorated function is that of its module, its name (behind the name of its type, if it is a method), and its
    /// arguments: `key!("Shop::price", product, currency)`.
    pub fn invalidate(&self, key: &Key<'_>) {
        self.entries.invalidate(&name(&KEYSPACE, key));
    }
}

#[cfg(feature = "tokio")]
impl AsyncMemoryCache {
    /// A cache of up to so many values.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self {
            entries: moka::future::Cache::builder().max_capacity(capacity).expire_after(Ttl).build(),
            flights: Arc::default(),
        }
    }

    /// As [`MemoryCache::get_or_compute`]. When the caller is dropped who computes, one of those who wait goes on in its place.
    ///
    /// # Errors
    /// Those of the computation.
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
        let seat = self.flights.board(&name);
        let turn = Some(seat.lock().lock().await).filter(|_| !seat.is_over());
        let result = if let Some(value) = self.get(&name).await {
            Ok(value)
        } else {
            let result = compute().await;
            if let Ok(value) = &result {
                self.entries.insert(name.clone(), Entry::new(T::clone(value), ttl)).await;
            }
            result
        };
        seat.land();
        drop(turn);
        result
    }

    async fn get<T: Any + Clone>(&self, name: &str) -> Option<T> {
        self.entries.get(name).await.and_then(|entry| entry.value())
    }

    /// As [`MemoryCache::invalidate`].
    pub async fn invalidate(&self, key: &Key<'_>) {
        self.entries.invalidate(&name(&KEYSPACE, key)).await;
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("values", &self.entries.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(feature = "tokio")]
impl fmt::Debug for AsyncMemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMemoryCache").field("values", &self.entries.entry_count()).finish_non_exhaustive()
    }
}
