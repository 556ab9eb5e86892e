use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, IntoConnectionInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::flights::Flights;
use super::{KEYSPACE, name};
#[cfg(feature = "tokio")]
use crate::backend::AsyncStore;
use crate::backend::Store;
use crate::throttler::DEFAULT_DEADLINE;
use crate::{Error, Key, Keyspace};

/// Remembers values in Redis or Valkey, for sync code and all processes. Cheap to clone.
///
/// The values are strings of JSON under `{keyspace}:{module}:{function}:cache`, with `:{custom}` behind where there is a custom
/// part, and expire by themselves. What another version of the program has remembered and this one can't read is computed anew.
///
/// A server that does not answer, or refuses, is none: values are then computed, and not remembered. That costs a call up to
/// the deadline.
#[derive(Clone)]
pub struct RedisCache {
    store: Store,
    settings: Settings,
    flights: Arc<Flights<std::sync::Mutex<()>>>,
}

/// [`RedisCache`] for async code.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub struct AsyncRedisCache {
    store: AsyncStore,
    settings: Settings,
    flights: Arc<Flights<tokio::sync::Mutex<()>>>,
}

#[derive(Clone)]
struct Settings {
    keyspace: Keyspace,
    deadline: Duration,
}

const DEFAULT: Settings = Settings { keyspace: KEYSPACE, deadline: DEFAULT_DEADLINE };

impl RedisCache {
    /// On a server.
    ///
    /// # Errors
    /// When the address is none.
    pub fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self::on(Store::redis(address)?))
    }

    /// On a cluster.
    ///
    /// # Errors
    /// When there is no address, or one is none.
    #[cfg(feature = "cluster")]
    pub fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self::on(Store::cluster(addresses)?))
    }

    fn on(store: Store) -> Self {
        Self { store, settings: DEFAULT, flights: Arc::default() }
    }

    /// The keyspace of its keys; `premier-cache` if not given.
    #[must_use]
    pub fn keyspace(mut self, keyspace: Keyspace) -> Self {
        self.settings.keyspace = keyspace;
        self
    }

    /// How long a command may take, connecting included; 500 ms if not given.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// What is remembered under this key, or what comes of computing it, which is remembered for `ttl` (in milliseconds, rounded
    /// up) unless it is an error.
    ///
    /// Within this process one caller computes it, and the others who ask for it meanwhile wait for that. If it is an error,
    /// that one gets it, and those who waited compute on their own.
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
        T: Serialize + DeserializeOwned,
    {
        let name = name(&self.settings.keyspace, key);
        let seat = self.flights.board(&name);
        let turn = Some(seat.lock().lock()).filter(|_| !seat.is_over());
        let result = match self.call(&get(&name)).map(read) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => compute().inspect(|value| {
                if let Some(set) = set(&name, value, ttl) {
                    let _not_remembered = self.call::<()>(&set);
                }
            }),
            Err(_) => compute(),
        };
        seat.land();
        drop(turn);
        result
    }

    /// Forgets what is remembered under this key.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub fn invalidate(&self, key: &Key<'_>) -> Result<(), Error> {
        self.call(&unlink(&name(&self.settings.keyspace, key)))
    }

    fn call<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.store.call(command, self.settings.deadline)
    }
}

#[cfg(feature = "tokio")]
impl AsyncRedisCache {
    /// On a server.
    ///
    /// # Errors
    /// When the address is none.
    pub fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self::on(AsyncStore::redis(address)?))
    }

    /// On a cluster.
    ///
    /// # Errors
    /// When there is no address, or one is none.
    #[cfg(feature = "cluster")]
    pub fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self::on(AsyncStore::cluster(addresses)?))
    }

    fn on(store: AsyncStore) -> Self {
        Self { store, settings: DEFAULT, flights: Arc::default() }
    }

    /// As [`RedisCache::keyspace`].
    #[must_use]
    pub fn keyspace(mut self, keyspace: Keyspace) -> Self {
        self.settings.keyspace = keyspace;
        self
    }

    /// As [`RedisCache::deadline`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// As [`RedisCache::get_or_compute`]. When the caller is dropped who computes, one of those who wait goes on in its place.
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
        T: Serialize + DeserializeOwned,
    {
        let name = name(&self.settings.keyspace, key);
        let seat = self.flights.board(&name);
        let turn = Some(seat.lock().lock().await).filter(|_| !seat.is_over());
        let result = match self.call(&get(&name)).await.map(read) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => {
                let result = compute().await;
                if let Some(set) = result.as_ref().ok().and_then(|value| set(&name, value, ttl)) {
                    let _not_remembered = self.call::<()>(&set).await;
                }
                result
            }
            Err(_) => compute().await,
        };
        seat.land();
        drop(turn);
        result
    }

    /// As [`RedisCache::invalidate`].
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn invalidate(&self, key: &Key<'_>) -> Result<(), Error> {
        self.call(&unlink(&name(&self.settings.keyspace, key))).await
    }

    async fn call<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.store.call(command, self.settings.deadline).await
    }
}

fn get(name: &str) -> Cmd {
    let mut get = redis::cmd("GET");
    get.arg(name);
    get
}

/// Nothing, if the value can't be written.
fn set(name: &str, value: &impl Serialize, ttl: Duration) -> Option<Cmd> {
    let json = serde_json::to_vec(value).ok()?;
    let millis = ttl.as_nanos().div_ceil(1_000_000).clamp(1, LONGEST.as_millis());
    let mut set = redis::cmd("SET");
    set.arg(name).arg(json).arg("PX").arg(millis.to_string());
    Some(set)
}

/// As long as any duration may be here. What is much longer the server refuses.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

fn unlink(name: &str) -> Cmd {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(name);
    unlink
}

/// Nothing, if it is not there or can't be read.
fn read<T: DeserializeOwned>(json: Option<Vec<u8>>) -> Option<T> {
    json.and_then(|json| serde_json::from_slice(&json).ok())
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisCache::{}", self.store.name())
    }
}

#[cfg(feature = "tokio")]
impl fmt::Debug for AsyncRedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncRedisCache::{}", self.store.name())
    }
}
