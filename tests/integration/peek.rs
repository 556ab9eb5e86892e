//! PREMIER.PEEK returns the reply that a call would get, and changes nothing.

use std::time::Instant;

use premier_test_server::Server;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, Limiter, Reply, call, command, error, run};
use crate::tools::info::info_number;
use crate::tools::replica::{primary, replica_of, wait_until_alike};
use crate::tools::snapshot::snapshot;

fn peek(connection: &mut Connection, limiter: &Limiter, key: &str, limit: &str) -> Reply {
    let algorithm = limiter.algorithm().to_lowercase();
    run(connection, &format!("PREMIER.PEEK {key} {algorithm} {limit}"))
}

fn limits(limiter: &Limiter) -> Vec<&'static str> {
    let mut limits = vec!["3 3650d", "3 3650d COST 2", "3 3650d COST 4", "0 1h", "9 1h COST 9 FORCE"];
    match limiter.command {
        "PREMIER.FIXED" => limits.extend(["3 3650d ALIGNED", "3 120mo ALIGNED ZONE -05:00", "3 520w ZONE Z ALIGNED"]),
        "PREMIER.SLIDING" => {}
        _ => limits.extend(["3 3650d CAPACITY 9 COST 7", "3 3650d MAXWAIT 1s", "3 3650d COST 3 MAXWAIT 3650d"]),
    }
    limits
}

#[test]
fn a_peek_returns_the_reply_that_the_call_then_gets() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        for limit in limits(limiter) {
            let () = run(&mut connection, "FLUSHALL");
            for _ in 0..4 {
                let started = Instant::now();
                let peeked = peek(&mut connection, limiter, "key", limit);
                let called = call(&mut connection, &format!("{} key {limit}", limiter.command));
                let Reply { limited, limit: units, remaining, wait, reset } = peeked;
                called.assert([limited.into(), units, remaining, wait, reset], started);
            }
        }
    }
}

#[test]
fn a_peek_changes_nothing() {
    let server = primary().config("save", "3600 1000000").start();
    let replica = replica_of(&server);
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        call(&mut connection, &format!("{0} {0} 3 3650d", limiter.command));
    }
    wait_until_alike(&server, &replica);
    let traces = |connection: &mut Connection| {
        let offset = info_number(connection, "replication", "master_repl_offset");
        (offset, info_number(connection, "persistence", "rdb_changes_since_last_save"), snapshot(&server))
    };
    let before = traces(&mut connection);
    let mut watcher = server.connection();
    let () = run(&mut watcher, "WATCH PREMIER.FIXED PREMIER.SLIDING PREMIER.TOKEN PREMIER.LEAKY fresh");
    for limiter in &LIMITERS {
        for limit in limits(limiter) {
            for key in [limiter.command, "fresh"] {
                peek(&mut connection, limiter, key, limit);
            }
        }
    }
    assert_eq!(traces(&mut connection), before);
    let () = run(&mut watcher, "MULTI");
    assert_eq!(run::<Option<Vec<Value>>>(&mut watcher, "EXEC"), Some(Vec::new()), "a watched key was touched");
}

#[test]
fn a_replica_answers_a_peek() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    for limiter in &LIMITERS {
        call(&mut primary.connection(), &format!("{0} {0} 3 3650d COST 2", limiter.command));
    }
    wait_until_alike(&primary, &replica);
    let mut connection = replica.connection();
    for limiter in &LIMITERS {
        let reply = peek(&mut connection, limiter, limiter.command, "3 3650d");
        assert_eq!((reply.limited, reply.remaining), (false, 0), "{}", limiter.command);
        let reply = peek(&mut connection, limiter, limiter.command, "3 3650d COST 2");
        assert_eq!((reply.limited, reply.remaining), (true, 1), "{}", limiter.command);
    }
}

#[test]
fn a_peek_needs_the_right_type_and_permission_to_read() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "SET text 1");
    call(&mut connection, "PREMIER.TOKEN token 3 1h");
    for line in ["PREMIER.PEEK text FIXED 3 1h", "PREMIER.PEEK token LEAKY 3 1h"] {
        assert!(error(&mut connection, &command(line)).starts_with("WRONGTYPE "), "{line}");
    }
    let () = run(&mut connection, "ACL SETUSER reader on nopass +premier.peek %R~token");
    let may = |connection: &mut Connection, line: &str| run::<String>(connection, &format!("ACL DRYRUN reader {line}"));
    assert_eq!(may(&mut connection, "PREMIER.PEEK token TOKEN 3 1h"), "OK");
    assert_ne!(may(&mut connection, "PREMIER.PEEK text TOKEN 3 1h"), "OK");
    assert_ne!(may(&mut connection, "PREMIER.TOKEN token 3 1h"), "OK");
}
