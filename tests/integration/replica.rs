//! Primaries and replicas.

use premier_test_server::{Builder, Server};

use crate::info::{info, info_number};
use crate::patience::wait_until;

/// Offsets move on a primary and a replica by nothing but writes.
pub(crate) fn primary() -> Builder {
    Server::builder().config("repl-diskless-sync-delay", "0").config("repl-ping-replica-period", "3600")
}

/// A replica that has its primary's data, and aborts when a replicated command fails.
pub(crate) fn replica_of(primary_server: &Server) -> Server {
    let replica = primary()
        .config("replicaof", &format!("127.0.0.1 {}", primary_server.port()))
        .config("propagation-error-behavior", "panic")
        .start();
    let mut connection = replica.connection();
    wait_until("the replica is connected", || {
        info(&mut connection, "replication", "master_link_status").is_some_and(|status| status == "up")
    });
    replica
}

/// Waits until the replica has received and applied what the primary has written.
#[track_caller]
pub(crate) fn wait_until_alike(primary: &Server, replica: &Server) {
    let (mut primary, mut replica) = (primary.connection(), replica.connection());
    wait_until("the replica has caught up", || {
        let written = info_number(&mut primary, "replication", "master_repl_offset");
        let applied = info_number(&mut replica, "replication", "slave_repl_offset");
        written == applied
    });
}
