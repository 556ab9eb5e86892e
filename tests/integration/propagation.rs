//! Propagation: the module makes effects only for replicas and an AOF. Those that are added under
//! load, at any moment, miss none.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use premier_test_server::{Builder, Cluster, Server};
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, call, run};
use crate::tools::effect::{commands_in_aof, server_with_aof};
use crate::tools::info::{info, info_number};
use crate::tools::load::under_load;
use crate::tools::replica::{assert_alike, replica_of, wait_until_alike, wait_until_linked};
use crate::tools::snapshot::{Snapshot, snapshot};
use crate::tools::waiting::wait_until;

/// How long after the last change a replica or an AOF is added, in milliseconds: at no special
/// moment.
const MOMENTS: [u64; 5] = [0, 1, 7, 19, 53];

/// Configures a server that soon stops propagating: it frees its backlog a second after the last
/// replica has gone.
fn with_short_lived_backlog() -> Builder {
    Server::builder()
        .config("hz", "100")
        .config("repl-backlog-ttl", "1")
        .config("repl-ping-replica-period", "3600")
        .config("repl-diskless-sync-delay", "0")
        .config("appendfsync", "always")
}

fn is_replicating(connection: &mut Connection) -> bool {
    info(connection, "premier", "premier_replicating").expect("INFO premier has it") == "yes"
}

fn wait_until_nothing_is_propagated(server: &Server) {
    let mut connection = server.connection();
    wait_until("nothing is propagated", || !is_replicating(&mut connection));
}

#[track_caller]
fn assert_holds(server: &Server, expected: &Snapshot) {
    assert_ne!(expected.len(), 0);
    let actual = snapshot(server);
    for (key, state) in expected {
        assert_eq!(actual.get(key), Some(state), "{key:?}");
    }
    assert_eq!(actual.len(), expected.len());
}

#[test]
fn effects_are_made_only_for_a_replica_or_an_aof() {
    let server = with_short_lived_backlog().start();
    let mut connection = server.connection();
    wait_until_nothing_is_propagated(&server);

    let replica = replica_of(&server);
    assert!(is_replicating(&mut connection));
    drop(replica);
    wait_until_nothing_is_propagated(&server);

    let () = run(&mut connection, "CONFIG SET appendonly yes");
    assert!(is_replicating(&mut connection));
    let () = run(&mut connection, "CONFIG SET appendonly no");
    wait_until_nothing_is_propagated(&server);
}

/// Reads what the backlog has from this offset on, up to the PREM of this key.
fn backlog_up_to(server: &Server, offset: i64, key: &str) -> String {
    let id = info(&mut server.connection(), "replication", "master_replid").expect("a primary has an id");
    let mut stream = TcpStream::connect((server.address(), server.port())).expect("the server accepts connections");
    write!(stream, "PSYNC {id} {offset}\r\n").expect("the server reads");
    let mut text = String::new();
    while !text.contains(&format!("PREM\r\n${}\r\n{key}\r\n", key.len())) {
        let mut bytes = [0; 4096];
        let len = stream.read(&mut bytes).expect("the server replies");
        assert_ne!(len, 0, "the backlog ends: {text}");
        text += &String::from_utf8_lossy(&bytes[..len]);
    }
    text
}

/// The replica has made the server create its backlog, although nobody reads it yet.
#[test]
fn a_replica_that_waits_for_its_fork_gets_effects() {
    let primary = with_short_lived_backlog().config("repl-diskless-sync-delay", "3600").start();
    let replica = with_short_lived_backlog().start();
    let mut connection = primary.connection();
    wait_until_nothing_is_propagated(&primary);
    let () = run(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    wait_until("the replica waits", || {
        info(&mut connection, "replication", "slave0").is_some_and(|replica| replica.contains("state=wait_bgsave"))
    });
    wait_until("effects are made", || is_replicating(&mut connection));
    let offset = info_number(&mut connection, "replication", "master_repl_offset");
    for limiter in LIMITERS {
        assert!(!call(&mut connection, &format!("{} {} 5 1h", limiter.command, limiter.data_type)).limited);
    }
    let _: Value = run(&mut connection, "PREMIER.ALL all FIXED 5 1h AND last TOKEN 5 1h");
    let backlog = backlog_up_to(&primary, offset + 1, "all");
    assert!(!backlog.contains("PREMIER."), "{backlog}");
}

#[test]
fn a_node_of_a_cluster_always_makes_effects() {
    let cluster = Cluster::start_with(1, &[("hz", "100")]);
    let mut connection = cluster.nodes()[0].connection();
    wait_until("the server has checked many times", || info_number(&mut connection, "server", "uptime_in_seconds") > 0);
    assert!(is_replicating(&mut connection));
}

#[test]
fn save_points_count_changes_that_are_not_propagated() {
    let server = with_short_lived_backlog().start();
    let mut connection = server.connection();
    wait_until_nothing_is_propagated(&server);
    let mut expected = info_number(&mut connection, "persistence", "rdb_changes_since_last_save");
    for limiter in LIMITERS {
        for limited in [false, true] {
            assert_eq!(call(&mut connection, &format!("{0} {0} 1 1h", limiter.command)).limited, limited);
            expected += i64::from(!limited);
            assert_eq!(info_number(&mut connection, "persistence", "rdb_changes_since_last_save"), expected);
        }
    }
}

#[test]
fn replicas_that_come_and_go_under_load_miss_nothing() {
    let primary = with_short_lived_backlog().start();
    let replica = with_short_lived_backlog().config("propagation-error-behavior", "panic").start();
    let follow = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    for (attempt, moment) in MOMENTS.into_iter().enumerate() {
        // Over a socket or through a file, at once or after a delay in which other replicas may
        // join.
        let mut connection = primary.connection();
        let diskless = if attempt % 2 == 0 { "yes" } else { "no" };
        let () = run(&mut connection, &format!("CONFIG SET repl-diskless-sync {diskless}"));
        let () = run(&mut connection, &format!("CONFIG SET repl-diskless-sync-delay {}", attempt / 2 % 2));

        under_load(&primary, || {
            wait_until_nothing_is_propagated(&primary);
            sleep(Duration::from_millis(moment));
            let () = run(&mut replica.connection(), &follow);
            wait_until_linked(&replica);
            sleep(Duration::from_millis(moment));
        });
        assert_alike(&primary, &replica);

        // The link breaks and comes back, without a full sync if the backlog has what was missed.
        under_load(&primary, || {
            let _: i64 = run(&mut connection, "CLIENT KILL TYPE replica");
            sleep(Duration::from_millis(moment));
            wait_until_linked(&replica);
        });
        assert_alike(&primary, &replica);

        let () = run(&mut replica.connection(), "REPLICAOF NO ONE");
    }
}

#[test]
fn a_promoted_replica_needs_no_full_sync_under_load() {
    for moment in MOMENTS {
        let primary = with_short_lived_backlog().start();
        // It never propagated anything before it became a replica.
        let promoted = with_short_lived_backlog().start();
        wait_until_nothing_is_propagated(&promoted);
        let () = run(&mut promoted.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        wait_until_linked(&promoted);
        let other = replica_of(&primary);

        under_load(&primary, || sleep(Duration::from_millis(20)));
        wait_until_alike(&primary, &promoted);
        wait_until_alike(&primary, &other);
        drop(primary);

        under_load(&promoted, || {
            let () = run(&mut promoted.connection(), "REPLICAOF NO ONE");
            sleep(Duration::from_millis(moment));
            let () = run(&mut other.connection(), &format!("REPLICAOF 127.0.0.1 {}", promoted.port()));
            wait_until_linked(&other);
        });
        assert_alike(&promoted, &other);
        assert_eq!(info_number(&mut promoted.connection(), "stats", "sync_partial_ok"), 1);
        assert_eq!(info_number(&mut promoted.connection(), "stats", "sync_full"), 0);
    }
}

#[test]
fn a_replica_follows_its_primary_after_a_restart() {
    let mut primary = with_short_lived_backlog().config("save", "3600 1").config("repl-backlog-ttl", "3600").start();
    let replica = replica_of(&primary);
    under_load(&primary, || sleep(Duration::from_millis(20)));
    wait_until_alike(&primary, &replica);
    primary.stop();
    primary.start_again();
    under_load(&primary, || wait_until_linked(&replica));
    assert_alike(&primary, &replica);
}

#[test]
fn an_aof_that_is_switched_on_under_load_misses_nothing() {
    let mut server = with_short_lived_backlog().config("aof-use-rdb-preamble", "no").start();
    for (attempt, moment) in MOMENTS.into_iter().enumerate() {
        under_load(&server, || {
            let mut connection = server.connection();
            wait_until_nothing_is_propagated(&server);
            sleep(Duration::from_millis(moment));
            // On its own, during a BGSAVE, and in a transaction. The last two postpone the rewrite.
            let switch_on = ["CONFIG SET appendonly yes"];
            let lines: &[&str] = match attempt % 3 {
                0 => &switch_on,
                1 => &["BGSAVE", "CONFIG SET appendonly yes"],
                _ => &["MULTI", "PREMIER.FIXED a 9 1d", "CONFIG SET appendonly yes", "PREMIER.FIXED a 9 1d", "EXEC"],
            };
            for line in lines {
                let _: Value = run(&mut connection, line);
            }
            wait_until("the AOF is written", || {
                ["aof_rewrite_in_progress", "aof_rewrite_scheduled"]
                    .iter()
                    .all(|field| info_number(&mut connection, "persistence", field) == 0)
            });
            sleep(Duration::from_millis(moment));
        });
        let expected = snapshot(&server);
        let () = run(&mut server.connection(), "CONFIG REWRITE");
        server.kill();
        server.start_again();
        assert_holds(&server, &expected);
        let names: Vec<_> = commands_in_aof(&server).into_iter().map(|words| words[0].clone()).collect();
        assert!(names.iter().all(|name| !name.to_ascii_uppercase().starts_with(b"PREMIER.")), "{attempt}");

        let () = run(&mut server.connection(), "CONFIG SET appendonly no");
    }
}

#[test]
fn an_aof_from_the_start_has_everything() {
    let mut server = server_with_aof().config("hz", "100").start();
    under_load(&server, || sleep(Duration::from_millis(50)));
    let expected = snapshot(&server);
    server.kill();
    server.start_again();
    assert_holds(&server, &expected);
}
