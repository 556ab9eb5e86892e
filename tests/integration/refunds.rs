//! PREMIER.REFUND returns units that were used, and no more.

use premier_test_server::Server;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, LINGER, call, command, error, run};
use crate::tools::effect::{commands_in_aof, server_with_aof};
use crate::tools::notification::published;
use crate::tools::replica::{primary, replica_of, wait_until_alike};
use crate::tools::snapshot::{content, snapshot};

fn refund(connection: &mut Connection, key: &str, units: u64) -> u64 {
    run(connection, &format!("PREMIER.REFUND {key} {units}"))
}

#[test]
fn refunded_units_can_be_used_again_and_no_more() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 10 3650d", limiter.command);
        assert_eq!(refund(&mut connection, limiter.command, 1), 0, "nothing is used yet");
        assert_eq!(call(&mut connection, &format!("{line} COST 4")).remaining, 6);
        assert_eq!(call(&mut connection, &format!("{line} COST 5")).remaining, 1);
        assert_eq!(refund(&mut connection, limiter.command, 3), 3);
        assert_eq!(call(&mut connection, &line).remaining, 3, "{line}");
        assert_eq!(refund(&mut connection, limiter.command, 1_000), 7, "{line}");
        assert_eq!(run::<i64>(&mut connection, &format!("EXISTS {}", limiter.command)), 0, "nothing is used");
        assert_eq!(call(&mut connection, &line).remaining, 9);
    }
}

#[test]
fn after_a_refund_the_key_expires_when_it_is_fully_reset() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 10 1000s COST 8", limiter.command);
        call(&mut connection, &line);
        refund(&mut connection, limiter.command, 6);
        let ttl: i64 = run(&mut connection, &format!("PTTL {}", limiter.command));
        // A window still ends when it would have; a bucket drains sooner.
        let expected = if limiter.has_bucket { 200_000 } else { 1_000_000 };
        let ttl = ttl - LINGER;
        assert!((expected - 5_000..=expected + 1).contains(&ttl), "{line}: {ttl}");
        let algorithm = limiter.algorithm();
        let peek: Vec<i64> =
            run(&mut connection, &format!("PREMIER.PEEK {} {algorithm} 10 1000s COST 9", limiter.command));
        assert_eq!(peek[2], 8, "{line}");
        assert!((peek[4] - ttl).abs() < 1_000, "{line}: {peek:?}, expires in {ttl}");
    }
}

#[test]
fn a_sliding_window_refunds_its_newest_units_first() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.SLIDING key 10 1h COST 3");
    let oldest = content(&mut connection, b"key");
    std::thread::sleep(std::time::Duration::from_millis(20));
    call(&mut connection, "PREMIER.SLIDING key 10 1h COST 4");
    assert_eq!(refund(&mut connection, "key", 4), 4);
    let left = content(&mut connection, b"key");
    assert_eq!(left.digest, oldest.digest);
    assert!((oldest.expires_at..=oldest.expires_at + 1).contains(&left.expires_at), "{left:?}, not {oldest:?}");
}

#[test]
fn replicas_and_the_aof_receive_the_state_not_the_call() {
    let mut server = server_with_aof().config("repl-diskless-sync-delay", "0").start();
    let replica = replica_of(&server);
    let mut connection = server.connection();
    for limiter in LIMITERS {
        for key in ["some", "all"] {
            call(&mut connection, &format!("{0} {0}:{key} 10 3650d COST 5", limiter.command));
        }
        assert_eq!(refund(&mut connection, &format!("{}:some", limiter.command), 2), 2);
        assert_eq!(refund(&mut connection, &format!("{}:all", limiter.command), 5), 5);
    }
    let before = commands_in_aof(&server).len();
    assert_eq!(refund(&mut connection, "missing", 5), 0);
    assert_eq!(commands_in_aof(&server).len(), before, "a refund of nothing is in the AOF");
    assert!(!commands_in_aof(&server).iter().any(|words| words[0].starts_with(b"PREMIER")), "a call is in the AOF");

    wait_until_alike(&server, &replica);
    let expected = snapshot(&server);
    assert_eq!(expected.len(), LIMITERS.len());
    assert_eq!(snapshot(&replica), expected);
    server.kill();
    server.start_again();
    assert_eq!(snapshot(&server), expected);
}

#[test]
fn a_refund_breaks_a_watch_of_the_key() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut watcher = server.connection();
    for units in [1, 100] {
        call(&mut connection, "PREMIER.TOKEN key 10 1h COST 5");
        let () = run(&mut watcher, "WATCH key");
        refund(&mut connection, "key", units);
        let () = run(&mut watcher, "MULTI");
        assert_eq!(run::<Option<Vec<Value>>>(&mut watcher, "EXEC"), None, "after a refund of {units}");
    }
}

/// This needs `g` in `notify-keyspace-events`, as for the `del` of DEL.
#[test]
fn a_refund_that_empties_a_key_publishes_del() {
    let server = Server::start();
    for (classes, expected) in [("Ed", vec![]), ("Eg", vec!["all"])] {
        let deleted = published(&server, "del", classes, |connection| {
            for key in ["all", "some"] {
                call(connection, &format!("PREMIER.TOKEN {key} 10 3650d COST 5"));
            }
            assert_eq!(refund(connection, "some", 4), 4);
            assert_eq!(refund(connection, "all", 9), 5);
            assert_eq!(refund(connection, "all", 1), 0, "the key is gone");
        });
        assert_eq!(deleted, expected, "{classes}");
    }
}

#[test]
fn a_refund_is_a_write_and_needs_the_key_of_a_limiter() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let line = error(&mut replica.connection(), &command("PREMIER.REFUND key 1"));
    assert!(line.starts_with("READONLY "), "{line}");
    let mut connection = primary.connection();
    let () = run(&mut connection, "RPUSH list 1");
    let line = error(&mut connection, &command("PREMIER.REFUND list 1"));
    assert!(line.starts_with("WRONGTYPE "), "{line}");
}
