//! CL.THROTTLE replies as redis-cell does, without its bugs, and takes over its keys.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use premier_test_server::{Builder, Server};
use redis::{Connection, Value};

use crate::tools::call::{call, command, error, run};
use crate::tools::info::info_number;
use crate::tools::replica::{primary, replica_of, wait_until_alike};
use crate::tools::snapshot::snapshot;

fn compatible(server: Builder) -> Server {
    server.module_arguments("cell-compat yes").start()
}

fn throttle(connection: &mut Connection, line: &str) -> [i64; 5] {
    run(connection, &format!("CL.THROTTLE {line}"))
}

/// Asserts that a call is answered like this. A loaded machine takes its time, so waits of minutes
/// may be up to ten seconds shorter.
#[track_caller]
fn assert_answer(connection: &mut Connection, line: &str, expected: [i64; 5]) {
    let reply = throttle(connection, line);
    let ([counts @ .., wait, reset], [expected_counts @ .., expected_wait, expected_reset]) = (reply, expected);
    let is_close = |time, expected: i64| (0..=(expected / 10).min(10)).contains(&(expected - time));
    let times_are_close = is_close(wait, expected_wait) && is_close(reset, expected_reset);
    assert!(counts == expected_counts && times_are_close, "{line}: {reply:?}, not {expected:?}");
}

/// Returns what redis-cell stores in a key that is fully reset after `rest`.
fn left_by_redis_cell(rest: Duration) -> u128 {
    (SystemTime::now() + rest).duration_since(UNIX_EPOCH).expect("it is past 1970").as_nanos()
}

#[test]
fn every_field_of_the_reply_matches_redis_cell() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    // max_burst 15 admits 16 at once; a unit comes back every 100 s.
    for remaining in (0..16).rev() {
        let reset = (16 - remaining) * 100;
        assert_answer(&mut connection, "user 15 36 3600", [0, 16, remaining, -1, reset]);
    }
    assert_answer(&mut connection, "user 15 36 3600", [1, 16, 0, 100, 1600]);
    assert_answer(&mut connection, "user 15 36 3600 2", [1, 16, 0, 200, 1600]);
    // A quantity above the limit can never be admitted.
    assert_answer(&mut connection, "user 15 36 3600 17", [1, 16, 0, -1, 1600]);
    assert_answer(&mut connection, "several 15 36 3600 16", [0, 16, 0, -1, 1600]);
    assert_answer(&mut connection, "least 0 1 1", [0, 1, 0, -1, 1]);
    let most = "most 999999999999 1000000000000 315360000 1000000000000";
    assert_answer(&mut connection, most, [0, 1_000_000_000_000, 0, -1, 315_360_000]);
}

#[test]
fn a_quantity_of_0_only_peeks() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    assert_answer(&mut connection, "fresh 15 36 3600 0", [0, 16, 16, -1, 0]);
    assert!(!run::<bool>(&mut connection, "EXISTS fresh"));
    throttle(&mut connection, "user 15 36 3600 16");
    let before = snapshot(&server);
    assert_answer(&mut connection, "user 15 36 3600 0", [0, 16, 0, -1, 1600]);
    // More units are used than this limit admits at all.
    assert_answer(&mut connection, "user 5 36 3600 0", [1, 6, 0, 1000, 1600]);
    assert_eq!(snapshot(&server), before);
}

/// In redis-cell, a retry after the wait could still be limited, and 6000 per second reported 6024
/// of 6001 remaining.
#[test]
fn the_wait_is_accurate_and_remaining_is_below_the_limit() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    throttle(&mut connection, "user 2 3 1 3");
    let [limited, _, _, retry_after, _] = throttle(&mut connection, "user 2 3 1 3");
    assert_eq!(limited, 1);
    sleep(Duration::from_secs(retry_after.try_into().expect("a wait is not -1, which means never")));
    assert_eq!(throttle(&mut connection, "user 2 3 1 3")[0], 0);
    for _ in 0..100 {
        let [limited, limit, remaining, ..] = throttle(&mut connection, "fast 6000 6000 1");
        assert!(limited == 0 && limit == 6001 && (0..6001).contains(&remaining), "{remaining} of {limit}");
    }
}

#[test]
fn cl_throttle_and_the_token_bucket_share_their_keys() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    throttle(&mut connection, "user 15 36 3600 6");
    assert_eq!(run::<String>(&mut connection, "TYPE user"), "premtoken");
    let reply = call(&mut connection, "PREMIER.TOKEN user 36 1h CAPACITY 16 COST 5");
    assert_eq!((reply.limited, reply.limit, reply.remaining), (false, 16, 5));
    assert_answer(&mut connection, "user 15 36 3600 5", [0, 16, 0, -1, 1600]);
}

#[test]
fn a_key_from_redis_cell_counts_what_was_used() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    for (rest, remaining) in [(950, 6), (1_550, 0), (9_999, 0), (50, 15)] {
        let value = left_by_redis_cell(Duration::from_secs(rest));
        let () = run(&mut connection, &format!("SET user {value} EX {rest}"));
        let [limited, limit, left, _, reset] = throttle(&mut connection, "user 15 36 3600 0");
        assert_eq!((limited, limit, left), (i64::from(rest > 1_600), 16, remaining), "{rest} s");
        assert!((rest.cast_signed() - 10..=rest.cast_signed()).contains(&reset), "{rest} s: {reset}");
        // The peek has not changed it.
        assert_eq!(run::<u128>(&mut connection, "GET user"), value);
    }

    let value = left_by_redis_cell(Duration::from_secs(950));
    let () = run(&mut connection, &format!("SET user {value} EX 9"));
    let [limited, .., retry_after, _] = throttle(&mut connection, "user 15 36 3600 7");
    assert!(limited == 1 && (40..=50).contains(&retry_after), "{limited}, {retry_after}");
    assert_eq!(run::<u128>(&mut connection, "GET user"), value, "a limited call changed it");
    assert!(run::<i64>(&mut connection, "TTL user") <= 9);

    assert_answer(&mut connection, "user 15 36 3600 6", [0, 16, 0, -1, 1550]);
    assert_eq!(run::<String>(&mut connection, "TYPE user"), "premtoken");
    assert!((1_540..=1_551).contains(&run::<i64>(&mut connection, "TTL user")));

    // This key is fully reset.
    let value = left_by_redis_cell(Duration::ZERO);
    let () = run(&mut connection, &format!("SET user {value} EX 9"));
    assert_answer(&mut connection, "user 15 36 3600", [0, 16, 15, -1, 100]);
}

/// redis-cell took the value of any key for its own, or crashed the server.
#[test]
fn a_value_that_redis_cell_did_not_write_is_left_alone() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    let values = [
        "5",
        "hello",
        "-1795556007308688612",
        "17955560073086886120",
        "+179555600730868861",
        "1795556007.30868861",
        "179555600730868861x",
        "0795556007308688612",
        "9795556007308688612",
    ];
    for value in values {
        let () = run(&mut connection, &format!("SET text {value} EX 950"));
        for quantity in ["", " 0", " 99"] {
            let line = format!("CL.THROTTLE text 15 36 3600{quantity}");
            assert!(error(&mut connection, &command(&line)).starts_with("WRONGTYPE "), "{value}");
        }
        assert_eq!(run::<String>(&mut connection, "GET text"), value);
    }
    // The keys of redis-cell expire.
    let counter = left_by_redis_cell(Duration::from_secs(9));
    let () = run(&mut connection, &format!("SET counter {counter}"));
    let () = run(&mut connection, "RPUSH list 1795556007308688612");
    call(&mut connection, "PREMIER.LEAKY leaky 5 1h");
    for key in ["counter", "list", "leaky"] {
        let line = error(&mut connection, &command(&format!("CL.THROTTLE {key} 15 36 3600")));
        assert!(line.starts_with("WRONGTYPE "), "{line}");
    }
    assert_eq!(run::<u128>(&mut connection, "GET counter"), counter);
    let binary: [i64; 5] = redis::cmd("CL.THROTTLE")
        .arg(b"\xff\x00\r\n")
        .arg(&[15, 36, 3600])
        .query(&mut connection)
        .expect("a key may be any bytes");
    assert_eq!(binary, [0, 16, 15, -1, 100]);
    // Only CL.THROTTLE takes over the keys of redis-cell.
    let () = run(&mut connection, &format!("SET user {} EX 9", left_by_redis_cell(Duration::from_secs(9))));
    assert!(error(&mut connection, &command("PREMIER.TOKEN user 5 1h")).starts_with("WRONGTYPE "));
}

#[test]
fn an_error_names_the_invalid_argument() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    let wrong = [
        ("-1 36 3600", "ERR max_burst must be an integer from 0 to 999999999999"),
        ("1000000000000 36 3600", "ERR max_burst must be an integer from 0 to 999999999999"),
        ("15 0 3600", "ERR count must be an integer from 1 to 1000000000000"),
        ("15 36 0", "ERR period must be an integer from 1 to 315360000"),
        ("15 36 1h", "ERR period must be an integer from 1 to 315360000"),
        ("15 36 3600 -1", "ERR quantity must be an integer from 0 to 1000000000000"),
        ("15 36 3600 1000000000001", "ERR quantity must be an integer from 0 to 1000000000000"),
    ];
    for (arguments, sentence) in wrong {
        assert_eq!(error(&mut connection, &command(&format!("CL.THROTTLE user {arguments}"))), sentence);
    }
    for arguments in ["user 15 36", "user 15 36 3600 1 1"] {
        let line = error(&mut connection, &command(&format!("CL.THROTTLE {arguments}")));
        assert!(line.contains("wrong number of arguments"), "{line}");
    }
    assert!(!run::<bool>(&mut connection, "EXISTS user"));
}

#[test]
fn cl_throttle_replicates_effects_and_survives_a_restart() {
    let mut primary = compatible(primary().config("appendonly", "yes").config("appendfsync", "always"));
    // The primary replicates effects, so a replica needs no CL.THROTTLE.
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    let () = run(&mut connection, &format!("SET old {} EX 950", left_by_redis_cell(Duration::from_secs(950))));
    throttle(&mut connection, "old 15 36 3600 6");
    throttle(&mut connection, "new 15 36 3600 6");
    let offset = info_number(&mut connection, "replication", "master_repl_offset");
    throttle(&mut connection, "new 15 36 3600 11");
    throttle(&mut connection, "new 15 36 3600 0");
    assert_eq!(info_number(&mut connection, "replication", "master_repl_offset"), offset);
    wait_until_alike(&primary, &replica);
    let before = snapshot(&primary);
    assert_eq!(before.len(), 2);
    assert_eq!(snapshot(&replica), before);
    drop(replica);
    primary.restart();
    assert_eq!(snapshot(&primary), before);
}

#[test]
fn cl_throttle_is_unknown_unless_enabled() {
    let server = Server::start();
    let line = error(&mut server.connection(), &command("CL.THROTTLE user 15 36 3600"));
    assert!(line.contains("unknown command"), "{line}");
}

#[test]
fn cl_throttle_counts_as_a_token_bucket() {
    let server = compatible(Server::builder());
    let mut connection = server.connection();
    throttle(&mut connection, "user 15 36 3600 9");
    throttle(&mut connection, "user 15 36 3600 9");
    throttle(&mut connection, "user 15 36 3600 0");
    error(&mut connection, &command("CL.THROTTLE user 15 36 0"));
    let info: String = run(&mut connection, "INFO premier");
    assert!(info.contains("premier_token:admitted=1,limited=1,refused=1,units=9"), "{info}");
    let top: Value = run(&mut connection, "PREMIER.TOP");
    assert_eq!(redis::from_redis_value::<Vec<(String, u64)>>(top).expect("pairs"), [("user".to_owned(), 1)]);
}
