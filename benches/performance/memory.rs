//! Bytes a key, everything included: name, value, expiry, and their shares of the server's tables.
//!
//! A million keys of one call each: a table of keys doubles when it is full, so at 2^20 slots they nearly fill it. Where a key takes
//! many calls there are fewer keys, by a power of two as much as the slots of their table: then a key's share of it is the same.

use std::thread::sleep;
use std::time::Duration;

use premier_test_server::Server;

use crate::calls::{count_keys, info, key, send};
use crate::contenders::{self, Contender, Limit, contenders};
use crate::results::Results;

const MANY_KEYS: usize = 1_000_000; // in 2^20 slots
const FEWER_KEYS: usize = MANY_KEYS >> 5; // in 2^15

/// What a key may take at most, and what each live entry of a sliding window adds to that.
const AIM: usize = 165;
const AIM_PER_ENTRY: usize = 16;

const LIMIT: Limit = Limit { quota: 64, seconds: 86_400 };

pub(crate) fn measure() {
    let mut results =
        Results::new("memory", &contenders::server().start(), &["contender", "entries", "keys", "bytes", "aim"]);
    // INCR alone makes keys that never expire.
    for contender in contenders().iter().filter(|contender| contender.name != "INCR") {
        let sizes: &[_] = if contender.name.ends_with("SLIDING") { &[1, 8, 16, 60, 64] } else { &[1] };
        for &entries in sizes {
            let keys = if entries == 1 { MANY_KEYS } else { FEWER_KEYS };
            let aim = aim(contender, entries).map_or_else(String::new, |aim| aim.to_string());
            results.row(&[&contender.name, &entries, &keys, &bytes(contender, keys, entries), &aim]);
        }
    }
    results.write();
}

fn aim(contender: &Contender, entries: usize) -> Option<usize> {
    match contender.name {
        "PREMIER.FIXED" | "PREMIER.TOKEN" | "PREMIER.LEAKY" => Some(AIM),
        "PREMIER.SLIDING" => Some(AIM + entries * AIM_PER_ENTRY),
        _ => None,
    }
}

/// Bytes a key after that many calls of each.
fn bytes(contender: &Contender, keys: usize, calls: usize) -> u64 {
    let server = contenders::server().start();
    contender.prepare(&mut server.connection());
    let empty = used_memory(&server);
    send(&mut server.connection(), (0..calls * keys).map(|call| contender.words(&key(call % keys), LIMIT)));
    assert_eq!(count_keys(&mut server.connection()), keys, "{}: keys at the end", contender.name);
    (used_memory(&server) - empty + keys as u64 / 2) / keys as u64
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
