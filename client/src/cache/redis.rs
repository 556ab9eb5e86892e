use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use premier_blocking::async_track_caller;
#[cfg(feature = "tokio")]
use redis::aio::ConnectionManager;
use redis::{Cmd, FromRedisValue, IntoConnectionInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "tokio")]
use super::AsyncComputations;
use super::{Computations, KEYSPACE, format, name};
#[cfg(feature = "tokio")]
use crate::connection::AsyncServer;
use crate::connection::Server;
#[cfg(feature = "cluster")]
use crate::connection::{AsyncCluster, Cluster};
use crate::throttler::DEFAULT_DEADLINE;
use crate::{Error, Key, Keyspace};

/// Remembers values in Redis or Valkey, for sync code in any number of processes. Cheap to clone.
///
/// Values are stored under the [`Key`] and expire by themselves. They are in a binary format with
/// the names of fields, so that what is read is what was written: `Some(None)`, `Some(())` and NaN
/// too.
///
/// A value is stored only if it reads back such that it would be serialized as before. A value that
/// its `Deserialize` alters is computed by each call: a `Some(None)` within an internally tagged
/// enum or a flattened field for example, or a variant of an untagged enum that reads as another
/// one. A stored value that cannot be read, as another version of the program or another program
/// has written it, is computed again.
///
/// What serde does not serialize cannot be stored: a field with `#[serde(skip)]` comes back as its
/// default, and variants of an untagged enum that are serialized alike come back as the first of
/// them. Do not cache such values here, or only if that is right.
///
/// If the server does not answer or refuses, values are computed and not remembered. Each call may
/// then take longer by the deadline.
#[derive(Clone)]
pub struct RedisCache {
    store: Store,
    settings: Settings,
    computations: Arc<Computations>,
}

/// [`RedisCache`] for async code.
///
/// If a computing call is dropped, one of the calls that wait for it computes the value.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub struct AsyncRedisCache {
    store: AsyncStore,
    settings: Settings,
    computations: Arc<AsyncComputations>,
}

#[also_blocking]
#[derive(Clone)]
enum AsyncStore {
    Server(AsyncServer),
    #[cfg(feature = "cluster")]
    Cluster(AsyncCluster),
}

#[derive(Clone)]
struct Settings {
    keyspace: Keyspace,
    deadline: Duration,
}

const DEFAULT: Settings = Settings { keyspace: KEYSPACE, deadline: DEFAULT_DEADLINE };

#[also_blocking]
impl AsyncRedisCache {
    /// Remembers values in a server.
    ///
    /// # Errors
    /// If the address is invalid.
    pub fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self::on(AsyncStore::Server(AsyncServer::new(address)?)))
    }

    /// Remembers values in a cluster.
    ///
    /// # Errors
    /// If there is no address, or one is invalid.
    #[cfg(feature = "cluster")]
    pub fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self::on(AsyncStore::Cluster(AsyncCluster::new(addresses)?)))
    }

    fn on(store: AsyncStore) -> Self {
        Self { store, settings: DEFAULT, computations: Arc::default() }
    }

    /// Sets the keyspace; `premier-cache` by default.
    #[must_use]
    pub fn keyspace(mut self, keyspace: Keyspace) -> Self {
        self.settings.keyspace = keyspace;
        self
    }

    /// Sets how long a command may take, connecting included; 500 ms by default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Returns the value of this key, or computes it and remembers it for `ttl`, in milliseconds,
    /// rounded up. Errors are not remembered.
    ///
    /// Callers in this process that ask for the same key at the same time share one computation
    /// (singleflight). If it fails, its caller gets the error, and each of the others computes for
    /// itself.
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
        T: Serialize + DeserializeOwned,
    {
        let name = name(&self.settings.keyspace, key);
        let caller = self.computations.join(&name);
        let turn = Some(caller.lock().lock().await).filter(|_| !caller.is_done());
        let result = match self.call(&get(&name)).await.map(read) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => {
                let result = caller.async_compute(compute).await;
                if let Some(set) = result.as_ref().ok().and_then(|value| set(&name, value, ttl)) {
                    let _not_remembered = self.call::<()>(&set).await;
                }
                result
            }
            Err(_) => caller.async_compute(compute).await,
        };
        caller.finish();
        drop(turn);
        result
    }

    /// Forgets the value of this key. That of a decorated function is shown at
    /// [`AsyncMemoryCache::invalidate`](crate::AsyncMemoryCache::invalidate).
    ///
    /// # Errors
    /// If the server does not answer, or refuses.
    pub async fn invalidate(&self, key: &Key<'_>) -> Result<(), Error> {
        self.call(&unlink(&name(&self.settings.keyspace, key))).await
    }

    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        match &self.store {
            AsyncStore::Server(server) => server.call(command, self.settings.deadline).await,
            #[cfg(feature = "cluster")]
            AsyncStore::Cluster(cluster) => cluster.call(command, self.settings.deadline).await,
        }
    }
}

/// Reaches a server as this client does, with certificates of your own for example.
impl From<redis::Client> for RedisCache {
    fn from(client: redis::Client) -> Self {
        Self::on(Store::Server(client.into()))
    }
}

/// Shares this connection with its other users.
///
/// Its own retries and timeouts apply.
#[cfg(feature = "tokio")]
impl From<ConnectionManager> for AsyncRedisCache {
    fn from(manager: ConnectionManager) -> Self {
        Self::on(AsyncStore::Server(manager.into()))
    }
}

#[also_blocking]
impl fmt::Debug for AsyncRedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(concat!(stringify!(AsyncRedisCache), "::"))?;
        f.write_str(match &self.store {
            AsyncStore::Server(_) => "redis",
            #[cfg(feature = "cluster")]
            AsyncStore::Cluster(_) => "cluster",
        })
    }
}

fn get(name: &str) -> Cmd {
    let mut get = redis::cmd("GET");
    get.arg(name);
    get
}

/// Returns `None` if the value cannot be written.
fn set<T: Serialize + DeserializeOwned>(name: &str, value: &T, ttl: Duration) -> Option<Cmd> {
    let written = format::write(value)?;
    let millis = ttl.as_nanos().div_ceil(1_000_000).clamp(1, MAX_TTL.as_millis());
    let mut set = redis::cmd("SET");
    set.arg(name).arg(written).arg("PX").arg(millis.to_string());
    Some(set)
}

/// The bound of all durations of this crate. The server refuses times that are much longer.
const MAX_TTL: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

fn unlink(name: &str) -> Cmd {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(name);
    unlink
}

/// Returns `None` if there is no value, or it cannot be read.
fn read<T: DeserializeOwned>(written: Option<Vec<u8>>) -> Option<T> {
    written.and_then(|written| format::read(&written))
}
