//! A limited call changes nothing: not the state, not the expiry, not one byte of the replication
//! stream or the AOF.

use std::fs;
use std::sync::mpsc;

use premier_test_server::Server;
use redis::{Connection, PushInfo, PushKind, Value};

use crate::tools::call::{LIMITERS, Limiter, call, command, run};
use crate::tools::effect::server_with_aof;
use crate::tools::info::info_number;
use crate::tools::replica::{primary, replica_of, wait_until_alike};
use crate::tools::snapshot::{Snapshot, snapshot};

/// A call that is admitted, then calls that are limited, on keys that were used and on fresh ones.
struct Calls {
    admitted: String,
    limited: Vec<String>,
}

fn calls(limiter: &Limiter) -> Calls {
    let (name, key) = (limiter.command, limiter.data_type);
    let mut lines = vec![
        format!("{name} {key} 2 3650d"),
        format!("{name} {key} 2 3650d COST 2"),
        format!("{name} {key} 2 3650d COST 3"),
        format!("{name} {key} 1 3650d"),
        format!("{name} {key} 2 3649d"),
        format!("{name} {key} 2 1d"),
        format!("{name} {key} 0 1h"),
        format!("{name} fresh 2 1h COST 3"),
        format!("{name} fresh 0 1h"),
    ];
    if limiter.has_bucket {
        lines.extend([
            format!("{name} {key} 2 3650d CAPACITY 1"),
            format!("{name} {key} 2 3650d MAXWAIT 1s"),
            format!("{name} {key} 2 3650d CAPACITY 9 COST 10 MAXWAIT 3650d"),
            format!("{name} fresh 2 1h CAPACITY 1 COST 2"),
        ]);
    }
    Calls { admitted: format!("{name} {key} 2 3650d COST 2"), limited: lines }
}

fn limit(connection: &mut Connection, calls: &Calls) {
    for line in &calls.limited {
        for _ in 0..2 {
            let reply = call(connection, line);
            assert!(reply.limited, "{line}: {reply:?}");
        }
    }
}

fn aof_len(server: &Server) -> u64 {
    let files = fs::read_dir(server.dir().join("appendonlydir")).expect("the AOF has a folder");
    files.map(|file| file.and_then(|file| file.metadata()).expect("a file has a length").len()).sum()
}

/// Everything that a call could change.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    keys: Snapshot,
    digest: String,
    offset: i64,
    unsaved_changes: i64,
    aof_len: u64,
}

fn traces(server: &Server, connection: &mut Connection) -> Traces {
    Traces {
        keys: snapshot(server),
        digest: run(connection, "DEBUG DIGEST"),
        offset: info_number(connection, "replication", "master_repl_offset"),
        unsaved_changes: info_number(connection, "persistence", "rdb_changes_since_last_save"),
        aof_len: aof_len(server),
    }
}

#[test]
fn limited_calls_leave_no_trace_in_keys_replication_and_aof() {
    let server =
        primary().config("appendonly", "yes").config("appendfsync", "always").config("save", "3600 1000000").start();
    let replica = replica_of(&server);
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let calls = calls(limiter);
        let fresh = traces(&server, &mut connection);
        assert!(!call(&mut connection, &calls.admitted).limited);
        let before = traces(&server, &mut connection);
        // An admitted call leaves a trace in each.
        assert_ne!(before.keys, fresh.keys);
        assert_ne!(before.digest, fresh.digest);
        assert!(before.offset > fresh.offset, "{before:?}");
        assert!(before.unsaved_changes > fresh.unsaved_changes, "{before:?}");
        assert!(before.aof_len > fresh.aof_len, "{before:?}");

        limit(&mut connection, &calls);
        assert_eq!(traces(&server, &mut connection), before, "{}", limiter.command);
    }
    wait_until_alike(&server, &replica);
    assert_eq!(snapshot(&replica), snapshot(&server));
}

#[test]
fn limited_calls_in_transactions_and_scripts_leave_no_trace() {
    let server = server_with_aof().start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let calls = calls(limiter);
        call(&mut connection, &calls.admitted);
        let before = aof_len(&server);
        let mut transaction = redis::pipe();
        transaction.atomic();
        for line in &calls.limited {
            transaction.add_command(command(line));
        }
        let _: Vec<Value> = transaction.query(&mut connection).expect("EXEC");
        for line in &calls.limited {
            let words: Vec<&str> = line.split(' ').collect();
            let mut eval = redis::cmd("EVAL");
            eval.arg("return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))").arg(1).arg(words[1]).arg(words[0]);
            let reply: crate::tools::call::Reply = eval.arg(&words[2..]).query(&mut connection).expect("EVAL");
            assert!(reply.limited, "{line}: {reply:?}");
        }
        assert_eq!(aof_len(&server), before, "{}", limiter.command);
    }
}

#[test]
fn a_limited_call_leaves_the_expiry_that_the_user_set() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let calls = calls(limiter);
        call(&mut connection, &calls.admitted);
        let () = run(&mut connection, &format!("EXPIRE {} 600", limiter.data_type));
        let before = snapshot(&server);
        limit(&mut connection, &calls);
        assert_eq!(snapshot(&server), before, "{}", limiter.command);
    }
}

#[test]
fn only_admitted_calls_break_a_watch() {
    let server = Server::start();
    let (mut watcher, mut connection) = (server.connection(), server.connection());
    for limiter in &LIMITERS {
        let calls = calls(limiter);
        let mut is_broken = |action: &mut dyn FnMut()| {
            let () = run(&mut watcher, &format!("WATCH {} fresh", limiter.data_type));
            action();
            let () = run(&mut watcher, "MULTI");
            let () = run(&mut watcher, "PING");
            run::<Option<Vec<String>>>(&mut watcher, "EXEC").is_none()
        };
        assert!(
            is_broken(&mut || assert!(!call(&mut connection, &calls.admitted).limited)),
            "an admitted call must break the watch of a fresh key"
        );
        assert!(!is_broken(&mut || limit(&mut connection, &calls)), "{} broke the watch", limiter.command);
        let more = format!("{} {} 3 3650d", limiter.command, limiter.data_type);
        assert!(
            is_broken(&mut || assert!(!call(&mut connection, &more).limited)),
            "an admitted call must break the watch of a used key"
        );
    }
}

#[test]
fn only_admitted_calls_invalidate_client_side_caches() {
    let server = Server::start();
    let mut connection = server.connection();
    // RESP3 pushes invalidations.
    let client =
        redis::Client::open(format!("redis://127.0.0.1:{}/?protocol=resp3", server.port())).expect("an address");
    let mut caching = client.get_connection().expect("a connection");
    let (sender, pushes) = mpsc::channel::<PushInfo>();
    caching.set_push_sender(sender);
    let () = run(&mut caching, "CLIENT TRACKING ON");

    for limiter in &LIMITERS {
        let calls = calls(limiter);
        let last = format!("{}:last", limiter.data_type);
        call(&mut connection, &calls.admitted);
        call(&mut connection, &format!("{} {last} 2 1h", limiter.command));
        for key in [limiter.data_type, &last, "fresh"] {
            let () = run(&mut caching, &format!("TYPE {key}"));
        }
        limit(&mut connection, &calls);
        call(&mut connection, &format!("{} {last} 2 1h", limiter.command));

        // The client reads pushes together with this reply, in the order of the changes.
        let () = run(&mut caching, "PING");
        let invalidated: Vec<Value> =
            pushes.try_iter().filter(|push| push.kind == PushKind::Invalidate).flat_map(|push| push.data).collect();
        let expected = Value::Array(vec![Value::BulkString(last.into_bytes())]);
        assert_eq!(invalidated, [expected], "{}", limiter.command);
    }
}
