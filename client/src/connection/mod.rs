//! Connections to servers and clusters, for backends and caches.

#[cfg(feature = "cluster")]
mod cluster;
mod confirmation;
#[cfg(feature = "tokio")]
mod exclusive;
#[cfg(feature = "tokio")]
mod given;
mod peek;
mod pool;
mod scan;
mod sentinel;
mod server;
#[cfg(feature = "tokio")]
mod shared;
#[cfg(feature = "cluster")]
mod slots;
mod socket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, ConnectionAddr, FromRedisValue, Pipeline, Value};

use crate::Error;

#[cfg(feature = "cluster")]
pub(crate) use cluster::{AsyncCluster, Cluster};
pub(crate) use confirmation::Confirmation;
#[cfg(feature = "tokio")]
pub(crate) use server::AsyncServer;
pub(crate) use server::Server;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection that cannot be peeked at may be unused before it has to prove, by a PING,
/// that it is open. A server that closes a connection between two calls leaves more time.
const UNPROVEN: Duration = Duration::from_micros(100);

/// How long a step of a scan may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// A server whose outages are its own: a single one, or a node of a cluster. The default is the
/// single one, or any node of a cluster while none is known to have a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Node(Option<Arc<str>>);

/// The time that a call has left.
#[derive(Debug, Clone, Copy)]
struct Budget {
    start: Instant,
    deadline: Duration,
}

impl Budget {
    fn new(deadline: Duration) -> Self {
        Self { start: Instant::now(), deadline }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.start.elapsed())
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// Makes a pipeline of one command.
fn only(command: &Cmd) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.add_command(command.clone());
    pipeline
}

/// Reads the last of these replies.
fn read_last<T: FromRedisValue>(mut replies: Vec<Value>) -> Result<T, Error> {
    let reply = replies.pop().unwrap_or(Value::Nil);
    let read = reply.extract_error().and_then(|reply| Ok(T::from_redis_value(reply)?));
    read.map_err(Error::answered)
}

/// Returns the address of another host and port, encrypted like this one.
fn with_host(like: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match like {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// Returns whether a primary has become a replica. It has refused the call, so nothing was charged.
fn is_read_only(replies: &[Value]) -> bool {
    let read_only = Some(redis::ServerErrorKind::ReadOnly);
    replies.iter().any(|reply| matches!(reply, Value::ServerError(error) if error.kind() == read_only))
}
