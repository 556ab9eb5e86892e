//! PREMIER.HOLD admits at most `quota` units at the same time, each until it is released or its
//! lease ends.

use std::thread::sleep;
use std::time::{Duration, Instant};

use premier_test_server::Server;
use redis::Connection;

use crate::tools::call::{LINGER, Reply, call, command, error, run};
use crate::tools::hold::{fill_with, held, hold, holders, id, release};
use crate::tools::info::{info, info_number};
use crate::tools::notification::published;
use crate::tools::snapshot::content;
use crate::tools::waiting::wait_until;

const HOUR: i64 = 3_600_000;
const MOST_HOLDERS: usize = 65_536;

#[test]
fn a_fresh_key_admits_exactly_its_quota() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    for (holder, expected) in [
        ("a", [0, 3, 2, 0, HOUR]),
        ("b", [0, 3, 1, 0, HOUR]),
        ("c", [0, 3, 0, 0, HOUR]),
        ("d", [1, 3, 0, HOUR, HOUR]),
        ("d", [1, 3, 0, HOUR, HOUR]),
    ] {
        call(&mut connection, &format!("PREMIER.HOLD key 3 1h ID {holder}")).assert(expected, started);
    }
    assert_eq!(holders(&mut connection, "key"), (3, 3));
    for (line, expected) in [
        ("PREMIER.HOLD costs 10 1h ID a COST 7", [0, 10, 3, 0, HOUR]),
        ("PREMIER.HOLD costs 10 1h ID b COST 4", [1, 10, 3, HOUR, HOUR]),
        ("PREMIER.HOLD costs 10 1h ID b COST 11", [1, 10, 3, -1, HOUR]),
        ("PREMIER.HOLD costs 10 1h ID b COST 3", [0, 10, 0, 0, HOUR]),
        ("PREMIER.HOLD costs 0 1h ID a", [1, 0, 0, -1, 0]),
        ("PREMIER.HOLD fresh 3 1h ID a COST 4", [1, 3, 3, -1, 0]),
    ] {
        call(&mut connection, line).assert(expected, started);
    }
    assert!(!run::<bool>(&mut connection, "EXISTS fresh"));
}

/// Repeating a call whose reply was lost is safe.
#[test]
fn the_same_id_is_the_same_holder() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    for (cost, expected) in [
        (2, [0, 3, 1, 0, HOUR]),
        (2, [0, 3, 1, 0, HOUR]),
        (3, [0, 3, 0, 0, HOUR]),
        (1, [0, 3, 2, 0, HOUR]),
        (4, [1, 3, 2, -1, HOUR]),
    ] {
        call(&mut connection, &format!("PREMIER.HOLD key 3 1h ID a COST {cost}")).assert(expected, started);
    }
    assert_eq!(holders(&mut connection, "key"), (1, 1));
}

#[test]
fn a_limited_renewal_leaves_the_holder_what_it_had() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.HOLD key 3 1h ID a COST 2");
    call(&mut connection, "PREMIER.HOLD key 3 1h ID b");
    let before = content(&mut connection, b"key");
    let limited = call(&mut connection, "PREMIER.HOLD key 3 2h ID a COST 3");
    assert_eq!((limited.limited, limited.remaining), (true, 0), "its own units count as used: {limited:?}");
    assert_eq!(content(&mut connection, b"key"), before);
    assert_eq!(release(&mut connection, "key", b"a"), 2);
}

/// A release may make it shorter.
#[test]
fn the_wait_is_the_longest_that_a_caller_has_to_wait() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.HOLD key 3 400ms ID a");
    call(&mut connection, "PREMIER.HOLD key 3 1500ms ID b COST 2");
    let one = call(&mut connection, "PREMIER.HOLD key 3 1h ID c");
    let two = call(&mut connection, "PREMIER.HOLD key 3 1h ID c COST 2");
    assert!(one.limited && (1..=400).contains(&one.wait), "{one:?}");
    assert!(two.limited && (401..=1_500).contains(&two.wait) && two.reset == two.wait, "{two:?}");

    // Nobody renews or releases.
    sleep(one.wait());
    assert!(!call(&mut connection, "PREMIER.HOLD key 3 1h ID c").limited, "it waited for {one:?}");
    let two = call(&mut connection, "PREMIER.HOLD key 3 1h ID d COST 2");
    assert!(two.limited, "{two:?}");
    sleep(two.wait());
    assert!(!call(&mut connection, "PREMIER.HOLD key 3 1h ID d COST 2").limited, "it waited for {two:?}");

    let late = call(&mut connection, "PREMIER.HOLD key 3 1h ID e");
    assert!(late.limited && late.wait > 3_000_000, "{late:?}");
    assert_eq!(release(&mut connection, "key", b"c"), 1);
    assert!(!call(&mut connection, "PREMIER.HOLD key 3 1h ID e").limited);
}

/// A holder that died frees its place. A later call with another lease changes its own only.
#[test]
fn each_lease_ends_by_itself_and_the_key_expires_with_the_last() {
    let server = Server::start();
    let mut connection = server.connection();
    let ttl = |connection: &mut Connection| run::<i64>(connection, "PTTL key") - LINGER;
    for (line, reset) in [
        ("PREMIER.HOLD key 9 300ms ID a", 300),
        ("PREMIER.HOLD key 9 1h ID b", HOUR),
        ("PREMIER.HOLD key 9 10m ID c", HOUR),
        ("PREMIER.HOLD key 9 1s ID b", 600_000),
        ("PREMIER.HOLD key 9 400ms ID c", 1_000),
    ] {
        let started = Instant::now();
        let reply = call(&mut connection, line);
        assert!((reset - 200..=reset).contains(&reply.reset), "{line}: {reply:?}");
        let ttl = ttl(&mut connection);
        let elapsed = i64::try_from(started.elapsed().as_millis()).expect("tests are short");
        assert!((reply.reset - elapsed - 1..=reply.reset + 1).contains(&ttl), "{line}: {ttl} and {reply:?}");
    }
    wait_until("the first lease has ended", || holders(&mut connection, "key").0 < 3);
    wait_until("the key has expired", || !run::<bool>(&mut connection, "EXISTS key"));
    assert_eq!(call(&mut connection, "PREMIER.HOLD key 9 1h ID d").remaining, 8);
}

/// Returns ids that differ by as little as possible, or look like something else.
fn strange_ids() -> Vec<Vec<u8>> {
    let ids: [&[u8]; 12] =
        [b"\0", b"\0\0", b"\xff", b"AND", b"ID", b"COST", b"a", b"A", b"a\0b", b"a\0c", b"\r\n$1\r\n", &[b'x'; 127]];
    ids.iter().map(|id| id.to_vec()).chain([vec![b'x'; 128]]).collect()
}

#[test]
fn an_id_may_be_any_bytes() {
    let server = Server::start();
    let mut connection = server.connection();
    let ids = strange_ids();
    let quota = ids.len().to_string();
    let left = |index: usize| i64::try_from(ids.len() - 1 - index).expect("there are few");
    for (index, id) in ids.iter().enumerate() {
        let reply: Reply = hold("key", [&quota, "1h"], id).query(&mut connection).expect("any bytes are an id");
        assert_eq!((reply.limited, reply.remaining), (false, left(index)), "{}", id.escape_ascii());
    }
    for id in &ids {
        assert_eq!(held(&mut connection, "key", id), 1, "{}", id.escape_ascii());
        let reply: Reply = hold("key", [&quota, "1h"], id).query(&mut connection).expect("as above");
        assert_eq!((reply.limited, reply.remaining), (false, 0), "{}", id.escape_ascii());
    }
    assert!(call(&mut connection, &format!("PREMIER.HOLD key {quota} 1h ID other")).limited);
    for id in &ids {
        assert_eq!(release(&mut connection, "key", id), 1, "{}", id.escape_ascii());
        assert_eq!(release(&mut connection, "key", id), 0, "{}", id.escape_ascii());
    }
    assert!(!run::<bool>(&mut connection, "EXISTS key"));
}

#[test]
fn an_id_has_from_1_to_128_bytes() {
    let server = Server::start();
    let mut connection = server.connection();
    let rule = "ERR ID must be a string of 1 to 128 bytes";
    for id in [&b""[..], &[b'x'; 129], &vec![0; 100_000]] {
        let mut peek = redis::cmd("PREMIER.PEEK");
        peek.arg(&["key", "HOLD", "5", "1h", "ID"]).arg(id);
        let mut all = redis::cmd("PREMIER.ALL");
        all.arg(&["key", "HOLD", "5", "1h", "ID"]).arg(id).arg(&["AND", "other", "FIXED", "5", "1h"]);
        let mut release = redis::cmd("PREMIER.RELEASE");
        release.arg("key").arg(id);
        for command in [hold("key", ["5", "1h"], id), peek, all, release] {
            assert_eq!(error(&mut connection, &command), rule);
        }
    }
    assert_eq!(error(&mut connection, &command("PREMIER.HOLD key 5 1h ID")), rule);
    let required = "ERR ID is required: a string of 1 to 128 bytes";
    for line in
        ["PREMIER.HOLD key 5 1h", "PREMIER.HOLD key 5 1h COST 1", "PREMIER.ALL key HOLD 5 1h AND other FIXED 5 1h"]
    {
        assert_eq!(error(&mut connection, &command(line)), required, "{line}");
    }
    assert_eq!(run::<usize>(&mut connection, "DBSIZE"), 0);
}

#[test]
fn a_reserve_is_kept_for_calls_without_one() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    for (options, expected) in [
        ("ID a COST 6 KEEP 4", [0, 10, 4, 0, HOUR]),
        ("ID b KEEP 4", [1, 10, 4, HOUR, HOUR]),
        ("ID b COST 7 KEEP 4", [1, 10, 4, -1, HOUR]),
        ("ID b KEEP 1000000000000", [1, 10, 4, -1, HOUR]),
        ("ID b", [0, 10, 3, 0, HOUR]),
        // The units of others and its own must leave the reserve.
        ("ID a COST 6 KEEP 3", [0, 10, 3, 0, HOUR]),
        ("ID a COST 6 KEEP 4", [1, 10, 3, HOUR, HOUR]),
    ] {
        call(&mut connection, &format!("PREMIER.HOLD key 10 1h {options}")).assert(expected, started);
    }
}

#[test]
fn a_peek_returns_the_reply_that_the_call_then_gets() {
    let server = Server::start();
    let mut connection = server.connection();
    for limit in ["3 1h ID a", "3 1h ID a COST 3", "3 1h ID b COST 1", "3 2h ID c COST 2", "2 1h ID a", "9 1h ID d"] {
        for _ in 0..2 {
            let started = Instant::now();
            let peeked = call(&mut connection, &format!("PREMIER.PEEK key HOLD {limit}"));
            let called = call(&mut connection, &format!("PREMIER.HOLD key {limit}"));
            let Reply { limited, limit: units, remaining, wait, reset } = peeked;
            called.assert([limited.into(), units, remaining, wait, reset], started);
        }
    }
}

#[test]
fn a_peek_without_an_id_is_that_of_a_new_holder() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.HOLD key 3 1h ID a COST 2");
    call(&mut connection, "PREMIER.HOLD key 3 2h ID b");
    let before = content(&mut connection, b"key");
    for (options, expected) in [
        ("3 1h", [1, 3, 0, HOUR, 2 * HOUR]),
        ("3 1h ID other", [1, 3, 0, HOUR, 2 * HOUR]),
        ("3 1h ID a", [0, 3, 1, 0, 2 * HOUR]),
        ("5 3h COST 2", [0, 5, 0, 0, 3 * HOUR]),
        ("5 3h COST 0", [0, 5, 2, 0, 2 * HOUR]),
        ("5 3h COST 0 ID other", [0, 5, 2, 0, 2 * HOUR]),
        // What remains beside that holder.
        ("5 3h COST 0 ID a", [0, 5, 4, 0, 2 * HOUR]),
        ("2 3h COST 0", [0, 2, 0, 0, 2 * HOUR]),
        ("0 3h COST 0 ID a", [1, 0, 0, -1, 0]),
    ] {
        call(&mut connection, &format!("PREMIER.PEEK key HOLD {options}")).assert(expected, started);
    }
    assert_eq!(content(&mut connection, b"key"), before);
    call(&mut connection, "PREMIER.PEEK fresh HOLD 3 1h").assert([0, 3, 2, 0, HOUR], Instant::now());
    assert!(!run::<bool>(&mut connection, "EXISTS fresh"));
}

#[test]
fn a_new_quota_applies_to_the_next_call() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    for (line, expected) in [
        ("3 1h ID a", [0, 3, 2, 0, HOUR]),
        ("3 2h ID b", [0, 3, 1, 0, 2 * HOUR]),
        ("3 3h ID c", [0, 3, 0, 0, 3 * HOUR]),
        // Two of the three must go.
        ("2 1h ID d", [1, 2, 0, 2 * HOUR, 3 * HOUR]),
        ("1 1h ID d", [1, 1, 0, 3 * HOUR, 3 * HOUR]),
        ("2 4h ID c", [1, 2, 0, HOUR, 3 * HOUR]),
        ("2 4h ID a", [1, 2, 0, 2 * HOUR, 3 * HOUR]),
        ("5 1h ID d", [0, 5, 1, 0, 3 * HOUR]),
        ("3 1h ID e", [1, 3, 0, HOUR, 3 * HOUR]),
        ("5 1h ID e", [0, 5, 0, 0, 3 * HOUR]),
    ] {
        call(&mut connection, &format!("PREMIER.HOLD key {line}")).assert(expected, started);
    }
}

/// One more is an error that says so, in PREMIER.ALL too, which then charges nothing. Ended leases
/// do not count.
#[test]
fn a_key_has_at_most_65536_holders() {
    let server = Server::start();
    let mut connection = server.connection();
    let empty = info_number(&mut connection, "memory", "used_memory");
    fill_with(&mut connection, "key", MOST_HOLDERS - 1);
    let bytes = info_number(&mut connection, "memory", "used_memory") - empty;
    assert!(bytes <= 96 * i64::try_from(MOST_HOLDERS).expect("it is small"), "{bytes} bytes");
    call(&mut connection, "PREMIER.HOLD key 1000000 1h ID last");
    let rule = "ERR the key has 65536 holders, the most that a key can have";
    let one_more = "PREMIER.HOLD key 1000000 1h ID one-more";
    for line in [
        one_more,
        "PREMIER.PEEK key HOLD 1000000 1h",
        "PREMIER.ALL other FIXED 5 1h AND key HOLD 1000000 1h ID one-more",
    ] {
        assert_eq!(error(&mut connection, &command(line)), rule);
    }
    assert!(!run::<bool>(&mut connection, "EXISTS other"));
    // A call that is limited is limited before it is one holder too many.
    assert!(call(&mut connection, "PREMIER.HOLD key 65536 1h ID one-more COST 2").limited);
    assert!(!call(&mut connection, "PREMIER.HOLD key 1000000 3650d ID holder:000000007").limited);

    call(&mut connection, "PREMIER.HOLD key 1000000 20ms ID last");
    sleep(Duration::from_millis(20));
    assert!(!call(&mut connection, one_more).limited);
    assert_eq!(error(&mut connection, &command("PREMIER.HOLD key 1000000 1h ID two-more")), rule);
    assert_eq!(release(&mut connection, "key", &id(9)), 1);
    assert!(!call(&mut connection, "PREMIER.HOLD key 1000000 1h ID two-more").limited);
    assert_eq!(holders(&mut connection, "key"), (65_536, 65_536));
    let refused = info(&mut connection, "premier", "premier_hold").expect("INFO premier has it");
    assert!(refused.contains("refused=2,"), "{refused}");
}

#[test]
fn limited_holds_are_counted_and_published() {
    let server = Server::start();
    let limited = published(&server, "premier.limited", "Ed", |connection| {
        for line in
            ["key 2 1h ID a COST 2", "key 2 1h ID a COST 2", "key 2 1h ID b", "key 0 1h ID b", "other 2 1h ID b"]
        {
            call(connection, &format!("PREMIER.HOLD {line}"));
        }
        release(connection, "key", b"a");
        for line in ["key ten 1h ID a", "key 2 1h", "key 2 1h ID a ATMOST", "key 2 1h ID a FORCE"] {
            error(connection, &command(&format!("PREMIER.HOLD {line}")));
        }
    });
    assert_eq!(limited, ["key", "key"]);
    let mut connection = server.connection();
    let counted = info(&mut connection, "premier", "premier_hold");
    assert_eq!(counted.as_deref(), Some("admitted=3,limited=2,refused=4,units=5"));
    assert_eq!(run::<Vec<(String, i64)>>(&mut connection, "PREMIER.TOP"), [("key".to_owned(), 2)]);
}
