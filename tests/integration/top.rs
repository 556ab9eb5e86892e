//! PREMIER.TOP lists the keys that limit most, and keyspace notifications report each limited call.

use premier_test_server::Server;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::notification::published;
use crate::tools::replica::{primary, replica_of, wait_until_alike};

fn top(connection: &mut Connection, arguments: &str) -> Vec<(String, u64)> {
    let pairs: Vec<Value> = run(connection, format!("PREMIER.TOP {arguments}").trim_end());
    pairs.into_iter().map(|pair| redis::from_redis_value(pair).expect("a key and a count")).collect()
}

fn pair(key: &str, count: u64) -> (String, u64) {
    (key.to_owned(), count)
}

/// Makes a key limit this many calls.
fn limit(connection: &mut Connection, key: &str, times: usize) {
    for _ in 0..times {
        assert!(call(connection, &format!("PREMIER.FIXED {key} 0 1h")).limited);
    }
}

#[test]
fn top_lists_the_keys_that_limited_most_and_how_often() {
    let server = Server::start();
    let mut connection = server.connection();
    assert_eq!(top(&mut connection, ""), []);
    for (limiter, times) in LIMITERS.iter().zip([2, 4, 3, 1]) {
        // The first call is admitted.
        for _ in 0..=times {
            call(&mut connection, &format!("{} {} 1 1h", limiter.command, limiter.data_type));
        }
        let algorithm = limiter.algorithm();
        let _: Value = run(&mut connection, &format!("PREMIER.PEEK {} {algorithm} 1 1h", limiter.data_type));
    }
    let expected = [pair("premslide", 4), pair("premtoken", 3), pair("premfixed", 2), pair("premleaky", 1)];
    assert_eq!(top(&mut connection, ""), expected);
    assert_eq!(top(&mut connection, "2"), expected[..2]);
    assert_eq!(top(&mut connection, "256"), expected);

    assert_eq!(run::<String>(&mut connection, "PREMIER.TOP reset"), "OK");
    assert_eq!(top(&mut connection, ""), []);
}

#[test]
fn a_call_of_several_limits_counts_for_those_that_limit() {
    let server = Server::start();
    let mut connection = server.connection();
    for _ in 0..3 {
        let _: Value = run(&mut connection, "PREMIER.ALL a FIXED 1 1h AND b TOKEN 9 1h AND c SLIDING 2 1h COST 2");
    }
    assert_eq!(top(&mut connection, ""), [pair("a", 2), pair("c", 2)]);
}

#[test]
fn top_lists_no_more_keys_than_configured() {
    let server = Server::builder().module_arguments("top-keys 2").start();
    let mut connection = server.connection();
    for (key, times) in [("a", 1), ("b", 3), ("c", 2)] {
        limit(&mut connection, key, times);
    }
    assert_eq!(top(&mut connection, ""), [pair("b", 3), pair("c", 2)]);
    assert_eq!(top(&mut connection, "9"), [pair("b", 3), pair("c", 2)]);
    let () = run(&mut connection, "CONFIG SET premier.top-keys 3");
    assert_eq!(top(&mut connection, "").len(), 3);

    let () = run(&mut connection, "CONFIG SET premier.top-keys 0");
    assert_eq!(top(&mut connection, ""), []);
    limit(&mut connection, "off", 9);
    let () = run(&mut connection, "CONFIG SET premier.top-keys 32");
    assert!(!top(&mut connection, "").contains(&pair("off", 9)));
}

/// Callers that make up keys must neither fill the memory of the server nor hide the key that
/// limits most.
#[test]
fn many_keys_take_little_memory_and_hide_no_heavy_key() {
    let server = Server::start();
    let mut connection = server.connection();
    let limit_many = |connection: &mut Connection, keys: std::ops::Range<u32>| {
        let mut calls = redis::pipe();
        for key in keys {
            calls.cmd("PREMIER.FIXED").arg(format!("{key:0100}")).arg(&["0", "1h"]).ignore();
            if key % 50 == 0 {
                calls.cmd("PREMIER.FIXED").arg(&["heavy", "0", "1h"]).ignore();
            }
        }
        let () = calls.query(connection).expect("limited calls");
    };
    limit_many(&mut connection, 0..1_000);
    let used =
        |connection: &mut Connection| crate::tools::info::info_number(connection, "memory", "used_memory_dataset");
    let before = used(&mut connection);
    for first in (1_000..30_000).step_by(1_000) {
        limit_many(&mut connection, first..first + 1_000);
    }
    let grown = used(&mut connection) - before;
    assert!(grown < 100_000, "{grown} bytes more");
    let (key, count) = &top(&mut connection, "1")[0];
    assert_eq!(key, "heavy");
    // One call in eight is counted: this range is more than four standard deviations.
    assert!((300..=900).contains(count), "{count} of 600");
    assert_eq!(top(&mut connection, "256").len(), 32);
}

/// Each of the first thousand limited calls is counted; of later ones, a sample.
#[test]
fn keys_that_limit_equally_often_are_counted_alike() {
    let server = Server::start();
    let mut connection = server.connection();
    let limit_by_turns = |connection: &mut Connection, turns: usize| {
        let mut calls = redis::pipe();
        for _ in 0..turns {
            for key in ["a", "b"] {
                calls.cmd("PREMIER.FIXED").arg(&[key, "0", "1h"]).ignore();
            }
        }
        let () = calls.query(connection).expect("limited calls");
    };
    limit_by_turns(&mut connection, 500);
    assert_eq!(top(&mut connection, ""), [pair("a", 500), pair("b", 500)]);
    for _ in 0..10 {
        limit_by_turns(&mut connection, 1_000);
    }
    for (key, count) in top(&mut connection, "") {
        assert!((8_500..=12_500).contains(&count), "{key}: {count} of 10,500");
    }
    let () = run(&mut connection, "PREMIER.TOP RESET");
    limit(&mut connection, "c", 3);
    assert_eq!(top(&mut connection, ""), [pair("c", 3)]);
}

/// A caller that knew which calls are skipped could hide there.
#[test]
fn no_two_samples_skip_the_same_calls() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut counted = || {
        limit(&mut connection, "counted-one-by-one", 1_000);
        for key in 0..100 {
            limit(&mut connection, &format!("sampled:{key}"), 1);
        }
        let () = run(&mut connection, "CONFIG SET premier.top-keys 256");
        let mut keys = top(&mut connection, "");
        keys.sort();
        let () = run(&mut connection, "PREMIER.TOP RESET");
        keys
    };
    let (first, second) = (counted(), counted());
    assert!((2..90).contains(&first.len()), "{first:?}");
    assert_ne!(first, second);
}

#[test]
fn an_error_names_the_invalid_argument() {
    let server = Server::start();
    let mut connection = server.connection();
    for argument in ["0", "257", "-1", "many", ""] {
        let line = error(&mut connection, &command(&format!("PREMIER.TOP {argument}")));
        assert_eq!(line, "ERR count must be an integer from 1 to 256, or RESET");
    }
    let line = error(&mut connection, &command("PREMIER.TOP RESET 1"));
    assert!(line.contains("wrong number of arguments"), "{line}");
}

#[test]
fn top_lists_keys_of_any_bytes() {
    let server = Server::start();
    let mut connection = server.connection();
    let key = b"\xff\x00\r\n".to_vec();
    let _: Value = redis::cmd("PREMIER.FIXED").arg(&key).arg(&["0", "1h"]).query(&mut connection).expect("limited");
    let pairs: Vec<(Vec<u8>, u64)> = run(&mut connection, "PREMIER.TOP");
    assert_eq!(pairs, [(key, 1)]);
}

#[test]
fn each_node_counts_for_itself_until_it_restarts() {
    let mut primary = primary().config("appendonly", "yes").start();
    let replica = replica_of(&primary);
    limit(&mut primary.connection(), "key", 3);
    wait_until_alike(&primary, &replica);
    assert_eq!(top(&mut primary.connection(), ""), [pair("key", 3)]);
    assert_eq!(top(&mut replica.connection(), ""), []);
    drop(replica);
    primary.restart();
    assert_eq!(top(&mut primary.connection(), ""), []);
}

/// This needs `d` in `notify-keyspace-events`, which enables the events of modules.
#[test]
fn a_keyspace_notification_reports_each_limited_call() {
    let server = Server::start();
    for (classes, expected) in [("E", vec![]), ("Ed", vec!["token", "sliding"])] {
        let limited = published(&server, "premier.limited", classes, |connection| {
            let () = run(connection, "FLUSHALL");
            for _ in 0..2 {
                call(connection, "PREMIER.TOKEN token 1 1h");
            }
            let _: Value = run(connection, "PREMIER.ALL sliding SLIDING 0 1h AND fixed FIXED 1 1h");
            let _: Value = run(connection, "PREMIER.PEEK token TOKEN 1 1h");
        });
        assert_eq!(limited, expected, "{classes}");
    }
}
