//! Bytes a key, everything included: name, value, expiry, and their shares of the server's tables.
//!
//! A million keys of one call each: a table of keys doubles when it is full, so at 2^20 slots they nearly fill it. Where a key takes
//! many calls there are fewer keys, by a power of two as much as the slots of their table: then a key's share of it is the same.

use std::thread::sleep;
use std::time::Duration;

use premier_test_server::Server;

use crate::calls::{info, key, send};
use crate::results::Results;

const MANY_KEYS: usize = 1_000_000; // in 2^20 slots
const FEWER_KEYS: usize = MANY_KEYS >> 5; // in 2^15

/// What a key may take at most, and what each live entry of a sliding window adds to that.
const AIM: usize = 165;
const AIM_PER_ENTRY: usize = 16;

pub(crate) fn measure() {
    let mut results = Results::new("memory", &Server::start(), &["key", "keys", "bytes", "aim"]);
    let mut row = |state: &str, keys, calls, command: &[&str], aim: Option<usize>| {
        let aim = aim.map_or_else(String::new, |aim| aim.to_string());
        results.row(&[&state, &keys, &bytes(command, keys, calls), &aim]);
    };
    row("SET PX", MANY_KEYS, 1, &["SET", "1", "PX", "86400000"], None);
    row("FIXED", MANY_KEYS, 1, &["PREMIER.FIXED", "100", "1d"], Some(AIM));
    row("TOKEN", MANY_KEYS, 1, &["PREMIER.TOKEN", "100", "1d"], Some(AIM));
    row("LEAKY", MANY_KEYS, 1, &["PREMIER.LEAKY", "100", "1d"], Some(AIM));
    for (entries, keys) in [(1, MANY_KEYS), (8, FEWER_KEYS), (16, FEWER_KEYS), (60, FEWER_KEYS), (64, FEWER_KEYS)] {
        let state = format!("SLIDING of {entries} live entries");
        row(&state, keys, entries, &["PREMIER.SLIDING", "64", "1d"], Some(AIM + entries * AIM_PER_ENTRY));
    }
    results.write();
}

/// Bytes a key after that many calls of each, with these arguments behind its name.
fn bytes(command: &[&str], keys: usize, calls: usize) -> u64 {
    let server = Server::start();
    let empty = used_memory(&server);
    let calls = (0..calls * keys).map(|call| redis::cmd(command[0]).arg(key(call % keys)).arg(&command[1..]).take());
    send(&mut server.connection(), calls);
    (used_memory(&server) - empty).div_ceil(keys as u64)
}

fn used_memory(server: &Server) -> u64 {
    wait_until_only_keys_are_left(server);
    info(server, "memory", "used_memory")
}

/// While a table of keys grows the old one is there too, and a connection that was closed is there until the server notices.
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
