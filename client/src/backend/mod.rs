//! Where throttlers keep their limits.

mod hold;
mod request;
#[cfg(feature = "script")]
mod scripted;

#[cfg(feature = "tokio")]
use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroUsize;

use premier_algorithms::Timestamp;
use premier_blocking::also_blocking;
use redis::IntoConnectionInfo;
#[cfg(feature = "tokio")]
use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
#[cfg(feature = "cluster")]
use redis::cluster_async::ClusterConnection;

#[cfg(feature = "memory")]
use crate::MemoryBackend;
#[cfg(feature = "tokio")]
use crate::connection::AsyncServer;
#[cfg(feature = "cluster")]
use crate::connection::{AsyncCluster, Cluster, slot_of};
use crate::connection::{Budget, Call, Confirmation, Node, Server};
#[cfg(feature = "script")]
use crate::script::ScriptClock;
use crate::{Error, Keyspace};

pub(crate) use hold::{HoldAll, HoldUnits, PeekHold, Release};
pub(crate) use request::{All, Check, Inspect, Peek, Query, Refund, Request, Reset};

/// Where a [`Throttler`](crate::Throttler) keeps its limits: a server, a cluster, or the memory of
/// this process. Cheap to clone.
///
/// A server, and each node of a cluster, is reached through a pool of up to 10 connections, which
/// are made when they are needed. A call has a connection to itself;
/// [`max_connections`](Self::max_connections) sets how many calls a server decides at a time.
#[derive(Clone)]
pub struct Backend(Kind);

/// Where an [`AsyncThrottler`](crate::AsyncThrottler) keeps its limits: a server, a cluster, or the
/// memory of this process. Cheap to clone.
///
/// A server, and each node of a cluster, is reached through one connection that all calls share.
/// Each tokio runtime in which calls are made has connections of its own, as connections live only
/// while their runtime runs.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub struct AsyncBackend(AsyncKind);

#[also_blocking]
#[derive(Clone)]
enum AsyncKind {
    Server(AsyncServer, Language),
    #[cfg(feature = "cluster")]
    Cluster(AsyncCluster, Language),
    #[cfg(feature = "memory")]
    Memory(MemoryBackend),
}

/// How calls are sent to a store.
#[derive(Debug, Clone, Copy)]
enum Language {
    /// As commands of the module.
    Module,
    #[cfg(feature = "script")]
    Script(ScriptClock),
}

impl Language {
    fn call(self, query: &impl Query) -> Call {
        match self {
            Self::Module => query.command().into(),
            #[cfg(feature = "script")]
            Self::Script(clock) => query.script(clock),
        }
    }
}

#[also_blocking]
impl AsyncBackend {
    /// Keeps limits in a Redis or Valkey server that has loaded the module.
    ///
    /// # Errors
    /// If the address is invalid. An unreachable server is an error of the first call.
    pub fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self(AsyncKind::Server(AsyncServer::new(address)?, Language::Module)))
    }

    /// Keeps limits on the master of this name, which Redis or Valkey sentinels at these addresses
    /// know. All servers must have loaded the module.
    ///
    /// The sentinels are asked for each new connection, one after the other, until one names a
    /// server that is a master. After a failover, connections are made anew. As ever, no call is
    /// charged twice: a call whose reply the old master did not send is
    /// [`ReplyLost`](crate::ErrorKind::ReplyLost), and until the sentinels have a new master, calls
    /// are [`Unavailable`](crate::ErrorKind::Unavailable). [`OnError`](crate::OnError) decides
    /// both.
    ///
    /// `master` is a name, or an address with the name as its host, which says how to log in to the
    /// servers: by which user, password, database and encryption. The addresses of the sentinels
    /// say how to log in to the sentinels.
    ///
    /// ```
    /// use premier_client::AsyncBackend;
    ///
    /// let sentinels = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379", "redis://10.0.0.3:26379"];
    /// let backend = AsyncBackend::sentinel(sentinels, "mymaster")?;
    /// let with_password = AsyncBackend::sentinel(sentinels, "redis://user:password@mymaster/")?;
    /// # let _ = (backend, with_password);
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// With `rediss://mymaster` the certificates of the servers name the hosts that the sentinels
    /// report.
    ///
    /// # Errors
    /// If there is no address, or one is invalid. Unreachable sentinels, and a name that they do
    /// not know, are errors of the first call.
    pub fn sentinel<T: IntoConnectionInfo>(
        addresses: impl IntoIterator<Item = T>,
        master: &str,
    ) -> Result<Self, Error> {
        Ok(Self(AsyncKind::Server(AsyncServer::sentinel(addresses, master)?, Language::Module)))
    }

    /// Keeps limits in a cluster of Redis or Valkey servers that have loaded the module.
    ///
    /// # Errors
    /// If there is no address, or one is invalid. An unreachable cluster is an error of the first
    /// call.
    #[cfg(feature = "cluster")]
    pub fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self(AsyncKind::Cluster(AsyncCluster::new(addresses)?, Language::Module)))
    }

    /// Keeps limits in the memory of this process: in a new [`MemoryBackend`].
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn memory() -> Self {
        MemoryBackend::new().into()
    }

    /// Returns the memory of this process, if limits are kept there.
    #[cfg(feature = "memory")]
    #[inline]
    pub(crate) fn as_memory(&self) -> Option<&MemoryBackend> {
        let AsyncKind::Memory(memory) = &self.0 else { return None };
        Some(memory)
    }

    /// Returns whether limits are kept in the memory of this process, which answers at once.
    pub(crate) fn is_memory(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "memory")]
            AsyncKind::Memory(_) => true,
            _ => false,
        }
    }

    /// Returns a number that is the same for all keys that one call may have: in a cluster their
    /// slot.
    #[cfg_attr(not(feature = "cluster"), expect(unused_variables, reason = "only a cluster has slots"))]
    pub(crate) fn slot(&self, key: &str) -> usize {
        match &self.0 {
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(..) => slot_of(key.as_bytes()),
            _ => 0,
        }
    }

    /// Returns the time of the memory, if limits are kept there.
    pub(crate) fn memory_now(&self) -> Option<Timestamp> {
        match &self.0 {
            #[cfg(feature = "memory")]
            AsyncKind::Memory(memory) => Some(memory.now()),
            _ => None,
        }
    }

    /// Returns the node that answers a query, as far as is known.
    #[cfg_attr(not(feature = "cluster"), expect(unused_variables, reason = "only a cluster has several nodes"))]
    pub(crate) fn node(&self, query: &impl Query) -> Node {
        match &self.0 {
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(cluster, _) => cluster.node(query.key()),
            _ => Node::default(),
        }
    }

    /// Returns the answer, and the node that has given or not given it.
    #[inline]
    pub(crate) async fn ask<Q: Query>(
        &self,
        query: &Q,
        budget: &Budget,
        confirmation: Option<&Confirmation>,
    ) -> (Node, Result<Q::Answer, Error>) {
        let confirmation = confirmation.filter(|_| Q::CONFIRMED.is_some());
        let (node, answer) = match &self.0 {
            AsyncKind::Server(server, language) => {
                (Node::default(), server.ask(&language.call(query), budget, confirmation).await)
            }
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(cluster, language) => cluster.ask(&language.call(query), budget, confirmation).await,
            #[cfg(feature = "memory")]
            AsyncKind::Memory(memory) => return (Node::default(), query.ask_memory(memory, budget.start)),
        };
        let answer = answer.map(|(answer, confirmed_by)| match (Q::CONFIRMED, confirmed_by) {
            (Some(confirmed), Some(replicas)) => confirmed(answer, replicas),
            _ => answer,
        });
        (node, answer)
    }

    pub(crate) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match &self.0 {
            AsyncKind::Server(server, _) => server.clear(keyspace).await,
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(cluster, _) => cluster.clear(keyspace).await,
            #[cfg(feature = "memory")]
            AsyncKind::Memory(memory) => Ok(memory.clear(keyspace)),
        }
    }
}

#[cfg(feature = "tokio")]
impl AsyncBackend {
    /// Keeps limits in the server to which the connections of a pool lead. Each call takes one.
    ///
    /// ```
    /// use deadpool_redis::{Config, Runtime};
    /// use premier_client::AsyncBackend;
    ///
    /// let pool = Config::from_url("redis://127.0.0.1/").create_pool(Some(Runtime::Tokio1))?;
    /// let backend = AsyncBackend::pooled(move || {
    ///     let pool = pool.clone();
    ///     async move { pool.get().await }
    /// });
    /// # let _ = backend;
    /// # Ok::<(), deadpool_redis::CreatePoolError>(())
    /// ```
    ///
    /// The retries and timeouts of the pool and of its connections apply. The pool has to see to it
    /// that a connection is open, as deadpool-redis does by a PING: a call on one that is closed is
    /// [`ReplyLost`](crate::ErrorKind::ReplyLost). If there is no connection within the
    /// [deadline](crate::Builder::deadline), the call is
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    pub fn pooled<C, E, F>(get: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: ConnectionLike + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
        F: Future<Output = Result<C, E>> + Send + 'static,
    {
        Self(AsyncKind::Server(AsyncServer::pooled(get), Language::Module))
    }
}

impl Backend {
    /// Sets how many connections there may be to a server, or to each node of a cluster; 10 by
    /// default. All clones of this backend share them.
    ///
    /// ```
    /// use std::num::NonZero;
    ///
    /// use premier_client::Backend;
    ///
    /// let backend = Backend::redis("redis://127.0.0.1/")?.max_connections(const { NonZero::new(50).unwrap() });
    /// # let _ = backend;
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// If all are in use, a call waits for one, but never so long that its reply could not return
    /// before the [deadline](crate::Builder::deadline). Then it is
    /// [`Unavailable`](crate::ErrorKind::Unavailable), and nothing was sent.
    #[must_use]
    pub fn max_connections(self, connections: NonZeroUsize) -> Self {
        match &self.0 {
            Kind::Server(server, _) => server.resize(connections),
            #[cfg(feature = "cluster")]
            Kind::Cluster(cluster, _) => cluster.resize(connections),
            #[cfg(feature = "memory")]
            Kind::Memory(_) => {}
        }
        self
    }
}

/// Reaches a server as this client does, with certificates of your own for example.
#[also_blocking]
impl From<redis::Client> for AsyncBackend {
    fn from(client: redis::Client) -> Self {
        Self(AsyncKind::Server(client.into(), Language::Module))
    }
}

/// Shares this connection with its other users.
///
/// Its own retries and timeouts apply: the manager retries to connect, but never a command that it
/// has sent. It belongs to the tokio runtime in which it was made, stays on a primary that becomes
/// a replica until that closes the connection, and is sent a PING before a call that does not
/// follow another one at once, to notice that the connection is closed. A [`redis::Client`] has
/// none of these limits.
#[cfg(feature = "tokio")]
impl From<ConnectionManager> for AsyncBackend {
    fn from(manager: ConnectionManager) -> Self {
        Self(AsyncKind::Server(manager.into(), Language::Module))
    }
}

/// Shares this connection with its other users.
///
/// Its own timeouts apply. It never connects anew: when it is lost, all calls are
/// [`Unavailable`](crate::ErrorKind::Unavailable) from then on. It belongs to the tokio runtime in
/// which it was made, and is sent a PING before a call that does not follow another one at once, to
/// notice that it is lost. A [`redis::Client`] has none of these limits.
#[cfg(feature = "tokio")]
impl From<MultiplexedConnection> for AsyncBackend {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(AsyncKind::Server(connection.into(), Language::Module))
    }
}

/// Shares these connections with their other users.
///
/// Their own retries and timeouts apply, and such a retry sends a command again whose reply was
/// lost, which may **charge a call twice**. Without retries
/// ([`ClusterClientBuilder::retries`](redis::cluster::ClusterClientBuilder::retries)), they follow
/// no redirection while slots move. As they do not report which node has not answered, an outage of
/// one node is one of all keys. [`AsyncBackend::cluster`] has none of these limits.
#[cfg(feature = "cluster")]
impl From<ClusterConnection> for AsyncBackend {
    fn from(connection: ClusterConnection) -> Self {
        Self(AsyncKind::Server(connection.into(), Language::Module))
    }
}

#[also_blocking]
#[cfg(feature = "memory")]
impl From<MemoryBackend> for AsyncBackend {
    fn from(memory: MemoryBackend) -> Self {
        Self(AsyncKind::Memory(memory))
    }
}

#[also_blocking]
impl fmt::Debug for AsyncBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(concat!(stringify!(AsyncBackend), "::"))?;
        f.write_str(match &self.0 {
            AsyncKind::Server(server, _) if server.has_sentinels() => "sentinel",
            AsyncKind::Server(..) => "redis",
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(..) => "cluster",
            #[cfg(feature = "memory")]
            AsyncKind::Memory(_) => "memory",
        })
    }
}
