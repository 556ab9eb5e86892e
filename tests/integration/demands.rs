//! ATMOST grants as many units as fit, KEEP leaves a reserve, and COST 0 of PREMIER.PEEK looks.

use premier_test_server::Server;

use crate::tools::call::{LIMITERS, call, run};
use crate::tools::info::info;
use crate::tools::replica::{primary, replica_of, wait_until_alike};
use crate::tools::snapshot::snapshot;

#[test]
fn as_many_units_are_granted_as_fit() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let line = format!("{0} {0} 10 10h COST 7 ATMOST", limiter.command);
        let first: Vec<i64> = run(&mut connection, &line);
        let peeked: Vec<i64> = run(
            &mut connection,
            &format!("PREMIER.PEEK {} {} 10 10h COST 7 ATMOST", limiter.command, limiter.algorithm()),
        );
        let second: Vec<i64> = run(&mut connection, &line);
        let third: Vec<i64> = run(&mut connection, &line);
        assert_eq!([first[0], first[2], first[5]], [0, 3, 7], "{line}");
        assert_eq!([peeked[0], peeked[2], peeked[5]], [0, 0, 3], "{line}");
        assert_eq!([second[0], second[2], second[5]], [0, 0, 3], "{line}");
        assert_eq!([third[0], third[2], third[5]], [1, 0, 0], "{line}");
        // Until one unit fits.
        let wait = if limiter.has_bucket { 3_600_000 } else { 36_000_000 };
        assert!((wait - 60_000..=wait).contains(&third[3]), "{line}: {third:?}");
    }
    // A limited call changes nothing, and INFO counts what was granted.
    let counted = info(&mut connection, "premier_calls", "premier_fixed");
    assert_eq!(counted.as_deref(), Some("admitted=2,limited=1,refused=0,units=10"));
}

/// What is replicated is the resulting state, whatever was granted.
#[test]
fn a_replica_gets_what_was_granted() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    for limiter in &LIMITERS {
        for _ in 0..3 {
            let _: Vec<i64> = run(&mut connection, &format!("{0} {0} 10 10h COST 7 ATMOST KEEP 1", limiter.command));
        }
    }
    wait_until_alike(&primary, &replica);
    assert_eq!(snapshot(&primary), snapshot(&replica));
}

#[test]
fn what_can_be_borrowed_is_granted_too() {
    let server = Server::start();
    let mut connection = server.connection();
    let borrowed: Vec<i64> = run(&mut connection, "PREMIER.TOKEN a 10 10h COST 10 ATMOST");
    assert_eq!(borrowed[5], 10);
    // In three hours three tokens arrive.
    let borrowed: Vec<i64> = run(&mut connection, "PREMIER.TOKEN a 10 10h COST 9 ATMOST MAXWAIT 3h");
    assert_eq!(borrowed[5], 3, "{borrowed:?}");
    let none: Vec<i64> = run(&mut connection, "PREMIER.TOKEN a 10 10h COST 9 ATMOST MAXWAIT 3h");
    assert_eq!([none[0], none[5]], [1, 0], "{none:?}");
}

#[test]
fn a_reserve_is_kept_for_calls_without_one() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let line = |options: &str| format!("{0} {0} 10 10h {options}", limiter.command);
        assert_eq!(call(&mut connection, &line("COST 6 KEEP 4")).remaining, 4);
        let limited = call(&mut connection, &line("KEEP 4"));
        assert_eq!((limited.limited, limited.remaining), (true, 4), "{limited:?}");
        let wait = if limiter.has_bucket { 3_600_000 } else { 36_000_000 };
        assert!((wait - 60_000..=wait).contains(&limited.wait), "{limited:?}");
        assert_eq!(call(&mut connection, &line("COST 7 KEEP 4")).wait, -1, "more than the limit");
        assert!(!call(&mut connection, &line("COST 1")).limited);
        assert_eq!(call(&mut connection, &line("KEEP 1000000000000")).wait, -1);
        let joint: Vec<redis::Value> = run(
            &mut connection,
            &format!("PREMIER.ALL {} {} 10 10h KEEP 3 AND other FIXED 5 1h", limiter.command, limiter.algorithm()),
        );
        assert_eq!(joint[0], redis::Value::Int(1), "{joint:?}");
    }
}

#[test]
fn a_look_reports_what_is_left() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let look = |quota: u64| format!("PREMIER.PEEK {} {} {quota} 10h COST 0", limiter.command, limiter.algorithm());
        let fresh = call(&mut connection, &look(10));
        assert_eq!((fresh.limited, fresh.remaining, fresh.wait, fresh.reset), (false, 10, 0, 0));
        call(&mut connection, &format!("{0} {0} 10 10h COST 10", limiter.command));
        let used = call(&mut connection, &look(10));
        assert_eq!((used.limited, used.remaining), (false, 0), "{used:?}");
        let is_queue = limiter.command == "PREMIER.LEAKY";
        assert_eq!(used.wait, if is_queue { used.reset } else { 0 }, "{used:?}");
        let blocked = call(&mut connection, &look(0));
        assert_eq!((blocked.limited, blocked.wait), (true, -1), "{blocked:?}");
    }
}
