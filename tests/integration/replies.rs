//! The five fields of a reply.

use std::time::Instant;

use premier_test_server::Server;

use crate::tools::call::{LIMITERS, call, run};

/// `remaining` counts down to 0; after that, calls are limited.
#[test]
fn a_fresh_key_admits_exactly_its_limit() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        for limit in [1, 2, 5, 64, 65, 130] {
            let line = format!("{} {}:{limit} {limit} 3650d", limiter.command, limiter.data_type);
            for remaining in (0..limit).rev() {
                let reply = call(&mut connection, &line);
                assert_eq!((reply.limited, reply.limit, reply.remaining), (false, limit, remaining), "{line}");
            }
            for _ in 0..2 {
                let reply = call(&mut connection, &line);
                assert_eq!((reply.limited, reply.limit, reply.remaining), (true, limit, 0), "{line}");
            }
        }
    }
}

#[test]
fn a_fixed_window_waits_for_its_end_and_resets_then() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.FIXED key 2 1h").assert([0, 2, 1, 0, 3_600_000], started);
    call(&mut connection, "PREMIER.FIXED key 2 1h").assert([0, 2, 0, 0, 3_600_000], started);
    call(&mut connection, "PREMIER.FIXED key 2 1h").assert([1, 2, 0, 3_600_000, 3_600_000], started);
}

/// It resets when the newest units have left it.
#[test]
fn a_sliding_window_waits_for_its_oldest_units() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.SLIDING key 2 1h").assert([0, 2, 1, 0, 3_600_000], started);
    call(&mut connection, "PREMIER.SLIDING key 2 1h").assert([0, 2, 0, 0, 3_600_000], started);
    call(&mut connection, "PREMIER.SLIDING key 2 1h").assert([1, 2, 0, 3_600_000, 3_600_000], started);
}

/// It resets when it is full.
#[test]
fn a_token_bucket_waits_for_its_missing_tokens() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.TOKEN key 2 1h").assert([0, 2, 1, 0, 1_800_000], started);
    call(&mut connection, "PREMIER.TOKEN key 2 1h").assert([0, 2, 0, 0, 3_600_000], started);
    call(&mut connection, "PREMIER.TOKEN key 2 1h").assert([1, 2, 0, 1_800_000, 3_600_000], started);
    call(&mut connection, "PREMIER.TOKEN key 2 1h COST 2").assert([1, 2, 0, 3_600_000, 3_600_000], started);
}

/// With room for three, it limits the fourth.
#[test]
fn a_leaky_bucket_admits_calls_that_wait_for_their_turns() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.LEAKY key 3 30s").assert([0, 3, 2, 0, 10_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s").assert([0, 3, 1, 10_000, 20_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s").assert([0, 3, 0, 20_000, 30_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s").assert([1, 3, 0, 10_000, 30_000], started);
}

#[test]
fn cost_charges_that_many_units() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = |cost| format!("{} {} 10 3650d COST {cost}", limiter.command, limiter.data_type);
        let mut fields = |cost| {
            let reply = call(&mut connection, &line(cost));
            (reply.limited, reply.limit, reply.remaining)
        };
        assert_eq!(fields(4), (false, 10, 6), "{}", limiter.command);
        assert_eq!(fields(7), (true, 10, 6), "{}", limiter.command);
        assert_eq!(fields(6), (false, 10, 0), "{}", limiter.command);
        assert_eq!(fields(1), (true, 10, 0), "{}", limiter.command);
    }
}

/// It may be below or above the quota.
#[test]
fn capacity_is_the_limit_of_a_bucket() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS.iter().filter(|limiter| limiter.has_bucket) {
        for capacity in [1, 3, 20] {
            let line = format!("{} {}:{capacity} 10 3650d CAPACITY {capacity}", limiter.command, limiter.data_type);
            for remaining in (0..capacity).rev() {
                let reply = call(&mut connection, &line);
                assert_eq!((reply.limited, reply.limit, reply.remaining), (false, capacity, remaining), "{line}");
            }
            assert!(call(&mut connection, &line).limited, "{line}");
        }
    }
}

#[test]
fn a_token_bucket_lends_tokens_that_arrive_within_maxwait() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.TOKEN key 2 20s COST 2").assert([0, 2, 0, 0, 20_000], started);
    call(&mut connection, "PREMIER.TOKEN key 2 20s MAXWAIT 1s").assert([1, 2, 0, 9_000, 20_000], started);
    call(&mut connection, "PREMIER.TOKEN key 2 20s MAXWAIT 10s").assert([0, 2, 0, 10_000, 30_000], started);
    call(&mut connection, "PREMIER.TOKEN key 2 20s MAXWAIT 10s").assert([1, 2, 0, 10_000, 30_000], started);
    // Borrowed tokens are missing later.
    call(&mut connection, "PREMIER.TOKEN key 2 20s").assert([1, 2, 0, 20_000, 30_000], started);
}

/// It takes no place in the queue.
#[test]
fn a_call_that_would_wait_longer_than_maxwait_is_limited() {
    let server = Server::start();
    let mut connection = server.connection();
    let started = Instant::now();
    call(&mut connection, "PREMIER.LEAKY key 3 30s MAXWAIT 0").assert([0, 3, 0, 0, 10_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s MAXWAIT 0").assert([1, 3, 0, 10_000, 10_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s MAXWAIT 4s").assert([1, 3, 0, 6_000, 10_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s MAXWAIT 10s").assert([0, 3, 0, 10_000, 20_000], started);
    call(&mut connection, "PREMIER.LEAKY key 3 30s").assert([0, 3, 0, 20_000, 30_000], started);
}

#[test]
fn a_cost_above_the_limit_is_never_admitted() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let started = Instant::now();
        let name = limiter.command;
        call(&mut connection, &format!("{name} {name} 5 1h COST 6")).assert([1, 5, 5, -1, 0], started);
        call(&mut connection, &format!("{name} {name} 5 1h COST 1000000000000")).assert([1, 5, 5, -1, 0], started);
        if limiter.has_bucket {
            call(&mut connection, &format!("{name} {name} 5 1h CAPACITY 2 COST 3")).assert([1, 2, 2, -1, 0], started);
            call(&mut connection, &format!("{name} {name} 5 1h COST 6 MAXWAIT 3650d"))
                .assert([1, 5, 5, -1, 0], started);
        }
        assert!(!run::<bool>(&mut connection, &format!("EXISTS {name}")));

        // The same on a used key.
        call(&mut connection, &format!("{name} {name} 5 1h COST 2"));
        let reply = call(&mut connection, &format!("{name} {name} 5 1h COST 6"));
        assert_eq!((reply.limited, reply.limit, reply.remaining, reply.wait), (true, 5, 3, -1), "{name}");
    }
}

#[test]
fn a_quota_of_0_blocks_every_call_whatever_the_capacity() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let name = limiter.command;
        let options: &[&str] = if limiter.has_bucket {
            &["", " CAPACITY 5", " CAPACITY 5 MAXWAIT 3650d", " MAXWAIT 1h"]
        } else {
            &["", " COST 3"]
        };
        for option in options {
            let reply = call(&mut connection, &format!("{name} {name} 0 1h{option}"));
            assert_eq!((reply.limited, reply.limit, reply.remaining, reply.wait), (true, 0, 0, -1), "{name}{option}");
        }
        assert!(!run::<bool>(&mut connection, &format!("EXISTS {name}")));

        // A used key is blocked as well, and keeps its state.
        call(&mut connection, &format!("{name} {name} 5 3650d COST 2"));
        let reply = call(&mut connection, &format!("{name} {name} 0 3650d"));
        assert_eq!((reply.limited, reply.limit, reply.remaining, reply.wait), (true, 0, 0, -1), "{name}");
        assert_eq!(call(&mut connection, &format!("{name} {name} 5 3650d")).remaining, 2, "{name}");
    }
}

/// The largest quota and cost.
const MOST: i64 = 1_000_000_000_000;

#[test]
fn the_largest_quota_and_cost_are_counted_exactly() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let name = limiter.command;
        let line = format!("{name} {name} {MOST} 3650d COST 999999999999");
        let reply = call(&mut connection, &line);
        assert_eq!((reply.limited, reply.limit), (false, MOST), "{name}");
        reply.assert_sane();
        let reply = call(&mut connection, &line);
        assert!(reply.limited && reply.wait > 0, "{reply:?}");
        let () = run(&mut connection, &format!("DEL {name}"));
        let reply = call(&mut connection, &format!("{name} {name} {MOST} 3650d COST {MOST}"));
        assert_eq!((reply.limited, reply.remaining, reply.reset), (false, 0, 315_360_000_000), "{name}");
    }
}

#[test]
fn replies_are_the_same_over_resp3() {
    let server = Server::start();
    let mut connection = server.connection();
    let greeting: redis::Value = run(&mut connection, "HELLO 3");
    assert!(matches!(greeting, redis::Value::Map(_)), "RESP3 has maps: {greeting:?}");
    for limiter in LIMITERS {
        let started = Instant::now();
        let line = format!("{0} {0} 1 1h", limiter.command);
        call(&mut connection, &line).assert([0, 1, 0, 0, 3_600_000], started);
        call(&mut connection, &line).assert([1, 1, 0, 3_600_000, 3_600_000], started);
    }
}
