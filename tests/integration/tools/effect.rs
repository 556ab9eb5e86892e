//! The effects of admitted calls, as the AOF holds them.

use std::fs;
use std::time::SystemTime;

use premier_test_server::{Builder, Server};
use redis::{Connection, Value};

/// The latest moment that a state can hold, in microseconds.
pub(crate) const LAST_MOMENT: u64 = (1 << 54) - 1;

/// The most units that a state can hold.
pub(crate) const MOST_UNITS: u64 = 2_000_000_000_000;

pub(crate) fn now_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since_epoch.as_micros()).expect("it is earlier than 2540")
}

/// Configures a server that syncs each write to its AOF before it replies.
pub(crate) fn server_with_aof() -> Builder {
    Server::builder()
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .config("auto-aof-rewrite-percentage", "0")
}

/// Returns the commands in the AOF since it was created or rewritten.
pub(crate) fn commands_in_aof(server: &Server) -> Vec<Vec<Vec<u8>>> {
    let dir = server.dir().join("appendonlydir");
    let mut increments: Vec<_> = fs::read_dir(dir)
        .expect("the AOF has a folder")
        .map(|entry| entry.expect("a folder can be read").path())
        .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .collect();
    increments.sort();
    let bytes: Vec<u8> = increments.iter().flat_map(|path| fs::read(path).expect("the AOF can be read")).collect();
    commands_of(&bytes)
}

/// Returns the commands in the bytes of an AOF.
pub(crate) fn commands_of(aof: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut rest = aof;
    let mut commands = Vec::new();
    while !rest.is_empty() {
        let count = read_number(&mut rest, b'*');
        commands.push((0..count).map(|_| read_word(&mut rest)).collect());
    }
    commands
}

/// Reads a line that consists of this mark and a number.
fn read_number(rest: &mut &[u8], mark: u8) -> usize {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line has an end");
    let number = rest[..end].strip_prefix(&[mark]).expect("the AOF is made of commands");
    *rest = &rest[end + 2..];
    std::str::from_utf8(number).expect("ASCII").parse().expect("a number")
}

fn read_word(rest: &mut &[u8]) -> Vec<u8> {
    let len = read_number(rest, b'$');
    let word = rest[..len].to_vec();
    *rest = &rest[len + 2..];
    word
}

/// Returns the keys and effects of all PREM commands in the AOF.
pub(crate) fn effects_in_aof(server: &Server) -> Vec<(Vec<u8>, Vec<u8>)> {
    let commands = commands_in_aof(server).into_iter();
    commands
        .filter(|words| words[0].eq_ignore_ascii_case(b"PREM"))
        .flat_map(|words| {
            let (pairs, rest) = words[1..].as_chunks();
            assert!(rest.is_empty(), "PREM has a key without an effect");
            pairs.iter().map(|[key, effect]| (key.clone(), effect.clone())).collect::<Vec<_>>()
        })
        .collect()
}

pub(crate) fn apply(connection: &mut Connection, key: &[u8], effect: &[u8]) -> redis::RedisResult<Value> {
    redis::cmd("PREM").arg(key).arg(effect).query(connection)
}

/// Returns an effect that leaves the key without an expiry.
pub(crate) fn lasting_effect(letter: u8, state: &[u8]) -> Vec<u8> {
    effect(letter, -1, state)
}

pub(crate) fn effect(letter: u8, expires_at: i64, state: &[u8]) -> Vec<u8> {
    [&[0, letter], &expires_at.to_le_bytes()[..], state].concat()
}

/// Returns the state of a fixed window that opened then and has used this many units.
pub(crate) fn fixed_state(opened_micros: u64, used: u64) -> Vec<u8> {
    [opened_micros.to_le_bytes(), used.to_le_bytes()].concat()
}

/// Returns an entry of a sliding window's log whose units were all admitted at one moment.
pub(crate) fn entry(at_micros: u64, units: u64) -> Vec<u8> {
    ((u128::from(at_micros) << 74) | u128::from(units)).to_le_bytes().to_vec()
}

/// Returns the state of a bucket that holds whole units: fewer than 2²⁴ unless `many`.
pub(crate) fn bucket_state(at_micros: u64, many: bool, used: u64) -> Vec<u8> {
    let level = if many { (1 << 73) | (u128::from(used) << 32) } else { u128::from(used) << 49 };
    ((u128::from(at_micros) << 74) | level).to_le_bytes().to_vec()
}

/// Returns the state of a key with these holders: since when each holds, for how long, how many
/// units, and its id. They come in the order in which their leases end.
pub(crate) fn holders(holders: &[(u64, u64, u64, &[u8])]) -> Vec<u8> {
    let mut state = vec![0];
    for (since, lease, units, id) in holders {
        state.extend([*since, *lease, *units].map(u64::to_le_bytes).as_flattened());
        state.push(u8::try_from(id.len()).expect("an id is short"));
        state.extend(*id);
    }
    state
}

/// Returns the effect on a state that lets a holder hold units from this moment on.
pub(crate) fn put(at: u64, lease: u64, units: u64, id: &[u8]) -> Vec<u8> {
    [&[1], [at, lease, units].map(u64::to_le_bytes).as_flattened(), id].concat()
}

/// Returns the effect on a state that takes a holder away.
pub(crate) fn take(at: u64, id: &[u8]) -> Vec<u8> {
    [&[2], &at.to_le_bytes()[..], id].concat()
}
