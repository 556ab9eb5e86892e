//! Many calls, and what the server says about itself.

use std::fmt::Debug;

use premier_test_server::Server;
use redis::{Connection, FromRedisValue, InfoDict, Value};

/// How many calls are sent before their replies are read.
const BATCH: usize = 500;

/// The name of a key: 17 bytes.
pub(crate) fn key(number: usize) -> String {
    format!("premier:{number:09}")
}

/// Makes the calls and reads all replies. None of them may be limited: what is measured is what admitted calls leave or cost.
pub(crate) fn send(connection: &mut Connection, calls: impl Iterator<Item = Vec<String>>) {
    let mut calls = calls.peekable();
    while calls.peek().is_some() {
        let mut pipeline = redis::pipe();
        for call in calls.by_ref().take(BATCH) {
            pipeline.cmd(&call[0]).arg(&call[1..]);
        }
        let replies: Vec<Value> = pipeline.query(connection).expect("calls");
        assert!(!replies.iter().any(says_limited), "a call was limited");
    }
}

/// The replies of Redis' own commands never do.
fn says_limited(reply: &Value) -> bool {
    matches!(reply, Value::Array(fields) if fields.first() == Some(&Value::Int(1)))
}

/// In the database of this connection.
pub(crate) fn count_keys(connection: &mut Connection) -> usize {
    redis::cmd("DBSIZE").query(connection).expect("DBSIZE")
}

/// A field of INFO, by a connection of its own: no buffers of the calls are in it.
pub(crate) fn info<T: FromRedisValue + Debug>(server: &Server, section: &str, field: &str) -> T {
    let info: InfoDict = redis::cmd("INFO").arg(section).query(&mut server.connection()).expect("INFO");
    info.get(field).unwrap_or_else(|| panic!("INFO {section} has no {field}"))
}

/// Microseconds a call of this command since RESETSTAT: `calls=10000,usec=8123,…`, and what is said to two places only is not read.
#[expect(clippy::float_arithmetic, reason = "a figure to be read, not a decision")]
pub(crate) fn server_micros(server: &Server, command: &str) -> f64 {
    let statistics: String =
        redis::cmd("INFO").arg("commandstats").query(&mut server.connection()).expect("INFO commandstats");
    let name = format!("cmdstat_{command}:").to_lowercase();
    let statistics = statistics.to_lowercase();
    let statistics = statistics.lines().find_map(|line| line.strip_prefix(&name)).expect("statistics of each command");
    let field = |name: &str| -> f64 {
        let value = statistics.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {statistics}"))
    };
    field("usec") / field("calls")
}
