//! A server or a cluster, whichever it is.

#[cfg(feature = "tokio")]
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tokio")]
use redis::aio::ConnectionManager;
use redis::{Cmd, FromRedisValue, IntoConnectionInfo};

#[cfg(feature = "tokio")]
use super::async_server;
#[cfg(feature = "cluster")]
use super::{async_cluster, cluster};
use super::{pool::Pool, server};
use crate::{Error, Keyspace};

/// What answers the commands of sync code. Cheap to clone, and connected when it is needed.
#[derive(Clone)]
pub(crate) enum Store {
    Server(Pool<redis::Client>),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Cluster),
}

impl Store {
    pub(crate) fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(server::client(address)?.into())
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self::Cluster(cluster::Cluster::new(addresses)?))
    }

    /// Sends a command once, whose first argument is its key.
    pub(crate) fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        match self {
            Self::Server(pool) => server::call(pool, command, deadline),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.call(command, deadline),
        }
    }

    pub(super) fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match self {
            Self::Server(pool) => server::clear(pool, keyspace),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.clear(keyspace),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "redis",
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => "cluster",
        }
    }
}

impl From<redis::Client> for Store {
    fn from(client: redis::Client) -> Self {
        Self::Server(Pool::new(client))
    }
}

/// What answers the commands of async code. Cheap to clone, and connected when it is needed.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub(crate) enum AsyncStore {
    Server(Arc<async_server::Server>),
    Manager(ConnectionManager),
    #[cfg(feature = "cluster")]
    Cluster(Arc<async_cluster::Cluster>),
}

#[cfg(feature = "tokio")]
impl AsyncStore {
    pub(crate) fn redis(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self::Server(Arc::new(async_server::Server::new(address)?)))
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn cluster<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self::Cluster(Arc::new(async_cluster::Cluster::new(addresses)?)))
    }

    /// Sends a command once, whose first argument is its key.
    pub(crate) async fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        match self {
            Self::Server(server) => async_server::call(server.manager().await?, command, deadline).await,
            Self::Manager(manager) => async_server::call(manager.clone(), command, deadline).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.call(command, deadline).await,
        }
    }

    pub(super) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match self {
            Self::Server(server) => async_server::clear(server.manager().await?, keyspace).await,
            Self::Manager(manager) => async_server::clear(manager.clone(), keyspace).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.clear(keyspace).await,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Server(_) | Self::Manager(_) => "redis",
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => "cluster",
        }
    }
}
