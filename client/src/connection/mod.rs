//! Connections to servers and clusters, for backends and caches.

#[cfg(feature = "cluster")]
mod cluster;
mod pool;
#[cfg(feature = "cluster")]
mod redirection;
mod scan;
mod server;

use std::time::Duration;
#[cfg(feature = "tokio")]
use std::time::Instant;

#[cfg(feature = "tokio")]
use crate::Error;

#[cfg(feature = "cluster")]
pub(crate) use cluster::{AsyncCluster, Cluster};
#[cfg(feature = "tokio")]
pub(crate) use server::AsyncServer;
pub(crate) use server::Server;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a step of a scan may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for a reply until the deadline, which counts from the start.
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
