//! PREMIER.INSPECT reports what is known of a key without its limit.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use premier_test_server::Server;
use redis::Value;

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::replica::{primary, replica_of, wait_until_alike};

type Map = HashMap<String, Value>;

fn integer(map: &Map, field: &str) -> i64 {
    match map.get(field) {
        Some(Value::Int(integer)) => *integer,
        other => panic!("{field} is {other:?}"),
    }
}

#[test]
fn inspect_reports_a_key_without_its_limit() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    for limiter in &LIMITERS {
        // Eight hours in all, in which nothing drains as long as this test runs.
        call(&mut connection, &format!("{0} {0} 10 10h COST 5", limiter.command));
        call(&mut connection, &format!("{0} {0} 10 10h COST 3", limiter.command));
    }
    wait_until_alike(&primary, &replica);
    for connection in [&mut connection, &mut replica.connection()] {
        for limiter in &LIMITERS {
            let map: Map = run(connection, &format!("PREMIER.INSPECT {}", limiter.command));
            assert_eq!(map["algorithm"], Value::BulkString(limiter.algorithm().into()));
            assert_eq!(integer(&map, "used"), 8, "{map:?}");
            let reset = if limiter.has_bucket { 8 * 3_600_000 } else { 10 * 3_600_000 };
            assert!((reset - 60_000..=reset + 1).contains(&integer(&map, "resets-in")), "{map:?}");
            match limiter.command {
                "PREMIER.FIXED" => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("this is not 1970").as_millis();
                    let age = i64::try_from(now).expect("this is before 2540") - integer(&map, "opened");
                    assert!((-1_000..60_000).contains(&age), "{map:?}");
                    assert_eq!(map.len(), 4);
                }
                "PREMIER.SLIDING" => {
                    assert!((1..=2).contains(&integer(&map, "entries")), "{map:?}");
                    assert_eq!(map.len(), 4);
                }
                _ => assert_eq!(map.len(), 3, "{map:?}"),
            }
        }
    }
}

/// More than the largest limit, too.
#[test]
fn inspect_reports_what_is_owed() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        for _ in 0..2 {
            call(&mut connection, &format!("{0} {0} 1 3650d COST 1000000000000 FORCE", limiter.command));
        }
        let map: Map = run(&mut connection, &format!("PREMIER.INSPECT {}", limiter.command));
        assert_eq!(integer(&map, "used"), 2_000_000_000_000, "{map:?}");
    }
}

/// An aligned window opened where the calendar says.
#[test]
fn inspect_reports_when_an_aligned_window_began() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.FIXED key 5 1h ALIGNED");
    let map: Map = run(&mut connection, "PREMIER.INSPECT key");
    assert_eq!(integer(&map, "opened") % 3_600_000, 0, "{map:?}");
}

#[test]
fn inspect_needs_a_key_of_premier() {
    let server = Server::start();
    let mut connection = server.connection();
    assert_eq!(run::<Value>(&mut connection, "PREMIER.INSPECT missing"), Value::Nil);
    let () = run(&mut connection, "SET text 1");
    assert!(error(&mut connection, &command("PREMIER.INSPECT text")).starts_with("WRONGTYPE "));
}

/// RESP2 has no maps: it gets flat pairs.
#[test]
fn inspect_replies_with_a_map_in_resp3() {
    let server = Server::start();
    let mut connection = server.connection();
    call(&mut connection, "PREMIER.TOKEN key 5 1h");
    let pairs: Value = run(&mut connection, "PREMIER.INSPECT key");
    assert!(matches!(&pairs, Value::Array(fields) if fields.len() == 6), "{pairs:?}");
    let _: Value = run(&mut connection, "HELLO 3");
    let map: Value = run(&mut connection, "PREMIER.INSPECT key");
    assert!(matches!(&map, Value::Map(fields) if fields.len() == 3), "{map:?}");
}
