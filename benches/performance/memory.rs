//! Measures how many bytes a key takes in all: its name, value and expiry, and its share of the
//! server's tables.
//!
//! A million keys of one call each nearly fill a table of 2²⁰ slots; a table doubles when it is
//! full. Where a key takes many calls, there are fewer keys, but by the same power of two as slots:
//! so a key's share of the table is the same.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::Duration;

use premier_benches::contenders::{self, Contender, Limit, contenders};
use premier_benches::grouped;
use premier_test_server::Server;
use redis::{Connection, FromRedisValue, InfoDict, Value};

use crate::table::Table;

const MANY_KEYS: usize = 1_000_000; // in 2^20 slots
const FEWER_KEYS: usize = MANY_KEYS >> 5; // in 2^15

/// The most that a key should take, and what each live entry of a sliding window adds to that.
const TARGET: usize = 165;
const TARGET_PER_ENTRY: usize = 16;

const LIMIT: Limit = Limit { quota: 64, seconds: 86_400 };

/// How many calls are sent before their replies are read.
const BATCH: usize = 500;

pub(crate) fn measure() {
    let columns = ["command", "entries", "keys", "bytes a key", "target"];
    let mut table = Table::new("memory", &contenders::server().start(), &columns);
    // INCR makes keys that never expire.
    for contender in contenders().iter().filter(|contender| contender.name != "INCR") {
        let sizes: &[_] = if contender.name.ends_with("SLIDING") { &[1, 8, 16, 60, 64] } else { &[1] };
        for &entries in sizes {
            let keys = if entries == 1 { MANY_KEYS } else { FEWER_KEYS };
            let target = target(contender, entries).map_or_else(|| "–".to_owned(), |target| target.to_string());
            let bytes = grouped(bytes(contender, keys, entries));
            table.row(&[contender.name, &entries.to_string(), &grouped(keys as u64), &bytes, &target]);
        }
    }
    table.write();
}

fn target(contender: &Contender, entries: usize) -> Option<usize> {
    match contender.name {
        "PREMIER.FIXED" | "PREMIER.TOKEN" | "PREMIER.LEAKY" => Some(TARGET),
        "PREMIER.SLIDING" => Some(TARGET + entries * TARGET_PER_ENTRY),
        _ => None,
    }
}

/// Returns how many bytes a key takes after this number of calls to each.
fn bytes(contender: &Contender, keys: usize, calls: usize) -> u64 {
    let server = contenders::server().start();
    contender.prepare(&mut server.connection());
    let empty = used_memory(&server);
    // The name of a key has 17 bytes.
    let key = |call: usize| format!("premier:{:09}", call % keys);
    send(&mut server.connection(), (0..calls * keys).map(|call| contender.words(&key(call), LIMIT)));
    let left: usize = redis::cmd("DBSIZE").query(&mut server.connection()).expect("DBSIZE");
    assert_eq!(left, keys, "{}: keys at the end", contender.name);
    (used_memory(&server) - empty + keys as u64 / 2) / keys as u64
}

/// Makes the calls, all of which have to be admitted.
fn send(connection: &mut Connection, calls: impl Iterator<Item = Vec<String>>) {
    let mut calls = calls.peekable();
    while calls.peek().is_some() {
        let mut pipeline = redis::pipe();
        for call in calls.by_ref().take(BATCH) {
            pipeline.cmd(&call[0]).arg(&call[1..]);
        }
        let replies: Vec<Value> = pipeline.query(connection).expect("calls");
        let is_limited =
            |reply: &Value| matches!(reply, Value::Array(fields) if fields.first() == Some(&Value::Int(1)));
        assert!(!replies.iter().any(is_limited), "a call was limited");
    }
}

fn used_memory(server: &Server) -> u64 {
    wait_until_only_keys_are_left(server);
    info(server, "memory", "used_memory")
}

/// Waits for the server to drop the old table after a table has grown, and connections that were
/// closed.
fn wait_until_only_keys_are_left(server: &Server) {
    loop {
        let clients: u64 = info(server, "clients", "connected_clients");
        let tables: String =
            redis::cmd("DEBUG").arg(&["HTSTATS", "0"]).query(&mut server.connection()).expect("DEBUG HTSTATS");
        if clients == 1 && !tables.contains("rehashing target") {
            return;
        }
        sleep(Duration::from_millis(100));
    }
}

/// Returns a field of INFO. It is asked over a connection of its own, as the buffers of calls would
/// count as memory.
fn info<T: FromRedisValue + Debug>(server: &Server, section: &str, field: &str) -> T {
    let info: InfoDict = redis::cmd("INFO").arg(section).query(&mut server.connection()).expect("INFO");
    info.get(field).unwrap_or_else(|| panic!("INFO {section} has no {field}"))
}
