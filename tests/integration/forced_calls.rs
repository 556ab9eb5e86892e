//! FORCE charges a call whatever is left, and ALIGNED windows follow the calendar.

use std::time::{SystemTime, UNIX_EPOCH};

use premier_test_server::Server;

use crate::tools::call::{LIMITERS, LINGER, call, run};

/// Later calls wait for what it used.
#[test]
fn a_forced_call_is_charged_whatever_is_left() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 10 1000s", limiter.command);
        assert_eq!(call(&mut connection, &format!("{line} COST 8")).remaining, 2);
        let forced = call(&mut connection, &format!("{line} COST 12 FORCE"));
        assert_eq!((forced.limited, forced.remaining), (false, 0), "{line}");
        let limited = call(&mut connection, &line);
        assert!(limited.limited, "{line}");
        // 20 units are used. A bucket of 10 has room for one more when 11 have drained, at one per
        // 100 s.
        let expected = if limiter.has_bucket { 1_100_000 } else { 1_000_000 };
        assert!((expected - 5_000..=expected).contains(&limited.wait), "{line}: {limited:?}");
        assert_eq!(run::<i64>(&mut connection, &format!("PREMIER.REFUND {} 11", limiter.command)), 11);
        assert_eq!(call(&mut connection, &line).remaining, 0, "{line}");
    }
}

/// A quota of 0 blocks them.
#[test]
fn forced_calls_are_charged_up_to_a_bound() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let name = limiter.command;
        // Almost nothing drains in the meantime.
        let most = format!("{name} {name} 1 3650d COST 1000000000000 FORCE");
        for _ in 0..5 {
            let reply = call(&mut connection, &most);
            reply.assert_sane();
            assert_eq!((reply.limited, reply.remaining), (false, 0));
        }
        let used: u64 = run(&mut connection, &format!("PREMIER.REFUND {name} 1000000000000"));
        assert_eq!(used, 1_000_000_000_000);
        let rest: u64 = run(&mut connection, &format!("PREMIER.REFUND {name} 1000000000000"));
        assert_eq!(rest, 1_000_000_000_000, "at most 2 * 10^12 units count as used");
        assert_eq!(run::<i64>(&mut connection, &format!("EXISTS {name}")), 0);

        let blocked = call(&mut connection, &format!("{name} {name} 0 1h FORCE"));
        assert_eq!((blocked.limited, blocked.wait), (true, -1), "{name}");
    }
}

#[test]
fn an_aligned_window_ends_at_a_multiple_of_its_duration() {
    let server = Server::start();
    let mut connection = server.connection();
    for (duration, millis) in [("1d", 86_400_000), ("1h", 3_600_000), ("7d", 604_800_000), ("3650d", 315_360_000_000)] {
        let () = run(&mut connection, "FLUSHALL");
        let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
        let before = since_epoch();
        let reply = call(&mut connection, &format!("PREMIER.FIXED key 5 {duration} ALIGNED"));
        let after = since_epoch();
        if before / millis != after / millis {
            // A new window began between the two readings of the clock.
            continue;
        }
        let end = (before / millis + 1) * millis;
        let reset = u128::try_from(reply.reset).expect("a reset is never negative");
        assert!(
            (end - after - 1..=end - before + 1).contains(&reset),
            "{duration}: {reply:?}, expected {}",
            end - after
        );
        let expires_at = run::<u128>(&mut connection, "PEXPIRETIME key") - u128::from(LINGER.unsigned_abs());
        assert!((end..=end + 1).contains(&expires_at), "{duration}: {expires_at}, expected {end}");
    }
}

/// Days and weeks in a zone, and months of the server's own clock.
#[test]
fn an_aligned_window_follows_the_calendar_of_its_zone() {
    const HOUR: u128 = 3_600_000;
    const DAY: u128 = 24 * HOUR;
    let server = Server::start();
    let mut connection = server.connection();
    let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    // The period, the first of its beginnings since 1970, and the call.
    for (period, first, call_) in [
        (DAY, 22 * HOUR, "1d ALIGNED ZONE +02:00"),
        (DAY, 5 * HOUR + HOUR / 2, "1d ZONE -05:30 ALIGNED"),
        (7 * DAY, 4 * DAY, "1w ALIGNED"),
        (14 * DAY, 4 * DAY - 10 * HOUR, "2w ALIGNED ZONE +10:00"),
        (8 * DAY, 0, "1w1d ALIGNED ZONE Z"),
    ] {
        let () = run(&mut connection, "FLUSHALL");
        let next = |now: u128| first + ((now - first) / period + 1) * period;
        let before = since_epoch();
        let reply = call(&mut connection, &format!("PREMIER.FIXED key 5 {call_}"));
        let after = since_epoch();
        let reset = u128::try_from(reply.reset).expect("a reset is never negative");
        let expected = [next(before), next(after)].map(|end| end - after - 1..=end - before + 1);
        assert!(expected.iter().any(|range| range.contains(&reset)), "{call_}: {reply:?}, expected {expected:?}");
    }
    let mut ends = ["1mo", "3mo", "12mo", "120mo"]
        .map(|months| call(&mut connection, &format!("PREMIER.FIXED {months} 5 {months} ALIGNED")).reset);
    // A quarter may end with its year, and time passes between the calls.
    assert!(ends.is_sorted_by(|earlier, later| *earlier <= later + 5_000), "{ends:?}");
    assert!((1..=31 * 86_400_000).contains(&ends[0]), "{ends:?}");
    // On this clock the month ends half a day later, or earlier by half a day.
    ends[1] = call(&mut connection, "PREMIER.PEEK west FIXED 5 1mo ALIGNED ZONE -12:00").reset;
    let apart = (ends[1] - ends[0]).rem_euclid(86_400_000);
    assert!((43_200_000 - 5_000..=43_200_000).contains(&apart), "{ends:?}");
}
