//! Later versions must read what this version stores. These files were written once and never
//! change.
//!
//! On Redis 7.0.15, `cargo test --test integration write_the_fixtures -- --ignored` wrote
//! `tests/fixtures/encoding_0.rdb` and `.aof`, and `holds_encoding_0.*` for `premholds`, which came
//! later; the `.txt` beside them lists what both contain. Each version of the encoding gets its own
//! files.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use premier_test_server::{Builder, Server};
use redis::{Cmd, Connection, Value};

use crate::tools::call::{LIMITERS, Reply, call, run};
use crate::tools::effect::{
    apply, bucket_state, commands_of, effect, entry, fixed_state, holders, lasting_effect, put, server_with_aof, take,
};
use crate::tools::payload::{HEAD_LEN, set_checksum};
use crate::tools::replica::{assert_alike, is_master, primary, replica_of, wait_until_alike, wait_until_linked};
use crate::tools::skipped::skipped;
use crate::tools::snapshot::{Content, content, snapshot};
use crate::tools::states::MAX_ENTRIES;
use crate::tools::waiting::wait_until;

/// A moment in 2024, in microseconds.
const PAST: u64 = 1_720_000_000_000_000;

/// A moment in 2500. Units that were used then count as used when the server starts, so PEEK always
/// returns the same for them.
const FUTURE: u64 = 16_725_225_600_000_000;

const HOUR: u64 = 3_600_000_000;

/// When keys expire, in milliseconds.
const EXPIRY: i64 = 16_725_225_600_000;
const NEVER: i64 = -1;

/// A key, an effect on it, and what to peek at it with.
type Stored = (&'static str, Vec<u8>, &'static str);

/// The fixtures.
const FIXTURES: [&str; 2] = ["encoding_0", "holds_encoding_0"];

/// Returns what a fixture contains.
fn stored(name: &str) -> Vec<Stored> {
    match name {
        "encoding_0" => states_of_rates(),
        _ => states_of_holds(),
    }
}

fn fixture(name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).with_extension(extension)
}

/// Returns states of all shapes, with and without an expiry.
fn states_of_rates() -> Vec<Stored> {
    let log = |at: u64, width: u64| {
        (0..MAX_ENTRIES as u64).flat_map(|index| entry(at + index * HOUR, width << 41 | 2)).collect::<Vec<_>>()
    };
    let bucket = |at: u64, many: bool, used: u64, fraction: u64| {
        let state = u128::from_le_bytes(bucket_state(at, many, used).try_into().expect("16 bytes"));
        (state | u128::from(fraction)).to_le_bytes()
    };
    vec![
        ("fixed", effect(b'F', EXPIRY, &fixed_state(FUTURE, 3)), "FIXED 5 3650d"),
        ("fixed:past", effect(b'F', EXPIRY, &fixed_state(PAST, 3)), ""),
        ("fixed:forced", effect(b'F', EXPIRY, &fixed_state(FUTURE, 9)), "FIXED 5 3650d"),
        ("fixed:lasting", effect(b'F', NEVER, &fixed_state(FUTURE, 999_999_999_999)), "FIXED 1000000000000 1d"),
        ("fixed:most", effect(b'F', NEVER, &fixed_state(0, 2_000_000_000_000)), ""),
        ("sliding", effect(b'S', EXPIRY, &entry(FUTURE, 3)), "SLIDING 5 3650d"),
        ("sliding:past", effect(b'S', EXPIRY, &[entry(PAST, 1), entry(PAST + HOUR, 2)].concat()), ""),
        ("sliding:full", effect(b'S', EXPIRY, &log(FUTURE, 0)), "SLIDING 200 1h COST 7"),
        ("sliding:full:past", effect(b'S', NEVER, &log(PAST, 0)), ""),
        ("sliding:wide", effect(b'S', NEVER, &log(FUTURE, HOUR - 1)), "SLIDING 132 3650d"),
        ("sliding:wider", effect(b'S', NEVER, &entry(FUTURE, (1 << 32 | 1 << 21) << 41 | 5)), "SLIDING 1000 3650d"),
        ("sliding:forced", effect(b'S', EXPIRY, &[entry(PAST, 1_999_999_999_990), entry(FUTURE, 9)].concat()), ""),
        ("token", effect(b'T', EXPIRY, &bucket(FUTURE, false, 3, 1 << 48)), "TOKEN 5 3650d"),
        ("token:past", effect(b'T', EXPIRY, &bucket(PAST, false, 3, 12_345)), ""),
        ("token:borrowed", effect(b'T', NEVER, &bucket(FUTURE, false, 14, 0)), "TOKEN 10 3650d MAXWAIT 3650d"),
        (
            "token:many",
            effect(b'T', EXPIRY, &bucket(FUTURE, true, 20_000_000, 1 << 31)),
            "TOKEN 1 3650d CAPACITY 30000000",
        ),
        ("token:most", effect(b'T', NEVER, &bucket(PAST, true, 2_000_000_000_000, 0)), ""),
        ("leaky", effect(b'L', EXPIRY, &bucket(FUTURE, false, 3, 1 << 48)), "LEAKY 5 3650d"),
        ("leaky:past", effect(b'L', EXPIRY, &bucket(PAST, false, 3, 12_345)), ""),
        ("leaky:forced", effect(b'L', NEVER, &bucket(FUTURE, false, 14, 0)), "LEAKY 10 3650d"),
        (
            "leaky:many",
            effect(b'L', EXPIRY, &bucket(FUTURE, true, 20_000_000, 1 << 31)),
            "LEAKY 1 3650d CAPACITY 30000000",
        ),
    ]
}

/// Returns effects of all kinds. The last one on a key has what to peek at it with.
fn states_of_holds() -> Vec<Stored> {
    let dated =
        |kind: u8, at: u64, rest: &[u8]| [&[kind], &[at, PAST, 7].map(u64::to_le_bytes).concat()[..], rest].concat();
    let of_a_lease =
        |lease: u64, units: u64, id: &[u8]| [&[lease, units].map(u64::to_le_bytes).concat()[..], id].concat();
    let strange = [&b"\0"[..], b"\xff\r\n", b"AND", &[b'x'; 128]];
    let strange: Vec<_> =
        (0..).zip(strange).map(|(hours, id)| (PAST + hours * HOUR, HOUR, 1_000_000_000_000, id)).collect();
    let live = [(FUTURE, HOUR, 1, &b"a"[..]), (FUTURE, 2 * HOUR, 2, b"b"), (FUTURE, 2 * HOUR, 3, b"c")];
    vec![
        ("hold", effect(b'H', EXPIRY, &put(FUTURE, HOUR, 3, b"a")), "HOLD 5 1h"),
        ("hold:past", effect(b'H', EXPIRY, &put(PAST, 1_000, 3, b"a")), "HOLD 5 1h"),
        ("hold:lasting", effect(b'H', NEVER, &put(0, 3650 * 24 * HOUR, 1_000_000_000_000, &[0xff; 128])), ""),
        ("hold:several", effect(b'H', EXPIRY, &put(FUTURE, HOUR, 3, b"a")), ""),
        ("hold:several", effect(b'H', EXPIRY, &put(FUTURE, 2 * HOUR, 2, b"b")), ""),
        ("hold:several", effect(b'H', EXPIRY, &put(FUTURE, 3 * HOUR, 1, b"a")), "HOLD 9 1h COST 0"),
        ("hold:released", effect(b'H', EXPIRY, &put(FUTURE, HOUR, 3, b"a")), ""),
        ("hold:released", effect(b'H', EXPIRY, &put(FUTURE, 2 * HOUR, 2, b"b")), ""),
        ("hold:released", effect(b'H', EXPIRY, &take(FUTURE, b"a")), "HOLD 2 1h ID c"),
        ("hold:dated", effect(b'H', EXPIRY, &put(FUTURE, HOUR, 3, b"a")), ""),
        ("hold:dated", effect(b'H', EXPIRY, &dated(3, PAST + HOUR, &of_a_lease(HOUR, 2, b"b"))), ""),
        ("hold:dated", effect(b'H', EXPIRY, &dated(4, PAST + HOUR, b"a")), ""),
        ("hold:whole", effect(b'H', EXPIRY, &holders(&live)), "HOLD 6 1h ID d COST 2"),
        ("hold:whole:past", effect(b'H', NEVER, &holders(&strange)), "HOLD 5 1h COST 0"),
    ]
}

/// Returns a line of the text: `key type digest expires_at` and, if PEEK always returns the same, a
/// bar and `arguments = reply`.
fn described(connection: &mut Connection, key: &str, peek: &str) -> String {
    let Content { data_type, digest, expires_at } = content(connection, key.as_bytes());
    let stored = format!("{key} {data_type} {digest} {expires_at}");
    if peek.is_empty() {
        return stored;
    }
    let Reply { limited, limit, remaining, wait, reset } = run(connection, &format!("PREMIER.PEEK {key} {peek}"));
    format!("{stored} | {peek} = {} {limit} {remaining} {wait} {reset}", u8::from(limited))
}

/// Asserts that the server holds what the text lists.
#[track_caller]
fn assert_holds_the_fixture(server: &Server, name: &str) {
    let mut connection = server.connection();
    let text = fs::read_to_string(fixture(name, "txt")).expect("the fixture is in the tree");
    let started = Instant::now();
    for line in text.lines() {
        let (stored, peek) = line.split_once(" | ").unwrap_or((line, ""));
        let (key, _) = stored.split_once(' ').expect("a line begins with a key");
        assert_eq!(described(&mut connection, key, ""), stored);
        if let Some((arguments, reply)) = peek.split_once(" = ") {
            let numbers: Vec<i64> = reply.split(' ').map(|number| number.parse().expect("an integer")).collect();
            let expected = numbers.try_into().expect("a reply has five fields");
            let reply: Reply = run(&mut connection, &format!("PREMIER.PEEK {key} {arguments}"));
            reply.assert(expected, started);
        }
    }
    assert_eq!(run::<usize>(&mut connection, "DBSIZE"), text.lines().count());
}

#[test]
#[ignore = "writes the files that the other tests read, only once for each encoding"]
fn write_the_fixtures() {
    for name in FIXTURES {
        if fixture(name, "rdb").exists() {
            skipped(format!("{name} exists and never changes"));
        } else {
            write_the_fixture(name, &stored(name));
        }
    }
}

fn write_the_fixture(name: &str, stored: &[Stored]) {
    let server = server_with_aof().start();
    let mut connection = server.connection();
    for (key, effect, _) in stored {
        assert_eq!(apply(&mut connection, key.as_bytes(), effect), Ok(Value::Okay), "{key}");
    }
    let () = run(&mut connection, "SAVE");
    fs::copy(server.dir().join("dump.rdb"), fixture(name, "rdb")).expect("the tree is writable");
    fs::copy(server.dir().join("appendonlydir/appendonly.aof.1.incr.aof"), fixture(name, "aof")).expect("as above");

    let rdb = fs::read(fixture(name, "rdb")).expect("it has just been written");
    let is_last = |index: usize| stored[index + 1..].iter().all(|(key, ..)| *key != stored[index].0);
    let lines = (0..stored.len()).filter(|index| is_last(*index)).map(|index| {
        let (key, _, peek) = stored[index];
        // Units from the future count from the moment at which the server first reads its clock.
        let server = started_on_rdb(&rdb);
        described(&mut server.connection(), key, peek) + "\n"
    });
    let text: String = lines.collect();
    fs::write(fixture(name, "txt"), text).expect("as above");
}

/// Starts a server that loads the files that `put` writes into its folder.
fn started_on(builder: Builder, put: impl FnOnce(&Path)) -> Server {
    let mut server = builder.start();
    server.stop();
    put(server.dir());
    server.start_again();
    server
}

fn put_rdb(dir: &Path, bytes: &[u8]) {
    fs::write(dir.join("dump.rdb"), bytes).expect("the server's folder is writable");
}

fn started_on_rdb(bytes: &[u8]) -> Server {
    started_on(Server::builder(), |dir| put_rdb(dir, bytes))
}

#[test]
fn an_rdb_file_of_encoding_0_is_read() {
    for name in FIXTURES {
        let server = started_on_rdb(&fs::read(fixture(name, "rdb")).expect("the fixture is in the tree"));
        assert_holds_the_fixture(&server, name);
    }
}

fn started_on_aof(bytes: &[u8]) -> Server {
    started_on(server_with_aof(), |dir| {
        let dir = dir.join("appendonlydir");
        fs::write(dir.join("fixture.aof"), bytes).expect("the server's folder is writable");
        fs::write(dir.join("appendonly.aof.manifest"), "file fixture.aof seq 1 type i\n").expect("as above");
    })
}

#[test]
fn an_aof_of_encoding_0_is_read() {
    for name in FIXTURES {
        let server = started_on_aof(&fs::read(fixture(name, "aof")).expect("the fixture is in the tree"));
        assert_holds_the_fixture(&server, name);
    }
}

/// Gives a replica what the first release stored, in both ways in which replicas get data: by the
/// RDB file of a full sync, and by the effects of later calls. Then the two servers swap roles.
#[test]
fn a_rolling_upgrade_keeps_what_an_older_release_stored() {
    for name in FIXTURES {
        let rdb = fs::read(fixture(name, "rdb")).expect("the fixture is in the tree");
        let mut old = started_on(primary(), |dir| put_rdb(dir, &rdb));
        let new = replica_of(&old);
        assert_holds_the_fixture(&new, name);
        let stored = snapshot(&new);

        let () = run(&mut old.connection(), "FLUSHALL");
        let aof = fs::read(fixture(name, "aof")).expect("the fixture is in the tree");
        let mut connection = old.connection();
        for words in commands_of(&aof) {
            let () = Cmd::new().arg(words).query(&mut connection).expect("the effect of an older release is applied");
        }
        wait_until_alike(&old, &new);
        assert_eq!(snapshot(&new), stored);

        let () = run(&mut old.connection(), "FAILOVER");
        wait_until("the two have swapped roles", || is_master(&new) && !is_master(&old));
        old.restart();
        let () = run(&mut old.connection(), &format!("REPLICAOF 127.0.0.1 {}", new.port()));
        wait_until_linked(&old);
        assert_alike(&new, &old);
        assert_eq!(snapshot(&old), stored);
    }
}

/// Servers skip a command of the AOF that is refused, and log it as critical.
#[test]
fn an_aof_effect_of_a_newer_premier_is_refused_and_logged() {
    let mut effect = lasting_effect(b'F', &fixed_state(PAST, 3));
    effect[0] += 1;
    let aof = redis::cmd("PREM").arg("key").arg(effect).get_packed_command();
    let server = started_on_aof(&aof);
    assert!(!run::<bool>(&mut server.connection(), "EXISTS key"));
    let line = "invalid effect: expected one that this version of premier, or an older one, replicated";
    assert!(server.log().contains(line), "the log lacks: {line}\n{}", server.log());
}

/// The length of what precedes a value: the name of the data type and, in the last ten bits, the
/// version of the encoding.
const MARK_LEN: usize = 9;

/// The log says why.
#[test]
fn a_server_does_not_start_on_an_rdb_file_of_a_newer_premier() {
    for limiter in LIMITERS {
        let mut server = Server::start();
        let mut connection = server.connection();
        call(&mut connection, &format!("{} key 5 3650d", limiter.command));
        let payload: Vec<u8> = run(&mut connection, "DUMP key");
        let () = run(&mut connection, "SAVE");
        let mut file = fs::read(server.dir().join("dump.rdb")).expect("it was saved");
        server.stop();

        let mark = &payload[HEAD_LEN..][..MARK_LEN];
        let at = file.windows(MARK_LEN).position(|window| window == mark).expect("the key is in the file");
        file[at + MARK_LEN - 1] |= 1;
        set_checksum(&mut file);
        put_rdb(server.dir(), &file);
        let outcome = catch_unwind(AssertUnwindSafe(|| server.start_again()));
        assert!(outcome.is_err(), "the server started without {}", limiter.data_type);
        let line = format!("a newer premier wrote this {}: encoding version 1", limiter.data_type);
        assert!(server.log().contains(&line), "the log lacks: {line}\n{}", server.log());
    }
}
