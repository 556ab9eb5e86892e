//! A call may ask for as many units as fit, or leave a reserve.

use std::time::Duration;

use premier_client::{Algorithm, AnyLimit, Backend, ErrorKind, OnError, RetryAfter, Share, Throttler, key};
use premier_test_server::Server;

use crate::stores::{LOCAL, Setup, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// In every store.
#[test]
fn what_was_granted_is_given_back() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        for limit in limits(10, HOUR) {
            let key = key!("granted", index);
            let first = subject.check_at_most(&key, limit, 7).expect("the store answers");
            assert_eq!((first.granted(), first.remaining()), (Some(7), 3), "{subject}, {limit}");
            let second = subject.check_at_most(&key, limit, 7).expect("the store answers");
            assert_eq!((second.granted(), second.remaining()), (Some(3), 0), "{subject}, {limit}");
            let third = subject.check_at_most(&key, limit, 7).expect("the store answers");
            assert!(!third.is_admitted() && third.granted() == Some(0), "{subject}, {limit}");
            assert_eq!(subject.give_back(third).expect("nothing was charged"), 0, "{subject}, {limit}");
            assert_eq!(subject.give_back(second).expect("the store answers"), 3, "{subject}, {limit}");
            let plain = subject.check(&key, limit).expect("the store answers");
            assert_eq!((plain.granted(), plain.remaining()), (None, 2), "{subject}, {limit}");
        }
    }
}

/// A limit that is forced would admit everything.
#[test]
fn a_forced_limit_is_not_forced_when_it_grants_what_fits() {
    let throttler = Throttler::builder(Backend::memory()).build();
    for limit in limits(10, HOUR) {
        let receipt = throttler.check_at_most(&key!("forced"), limit.forced(), 70).expect("memory answers");
        assert_eq!(receipt.granted(), Some(10), "{limit}");
    }
    let error = throttler.check_at_most(&key!("forced"), limits(10, HOUR)[0], 0).expect_err("a cost of 0");
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[test]
fn a_reserve_is_only_for_calls_that_keep_none() {
    let throttler = Throttler::builder(Backend::memory()).build();
    for limit in limits(10, HOUR) {
        let key = key!("reserve");
        let modest = limit.try_keep(4).expect("a valid reserve");
        let receipt = throttler.check_at_most(&key, modest, 9).expect("memory answers");
        assert_eq!((receipt.granted(), receipt.remaining()), (Some(6), 4), "{limit}");
        let limited = throttler.check(&key, modest).expect("memory answers");
        assert!(matches!(limited.retry_after(), Some(RetryAfter::After(_))), "{limit}: {limited:?}");
        let error = throttler.acquire(&key, modest.try_cost(7).expect("a valid cost"), Duration::MAX);
        assert_eq!(error.expect_err("11 of 10").kind(), ErrorKind::QuotaExceeded, "{limit}");
        assert!(throttler.check(&key, limit).expect("memory answers").is_admitted(), "{limit}");
        assert!(throttler.check(&key, modest.forced()).expect("memory answers").is_admitted(), "{limit}");
    }
    let error = limits(1, HOUR)[0].try_keep(1_000_000_000_001).expect_err("too much");
    assert_eq!(error.to_string(), "a reserve must be 0 to 1000000000000 units, not 1000000000001");
}

/// In an outage, too: by the share of the limit, and of its reserve.
#[test]
fn outages_keep_the_promises_of_demands() {
    // Nobody listens there.
    let at = |on_error: OnError| {
        let backend = Backend::redis("redis://127.0.0.1:1").expect("a valid address");
        Throttler::builder(backend).on_error(on_error).build()
    };
    for limit in limits(10, HOUR) {
        let granted = |throttler: &Throttler, limit: AnyLimit| {
            throttler.check_at_most(&key!("outage"), limit, 20).expect("it is decided here").granted()
        };
        assert_eq!(granted(&at(LOCAL), limit), Some(10), "{limit}");
        assert_eq!(granted(&at(OnError::Admit), limit), Some(20), "{limit}");
        assert_eq!(granted(&at(OnError::Limit), limit), Some(0), "{limit}");
        let reserved = limit.try_keep(4).expect("a valid reserve");
        let half = at(OnError::Local { share: Share::one_in(2) });
        assert_eq!(granted(&half, reserved), Some(3), "{limit}");
        assert_eq!(granted(&half, limit), Some(2), "{limit}");
    }
}

/// Not the local memory: that knows nothing of the others.
#[test]
fn only_the_store_is_inspected() {
    let backend = Backend::redis("redis://127.0.0.1:1").expect("a valid address");
    let throttler = Throttler::builder(backend).on_error(LOCAL).build();
    let key = key!("inspected");
    for limit in limits(3, HOUR) {
        assert!(throttler.check(&key, limit).expect("it is decided here").is_admitted());
        let error = throttler.inspect(&key, limit.algorithm()).expect_err("the store does not answer");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = throttler.reset(&key, limit.algorithm()).expect_err("the store does not answer");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        // What was used here is forgotten.
        assert_eq!(throttler.check(&key, limit).expect("it is decided here").remaining(), 2);
    }
}

/// And no other key.
#[test]
fn a_reset_forgets_one_key() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        let (one, other) = (key!("one", index), key!("other", index));
        for limit in limits(3, HOUR) {
            let algorithm = limit.algorithm();
            let used = |key| subject.inspect(key, algorithm).expect("the store answers").map(|usage| usage.used());
            assert_eq!(used(&one), None, "{subject}, {limit}");
            for key in [&one, &other] {
                assert!(subject.check(key, limit).expect("the store answers").is_admitted());
            }
            assert_eq!((used(&one), used(&other)), (Some(1), Some(1)), "{subject}, {limit}");
            assert!(subject.reset(&one, algorithm).expect("the store answers"), "{subject}, {limit}");
            assert!(!subject.reset(&one, algorithm).expect("the store answers"), "{subject}, {limit}");
            assert_eq!((used(&one), used(&other)), (None, Some(1)), "{subject}, {limit}");
        }
        assert_eq!(subject.reset(&other, Algorithm::FixedWindow).ok(), Some(true));
    }
}
