//! Calls that are charged whatever is left.

use std::time::{Duration, Instant};

use premier_client::{Algorithm, RetryAfter, key};
use premier_test_server::Server;

use crate::clock::Clock;
use crate::stores::{Setup, limits};

const LONG: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_millis(150);

#[test]
fn later_calls_wait_until_a_forced_call_has_drained() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        for limit in limits(3, PERIOD) {
            let key = key!("beyond", index);
            let start = Instant::now();
            let forced = subject.check_n(&key, limit.forced(), 9).expect("the store answers");
            assert!(forced.is_admitted(), "{subject}, {limit:?}: {forced:?}");
            assert_eq!((forced.limit(), forced.remaining()), (3, 0), "{subject}, {limit:?}");

            let next = subject.acquire(&key, limit, LONG).expect("its turn comes");
            assert!(next.is_admitted(), "{subject}, {limit:?}: {next:?}");
            let until_two_are_left = PERIOD * 7 / 3;
            let drained = match limit.algorithm() {
                Algorithm::TokenBucket => until_two_are_left,
                Algorithm::LeakyBucket => until_two_are_left + PERIOD * 2 / 3,
                _ => PERIOD,
            };
            assert!(start.elapsed() >= drained, "{subject}, {limit:?}: the next call came too early");
        }
    }
}

#[test]
fn a_forced_call_drains_to_the_millisecond() {
    for limit in limits(3, LONG) {
        let clock = Clock::default();
        let memory = clock.memory();
        assert!(
            memory
                .decide("key", limit.try_cost(9).expect("a valid cost").forced())
                .expect("one algorithm")
                .is_admitted()
        );
        let Some(RetryAfter::After(after)) = memory.decide("key", limit).expect("one algorithm").retry_after() else {
            panic!("{limit:?}: the forced call was not charged")
        };
        let expected = match limit.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingWindow => LONG,
            _ => LONG * 7 / 3,
        };
        assert_eq!(after, expected, "{limit:?}");
        clock.set(after.saturating_sub(Duration::from_millis(1)));
        assert!(!memory.decide("key", limit).expect("one algorithm").is_admitted(), "{limit:?}");
        clock.set(after);
        assert!(memory.decide("key", limit).expect("one algorithm").is_admitted(), "{limit:?}");
    }
}

#[test]
fn a_quota_of_zero_limits_even_forced_calls() {
    let server = Server::start();
    for subject in Setup::default().everywhere(&server) {
        for limit in limits(0, LONG) {
            let decision = subject.check(&key!("blocked"), limit.forced()).expect("the store answers");
            assert_eq!(decision.retry_after(), Some(RetryAfter::Never), "{subject}, {limit:?}");
        }
    }
}
