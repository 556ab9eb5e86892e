//! The slots of a cluster.

use redis::{Arg, Cmd, FromRedisValue, RedisResult, Value};

pub(super) use super::server::SLOTS as COUNT;

/// Returns the slot of the key of a command: its first argument, or that of a script.
pub(super) fn of(command: &Cmd) -> usize {
    let mut words = command.args_iter();
    let key = match words.next() {
        Some(Arg::Simple(b"EVALSHA")) => words.nth(2),
        _ => words.next(),
    };
    of_key(match key {
        Some(Arg::Simple(key)) => key,
        _ => &[],
    })
}

/// Returns the slot of a key: that of the text between the first braces if there is any.
pub(crate) fn of_key(key: &[u8]) -> usize {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let tag = &rest[..rest.iter().position(|&byte| byte == b'}')?];
        (!tag.is_empty()).then_some(tag)
    });
    usize::from(crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(key))) % COUNT
}

/// Slots in a row that one node has.
pub(super) struct Range {
    pub(super) first: usize,
    pub(super) last: usize,
    /// `host:port`.
    pub(super) node: String,
}

pub(super) fn ask() -> Cmd {
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    slots
}

/// Reads the reply of a host to [`ask`].
pub(super) fn read(reply: Value, asked: &str) -> RedisResult<Vec<Range>> {
    let ranges: Vec<Vec<Value>> = FromRedisValue::from_redis_value(reply)?;
    let range = |range: Vec<Value>| {
        let mut range = range.into_iter();
        let [first, last] =
            [range.next(), range.next()].map(|bound| usize::from_redis_value(bound.unwrap_or_default()));
        let mut primary = Vec::<Value>::from_redis_value(range.next().unwrap_or_default())?.into_iter();
        let host = Option::<String>::from_redis_value(primary.next().unwrap_or_default())?;
        let port = u16::from_redis_value(primary.next().unwrap_or_default())?;
        // A node that does not know its own address has the one that was asked.
        let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.to_owned());
        Ok(Range { first: first?, last: last?, node: format!("{host}:{port}") })
    };
    ranges.into_iter().map(range).filter(|range| !matches!(range, Ok(range) if is_unknown(range))).collect()
}

/// A host of `?` is unknown to the node that was asked.
fn is_unknown(range: &Range) -> bool {
    range.node.starts_with("?:") || range.last >= COUNT || range.first > range.last
}
