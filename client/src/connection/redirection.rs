//! Redirections: a cluster node refuses a call and names the node that has the key.

use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{RedisError, ServerErrorKind};

/// How many redirections a call follows.
pub(super) const MAX_REDIRECTIONS: usize = 5;

/// A call that was not charged, since another node has the key, or no node was asked.
pub(super) struct Redirection {
    /// Whether the slot has moved. Otherwise it is moving, and only this key is to be asked for at
    /// the other node.
    pub(super) is_permanent: bool,
    /// The other node, if it was named.
    pub(super) node: Option<SingleNodeRoutingInfo>,
}

impl Redirection {
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        let is_permanent = match error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ReadOnly)
            | redis::ErrorKind::ClusterConnectionNotFound => true,
            redis::ErrorKind::Server(ServerErrorKind::Ask) => false,
            _ => return None,
        };
        let node = error.redirect_node().and_then(|(address, _slot)| node_at(address));
        Some(Self { is_permanent, node })
    }
}

pub(super) fn node_at(address: &str) -> Option<SingleNodeRoutingInfo> {
    let (host, port) = address.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: port.parse().ok()? })
}
