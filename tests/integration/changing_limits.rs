//! Every call carries its limit: a changed limit applies at once, and what was used still counts.

use std::time::Instant;

use premier_test_server::Server;

use crate::tools::call::{LIMITERS, call};

#[test]
fn a_raised_quota_admits_more_and_a_lowered_one_less() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let name = limiter.command;
        let mut fields = |quota, cost| {
            // Hardly anything refills or drains within a test.
            let reply = call(&mut connection, &format!("{name} {name} {quota} 3650d COST {cost}"));
            (reply.limited, reply.limit, reply.remaining)
        };
        assert_eq!(fields(5, 5), (false, 5, 0), "{name}");
        assert_eq!(fields(5, 1), (true, 5, 0), "{name}");
        assert_eq!(fields(10, 2), (false, 10, 3), "{name}");
        assert_eq!(fields(3, 1), (true, 3, 0), "{name}");
        assert_eq!(fields(7, 1), (true, 7, 0), "{name}");
        assert_eq!(fields(8, 1), (false, 8, 0), "{name}");
        assert_eq!(fields(100, 1), (false, 100, 91), "{name}");
        assert_eq!(fields(10, 1), (false, 10, 0), "{name}");
    }
}

#[test]
fn used_units_still_count_when_the_capacity_changes() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS.iter().filter(|limiter| limiter.has_bucket) {
        let name = limiter.command;
        let mut fields = |capacity| {
            let reply = call(&mut connection, &format!("{name} {name} 10 3650d CAPACITY {capacity}"));
            (reply.limited, reply.limit, reply.remaining)
        };
        assert_eq!(fields(2), (false, 2, 1), "{name}");
        assert_eq!(fields(1), (true, 1, 0), "{name}");
        assert_eq!(fields(3), (false, 3, 1), "{name}");
        assert_eq!(fields(20), (false, 20, 17), "{name}");
        assert_eq!(fields(3), (true, 3, 0), "{name}");
    }
}

/// A longer duration makes it later, a shorter one earlier.
#[test]
fn a_changed_duration_moves_the_end_of_a_window() {
    let server = Server::start();
    let mut connection = server.connection();
    for name in ["PREMIER.FIXED", "PREMIER.SLIDING"] {
        let started = Instant::now();
        call(&mut connection, &format!("{name} {name} 3 1h COST 3")).assert([0, 3, 0, 0, 3_600_000], started);
        call(&mut connection, &format!("{name} {name} 3 10m")).assert([1, 3, 0, 600_000, 600_000], started);
        call(&mut connection, &format!("{name} {name} 3 2h")).assert([1, 3, 0, 7_200_000, 7_200_000], started);
        call(&mut connection, &format!("{name} {name} 4 10m")).assert([0, 4, 0, 0, 600_000], started);
    }
}

/// A longer duration makes it slower, a shorter one faster.
#[test]
fn a_changed_duration_changes_the_rate_of_a_bucket() {
    let server = Server::start();
    let mut connection = server.connection();
    for name in ["PREMIER.TOKEN", "PREMIER.LEAKY"] {
        let started = Instant::now();
        call(&mut connection, &format!("{name} {name} 2 1h COST 2")).assert([0, 2, 0, 0, 3_600_000], started);
        call(&mut connection, &format!("{name} {name} 2 20m")).assert([1, 2, 0, 600_000, 1_200_000], started);
        call(&mut connection, &format!("{name} {name} 2 2h")).assert([1, 2, 0, 3_600_000, 7_200_000], started);
    }
}
