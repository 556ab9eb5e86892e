//! A cluster.
//!
//! Calls follow redirections here, not in redis-rs: that follows them only if it may also send a
//! command twice. Following them is safe, as a node that redirects a call has not charged it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use premier_blocking::also_blocking;
use redis::aio::ConnectionLike as _;
use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};
use redis::cluster_async::ClusterConnection as AsyncClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ConnectionLike as _, FromRedisValue, IntoConnectionInfo, Pipeline, RedisResult, Value};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::pool::{Pool, Pooled, Target};
use super::redirection::{MAX_REDIRECTIONS, Redirection, node_at};
use super::scan::{Scan, unlink};
use super::server::tcp_settings;
use super::{CONNECT_TIMEOUT, STEP_TIMEOUT, within};
use crate::{Error, Keyspace};

/// A cluster, reached through pools of connections.
#[derive(Clone)]
pub(crate) struct Cluster {
    charging: Pool<ClusterClient>,
    clearing: Pool<ClusterClient>,
}

/// A cluster, reached through connections that all calls share.
#[derive(Clone)]
pub(crate) struct AsyncCluster(Arc<Lazy>);

/// Connections that the first call makes.
struct Lazy {
    clients: Clients,
    charging: OnceCell<AsyncClusterConnection>,
    clearing: OnceCell<AsyncClusterConnection>,
}

struct Clients {
    /// Sends no command twice.
    charging: ClusterClient,
    /// Sends a command until it is answered.
    clearing: ClusterClient,
}

impl Cluster {
    /// Makes no connection yet.
    pub(crate) fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let Clients { charging, clearing } = Clients::new(addresses)?;
        Ok(Self { charging: Pool::new(charging), clearing: Pool::new(clearing) })
    }

    /// Sends a command, which is charged once. Its first argument is its key.
    pub(crate) fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        self.charging.call(deadline, |pooled| Ok(T::from_redis_value(send(pooled, command)?.extract_error()?)?))
    }

    fn route(&self, command: &Cmd, route: RoutingInfo) -> Result<Value, Error> {
        self.clearing.call(STEP_TIMEOUT, |Pooled { connection, .. }| connection.route_command(command, route))
    }

    /// Deletes keys. The connection finds their node by itself.
    fn unlink(&self, keys: &[Vec<u8>], _: &SingleNodeRoutingInfo) -> Result<u64, Error> {
        let mut pipeline = cluster_pipe();
        for key in keys {
            pipeline.cmd("UNLINK").arg(key);
        }
        let unlinked: Vec<u64> =
            self.clearing.call(STEP_TIMEOUT, |Pooled { connection, .. }| pipeline.query(connection))?;
        Ok(unlinked.iter().sum())
    }
}

impl AsyncCluster {
    /// Makes no connection yet.
    pub(crate) fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let clients = Clients::new(addresses)?;
        Ok(Self(Arc::new(Lazy { clients, charging: OnceCell::new(), clearing: OnceCell::new() })))
    }

    /// Sends a command, which is charged once. Its first argument is its key.
    pub(crate) async fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        let start = Instant::now();
        let mut connection = connect(&self.0.charging, &self.0.clients.charging, deadline).await?;
        let reply = async { Ok(T::from_redis_value(async_send(&mut connection, command).await?.extract_error()?)?) };
        within(start, deadline, reply).await
    }

    async fn route(&self, command: &Cmd, route: RoutingInfo) -> Result<Value, Error> {
        let mut connection = connect(&self.0.clearing, &self.0.clients.clearing, STEP_TIMEOUT).await?;
        within(Instant::now(), STEP_TIMEOUT, connection.route_command(command.clone(), route)).await
    }

    /// Deletes keys of a node.
    async fn unlink(&self, keys: &[Vec<u8>], node: &SingleNodeRoutingInfo) -> Result<u64, Error> {
        let mut connection = connect(&self.0.clearing, &self.0.clients.clearing, STEP_TIMEOUT).await?;
        let unlink = connection.route_pipeline(unlink(keys), 0, keys.len(), node.clone());
        let unlinked: Vec<u64> = read(within(Instant::now(), STEP_TIMEOUT, unlink).await?).map_err(Error::answered)?;
        Ok(unlinked.iter().sum())
    }
}

#[also_blocking]
impl AsyncCluster {
    /// Deletes the keys of a keyspace. Returns their number.
    pub(crate) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        let replies = self.route(&Scan::over(keyspace).step(), every_master()).await?;
        let mut cleared = 0;
        for (node, mut reply) in by_node(replies).map_err(Error::answered)? {
            let mut scan = Scan::over(keyspace);
            loop {
                let keys = scan.read(reply).map_err(Error::answered)?;
                if !keys.is_empty() {
                    cleared += self.unlink(&keys, &node).await?;
                }
                if scan.is_done() {
                    break;
                }
                reply = self.route(&scan.step(), RoutingInfo::SingleNode(node.clone())).await?;
            }
        }
        Ok(cleared)
    }
}

impl Clients {
    fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        #[cfg(feature = "tls")]
        super::server::choose_crypto_provider();
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

/// Returns the connection, which is made by the first call that gets one.
async fn connect(
    connection: &OnceCell<AsyncClusterConnection>,
    client: &ClusterClient,
    deadline: Duration,
) -> Result<AsyncClusterConnection, Error> {
    match timeout(deadline, connection.get_or_try_init(|| client.get_async_connection())).await {
        Ok(connection) => connection.cloned().map_err(Error::unavailable),
        Err(late) => Err(Error::unavailable(late)),
    }
}

/// Sends a command, which is charged once.
fn send(pooled: &mut Pooled<ClusterConnection>, command: &Cmd) -> RedisResult<Value> {
    let mut reply = pooled.connection.req_command(command);
    for _ in 0..MAX_REDIRECTIONS {
        let Some(redirection) = reply.as_ref().err().and_then(Redirection::of) else {
            break;
        };
        // A connection never learns where a slot has moved; a new one will know.
        pooled.is_broken |= redirection.is_permanent;
        let Some(node) = redirection.node else {
            break;
        };
        if !redirection.is_permanent {
            pooled.connection.route_command(&redis::cmd("ASKING"), RoutingInfo::SingleNode(node.clone()))?;
        }
        reply = pooled.connection.route_command(command, RoutingInfo::SingleNode(node));
    }
    reply
}

/// Sends a command, which is charged once.
async fn async_send(connection: &mut AsyncClusterConnection, command: &Cmd) -> RedisResult<Value> {
    let mut reply = connection.req_packed_command(command).await;
    for _ in 0..MAX_REDIRECTIONS {
        let Some(redirection) = reply.as_ref().err().and_then(Redirection::of) else {
            break;
        };
        reply = match redirection.node {
            Some(node) if !redirection.is_permanent => ask(connection, command, node).await,
            // The connection is learning where the slot has moved, and the command waits for that.
            _ => connection.req_packed_command(command).await,
        };
    }
    reply
}

/// Sends a command to a node that does not have the slot yet.
async fn ask(
    connection: &mut AsyncClusterConnection,
    command: &Cmd,
    node: SingleNodeRoutingInfo,
) -> RedisResult<Value> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("ASKING").add_command(command.clone());
    let (reply,) = read(connection.route_pipeline(pipeline, 1, 1, node).await?)?;
    Ok(reply)
}

/// Reads the replies to a routed pipeline, whose errors redis-rs returns among them.
fn read<T: FromRedisValue>(replies: Vec<Value>) -> RedisResult<T> {
    Ok(T::from_redis_value(Value::Array(replies).extract_error()?)?)
}

fn every_master() -> RoutingInfo {
    RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None))
}

/// Splits the replies of several nodes.
fn by_node(replies: Value) -> RedisResult<Vec<(SingleNodeRoutingInfo, Value)>> {
    let replies: Vec<(String, Value)> = FromRedisValue::from_redis_value(replies)?;
    Ok(replies.into_iter().filter_map(|(address, reply)| Some((node_at(&address)?, reply))).collect())
}
