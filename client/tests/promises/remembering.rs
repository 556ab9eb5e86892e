//! Limited calls that are remembered.

use std::thread;
use std::time::Duration;

use premier_client::{Algorithm, AnyLimit, Backend, DecidedBy, Limit, RetryAfter, Throttler, key};
use premier_test_server::Server;

use crate::clock::Clock;
use crate::stores::{Setup, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn remembering(clock: &Clock, at_most: Duration) -> Throttler {
    Throttler::builder(Backend::from(clock.memory())).remember_denials(at_most).build()
}

#[test]
fn a_flood_on_a_used_up_key_costs_the_store_one_call() {
    let server = Server::start();
    let setup = Setup { remembered_for: Some(HOUR), ..Setup::default() };
    for (index, subject) in setup.on_server(server.port()).iter().enumerate() {
        for limit in limits(3, HOUR) {
            let key = key!("flood", index);
            while subject.check(&key, limit).expect("the store answers").is_admitted() {}
            let before = server.calls_of("PREMIER.");
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            let limited = subject.check(&key, limit).expect("it is remembered");
                            assert_eq!(limited.decided_by(), DecidedBy::Remembered, "{subject}, {limit:?}");
                            assert!(!limited.is_admitted());
                        }
                    });
                }
            });
            assert_eq!(server.calls_of("PREMIER."), before, "{subject}, {limit:?}");
        }
    }
}

/// It costs more than one that was limited and may come back.
#[test]
fn a_call_too_large_for_its_limit_is_never_admitted() {
    let clock = Clock::default();
    let throttler = remembering(&clock, HOUR);
    let limit = Limit::sliding_window(4, HOUR);
    let check = |cost| throttler.check_n(&key!("never"), limit, cost).expect("memory answers");
    assert!(check(2).is_admitted());
    assert!(matches!(check(3).retry_after(), Some(RetryAfter::After(_))));
    assert_eq!(check(4).decided_by(), DecidedBy::Remembered);
    assert_eq!(check(5).retry_after(), Some(RetryAfter::Never));
}

/// The retry-after is that of the store, less the time that has passed.
#[test]
fn a_denial_is_remembered_until_its_retry_after() {
    for limit in limits(2, HOUR) {
        let clock = Clock::default();
        clock.set(HOUR);
        let throttler = remembering(&clock, HOUR * 10);
        let check = || throttler.check(&key!("until"), limit).expect("memory answers");
        while check().is_admitted() {}
        let Some(RetryAfter::After(wait)) = check().retry_after() else { panic!("it may come back") };
        let half = wait / 2;
        clock.set(HOUR + half);
        let limited = check();
        assert_eq!(limited.decided_by(), DecidedBy::Remembered, "{limit:?}");
        assert_eq!(limited.retry_after(), Some(RetryAfter::After(wait.saturating_sub(half))), "{limit:?}");
        clock.set(HOUR + wait);
        assert!(check().is_admitted(), "{limit:?}");
    }
}

#[test]
fn a_denial_is_remembered_no_longer_than_set() {
    let clock = Clock::default();
    let throttler = remembering(&clock, Duration::from_secs(10));
    for limit in [Limit::fixed_window(1, HOUR), Limit::fixed_window(0, HOUR)] {
        let decided_by = || throttler.check(&key!("cap"), limit).expect("memory answers").decided_by();
        clock.set(HOUR);
        while decided_by() == DecidedBy::Store {}
        clock.set(HOUR + Duration::from_secs(10));
        assert_eq!(decided_by(), DecidedBy::Store, "{limit:?}");
        clock.set(Duration::ZERO);
        throttler.reset(&key!("cap"), Algorithm::FixedWindow).expect("memory answers");
    }
}

#[test]
fn calls_that_may_be_admitted_ask_the_store() {
    let clock = Clock::default();
    let throttler = remembering(&clock, HOUR);
    let decided_by = |limit: AnyLimit| throttler.check(&key!("other"), limit).expect("memory answers").decided_by();
    let limit = Limit::token_bucket(10, HOUR);
    assert_eq!(decided_by(limit.cost(8).into()), DecidedBy::Store);
    assert_eq!(decided_by(limit.cost(5).into()), DecidedBy::Store);
    assert_eq!(decided_by(limit.cost(5).into()), DecidedBy::Remembered);
    assert_eq!(decided_by(limit.cost(6).into()), DecidedBy::Remembered);
    let smaller = limit.cost(4);
    let forced = limit.cost(5).forced();
    let larger_limit = Limit::token_bucket(20, HOUR).cost(5);
    let more_patient = limit.cost(5).max_wait(Duration::from_secs(1));
    let without_reserve = limit.cost(2);
    for limit in [smaller, more_patient, larger_limit, forced, without_reserve] {
        assert_eq!(decided_by(limit.into()), DecidedBy::Store, "{limit:?}");
    }
}

/// Whichever kind of call was limited first.
#[test]
fn only_calls_for_what_fits_are_granted_nothing() {
    let limit = Limit::fixed_window(0, HOUR);
    for first_at_most in [true, false] {
        let throttler = remembering(&Clock::default(), HOUR);
        let at_most = || throttler.check_at_most(&key!("granted"), limit, 3).expect("memory answers").granted();
        let exactly = || throttler.check(&key!("granted"), limit).expect("memory answers").granted();
        let granted = if first_at_most { (at_most(), exactly()) } else { (exactly(), at_most()) };
        assert_eq!(granted, if first_at_most { (Some(0), None) } else { (None, Some(0)) });
    }
}

#[test]
fn own_refunds_and_resets_are_noticed() {
    let server = Server::start();
    let setup = Setup { remembered_for: Some(HOUR), ..Setup::default() };
    for (index, subject) in setup.on_server(server.port()).iter().enumerate() {
        for limit in limits(1, HOUR) {
            let key = key!("noticed", index);
            let is_admitted = || subject.check(&key, limit).expect("the store answers").is_admitted();
            let used = subject.charge(&key, limit).expect("the store answers");
            assert!(!is_admitted());
            assert_eq!(subject.give_back(used).ok(), Some(1), "{subject}, {limit:?}");
            assert!(is_admitted() && !is_admitted(), "{subject}, {limit:?}");
            assert_eq!(subject.refund(&key, limit, 1).ok(), Some(1), "{subject}, {limit:?}");
            assert!(is_admitted() && !is_admitted(), "{subject}, {limit:?}");
            assert_eq!(subject.reset(&key, limit.algorithm()).ok(), Some(true), "{subject}, {limit:?}");
            assert!(is_admitted() && !is_admitted(), "{subject}, {limit:?}");
        }
    }
}
