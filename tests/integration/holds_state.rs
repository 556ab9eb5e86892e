//! The holders of a key survive whatever a server does with its data, to the bit, and what is sent
//! of a change does not grow with their number.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use premier_test_server::{Builder, Server};
use redis::{Connection, Value};

use crate::tools::call::{call, run};
use crate::tools::effect::{
    LAST_MOMENT, apply, commands_in_aof, effect, effects_in_aof, holders, lasting_effect, now_micros, put,
    server_with_aof, take,
};
use crate::tools::hold::{self, fill_with, held, id, play, release};
use crate::tools::info::info_number;
use crate::tools::load::meanwhile;
use crate::tools::replica::{assert_alike, primary, replica_of, wait_until_linked};
use crate::tools::snapshot::{Snapshot, content, snapshot};
use crate::tools::waiting::wait_until;

/// Many holders, of all kinds.
const MANY: usize = 10_000;

const HOUR: u64 = 3_600_000_000;

fn filled(builder: Builder) -> Server {
    let server = builder.start();
    play(&mut server.connection(), "many", MANY);
    play(&mut server.connection(), "few", 20);
    server
}

#[track_caller]
fn assert_holds(server: &Server, expected: &Snapshot) {
    assert_eq!(snapshot(server), *expected);
    assert_eq!(expected.len(), 2);
    // 8 of 10 are left: one has ended, and one in five was released, of which one in ten has ended.
    let (number, _) = hold::holders(&mut server.connection(), "many");
    assert!((7_000..7_500).contains(&number), "{number}");
}

fn wait_until_saved(connection: &mut Connection, field: &str) {
    wait_until("the data is written", || info_number(connection, "persistence", field) == 0);
}

#[test]
fn many_holders_survive_every_kind_of_restart() {
    for (builder, write) in [
        (Server::builder(), "SAVE"),
        (Server::builder(), "BGSAVE"),
        (server_with_aof(), "PING"),
        (server_with_aof().config("aof-use-rdb-preamble", "no"), "BGREWRITEAOF"),
        (server_with_aof().config("aof-use-rdb-preamble", "yes"), "BGREWRITEAOF"),
    ] {
        let mut server = filled(builder);
        let mut connection = server.connection();
        let _: Value = run(&mut connection, write);
        wait_until_saved(&mut connection, "rdb_bgsave_in_progress");
        wait_until_saved(&mut connection, "aof_rewrite_in_progress");
        if write == "BGREWRITEAOF" {
            assert!(commands_in_aof(&server).is_empty(), "the rewrite left commands outside the new base");
            // On top of what was rewritten.
            play(&mut connection, "few", 40);
        }
        let expected = snapshot(&server);
        server.kill();
        server.start_again();
        assert_holds(&server, &expected);
    }
}

/// By a full synchronization, by the stream, and by both.
#[test]
fn a_replica_has_the_same_holders_to_the_bit() {
    let primary = filled(primary());
    let replica = replica_of(&primary);
    assert_alike(&primary, &replica);
    play(&mut primary.connection(), "many", MANY / 2);
    play(&mut primary.connection(), "other", 1_000);
    assert_alike(&primary, &replica);
    let played = AtomicUsize::new(0);
    meanwhile(
        || primary.connection(),
        |connection, turn| {
            play(connection, &format!("under load:{}", turn % 3), 50);
            played.fetch_add(1, Ordering::Relaxed);
        },
        || {
            for _ in 0..3 {
                let _: i64 = run(&mut primary.connection(), "CLIENT KILL TYPE replica");
                let enough = played.load(Ordering::Relaxed) + 4;
                wait_until("more holders come and go", || played.load(Ordering::Relaxed) >= enough);
            }
        },
    );
    wait_until_linked(&replica);
    assert_alike(&primary, &replica);
}

#[test]
fn dump_copy_and_migrate_keep_every_holder() {
    let (source, target) = (filled(Server::builder()), Server::start());
    let (mut from, mut to) = (source.connection(), target.connection());
    for compression in ["yes", "no"] {
        let () = run(&mut from, &format!("CONFIG SET rdbcompression {compression}"));
        for key in ["many", "few"] {
            let expected = content(&mut from, key.as_bytes());
            assert!(run::<bool>(&mut from, &format!("COPY {key} copy")));
            assert_eq!(content(&mut from, b"copy"), expected);
            // The two are independent.
            assert!(release(&mut from, "copy", &id(0)) > 0);
            assert_eq!(content(&mut from, key.as_bytes()), expected);
            let () = run(&mut from, "DEL copy");

            let payload: Vec<u8> = run(&mut from, &format!("DUMP {key}"));
            let mut restore = redis::cmd("RESTORE");
            restore.arg(key).arg(expected.expires_at).arg(payload).arg(&["ABSTTL", "REPLACE"]);
            let () = restore.query(&mut to).expect("RESTORE");
            assert_eq!(content(&mut to, key.as_bytes()), expected);
        }
    }
    let before = [&b"many"[..], b"few"].map(|key| content(&mut from, key).digest);
    let mut migrate = redis::cmd("MIGRATE");
    migrate.arg(Ipv4Addr::LOCALHOST.to_string()).arg(target.port()).arg(&["", "0", "10000", "REPLACE", "KEYS"]);
    let () = migrate.arg(&["many", "few"]).query(&mut from).expect("MIGRATE");
    assert_eq!([&b"many"[..], b"few"].map(|key| content(&mut to, key).digest), before);
    assert!(snapshot(&source).is_empty());
    assert_eq!(release(&mut to, "many", &id(0)), 7);
}

/// Everything that a call could leave somewhere else.
fn traces(server: &Server, connection: &mut Connection) -> (Snapshot, Vec<i64>, usize) {
    let numbers = [
        ("replication", "master_repl_offset"),
        ("persistence", "rdb_changes_since_last_save"),
        ("persistence", "aof_current_size"),
    ];
    let numbers = numbers.map(|(section, field)| info_number(connection, section, field)).to_vec();
    (snapshot(server), numbers, commands_in_aof(server).len())
}

/// With leases that have ended, too, which a change would drop.
#[test]
fn limited_holds_and_releases_of_nothing_send_nothing() {
    let server =
        primary().config("appendonly", "yes").config("appendfsync", "always").config("save", "3600 1000000").start();
    let replica = replica_of(&server);
    let mut connection = server.connection();
    play(&mut connection, "key", 100);
    call(&mut connection, "PREMIER.HOLD key 1000000 1h ID holder COST 5");
    call(&mut connection, "PREMIER.HOLD key 1000000 1ms ID ended");
    sleep(Duration::from_millis(5));
    let before = traces(&server, &mut connection);
    for line in [
        "PREMIER.HOLD key 1 1h ID new",
        "PREMIER.HOLD key 0 1h ID new",
        "PREMIER.HOLD key 5 1h ID holder COST 6",
        "PREMIER.HOLD key 5 2h ID holder COST 5",
        "PREMIER.HOLD key 1000000 1h ID holder COST 5 KEEP 999990",
        "PREMIER.HOLD fresh 1 1h ID new COST 2",
    ] {
        assert!(call(&mut connection, line).limited, "{line}");
    }
    for (key, holder) in [("key", "unknown"), ("key", "ended"), ("key", "holder:000000003"), ("fresh", "holder")] {
        assert_eq!(release(&mut connection, key, holder.as_bytes()), 0, "{holder}");
    }
    let all: Vec<Value> = run(&mut connection, "PREMIER.ALL other FIXED 5 1h AND key HOLD 1 1h ID new");
    assert_eq!(all[0], Value::Int(1));
    assert_eq!(traces(&server, &mut connection), before);
    assert_eq!(release(&mut connection, "key", b"holder"), 5);
    assert_ne!(traces(&server, &mut connection), before, "a release leaves traces");
    assert_alike(&server, &replica);
}

/// 120 bytes with a short key and an id of 16 bytes.
#[test]
fn what_is_sent_of_a_change_does_not_grow_with_the_holders() {
    let server = primary().start();
    let replica = replica_of(&server);
    let mut connection = server.connection();
    let mut sizes = Vec::new();
    for number in [10, MANY] {
        let () = run(&mut connection, "FLUSHALL");
        fill_with(&mut connection, "key", number);
        for line in [
            "PREMIER.HOLD key 1000000 1h ID another-holder-1",
            "PREMIER.HOLD key 1000000 1h ID another-holder-1 COST 9",
            "PREMIER.RELEASE key another-holder-1",
            "PREMIER.RELEASE key holder:000000001",
        ] {
            let before = info_number(&mut connection, "replication", "master_repl_offset");
            let _: Value = run(&mut connection, line);
            let size = info_number(&mut connection, "replication", "master_repl_offset") - before;
            assert!((1..=120).contains(&size), "{size} bytes for {line} beside {number} others");
            sizes.push(size);
        }
    }
    println!("{sizes:?} bytes");
    assert_eq!(sizes[..4], sizes[4..]);
    assert_alike(&server, &replica);
}

/// An AOF may be replayed over what it has already led to.
#[test]
fn effects_that_are_applied_twice_change_nothing() {
    let (source, target) = (server_with_aof().start(), Server::start());
    play(&mut source.connection(), "key", 300);
    let effects = effects_in_aof(&source);
    assert!(effects.len() > 400 && effects.iter().all(|(key, effect)| key == b"key" && effect[1] == b'H'));
    let mut connection = target.connection();
    for (key, effect) in &effects {
        for _ in 0..2 {
            let () = apply(&mut connection, key, effect).map(drop).expect("PREM");
        }
    }
    let expected = content(&mut source.connection(), b"key");
    assert_eq!(content(&mut connection, b"key"), expected);
    for (key, effect) in &effects[effects.len() / 2..] {
        let () = apply(&mut connection, key, effect).map(drop).expect("PREM");
    }
    assert_eq!(content(&mut connection, b"key"), expected);
}

/// A key without holders could not be read from an RDB file.
#[test]
fn an_effect_that_leaves_no_holder_leaves_no_key() {
    let mut server = server_with_aof().config("save", "3600 1").start();
    let mut connection = server.connection();
    let now = now_micros();
    let take = lasting_effect(b'H', &take(now, b"a"));
    let put = lasting_effect(b'H', &put(now, HOUR, 1, b"a"));
    for before in ["none", "string", "premtoken", "premholds"] {
        match before {
            "string" => run(&mut connection, "SET key 1"),
            "premtoken" => drop(call(&mut connection, "PREMIER.TOKEN key 5 1h")),
            "premholds" => drop(apply(&mut connection, b"key", &put).expect("PREM")),
            _ => {}
        }
        assert_eq!(apply(&mut connection, b"key", &take), Ok(Value::Okay));
        assert!(!run::<bool>(&mut connection, "EXISTS key"), "{before}");
    }
    assert_eq!(apply(&mut connection, b"other", &put), Ok(Value::Okay));
    let expected = snapshot(&server);
    let () = run(&mut connection, "SAVE");
    server.restart();
    assert_eq!(snapshot(&server), expected);
    let () = run(&mut server.connection(), "DEBUG RELOAD");
    assert_eq!(snapshot(&server), expected);
}

/// Nobody's place is held for longer than one lease from now.
#[test]
fn holders_from_a_clock_ahead_hold_for_one_lease_at_most() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    let ahead = now_micros() + HOUR;
    let lease = 700_000;
    let state = holders(&[(ahead, lease, 2, b"a"), (ahead, 2 * lease, 1, b"b")]);
    assert_eq!(apply(&mut connection, b"key", &lasting_effect(b'H', &state)), Ok(Value::Okay));
    let limited = call(&mut connection, "PREMIER.HOLD key 3 1h ID c");
    assert!(limited.limited && (1..=700).contains(&limited.wait), "{limited:?}");
    assert_eq!(release(&mut connection, "key", b"b"), 1);
    assert!(!call(&mut connection, "PREMIER.HOLD key 3 1h ID c").limited);
    sleep(limited.wait());
    assert_eq!(held(&mut connection, "key", b"a"), 0);
    assert_eq!(call(&mut connection, "PREMIER.HOLD key 3 1h ID d").remaining, 1);
    assert_alike(&primary, &replica);
}

#[test]
fn effects_of_holders_out_of_bounds_are_refused() {
    let server = Server::start();
    let mut connection = server.connection();
    let moment = 1_720_000_000_000_000;
    let (most, longest) = (1_000_000_000_000, 3650 * 24 * HOUR);
    let long = [7; 129];
    let dated = |kind: u8, at: u64, since: u64| {
        let numbers = [at, since, 5, HOUR, 1].map(u64::to_le_bytes);
        [&[kind], &numbers.as_flattened()[..if kind == 3 { 40 } else { 24 }], b"a"].concat()
    };
    for (state, is_valid) in [
        (put(moment, HOUR, 1, b"a"), true),
        (put(LAST_MOMENT, longest, most, &long[..128]), true),
        (put(LAST_MOMENT + 1, HOUR, 1, b"a"), false),
        (put(moment, longest + 1, 1, b"a"), false),
        (put(moment, 999, 1, b"a"), false),
        (put(moment, HOUR, 0, b"a"), false),
        (put(moment, HOUR, most + 1, b"a"), false),
        (put(moment, HOUR, 1, b""), false),
        (put(moment, HOUR, 1, &long), false),
        (take(moment, b"a"), true),
        (take(moment, b""), false),
        (take(moment, &long), false),
        (take(LAST_MOMENT + 1, b"a"), false),
        (dated(3, moment, moment), true),
        (dated(4, moment, moment - 1), true),
        (dated(3, moment, moment + 1), false),
        (dated(4, moment, moment + 1), false),
        (dated(5, moment, moment), false),
        (vec![], false),
        (vec![1], false),
        (holders(&[(moment, HOUR, 1, b"a"), (moment, HOUR, 1, b"b")]), true),
        (holders(&[(moment, HOUR, 1, b"b"), (moment, HOUR, 1, b"a")]), false),
        (holders(&[(moment, HOUR, 1, b"a"), (moment, 2 * HOUR, 1, b"a")]), false),
        (holders(&[]), false),
    ] {
        for expires_at in [-1, 4_000_000_000_000] {
            let () = run(&mut connection, "DEL key");
            let answer = apply(&mut connection, b"key", &effect(b'H', expires_at, &state));
            assert_eq!(answer.is_ok(), is_valid, "{}: {answer:?}", state.escape_ascii());
            assert!(is_valid || !run::<bool>(&mut connection, "EXISTS key"), "{}", state.escape_ascii());
        }
    }
}
