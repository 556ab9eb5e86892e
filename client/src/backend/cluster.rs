//! A cluster, sync.
//!
//! redis-rs follows the redirections of a cluster only where it may also send a command twice: with no retries allowed it
//! hands them out. So they are followed here, as a node that redirects a call has not charged it.

use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ConnectionLike, FromRedisValue, IntoConnectionInfo, RedisError, RedisResult, ServerErrorKind, Value};

use super::clear::Walk;
use super::pool::{Pool, Pooled, Target};
use super::server::{CONNECT_TIMEOUT, STEP_TIMEOUT, tcp_settings};
use crate::{Error, Keyspace};

/// How often a call follows the word of a node that another one has its key.
pub(super) const MAX_REDIRECTIONS: usize = 5;

#[derive(Clone)]
pub(crate) struct Cluster {
    pool: Pool<ClusterClient>,
    clearing: Pool<ClusterClient>,
}

/// The clients of one cluster.
pub(super) struct Clients {
    /// Sends no command twice.
    pub(super) charging: ClusterClient,
    /// Sends a command until it is answered.
    pub(super) clearing: ClusterClient,
}

impl Clients {
    pub(super) fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        #[cfg(feature = "tls")]
        super::server::choose_cryptography();
        let addresses: RedisResult<Vec<_>> = addresses.into_iter().map(T::into_connection_info).collect();
        let addresses = addresses.map_err(Error::invalid_address)?;
        let builder = || {
            ClusterClient::builder(addresses.clone())
                .connection_timeout(CONNECT_TIMEOUT)
                // Calls have deadlines of their own.
                .response_timeout(STEP_TIMEOUT)
                .overall_response_timeout(None)
                .tcp_settings(tcp_settings())
        };
        let charging = builder().retries(0).build().map_err(Error::invalid_address)?;
        let clearing = builder().build().map_err(Error::invalid_address)?;
        Ok(Self { charging, clearing })
    }
}

impl Target for ClusterClient {
    type Connection = ClusterConnection;

    fn connect(&self) -> RedisResult<ClusterConnection> {
        self.get_connection()
    }

    fn set_timeout(connection: &ClusterConnection, timeout: Duration) -> RedisResult<()> {
        connection.set_write_timeout(Some(timeout))?;
        connection.set_read_timeout(Some(timeout))
    }
}

impl Cluster {
    pub(super) fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let Clients { charging, clearing } = Clients::new(addresses)?;
        Ok(Self { pool: Pool::new(charging), clearing: Pool::new(clearing) })
    }

    pub(super) fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        self.pool.call(deadline, |pooled| Ok(T::from_redis_value(send(pooled, command)?.extract_error()?)?))
    }

    /// Returns how many keys there were.
    pub(super) fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        let first = Walk::over(keyspace);
        let replies = self
            .clearing
            .call(STEP_TIMEOUT, |Pooled { connection, .. }| connection.route_command(&first.step(), every_master()))?;
        let mut cleared = 0;
        for (node, mut reply) in by_node(replies).map_err(Error::answered)? {
            let mut walk = Walk::over(keyspace);
            loop {
                cleared += self
                    .clearing
                    .call(STEP_TIMEOUT, |Pooled { connection, .. }| unlink(connection, &walk.take(reply)?))?;
                if walk.is_over() {
                    break;
                }
                reply = self.clearing.call(STEP_TIMEOUT, |Pooled { connection, .. }| {
                    connection.route_command(&walk.step(), RoutingInfo::SingleNode(node.clone()))
                })?;
            }
        }
        Ok(cleared)
    }
}

fn unlink(connection: &mut ClusterConnection, keys: &[Vec<u8>]) -> RedisResult<u64> {
    let mut pipeline = cluster_pipe();
    for key in keys {
        pipeline.cmd("UNLINK").arg(key);
    }
    let unlinked: Vec<u64> = if keys.is_empty() { Vec::new() } else { pipeline.query(connection)? };
    Ok(unlinked.iter().sum())
}

/// Sends a command that must not be charged twice.
fn send(pooled: &mut Pooled<ClusterConnection>, command: &Cmd) -> RedisResult<Value> {
    let mut reply = pooled.connection.req_command(command);
    for _ in 0..MAX_REDIRECTIONS {
        let Some(redirection) = reply.as_ref().err().and_then(Redirection::of) else {
            break;
        };
        // A connection does not learn where a slot has gone, a new one will know.
        pooled.is_worn |= redirection.is_for_good;
        let Some(node) = redirection.node else {
            break;
        };
        if !redirection.is_for_good {
            pooled.connection.route_command(&redis::cmd("ASKING"), RoutingInfo::SingleNode(node.clone()))?;
        }
        reply = pooled.connection.route_command(command, RoutingInfo::SingleNode(node));
    }
    reply
}

/// That a call was not charged, since another node has the key, or none was asked.
pub(super) struct Redirection {
    /// Whether the slot has moved. Otherwise it is just moving, and only this key is to be asked for there.
    pub(super) is_for_good: bool,
    /// The other node, if it was named.
    pub(super) node: Option<SingleNodeRoutingInfo>,
}

impl Redirection {
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        let is_for_good = match error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ReadOnly)
            | redis::ErrorKind::ClusterConnectionNotFound => true,
            redis::ErrorKind::Server(ServerErrorKind::Ask) => false,
            _ => return None,
        };
        let node = error.redirect_node().and_then(|(address, _slot)| node(address));
        Some(Self { is_for_good, node })
    }
}

pub(super) fn every_master() -> RoutingInfo {
    RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None))
}

/// What each node replied.
pub(super) fn by_node(replies: Value) -> RedisResult<Vec<(SingleNodeRoutingInfo, Value)>> {
    let replies: Vec<(String, Value)> = FromRedisValue::from_redis_value(replies)?;
    Ok(replies.into_iter().filter_map(|(address, reply)| Some((node(&address)?, reply))).collect())
}

fn node(address: &str) -> Option<SingleNodeRoutingInfo> {
    let (host, port) = address.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: port.parse().ok()? })
}
