//! Keys in many different states.

use premier_test_server::Server;
use redis::{Connection, Value};

use super::call::{HOLD, LIMITERS, call, command, run};
use super::hold;
use super::snapshot::{Content, snapshot};

/// The most entries that a sliding window keeps.
pub(crate) const MAX_ENTRIES: usize = 66;

/// The length of an entry in an uncompressed payload.
pub(crate) const ENTRY_LEN: usize = 16;

/// Quotas, durations and costs that keep a key of any type for minutes.
const LASTING: [(u64, &str, u64); 15] = [
    (1, "10m", 1),
    (5, "1h", 1),
    (5, "1h", 3),
    (7, "3600000001us", 2),
    (64, "3599s", 7),
    (64, "3599s", 31),
    (65, "36000000001us", 1),
    (65, "36000000001us", 29),
    (1_000_000, "1d", 3_001),
    (1_000_000, "1d", 999_999),
    (1_000_000, "3650d", 1),
    (16_777_217, "3650d", 16_777_215),
    (33_554_433, "3649d", 16_777_216),
    (1_000_000_000_000, "3650d", 999_999),
    (1_000_000_000_000, "3650d", 499_999_999_999),
];

/// Fills two databases with keys of all types that live for at least a few minutes.
pub(crate) fn fill(server: &Server) {
    let mut connection = server.connection();
    for database in [0, 3] {
        let () = run(&mut connection, &format!("SELECT {database}"));
        fill_database(&mut connection);
    }

    let states = snapshot(server);
    for limiter in LIMITERS.iter().chain([&HOLD]) {
        for database in [0, 3] {
            let alike =
                |((db, _), state): &(&(u32, _), &Content)| *db == database && state.data_type == limiter.data_type;
            let count = states.iter().filter(alike).count();
            assert!(count > LASTING.len(), "{count} of {} in db {database}", limiter.data_type);
        }
    }
    assert!(states.values().any(|state| state.expires_at == -1), "no key is persisted");
}

fn fill_database(connection: &mut Connection) {
    for limiter in LIMITERS {
        let (name, data_type) = (limiter.command, limiter.data_type);
        for (quota, duration, cost) in LASTING {
            // The second call finds a state, and time has passed since then.
            for _ in 0..2 {
                call(connection, &format!("{name} {data_type}:{quota}:{cost} {quota} {duration} COST {cost}"));
            }
        }
        call(connection, &format!("{name} {data_type}:persisted 7 1h"));
        let () = run(connection, &format!("PERSIST {data_type}:persisted"));
        call(connection, &format!("{name} {data_type}:expire 7 1h"));
        let () = run(connection, &format!("EXPIRE {data_type}:expire 1800"));
        let binary: &[u8] = b"\x00\xff\r\n*1\r\n";
        let key = [data_type.as_bytes(), binary].concat();
        let () = redis::cmd(name).arg(key).arg(&["7", "1h"]).query(connection).expect("any bytes are a key");
        if limiter.has_bucket {
            call(connection, &format!("{name} {data_type}:capacity 10 1h CAPACITY 1000 COST 800"));
            call(
                connection,
                &format!("{name} {data_type}:many 999999999999 3650d CAPACITY 1000000000000 COST 999999999"),
            );
        }
    }
    for limiter in LIMITERS {
        let (name, key) = (limiter.command, limiter.data_type);
        call(connection, &format!("{name} {key}:forced 5 1h COST 9 FORCE"));
        for refunded in [1, 5, 13] {
            for _ in 0..2 {
                call(connection, &format!("{name} {key}:refunded:{refunded} 100 1h COST 9"));
            }
            let () = run(connection, &format!("PREMIER.REFUND {key}:refunded:{refunded} {refunded}"));
        }
        call(connection, &format!("{name} {key}:refunded:persisted 7 1h COST 3"));
        let () = run(connection, &format!("PERSIST {key}:refunded:persisted"));
        let () = run(connection, &format!("PREMIER.REFUND {key}:refunded:persisted 2"));
    }
    fill_with_holders(connection);
    call(connection, "PREMIER.FIXED premfixed:aligned 9 3650d ALIGNED");
    call(connection, "PREMIER.FIXED premfixed:months 9 120mo ALIGNED ZONE -05:00");
    let limits = LIMITERS.map(|limiter| {
        let algorithm = limiter.algorithm();
        format!("{}:all {algorithm} 7 1h", limiter.data_type)
    });
    let _: Value = run(connection, &format!("PREMIER.ALL {}", limits.join(" AND ")));
    call(connection, "PREMIER.TOKEN premtoken:borrowed 10 1h COST 9 MAXWAIT 3h");
    call(connection, "PREMIER.TOKEN premtoken:borrowed 10 1h COST 9 MAXWAIT 3h");
    fill_log(connection, "premslide:full");
}

/// Makes keys with holders, renewed, released and ended ones among them.
fn fill_with_holders(connection: &mut Connection) {
    for (quota, lease, cost) in LASTING {
        for holder in ["a", "b", "a"] {
            call(connection, &format!("PREMIER.HOLD premholds:{quota}:{cost} {quota} {lease} COST {cost} ID {holder}"));
        }
    }
    for number in [10, 300] {
        hold::play(connection, &format!("premholds:played:{number}"), number);
    }
    call(connection, "PREMIER.HOLD premholds:persisted 7 1h ID a");
    let () = run(connection, "PERSIST premholds:persisted");
    call(connection, "PREMIER.HOLD premholds:expire 7 1h ID a");
    let () = run(connection, "EXPIRE premholds:expire 1800");
    for id in [&b"\x00\xff\r\n*1\r\n"[..], b"AND", &[b'i'; 128]] {
        let _: Value = hold::hold("premholds:ids", ["7", "1h"], id).query(connection).expect("any bytes are an id");
    }
    let _: Value = run(connection, "PREMIER.ALL premholds:all HOLD 7 1h ID AND COST 2 AND premfixed:with FIXED 7 1h");
    assert_eq!(hold::release(connection, "premholds:ids", b"AND"), 1);
}

/// Makes a sliding window keep as many entries as it can, all with one unit except the last.
pub(crate) fn fill_log(connection: &mut Connection, key: &str) {
    let mut calls = redis::pipe();
    for _ in 0..64 {
        calls.add_command(command(&format!("PREMIER.SLIDING {key} 64 1h"))).ignore();
        // Calls within one microsecond share an entry.
        calls.add_command(command("DEBUG SLEEP 0.00001")).ignore();
    }
    let () = calls.query(connection).expect("a quota of 64 admits 64 calls");

    // Above a quota of 64, calls share an entry when the log is full.
    for _ in 0..3 {
        call(connection, &format!("PREMIER.SLIDING {key} 1000 1h"));
    }

    let () = run(connection, "CONFIG SET rdbcompression no");
    let payload: Vec<u8> = run(connection, &format!("DUMP {key}"));
    assert!(payload.len() > 65 * ENTRY_LEN, "the log is not full: {} bytes", payload.len());
}
