//! PREMIER.RELEASE frees what its holder holds, and nobody else's place.

use std::thread::sleep;
use std::time::Duration;

use premier_test_server::Server;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, LINGER, call, command, error, run};
use crate::tools::hold::{held, holders, release};
use crate::tools::notification::published;
use crate::tools::replica::{primary, replica_of};
use crate::tools::snapshot::snapshot;
use crate::tools::waiting::wait_until;

#[test]
fn a_release_answers_the_units_and_then_0() {
    let server = Server::start();
    let mut connection = server.connection();
    assert_eq!(release(&mut connection, "missing", b"a"), 0);
    call(&mut connection, "PREMIER.HOLD key 10 1h ID a COST 7");
    call(&mut connection, "PREMIER.HOLD key 10 1h ID b COST 3");
    assert_eq!(release(&mut connection, "key", b"unknown"), 0);
    assert_eq!(release(&mut connection, "key", b"a"), 7);
    assert_eq!(release(&mut connection, "key", b"a"), 0);
    assert_eq!(call(&mut connection, "PREMIER.HOLD key 10 1h ID c COST 5").remaining, 2);
    assert_eq!(holders(&mut connection, "key"), (2, 8));
}

/// The lease of the holder has ended, and somebody else has its place.
#[test]
fn a_late_release_frees_nobody_elses_place() {
    let server = Server::start();
    let mut connection = server.connection();
    let limited = {
        call(&mut connection, "PREMIER.HOLD key 1 200ms ID slow");
        call(&mut connection, "PREMIER.HOLD key 1 1h ID next")
    };
    assert!(limited.limited);
    sleep(limited.wait());
    assert!(!call(&mut connection, "PREMIER.HOLD key 1 1h ID next").limited);
    assert_eq!(release(&mut connection, "key", b"slow"), 0);
    assert!(call(&mut connection, "PREMIER.HOLD key 1 1h ID other").limited);
    assert_eq!(held(&mut connection, "key", b"next"), 1);
}

/// With an expiry that outlives it.
#[test]
fn an_ended_lease_that_is_still_stored_frees_nothing() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.HOLD key 9 1ms ID a");
    call(&mut connection, "PREMIER.HOLD other 9 1h ID a");
    call(&mut connection, "PREMIER.HOLD other 9 1ms ID b");
    let () = run(&mut connection, "PERSIST other");
    sleep(Duration::from_millis(3));
    let before = snapshot(&server);
    assert_eq!(release(&mut connection, "other", b"b"), 0);
    assert_eq!(snapshot(&server), before);
    // Of what is left, all has ended.
    assert_eq!(release(&mut connection, "other", b"a"), 1);
    wait_until("both keys are gone", || snapshot(&server).is_empty());
}

#[test]
fn after_a_release_the_key_expires_with_the_last_lease() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut is_about = |expected: i64| {
        let ttl = run::<i64>(&mut connection, "PTTL key") - LINGER;
        assert!((expected - 5_000..=expected + 1).contains(&ttl), "{ttl}, expected {expected}");
    };
    let mut other = server.connection();
    for (holder, lease) in [("a", "1h"), ("b", "10m"), ("c", "1m")] {
        call(&mut other, &format!("PREMIER.HOLD key 9 {lease} ID {holder}"));
    }
    is_about(3_600_000);
    assert_eq!(release(&mut other, "key", b"c"), 1);
    is_about(3_600_000);
    assert_eq!(release(&mut other, "key", b"a"), 1);
    is_about(600_000);
}

/// This needs `g` in `notify-keyspace-events`, as for the `del` of DEL.
#[test]
fn a_release_that_empties_a_key_publishes_del() {
    let server = Server::start();
    for (classes, expected) in [("Ed", vec![]), ("Eg", vec!["all"])] {
        let deleted = published(&server, "del", classes, |connection| {
            for line in ["all 9 1h ID a COST 5", "some 9 1h ID a", "some 9 1h ID b"] {
                call(connection, &format!("PREMIER.HOLD {line}"));
            }
            assert_eq!(release(connection, "some", b"a"), 1);
            assert_eq!(release(connection, "all", b"a"), 5);
            assert_eq!(release(connection, "all", b"a"), 0, "the key is gone");
            assert!(!run::<bool>(connection, "EXISTS all") && run::<bool>(connection, "EXISTS some"));
        });
        assert_eq!(deleted, expected, "{classes}");
    }
}

#[test]
fn only_a_release_of_units_breaks_a_watch() {
    let server = Server::start();
    let (mut connection, mut watcher) = (server.connection(), server.connection());
    call(&mut connection, "PREMIER.HOLD key 9 1h ID a");
    call(&mut connection, "PREMIER.HOLD key 9 1h ID b");
    for (id, units) in [(b"c", 0), (b"a", 1), (b"a", 0), (b"b", 1)] {
        let () = run(&mut watcher, "WATCH key");
        assert_eq!(release(&mut connection, "key", id), units);
        let () = run(&mut watcher, "MULTI");
        let answer: Option<Vec<Value>> = run(&mut watcher, "EXEC");
        assert_eq!(answer.is_none(), units > 0, "{}", id.escape_ascii());
    }
}

#[test]
fn a_release_is_a_write_and_needs_a_key_of_holders() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let line = error(&mut replica.connection(), &command("PREMIER.RELEASE key a"));
    assert!(line.starts_with("READONLY "), "{line}");
    let mut connection = primary.connection();
    let () = run(&mut connection, "SET string 1");
    for limiter in &LIMITERS {
        call(&mut connection, &format!("{0} {0} 5 1h", limiter.command));
    }
    let before = snapshot(&primary);
    let is_wrong_type = |connection: &mut Connection, line: &str| {
        let answer = error(connection, &command(line));
        assert_eq!(answer, "WRONGTYPE Operation against a key holding the wrong kind of value", "{line}");
    };
    for key in ["string"].into_iter().chain(LIMITERS.map(|limiter| limiter.command)) {
        for line in [
            format!("PREMIER.RELEASE {key} a"),
            format!("PREMIER.HOLD {key} 5 1h ID a"),
            format!("PREMIER.HOLD {key} 0 1h ID a"),
            format!("PREMIER.PEEK {key} HOLD 5 1h"),
            format!("PREMIER.ALL fresh FIXED 5 1h AND {key} HOLD 5 1h ID a"),
        ] {
            is_wrong_type(&mut connection, &line);
        }
    }
    assert_eq!(snapshot(&primary), before);
    call(&mut connection, "PREMIER.HOLD key 5 1h ID a");
    let before = snapshot(&primary);
    is_wrong_type(&mut connection, "PREMIER.REFUND key 1");
    for limiter in &LIMITERS {
        is_wrong_type(&mut connection, &format!("{} key 5 1h", limiter.command));
        is_wrong_type(&mut connection, &format!("PREMIER.PEEK key {} 5 1h", limiter.algorithm()));
    }
    assert_eq!(snapshot(&primary), before);
}
