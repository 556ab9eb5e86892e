//! The server's own commands on our values.

use std::thread::sleep;
use std::time::Duration;

use premier_test_server::Server;
use redis::{Cmd, Connection, RedisResult, Value};

use crate::tools::call::{LIMITERS, call, command, run};
use crate::tools::effect::{apply, entry, lasting_effect};
use crate::tools::hold::{self, hold, id, send_all};
use crate::tools::info::info_number;
use crate::tools::payload::{FOOTER_LEN, HEAD_LEN};
use crate::tools::skipped::skipped;
use crate::tools::snapshot::{content, snapshot};
use crate::tools::states::{MAX_ENTRIES, fill, fill_log};
use crate::tools::waiting::wait_until;

/// Makes a key of each algorithm with 2 of 5 units used.
fn fill_some(connection: &mut Connection) {
    for limiter in LIMITERS {
        call(connection, &format!("{0} {0} 5 3650d COST 2", limiter.command));
    }
}

fn remaining(connection: &mut Connection, name: &str, key: &str) -> i64 {
    let reply = call(connection, &format!("{name} {key} 5 3650d"));
    assert!(!reply.limited);
    reply.remaining
}

#[test]
fn copy_makes_an_independent_key() {
    let server = Server::start();
    let mut connection = server.connection();
    fill_some(&mut connection);
    fill_log(&mut connection, "full");
    for limiter in LIMITERS {
        let name = limiter.command;
        assert!(run::<bool>(&mut connection, &format!("COPY {name} copy")));
        assert_eq!(content(&mut connection, b"copy"), content(&mut connection, name.as_bytes()));
        assert_eq!(remaining(&mut connection, name, "copy"), 2);
        assert_eq!(remaining(&mut connection, name, "copy"), 1);
        assert_eq!(remaining(&mut connection, name, name), 2);
        let () = run(&mut connection, &format!("DEL {name}"));
        assert_eq!(remaining(&mut connection, name, "copy"), 0);
        let () = run(&mut connection, "DEL copy");
    }
    assert!(run::<bool>(&mut connection, "COPY full copy DB 3"));
    let original = content(&mut connection, b"full");
    let () = run(&mut connection, "SELECT 3");
    assert_eq!(content(&mut connection, b"copy"), original);
}

#[test]
fn rename_and_move_keep_state_and_expiry() {
    let server = Server::start();
    let mut connection = server.connection();
    fill_some(&mut connection);
    for limiter in LIMITERS {
        let name = limiter.command;
        let before = content(&mut connection, name.as_bytes());
        let () = run(&mut connection, &format!("RENAME {name} key"));
        assert_eq!(content(&mut connection, b"key"), before);
        let () = run(&mut connection, "MOVE key 3");
        assert!(!run::<bool>(&mut connection, "EXISTS key"));
        let () = run(&mut connection, "SELECT 3");
        assert_eq!(content(&mut connection, b"key"), before);
        assert_eq!(remaining(&mut connection, name, "key"), 2);
        let () = run(&mut connection, "DEL key");
        let () = run(&mut connection, "SELECT 0");
    }
}

#[test]
fn dump_and_restore_copy_every_state_to_another_server() {
    let (source, target) = (Server::start(), Server::start());
    fill(&source);
    let (mut from, mut to) = (source.connection(), target.connection());
    let mut restored = 0;
    for ((database, name), state) in snapshot(&source) {
        let () = run(&mut from, &format!("SELECT {database}"));
        let () = run(&mut to, &format!("SELECT {database}"));
        let payload: Vec<u8> = redis::cmd("DUMP").arg(&name.0).query(&mut from).expect("DUMP");
        let mut restore = redis::cmd("RESTORE");
        restore.arg(&name.0).arg(state.expires_at.max(0)).arg(payload).arg("ABSTTL");
        let () = restore.query(&mut to).unwrap_or_else(|error| panic!("{name:?}: {error}"));
        restored += 1;
    }
    assert!(restored > 100);
    assert_eq!(snapshot(&target), snapshot(&source));
}

#[test]
fn a_payload_with_a_flipped_bit_is_refused_by_its_checksum() {
    let server = Server::start();
    let mut connection = server.connection();
    fill_some(&mut connection);
    for limiter in LIMITERS {
        let payload: Vec<u8> = run(&mut connection, &format!("DUMP {}", limiter.command));
        for bit in 0..payload.len() * 8 {
            let answer = restore_with_flipped_bit(&mut connection, &payload, bit);
            assert!(answer.is_err(), "bit {bit} of {}", payload.escape_ascii());
        }
    }
    assert!(!run::<bool>(&mut connection, "EXISTS key"));
}

fn restore_with_flipped_bit(connection: &mut Connection, payload: &[u8], bit: usize) -> RedisResult<()> {
    let mut payload = payload.to_vec();
    payload[bit / 8] ^= 1 << (bit % 8);
    redis::cmd("RESTORE").arg("key").arg(0).arg(payload).query(connection)
}

#[test]
fn a_flipped_bit_without_a_checksum_is_refused_or_harmless() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    for compression in ["no", "yes"] {
        let () = run(&mut connection, &format!("CONFIG SET rdbcompression {compression}"));
        for limiter in LIMITERS {
            let name = limiter.command;
            for arguments in ["5 3650d", "1000000000000 3650d COST 7", "64 3650d"] {
                call(&mut connection, &format!("{name} original {arguments}"));
            }
            let payload: Vec<u8> = run(&mut connection, "DUMP original");
            let () = run(&mut connection, "DEL original");
            let (mut accepted, mut refused) = (0, 0);
            // The type byte stays as it is: how other types read a payload is not our concern.
            for bit in HEAD_LEN * 8..(payload.len() - FOOTER_LEN) * 8 {
                if restore_with_flipped_bit(&mut connection, &payload, bit).is_err() {
                    refused += 1;
                    continue;
                }
                accepted += 1;
                assert_eq!(run::<String>(&mut connection, "TYPE key"), limiter.data_type);
                for arguments in ["5 1h", "5 1ms COST 5", "1000000000000 3650d COST 1000000000000"] {
                    call(&mut connection, &format!("{name} key {arguments}")).assert_sane();
                }
                let () = run(&mut connection, "DEL key");
            }
            assert!(accepted > 0 && refused > 0, "{name}: {accepted} accepted, {refused} refused");
        }
    }
}

#[test]
fn a_payload_of_a_newer_premier_is_refused_and_logged() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    fill_some(&mut connection);
    for limiter in LIMITERS {
        let mut payload: Vec<u8> = run(&mut connection, &format!("DUMP {}", limiter.command));
        // After the type comes a mark that 64 bits follow, then these bits: the name of the type
        // and, in the last ten, the version of the encoding.
        payload[9] |= 1;
        let answer: RedisResult<()> = redis::cmd("RESTORE").arg("key").arg(0).arg(payload).query(&mut connection);
        assert!(answer.is_err(), "{}", limiter.command);
        let line = format!("a newer premier wrote this {}: encoding version 1", limiter.data_type);
        assert!(server.log().contains(&line), "the log lacks: {line}");
    }
}

#[test]
fn memory_usage_counts_all_of_a_value_and_is_bounded() {
    let server = Server::start();
    let mut connection = server.connection();
    fill_log(&mut connection, "full");
    let mut usage = |key: &str| run::<usize>(&mut connection, &format!("MEMORY USAGE {key}"));
    let full = usage("full");
    // 65 entries of 16 bytes, and about as much in addition as any key takes.
    assert!((1_040..=1_400).contains(&full), "{full}");
    fill_some(&mut connection);
    for limiter in LIMITERS {
        let used: usize = run(&mut connection, &format!("MEMORY USAGE {}", limiter.command));
        assert!((16..=250).contains(&used), "{}: {used}", limiter.command);
    }
}

/// In addition to what a fixed window takes.
#[test]
fn a_sliding_window_takes_16_bytes_per_entry() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "PREMIER.FIXED key:0 10 1h");
    let fixed: usize = run(&mut connection, "MEMORY USAGE key:0");
    for entries in 1..=3 {
        let () = run(&mut connection, "PREMIER.SLIDING key:1 10 1h");
        let sliding: usize = run(&mut connection, "MEMORY USAGE key:1");
        assert_eq!(sliding, fixed + 16 * entries);
    }
}

/// However large the quota is, and however many calls there are.
#[test]
fn memory_usage_of_a_sliding_window_stays_bounded() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut calls = redis::pipe();
    // Changing durations make logs whose entries are as narrow as possible.
    for index in 0..3_000 {
        let duration = if index % 2 == 0 { "1s" } else { "3650d" };
        calls.add_command(command(&format!("PREMIER.SLIDING key 1000000000000 {duration}"))).ignore();
        calls.add_command(command("PREMIER.SLIDING key 64 1h")).ignore();
    }
    let () = calls.query(&mut connection).expect("calls");
    let used: usize = run(&mut connection, "MEMORY USAGE key");
    assert!(used <= 1_400, "{used}");
}

#[test]
fn object_encoding_and_refcount_work_on_our_types() {
    let server = Server::start();
    let mut connection = server.connection();
    fill_some(&mut connection);
    for limiter in LIMITERS {
        assert_eq!(run::<String>(&mut connection, &format!("OBJECT ENCODING {}", limiter.command)), "raw");
        assert_eq!(run::<i64>(&mut connection, &format!("OBJECT REFCOUNT {}", limiter.command)), 1);
    }
}

#[test]
fn keys_are_fresh_however_they_were_deleted() {
    let server = Server::start();
    let mut connection = server.connection();
    let names = LIMITERS.map(|limiter| limiter.command);
    for delete in [
        format!("DEL {}", names.join(" ")),
        format!("UNLINK {}", names.join(" ")),
        "FLUSHDB".to_owned(),
        "FLUSHALL ASYNC".to_owned(),
        "FLUSHALL SYNC".to_owned(),
    ] {
        fill_some(&mut connection);
        fill_log(&mut connection, "full");
        let () = run(&mut connection, &delete);
        for name in names {
            assert_eq!(remaining(&mut connection, name, name), 4, "{delete}");
        }
        let () = run(&mut connection, "FLUSHALL");
    }
}

#[test]
fn flushing_the_server_frees_the_memory_of_its_keys() {
    let server = Server::start();
    let mut connection = server.connection();
    let used = |connection: &mut Connection| info_number(connection, "memory", "used_memory");
    let state: Vec<u8> = (0..MAX_ENTRIES).flat_map(|_| entry(1, 1)).collect();
    let effect = lasting_effect(b'S', &state);
    let empty = used(&mut connection);
    for index in 0..5_000 {
        let _: Value = apply(&mut connection, format!("key:{index}").as_bytes(), &effect).expect("PREM");
    }
    let full = used(&mut connection);
    // The module allocates through the server: otherwise the server would not count this memory.
    assert!(full - empty > 5_000 * 1_040, "{empty} when empty, {full} when full");
    let () = run(&mut connection, "FLUSHALL SYNC");
    wait_until("the memory is freed", || used(&mut connection) < empty + (full - empty) / 10);
}

/// A key that expires at the time that the user set is fresh.
#[test]
fn an_admitted_call_replaces_the_expiry_that_the_user_set() {
    let server = Server::start();
    let mut connection = server.connection();
    fill_some(&mut connection);
    for name in LIMITERS.map(|limiter| limiter.command) {
        let () = run(&mut connection, &format!("EXPIRE {name} 10"));
        assert_eq!(remaining(&mut connection, name, name), 2);
        let left: i64 = run(&mut connection, &format!("PTTL {name}"));
        assert!(left > 3_600_000, "{name}: {left}");
        let () = run(&mut connection, &format!("PEXPIREAT {name} 1"));
        assert_eq!(remaining(&mut connection, name, name), 4);
    }
}

#[test]
fn states_survive_active_defragmentation() {
    const KEYS: usize = 20_000;
    const HOLDERS: usize = 30_000;
    let server = Server::start();
    let mut connection = server.connection();
    // Only servers that were built with their own allocator can defragment: Debian's Redis cannot.
    let enabled: RedisResult<Value> = command("CONFIG SET activedefrag yes").query(&mut connection);
    if let Err(error) = enabled {
        assert!(error.to_string().contains("efrag"), "{error}");
        return skipped(format!("this server cannot defragment: {error}"));
    }
    for (name, value) in [
        ("active-defrag-ignore-bytes", "1"),
        ("active-defrag-threshold-lower", "0"),
        ("active-defrag-cycle-min", "50"),
        ("active-defrag-cycle-max", "75"),
    ] {
        let () = run(&mut connection, &format!("CONFIG SET {name} {value}"));
    }
    let full: Vec<u8> = (0..MAX_ENTRIES).flat_map(|_| entry(1_720_000_000_000_000, 1)).collect();
    let full = lasting_effect(b'S', &full);
    for index in 0..KEYS {
        let limiter = &LIMITERS[index % 4];
        let key = format!("key:{index}");
        if limiter.data_type == "premslide" {
            let _: Value = apply(&mut connection, key.as_bytes(), &full).expect("PREM");
        } else {
            call(&mut connection, &format!("{} {key} 5 1h", limiter.command));
        }
    }
    // Two keys whose holders take turns in memory, large enough to be moved bit by bit.
    let calls: Vec<Cmd> =
        (0..2 * HOLDERS).map(|index| hold(["kept", "gone"][index % 2], ["1000000", "1h"], &id(index))).collect();
    send_all(&mut connection, &calls);
    for index in 0..KEYS / 10 {
        hold::play(&mut connection, &format!("holders:{index}"), 5);
    }
    for index in (0..KEYS).filter(|index| index / 4 % 4 > 0) {
        let () = run(&mut connection, &format!("DEL key:{index}"));
    }
    for index in (0..KEYS / 10).filter(|index| index % 4 > 0) {
        let () = run(&mut connection, &format!("DEL holders:{index}"));
    }
    let () = run(&mut connection, "DEL gone");
    let before = snapshot(&server);
    wait_until("values are moved", || info_number(&mut connection, "stats", "active_defrag_key_hits") > 100);
    assert_eq!(snapshot(&server), before);
    wait_until("fragments are few", || {
        let hits = |connection: &mut Connection| info_number(connection, "stats", "active_defrag_hits");
        let before = hits(&mut connection);
        sleep(Duration::from_millis(500));
        hits(&mut connection) - before < 1_000
    });
    assert_eq!(snapshot(&server), before);
    for (index, limiter) in LIMITERS.iter().enumerate() {
        call(&mut connection, &format!("{} key:{index} 70 1h", limiter.command)).assert_sane();
    }
    // Every holder is still found, and can be released.
    let releases: Vec<Cmd> =
        (0..HOLDERS).map(|index| redis::cmd("PREMIER.RELEASE").arg("kept").arg(id(2 * index)).to_owned()).collect();
    assert!(send_all(&mut connection, &releases).iter().all(|units| *units == Value::Int(1)));
    assert!(!run::<bool>(&mut connection, "EXISTS kept"));
}
