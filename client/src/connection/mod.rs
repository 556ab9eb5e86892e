//! Connections to servers and clusters, for backends and caches.

mod call;
#[cfg(feature = "cluster")]
mod cluster;
mod confirmation;
#[cfg(feature = "tokio")]
mod exclusive;
#[cfg(feature = "tokio")]
mod given;
mod peek;
mod pool;
mod request;
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

use redis::ConnectionAddr;

pub(crate) use call::Call;
#[cfg(feature = "cluster")]
pub(crate) use cluster::{AsyncCluster, Cluster};
pub(crate) use confirmation::Confirmation;
#[cfg(feature = "tokio")]
pub(crate) use server::AsyncServer;
pub(crate) use server::Server;
#[cfg(feature = "cluster")]
pub(crate) use slots::of_key as slot_of;

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
pub(crate) struct Budget {
    /// When the call came.
    pub(crate) start: Instant,
    deadline: Duration,
}

impl Budget {
    pub(crate) fn new(deadline: Duration) -> Self {
        Self::since(Instant::now(), deadline)
    }

    /// Returns the budget of a call that came at this moment.
    pub(crate) fn since(start: Instant, deadline: Duration) -> Self {
        Self { start, deadline }
    }

    #[inline]
    fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.start.elapsed())
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }
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
