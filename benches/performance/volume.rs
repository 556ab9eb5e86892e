//! Bytes that an admitted call adds to the append-only file; a replica is sent the same.
//!
//! The second call of each key, as the first may have to make it. A sliding window sends its whole state, so there it is the first call
//! and the 60th, which sends 60 entries.

use premier_test_server::Server;
use redis::Connection;

use crate::calls::{info, key, send};
use crate::contenders::{self, Contender, Limit, contenders};
use crate::results::Results;

const KEYS: usize = 1_000;
const LIMIT: Limit = Limit { quota: 64, seconds: 86_400 };

pub(crate) fn measure() {
    let columns = ["contender", "call", "bytes"];
    let mut results = Results::new("volume", &contenders::server().start(), &columns);
    for contender in contenders() {
        let calls: &[_] = if contender.name.ends_with("SLIDING") { &[1, 60] } else { &[2] };
        for &call in calls {
            results.row(&[&contender.name, &call, &bytes(&contender, call)]);
        }
    }
    results.write();
}

/// What the call of that number adds, on average over the keys.
fn bytes(contender: &Contender, call: usize) -> u64 {
    let server = contenders::server().config("appendonly", "yes").config("auto-aof-rewrite-percentage", "0").start();
    let mut connection = server.connection();
    contender.prepare(&mut connection);
    for _ in 1..call {
        call_every_key(contender, &mut connection);
    }
    let before = file_size(&server);
    call_every_key(contender, &mut connection);
    (file_size(&server) - before) / KEYS as u64
}

fn call_every_key(contender: &Contender, connection: &mut Connection) {
    send(connection, (0..KEYS).map(|number| contender.words(&key(number), LIMIT)));
}

/// The server writes to the file before it replies.
fn file_size(server: &Server) -> u64 {
    info(server, "persistence", "aof_current_size")
}
