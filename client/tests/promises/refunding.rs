//! Giving back used units.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use premier_client::{Algorithm, AnyLimit, ErrorKind, Keyspace, Limit, MemoryBackend, key};
use premier_test_server::Server;

use crate::clock::Clock;
use crate::stores::{Setup, Subject, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn with_each(server: &Server, try_it: impl Fn(&Subject, usize)) {
    let mut subjects = Setup::default().on_server(server.port());
    subjects.extend(Setup::default().in_memory());
    subjects.iter().enumerate().for_each(|(index, subject)| try_it(subject, index));
}

/// And a refund returns no more than was used.
#[test]
fn refunded_units_can_be_used_again() {
    with_each(&Server::start(), |subject, index| {
        for limit in limits(5, HOUR) {
            let key = key!("refund", index);
            let refund = |units| subject.refund(&key, limit, units).expect("the store answers");
            let remaining = || subject.peek(&key, limit).expect("the store answers").remaining() + 1;
            assert_eq!(refund(1), 0, "{subject}, {limit:?}: nothing was used");
            assert_eq!(subject.check_n(&key, limit, 4).expect("the store answers").remaining(), 1);
            assert_eq!((refund(1), remaining()), (1, 2), "{subject}, {limit:?}");
            assert_eq!((refund(9), remaining()), (3, 5), "{subject}, {limit:?}: more than was used");
            assert_eq!((refund(1), remaining()), (0, 5), "{subject}, {limit:?}");
        }
    });
}

#[test]
fn a_refund_that_resets_a_key_deletes_it() {
    let server = Server::start();
    with_each(&server, |subject, index| {
        for limit in limits(5, HOUR) {
            let key = key!("gone", index);
            let _ = subject.check(&key, limit).expect("the store answers");
            assert_eq!(subject.refund(&key, limit, 1).expect("the store answers"), 1);
            let name = Keyspace::default().key(&key, limit.algorithm());
            assert_eq!(redis::cmd("EXISTS").arg(name).query(&mut server.connection()), Ok(0), "{subject}");
        }
    });
    let memory = MemoryBackend::new();
    for limit in limits(5, HOUR) {
        let _ = memory.decide("key", limit);
        assert_eq!(memory.refund("key", limit, 1), Ok(1));
        assert!(memory.is_empty(), "{limit:?}");
    }
}

#[test]
fn refunds_have_the_bounds_of_the_server() {
    let server = Server::start();
    with_each(&server, |subject, _| {
        for units in [0, 1_000_000_000_001] {
            let limit = Limit::fixed_window(1, HOUR);
            let error = subject.refund(&key!("bounds"), limit, units).expect_err("they are out of bounds");
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let mut command = redis::cmd("PREMIER.REFUND");
            let refused = command.arg("key").arg(units).exec(&mut server.connection()).expect_err("likewise");
            assert_eq!(Some(error.to_string().as_str()), refused.detail(), "{subject}");
        }
        assert!(subject.refund(&key!("bounds"), Limit::fixed_window(1, HOUR), 1_000_000_000_000).is_ok());
    });
}

#[test]
fn expired_units_are_not_refunded() {
    for limit in limits(4, HOUR) {
        let clock = Clock::default();
        let memory = clock.memory();
        assert!(memory.decide("key", limit.try_cost(4).expect("a valid cost")).is_admitted());
        // A bucket has drained two and a half units, and the half unit still counts. A window
        // drains none.
        clock.set(HOUR * 5 / 8);
        let used = match limit.algorithm() {
            Algorithm::TokenBucket | Algorithm::LeakyBucket => 2,
            _ => 4,
        };
        assert_eq!(memory.refund("key", limit, 9), Ok(used), "{limit:?}");
        assert!(memory.decide("key", limit.try_cost(4).expect("a valid cost")).is_admitted());
        clock.set(HOUR * 2);
        assert_eq!(memory.refund("key", limit, 9), Ok(0), "{limit:?}");
    }
}

#[test]
fn a_refunded_bucket_drains_sooner() {
    for limit in [Limit::token_bucket(4, HOUR).into(), AnyLimit::from(Limit::leaky_bucket(4, HOUR))] {
        let clock = Clock::default();
        let memory = clock.memory();
        assert!(memory.decide("key", limit.try_cost(4).expect("a valid cost")).is_admitted());
        assert_eq!(memory.refund("key", limit, 2), Ok(2));
        clock.set(HOUR / 4);
        assert_eq!(memory.refund("key", limit, 9), Ok(1), "{limit:?}");
    }
}

/// The bucket is fully reset after 2,738 years, which is beyond the last timestamp.
#[test]
fn usage_that_outlasts_the_clock_is_refunded_too() {
    let clock = Clock::default();
    let memory = clock.memory();
    let limit = Limit::token_bucket(1, DAY);
    assert!(memory.decide("key", limit.cost(1_000_000).forced()).is_admitted());
    clock.set(DAY);
    assert_eq!(memory.refund("key", limit, 2_000_000), Ok(999_999));
}

#[test]
fn concurrent_refunds_never_return_a_unit_twice() {
    const USED: u64 = 500;
    with_each(&Server::start(), |subject, index| {
        for limit in limits(1_000, HOUR * 1_000) {
            let key = key!("many", index);
            let _ = subject.check_n(&key, limit, USED).expect("the store answers");
            let refunded = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            let units = subject.refund(&key, limit, 9).expect("the store answers");
                            refunded.fetch_add(units, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(refunded.into_inner(), USED, "{subject}, {limit:?}");
        }
    });
}
