//! Primaries and replicas.

use premier_test_server::{Builder, Server};

use super::info::{info, info_number};
use super::snapshot::snapshot;
use super::waiting::wait_until;

/// Configures a server whose replication offset moves only with writes, so that a primary and a
/// replica can be compared.
pub(crate) fn primary() -> Builder {
    Server::builder().config("repl-diskless-sync-delay", "0").config("repl-ping-replica-period", "3600")
}

/// Starts a replica and waits until it has its primary's data. The replica aborts if a replicated
/// command fails.
pub(crate) fn replica_of(primary_server: &Server) -> Server {
    let replica = primary()
        .config("replicaof", &format!("127.0.0.1 {}", primary_server.port()))
        .config("propagation-error-behavior", "panic")
        .start();
    wait_until_linked(&replica);
    replica
}

pub(crate) fn is_master(server: &Server) -> bool {
    info(&mut server.connection(), "replication", "role").is_some_and(|role| role == "master")
}

/// Waits until the replica has its primary's data.
#[track_caller]
pub(crate) fn wait_until_linked(replica: &Server) {
    let mut connection = replica.connection();
    wait_until("the replica is connected", || {
        info(&mut connection, "replication", "master_link_status").is_some_and(|status| status == "up")
    });
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

/// Asserts that the replica holds exactly what the primary holds.
#[track_caller]
pub(crate) fn assert_alike(primary: &Server, replica: &Server) {
    wait_until_alike(primary, replica);
    let (expected, actual) = (snapshot(primary), snapshot(replica));
    for (key, state) in &expected {
        assert_eq!(actual.get(key), Some(state), "{key:?}");
    }
    assert_eq!(actual.len(), expected.len());
    assert_ne!(expected.len(), 0);
}
