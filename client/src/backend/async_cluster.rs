//! A cluster, async. Redirections are followed here for the reason that [`cluster`](super::cluster) gives.

use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, FromRedisValue, IntoConnectionInfo, Pipeline, RedisResult, Value};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::clear::{Walk, unlink};
use super::cluster::{Clients, MAX_REDIRECTIONS, Redirection, by_node, every_master};
use super::server::STEP_TIMEOUT;
use super::within;
use crate::{Error, Keyspace};

pub(crate) struct Cluster {
    clients: Clients,
    charging: OnceCell<ClusterConnection>,
    clearing: OnceCell<ClusterConnection>,
}

impl Cluster {
    pub(super) fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self { clients: Clients::new(addresses)?, charging: OnceCell::new(), clearing: OnceCell::new() })
    }

    pub(super) async fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        let start = Instant::now();
        let mut connection = connect(&self.charging, &self.clients.charging, deadline).await?;
        let reply = async { Ok(T::from_redis_value(send(&mut connection, command).await?.extract_error()?)?) };
        within(start, deadline, reply).await
    }

    /// Returns how many keys there were.
    pub(super) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        let mut connection = connect(&self.clearing, &self.clients.clearing, STEP_TIMEOUT).await?;
        let first = Walk::over(keyspace).step();
        let replies = within(Instant::now(), STEP_TIMEOUT, connection.route_command(first, every_master())).await?;
        let mut cleared = 0;
        for (node, mut reply) in by_node(replies).map_err(Error::answered)? {
            let mut walk = Walk::over(keyspace);
            loop {
                let keys = walk.take(reply).map_err(Error::answered)?;
                if !keys.is_empty() {
                    let unlink = connection.route_pipeline(unlink(&keys), 0, keys.len(), node.clone());
                    let unlinked = within(Instant::now(), STEP_TIMEOUT, unlink).await?;
                    let unlinked: Vec<u64> = read(unlinked).map_err(Error::answered)?;
                    cleared += unlinked.iter().sum::<u64>();
                }
                if walk.is_over() {
                    break;
                }
                let step = connection.route_command(walk.step(), RoutingInfo::SingleNode(node.clone()));
                reply = within(Instant::now(), STEP_TIMEOUT, step).await?;
            }
        }
        Ok(cleared)
    }
}

/// The connection, which is made by the first call that gets one.
async fn connect(
    connection: &OnceCell<ClusterConnection>,
    client: &ClusterClient,
    deadline: Duration,
) -> Result<ClusterConnection, Error> {
    match timeout(deadline, connection.get_or_try_init(|| client.get_async_connection())).await {
        Ok(connection) => connection.cloned().map_err(Error::unavailable),
        Err(late) => Err(Error::unavailable(late)),
    }
}

/// Sends a command that must not be charged twice.
async fn send(connection: &mut ClusterConnection, command: &Cmd) -> RedisResult<Value> {
    let mut reply = connection.req_packed_command(command).await;
    for _ in 0..MAX_REDIRECTIONS {
        let Some(redirection) = reply.as_ref().err().and_then(Redirection::of) else {
            break;
        };
        reply = match redirection.node {
            Some(node) if !redirection.is_for_good => ask(connection, command, node).await,
            // By now the connection learns where the slot has gone, and the command waits for that.
            _ => connection.req_packed_command(command).await,
        };
    }
    reply
}

/// Sends a command to a node that does not have the slot yet.
async fn ask(connection: &mut ClusterConnection, command: &Cmd, node: SingleNodeRoutingInfo) -> RedisResult<Value> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("ASKING").add_command(command.clone());
    let (reply,) = read(connection.route_pipeline(pipeline, 1, 1, node).await?)?;
    Ok(reply)
}

/// The replies to a pipeline, or the first error among them, which redis-rs leaves to us here.
fn read<T: FromRedisValue>(replies: Vec<Value>) -> RedisResult<T> {
    Ok(T::from_redis_value(Value::Array(replies).extract_error()?)?)
}
