//! Where the limits are kept.

#[cfg(feature = "cluster")]
mod async_cluster;
#[cfg(feature = "tokio")]
mod async_server;
mod clear;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "memory")]
mod memory;
mod pool;
mod request;
mod server;
mod store;

use std::fmt;
use std::time::Duration;
#[cfg(feature = "tokio")]
use std::time::Instant;

use redis::IntoConnectionInfo;
#[cfg(feature = "tokio")]
use redis::aio::ConnectionManager;

use crate::{Error, Keyspace};

#[cfg(feature = "memory")]
pub use memory::MemoryBackend;
#[cfg(feature = "memory")]
pub(crate) use request::Answer;
pub(crate) use request::{All, Check, Peek, Refund, Request};
#[cfg(feature = "tokio")]
pub(crate) use store::AsyncStore;
pub(crate) use store::Store;

/// Where a [`Throttler`](crate::Throttler) keeps its limits: a server, a cluster, or this process. Cheap to clone.
#[derive(Clone)]
pub struct Backend(Kind);

#[derive(Clone)]
enum Kind {
    Store(Store),
    #[cfg(feature = "memory")]
    Memory(MemoryBackend),
}

impl Backend {
    /// A Redis or Valkey server with the module, by way of a pool of up to 10 connections, which are made when they are needed.
    ///
    /// # Errors
    /// When the address is none. Whether a server is there shows at the first call.
    pub fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self(Kind::Store(Store::redis(address)?)))
    }

    /// A cluster of Redis or Valkey servers with the module, by way of a pool of up to 10 connections to the cluster.
    ///
    /// # Errors
    /// When there is no address, or one is none. Whether the cluster is there shows at the first call.
    #[cfg(feature = "cluster")]
    pub fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self(Kind::Store(Store::cluster(addresses)?)))
    }

    /// The memory of this process: a new [`MemoryBackend`].
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn memory() -> Self {
        MemoryBackend::new().into()
    }

    pub(crate) fn ask<R: Request>(&self, request: &R, deadline: Duration) -> Result<R::Answer, Error> {
        match &self.0 {
            Kind::Store(store) => store.call(&request.command(), deadline),
            #[cfg(feature = "memory")]
            Kind::Memory(memory) => Ok(request.ask(memory)),
        }
    }

    pub(crate) fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match &self.0 {
            Kind::Store(store) => store.clear(keyspace),
            #[cfg(feature = "memory")]
            Kind::Memory(memory) => Ok(memory.clear(keyspace)),
        }
    }
}

/// A server to be reached as this client does: with certificates of your own, say.
impl From<redis::Client> for Backend {
    fn from(client: redis::Client) -> Self {
        Self(Kind::Store(client.into()))
    }
}

#[cfg(feature = "memory")]
impl From<MemoryBackend> for Backend {
    fn from(memory: MemoryBackend) -> Self {
        Self(Kind::Memory(memory))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend::")?;
        f.write_str(match &self.0 {
            Kind::Store(store) => store.name(),
            #[cfg(feature = "memory")]
            Kind::Memory(_) => "memory",
        })
    }
}

/// Where an [`AsyncThrottler`](crate::AsyncThrottler) keeps its limits: a server, a cluster, or this process. Cheap to clone.
///
/// The connections belong to the tokio runtime in which the first call is made.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub struct AsyncBackend(AsyncKind);

#[cfg(feature = "tokio")]
#[derive(Clone)]
enum AsyncKind {
    Store(AsyncStore),
    #[cfg(feature = "memory")]
    Memory(MemoryBackend),
}

#[cfg(feature = "tokio")]
impl AsyncBackend {
    /// A Redis or Valkey server with the module, by way of one connection that all calls share and that is made anew when it
    /// breaks: a [`ConnectionManager`] of redis-rs.
    ///
    /// # Errors
    /// When the address is none. Whether a server is there shows at the first call.
    pub fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self(AsyncKind::Store(AsyncStore::redis(address)?)))
    }

    /// A cluster of Redis or Valkey servers with the module, by way of one connection to each.
    ///
    /// # Errors
    /// When there is no address, or one is none. Whether the cluster is there shows at the first call.
    #[cfg(feature = "cluster")]
    pub fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self(AsyncKind::Store(AsyncStore::cluster(addresses)?)))
    }

    /// The memory of this process: a new [`MemoryBackend`].
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn memory() -> Self {
        MemoryBackend::new().into()
    }

    pub(crate) async fn ask<R: Request>(&self, request: &R, deadline: Duration) -> Result<R::Answer, Error> {
        match &self.0 {
            AsyncKind::Store(store) => store.call(&request.command(), deadline).await,
            #[cfg(feature = "memory")]
            AsyncKind::Memory(memory) => Ok(request.ask(memory)),
        }
    }

    pub(crate) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match &self.0 {
            AsyncKind::Store(store) => store.clear(keyspace).await,
            #[cfg(feature = "memory")]
            AsyncKind::Memory(memory) => Ok(memory.clear(keyspace)),
        }
    }
}

/// What comes of a command, or that no reply came by the deadline, which is counted from the start.
#[cfg(feature = "tokio")]
async fn within<T>(
    start: Instant,
    deadline: Duration,
    reply: impl Future<Output = redis::RedisResult<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(deadline.saturating_sub(start.elapsed()), reply).await {
        Ok(reply) => reply.map_err(Error::answered),
        Err(_) => Err(Error::no_reply(deadline)),
    }
}

/// A connection that others may use too.
///
/// Its own retries and timeouts hold: the manager retries to connect, but no command that it has sent.
#[cfg(feature = "tokio")]
impl From<ConnectionManager> for AsyncBackend {
    fn from(manager: ConnectionManager) -> Self {
        Self(AsyncKind::Store(AsyncStore::Manager(manager)))
    }
}

#[cfg(all(feature = "memory", feature = "tokio"))]
impl From<MemoryBackend> for AsyncBackend {
    fn from(memory: MemoryBackend) -> Self {
        Self(AsyncKind::Memory(memory))
    }
}

#[cfg(feature = "tokio")]
impl fmt::Debug for AsyncBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsyncBackend::")?;
        f.write_str(match &self.0 {
            AsyncKind::Store(store) => store.name(),
            #[cfg(feature = "memory")]
            AsyncKind::Memory(_) => "memory",
        })
    }
}
