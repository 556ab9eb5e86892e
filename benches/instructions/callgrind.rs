//! Counts the instructions of a server by callgrind.
//!
//! Each figure is (those of 24,000 calls − those of 4,000 calls) / 20,000, both on a fresh server,
//! pipelined 500 deep: start, warm-up and stop are in both and cancel out. The server's random
//! numbers start alike, and it does its periodic work once a second, as under valgrind there is
//! much more time for it. So figures repeat to half a percent.

use std::collections::HashMap;
use std::fs;
use std::path::Path as FilePath;
use std::thread::sleep;
use std::time::Duration;

use premier_benches::contenders;
use premier_test_server::{Server, fixed_seed_path};
use redis::{Connection, Value};

use crate::paths::{Calls, Keys, Path};

const FEW_CALLS: usize = 4_000;
const MANY_CALLS: usize = 24_000;

/// How many commands are sent before their replies are read.
const BATCH: usize = 500;

/// What receives the changes of admitted calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listener {
    Nobody,
    Aof,
    Replica,
}

impl Listener {
    pub(crate) const ALL: [Self; 3] = [Self::Nobody, Self::Aof, Self::Replica];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Aof => "AOF",
            Self::Replica => "replica",
        }
    }
}

pub(crate) fn instructions_a_call(path: &Path, listener: Listener) -> u64 {
    let all = per_call(path, listener, |counts| HashMap::from([(String::new(), total(counts))]));
    all.into_values().sum::<i64>().unsigned_abs()
}

/// Returns what a call costs, for each thing that `read` finds in callgrind's counts.
pub(crate) fn per_call(
    path: &Path,
    listener: Listener,
    read: fn(&FilePath) -> HashMap<String, i64>,
) -> HashMap<String, i64> {
    let few = counts_of(path, listener, FEW_CALLS, read);
    let mut many = counts_of(path, listener, MANY_CALLS, read);
    for (what, count) in &mut many {
        *count = (*count - few.get(what).unwrap_or(&0)) / (MANY_CALLS - FEW_CALLS).cast_signed() as i64;
    }
    many
}

/// Returns the counts of a server's whole life with this number of calls.
fn counts_of<T>(path: &Path, listener: Listener, calls: usize, read: fn(&FilePath) -> T) -> T {
    let preload = format!("LD_PRELOAD={}", fixed_seed_path().display());
    let mut builder =
        if path.is_of_premier { Server::builder().module_arguments("cell-compat yes") } else { contenders::server() };
    builder = builder
        .config("hz", "1")
        .config("dynamic-hz", "no")
        .config("activerehashing", "no")
        .config("repl-diskless-sync-delay", "0")
        .wrapper(&["env", &preload, "valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out"]);
    if listener == Listener::Aof {
        builder = builder.config("appendonly", "yes");
    }
    let mut server = builder.start();
    let replica = (listener == Listener::Replica)
        .then(|| Server::builder().config("replicaof", &format!("127.0.0.1 {}", server.port())).start());
    let mut connection = server.connection();
    wait_until_noticed(&mut connection, listener);

    path.prepare(&mut connection);
    for warm_up in &path.warm_up {
        let Keys::Warm(keys) = path.keys else { panic!("{}: a new key is not warm", path.name) };
        let limited = call(&mut connection, warm_up, path.keys, keys * warm_up.rounds);
        assert_eq!(limited, 0, "{}: limited during warm-up", path.name);
    }
    let limited = call(&mut connection, &path.calls, path.keys, calls);
    let expected = if path.limited { calls } else { 0 };
    assert_eq!(limited, expected, "{}: limited calls", path.name);

    drop(replica);
    server.stop();
    read(&server.dir().join("callgrind.out"))
}

fn total(counts: &FilePath) -> i64 {
    fs::read_to_string(counts)
        .expect("callgrind writes its counts when the server exits")
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .and_then(|total| total.trim().parse().ok())
        .expect("callgrind's counts end in a total")
}

/// Waits for the server to notice its listener, for which it looks once a second.
fn wait_until_noticed(connection: &mut Connection, listener: Listener) {
    let (section, line) = match listener {
        Listener::Nobody => ("premier", "premier_replicating:no"),
        Listener::Aof => ("premier", "premier_replicating:yes"),
        Listener::Replica => ("replication", "state=online"),
    };
    for _ in 0..30 {
        sleep(Duration::from_secs(2));
        let info: String = redis::cmd("INFO").arg(section).query(connection).expect("INFO");
        if info.contains(line) {
            return;
        }
    }
    panic!("INFO never said {line}");
}

/// Makes this number of calls and returns how many were limited.
fn call(connection: &mut Connection, calls: &Calls, keys: Keys, number: usize) -> usize {
    let mut limited = 0;
    let mut next = 0;
    while next < number {
        let end = number.min(next + BATCH);
        let mut pipeline = redis::pipe();
        for call in next..end {
            let (key, round) = match keys {
                Keys::Warm(keys) => (call % keys, call / keys),
                Keys::New => (call, 0),
            };
            pipeline.add_command(calls.command(&format!("premier:{key:09}"), round));
        }
        let replies: Vec<Value> = pipeline.query(connection).expect("the server answers");
        limited += replies.iter().filter(|reply| says_limited(reply)).count();
        next = end;
    }
    limited
}

/// Replies of commands that limit nothing never say so.
fn says_limited(reply: &Value) -> bool {
    matches!(reply, Value::Array(fields) if fields.first() == Some(&Value::Int(1)))
}
