//! Commands that flush, swap and move keys while clients keep calling.

use redis::Value;

use crate::tools::call::{LIMITERS, call, run};
use crate::tools::info::info_number;
use crate::tools::load::{LASTING, admitted_meanwhile, under_load, used};
use crate::tools::replica::{assert_alike, primary, replica_of};
use crate::tools::snapshot::{Snapshot, snapshot};
use crate::tools::states::fill;
use crate::tools::waiting::wait_until;

/// A database that no test fills.
const OTHER: u32 = 7;

#[test]
fn swapdb_swaps_all_states() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    fill(&primary);
    let before = snapshot(&primary);
    let () = run(&mut primary.connection(), &format!("SWAPDB 0 {OTHER}"));
    let () = run(&mut primary.connection(), "SWAPDB 3 0");
    let moved_to = |database| if database == 0 { OTHER } else { 0 };
    let expected: Snapshot =
        before.into_iter().map(|((database, name), content)| ((moved_to(database), name), content)).collect();
    assert_eq!(snapshot(&primary), expected);
    assert_alike(&primary, &replica);
}

#[test]
fn swapping_and_moving_under_load_loses_no_unit() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    for limiter in LIMITERS {
        for lines in [
            ["SWAPDB 0 7"; 9].as_slice(),
            &["MOVE key 7"],
            &["RENAME key other"],
            &["MULTI", "RENAME key other", "MOVE other 7", "EXEC"],
        ] {
            let admitted = admitted_meanwhile(&primary, &limiter, "key", || {
                for line in lines {
                    let _: Value = run(&mut connection, line);
                }
            });
            let mut found = 0;
            for database in [0, OTHER] {
                let () = run(&mut connection, &format!("SELECT {database}"));
                for key in ["key", "other"] {
                    found += used(&mut connection, &limiter, key);
                }
            }
            assert_eq!(found, admitted, "{} and {lines:?}", limiter.command);
            assert_alike(&primary, &replica);
            let () = run(&mut connection, "SELECT 0");
            let () = run(&mut connection, "FLUSHALL");
        }
    }
}

#[test]
fn flushall_async_under_load_resets_keys_and_frees_memory() {
    const FLUSHES: i64 = 20;
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    let line = format!("PREMIER.TOKEN own {LASTING}");
    under_load(&primary, || {
        for _ in 0..FLUSHES {
            let reply = call(&mut connection, &line);
            assert_eq!(reply.remaining, reply.limit - 1);
            let reply = call(&mut connection, &line);
            assert_eq!(reply.remaining, reply.limit - 2);
            let () = run(&mut connection, "FLUSHALL ASYNC");
        }
    });
    call(&mut connection, &line);
    assert_alike(&primary, &replica);
    wait_until("everything is freed", || info_number(&mut connection, "memory", "lazyfree_pending_objects") == 0);
    assert!(info_number(&mut connection, "memory", "lazyfreed_objects") >= FLUSHES);
}
