//! `CLIENT PAUSE`, and `FAILOVER`, which relies on it.

use std::thread;

use premier_test_server::Server;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, LINGER, Reply, call, command, run};
use crate::tools::info::{info, info_number};
use crate::tools::load::{LASTING, admitted_meanwhile, used};
use crate::tools::replica::{assert_alike, is_master, primary, replica_of, wait_until_alike, wait_until_linked};
use crate::tools::snapshot::snapshot;
use crate::tools::waiting::{wait_until, wait_until_blocked};

/// Longer than a test takes.
const LONG: &str = "100000";

const DAYS: i64 = 3650 * 24 * 3600 * 1000;

/// Returns the time of the server, in milliseconds.
fn now(connection: &mut Connection) -> i64 {
    let (seconds, micros): (i64, i64) = run(connection, "TIME");
    seconds * 1000 + micros / 1000
}

/// Returns when a key with a used-up quota of 1 was called.
fn called(connection: &mut Connection, key: &str) -> i64 {
    run::<i64>(connection, &format!("PEXPIRETIME {key}")) - LINGER - DAYS
}

/// Returns calls that charge or refund, each on its own key.
fn writing_lines() -> Vec<String> {
    let limiters = LIMITERS.map(|limiter| format!("{0} {0} 1 3650d", limiter.command));
    let others = [
        // This one will be limited, which is not known before it is decided.
        "PREMIER.FIXED blocked 0 3650d",
        "PREMIER.ALL first FIXED 1 3650d AND second TOKEN 1 3650d",
        "PREMIER.REFUND given-back 1",
    ];
    limiters.into_iter().chain(others.map(str::to_owned)).collect()
}

#[test]
fn calls_wait_while_writes_are_paused_and_peeks_do_not() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.FIXED given-back 5 3650d");
    let before = snapshot(&server);
    let counted = |connection: &mut Connection| {
        LIMITERS.map(|limiter| {
            let algorithm = limiter.algorithm().to_lowercase();
            info(connection, "premier", &format!("premier_{algorithm}"))
        })
    };
    let counted_before = counted(&mut connection);

    let lines = writing_lines();
    let () = run(&mut connection, &format!("CLIENT PAUSE {LONG} WRITE"));
    thread::scope(|scope| {
        let waiting: Vec<_> =
            lines.iter().map(|line| scope.spawn(|| run::<Value>(&mut server.connection(), line))).collect();
        wait_until_blocked(&mut connection, lines.len());
        for limiter in LIMITERS {
            assert_eq!(used(&mut connection, &limiter, limiter.command), 0);
        }
        let _: Value = run(&mut connection, "PREMIER.TOP");
        assert_eq!(snapshot(&server), before);
        assert_eq!(counted(&mut connection), counted_before);

        let paused_until = now(&mut connection);
        let () = run(&mut connection, "CLIENT UNPAUSE");
        for (line, waiting) in lines.iter().zip(waiting) {
            let answer = waiting.join().expect("the call is answered");
            if let Ok(reply) = redis::from_redis_value::<Reply>(answer) {
                assert_eq!(reply.limited, line.contains("blocked"), "{line}");
            }
        }
        // The clock at the end of the pause decided them.
        for limiter in LIMITERS {
            assert!(called(&mut connection, limiter.command) >= paused_until);
        }
        assert_eq!(run::<i64>(&mut connection, "EXISTS first second given-back blocked"), 2);
    });
}

#[test]
fn nothing_is_answered_while_everything_is_paused() {
    const PAUSE: i64 = 100;
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let started = now(&mut connection);
        let () = run(&mut connection, &format!("CLIENT PAUSE {PAUSE} ALL"));
        assert_eq!(used(&mut connection, &limiter, "fresh"), 0);
        assert!(now(&mut connection) >= started + PAUSE);

        let started = now(&mut connection);
        let () = run(&mut connection, &format!("CLIENT PAUSE {PAUSE} ALL"));
        assert!(!call(&mut connection, &format!("{0} {0} 1 3650d", limiter.command)).limited);
        assert!(called(&mut connection, limiter.command) >= started + PAUSE);
    }
}

#[test]
fn calls_that_waited_for_a_pause_get_exactly_the_quota() {
    const CLIENTS: usize = 6;
    const QUOTA: usize = 7;
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} {QUOTA} 3650d", limiter.command);
        let () = run(&mut connection, &format!("CLIENT PAUSE {LONG} WRITE"));
        let admitted: usize = thread::scope(|scope| {
            let client = || {
                let mut transaction = redis::pipe();
                transaction.atomic().add_command(command(&line)).add_command(command(&line));
                let replies: [Reply; 2] = transaction.query(&mut server.connection()).expect("EXEC");
                replies.into_iter().filter(|reply| !reply.limited).count()
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            wait_until_blocked(&mut connection, CLIENTS);
            let () = run(&mut connection, "CLIENT UNPAUSE");
            clients.into_iter().map(|client| client.join().expect("no client fails")).sum()
        });
        assert_eq!(admitted, QUOTA, "{line}");
    }
}

/// Although keys expire and are peeked at.
#[test]
fn nothing_is_replicated_while_writes_are_paused() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    let () = run(&mut connection, "DEBUG SET-ACTIVE-EXPIRE 0");
    for limiter in LIMITERS {
        for index in 0..20 {
            call(&mut connection, &format!("{0} {0}:{index} 1 20ms", limiter.command));
        }
    }
    let () = run(&mut connection, &format!("CLIENT PAUSE {LONG} WRITE"));
    let () = run(&mut connection, "DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until_alike(&primary, &replica);
    let offset = |connection: &mut Connection| info_number(connection, "replication", "master_repl_offset");
    let before = offset(&mut connection);
    for limiter in LIMITERS {
        for index in 0..20 {
            let key = format!("{}:{index}", limiter.command);
            wait_until("the key is fresh", || used(&mut connection, &limiter, &key) == 0);
        }
    }
    assert_eq!(offset(&mut connection), before);

    let () = run(&mut connection, "CLIENT UNPAUSE");
    for server in [&primary, &replica] {
        wait_until("the keys are deleted", || run::<i64>(&mut server.connection(), "DBSIZE") == 0);
    }
    assert!(offset(&mut connection) > before);
}

#[test]
fn a_failover_under_load_keeps_the_count_exact() {
    let mut primary = primary().start();
    let mut replica = replica_of(&primary);
    for limiter in LIMITERS {
        let key = limiter.command;
        // After the failover it is a replica and refuses calls.
        let admitted = admitted_meanwhile(&primary, &limiter, key, || {
            let () = run(&mut primary.connection(), "FAILOVER");
            wait_until("the two have swapped roles", || is_master(&replica) && !is_master(&primary));
        });
        wait_until_linked(&primary);
        assert_alike(&replica, &primary);
        (primary, replica) = (replica, primary);
        let mut connection = primary.connection();
        assert_eq!(used(&mut connection, &limiter, key), admitted);
        assert!(!call(&mut connection, &format!("{key} {key} {LASTING}")).limited);
    }
}
