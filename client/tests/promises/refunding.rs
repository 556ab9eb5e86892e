//! Giving back used units.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    Algorithm, AnyLimit, Backend, DecidedBy, ErrorKind, Keyspace, Limit, MemoryBackend, OnError, Throttler, key,
};
use premier_test_server::{Server, patience};

use crate::clock::Clock;
use crate::stores::{LOCAL, LOCALLY, Setup, Subject, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn with_each(server: &Server, try_it: impl Fn(&Subject, usize)) {
    let subjects = Setup::default().everywhere(server);
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
        let _ = memory.decide("key", limit).expect("one algorithm");
        assert_eq!(memory.refund("key", 1), Ok(1));
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
            command.arg("key").arg(units).exec(&mut server.connection()).expect_err("likewise");
            assert_eq!(
                error.to_string(),
                format!("a refund must be 1 to 1000000000000 units, not {units}"),
                "{subject}"
            );
        }
        assert!(subject.refund(&key!("bounds"), Limit::fixed_window(1, HOUR), 1_000_000_000_000).is_ok());
    });
}

#[test]
fn expired_units_are_not_refunded() {
    for limit in limits(4, HOUR) {
        let clock = Clock::default();
        let memory = clock.memory();
        assert!(memory.decide("key", limit.try_cost(4).expect("a valid cost")).expect("one algorithm").is_admitted());
        // A bucket has drained two and a half units, and the half unit still counts. A window
        // drains none.
        clock.set(HOUR * 5 / 8);
        let used = match limit.algorithm() {
            Algorithm::TokenBucket | Algorithm::LeakyBucket => 2,
            _ => 4,
        };
        assert_eq!(memory.refund("key", 9), Ok(used), "{limit:?}");
        assert!(memory.decide("key", limit.try_cost(4).expect("a valid cost")).expect("one algorithm").is_admitted());
        clock.set(HOUR * 2);
        assert_eq!(memory.refund("key", 9), Ok(0), "{limit:?}");
    }
}

#[test]
fn a_refunded_bucket_drains_sooner() {
    for limit in [Limit::token_bucket(4, HOUR).into(), AnyLimit::from(Limit::leaky_bucket(4, HOUR))] {
        let clock = Clock::default();
        let memory = clock.memory();
        assert!(memory.decide("key", limit.try_cost(4).expect("a valid cost")).expect("one algorithm").is_admitted());
        assert_eq!(memory.refund("key", 2), Ok(2));
        clock.set(HOUR / 4);
        assert_eq!(memory.refund("key", 9), Ok(1), "{limit:?}");
    }
}

/// The bucket is fully reset after 2,738 years, which is beyond the last timestamp.
#[test]
fn usage_that_outlasts_the_clock_is_refunded_too() {
    let clock = Clock::default();
    let memory = clock.memory();
    let limit = Limit::token_bucket(1, DAY);
    assert!(memory.decide("key", limit.cost(1_000_000).forced()).expect("one algorithm").is_admitted());
    clock.set(DAY);
    assert_eq!(memory.refund("key", 2_000_000), Ok(999_999));
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

/// Waits until the store decides again.
fn wait_for_store(subject: &Subject) {
    let start = Instant::now();
    while subject
        .check(&key!("is the store back"), Limit::fixed_window(1, HOUR))
        .map(|decision| decision.decided_by())
        .ok()
        != Some(DecidedBy::Store)
    {
        assert!(start.elapsed() < patience(), "{subject} does not recover");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The store never gets what the memory of the throttler was charged, nor the other way round.
#[test]
fn refunds_go_to_whom_the_call_was_charged() {
    let mut server = Server::builder().config("appendonly", "yes").config("appendfsync", "always").start();
    let setup = Setup { deadline: Duration::from_millis(300), on_error: LOCAL, ..Setup::default() };
    let subjects = setup.on_server(server.port());
    let limit = Limit::fixed_window(9, HOUR);
    let key = |index| key!("who", index);
    let used = |subject: &Subject, index| 8 - subject.peek(&key(index), limit).expect("it is decided").remaining();

    let charge = |(index, subject): (usize, &Subject)| {
        wait_for_store(subject);
        [1, 2].map(|cost| subject.charge(&key(index), limit.cost(cost)).expect("the store answers"))
    };
    let stored: Vec<_> = subjects.iter().enumerate().map(charge).collect();
    server.kill();

    let mut kept = Vec::new();
    for ((index, subject), [early, late]) in subjects.iter().enumerate().zip(stored) {
        let local = [3, 4].map(|cost| subject.charge(&key(index), limit.cost(cost)).expect("it is decided locally"));
        assert!(local.iter().all(|receipt| receipt.decided_by() == LOCALLY), "{subject}");
        assert_eq!(used(subject, index), 7, "{subject}");
        assert_eq!(subject.give_back(early).ok(), Some(0), "{subject}: the store was charged, and is down");
        assert_eq!(subject.refund(&key(index), limit, 1).ok(), Some(0), "{subject}: the same without the receipt");
        let [first, second] = local;
        assert_eq!(subject.give_back(first).ok(), Some(3), "{subject}");
        assert_eq!(used(subject, index), 4, "{subject}: given back locally");
        kept.push((second, late));
    }
    server.start_again();
    for ((index, subject), (local, late)) in subjects.iter().enumerate().zip(kept) {
        wait_for_store(subject);
        assert_eq!(used(subject, index), 3, "{subject}");
        assert_eq!(subject.give_back(local).ok(), Some(4), "{subject}");
        assert_eq!(used(subject, index), 3, "{subject}: the store was not charged");
        assert_eq!(subject.give_back(late).ok(), Some(2), "{subject}");
        assert_eq!(used(subject, index), 1, "{subject}");
    }
}

#[test]
fn what_a_policy_admitted_is_not_given_back() {
    let mut server = Server::builder().config("appendonly", "yes").config("appendfsync", "always").start();
    let setup = Setup { deadline: Duration::from_millis(300), on_error: OnError::Admit, ..Setup::default() };
    let subjects = setup.on_server(server.port());
    let limit = Limit::sliding_window(9, HOUR);
    for (index, subject) in subjects.iter().enumerate() {
        wait_for_store(subject);
        assert!(subject.check_n(&key!("policy", index), limit, 5).expect("the store answers").is_admitted());
    }
    server.kill();
    let charge = |(index, subject): (usize, &Subject)| subject.charge(&key!("policy", index), limit).expect("admitted");
    let admitted: Vec<_> = subjects.iter().enumerate().map(charge).collect();
    server.start_again();
    for ((index, subject), receipt) in subjects.iter().enumerate().zip(admitted) {
        assert_eq!(receipt.decided_by(), DecidedBy::OnError, "{subject}");
        wait_for_store(subject);
        assert_eq!(subject.give_back(receipt).ok(), Some(0), "{subject}");
        assert_eq!(subject.peek(&key!("policy", index), limit).map(|peek| peek.remaining()).ok(), Some(3), "{subject}");
    }
}

#[test]
fn a_refund_gives_back_what_its_call_was_charged() {
    with_each(&Server::start(), |subject, index| {
        for limit in limits(9, HOUR) {
            let key = key!("what", index, "part");
            let charge = |cost| subject.charge(&key, limit.try_cost(cost).expect("valid")).expect("the store answers");
            let remaining = || subject.peek(&key, limit).expect("the store answers").remaining() + 1;
            let (four, three) = (charge(4), charge(3));
            assert_eq!((subject.give_back(three).ok(), remaining()), (Some(3), 5), "{subject}, {limit:?}");
            let limited = charge(6);
            assert!(!limited.is_admitted(), "{subject}, {limit:?}");
            assert_eq!((subject.give_back(limited).ok(), remaining()), (Some(0), 5), "{subject}, {limit:?}");
            assert_eq!((subject.give_back_n(four, 1).ok(), remaining()), (Some(1), 6), "{subject}, {limit:?}");
            assert_eq!((subject.give_back_n(charge(2), 9).ok(), remaining()), (Some(2), 6), "{subject}, {limit:?}");
        }
    });
}

#[test]
fn a_refund_of_several_limits_gives_back_to_each() {
    with_each(&Server::start(), |subject, index| {
        for (limit, other) in limits(9, HOUR).into_iter().zip(limits(9, DAY)) {
            let together = [(key!("a", index), limit.try_cost(4).expect("valid")), (key!("b", index), other)];
            let remaining =
                || together.each_ref().map(|(key, limit)| subject.peek(key, *limit).expect("an answer").remaining());
            let before = remaining();
            let charge = || subject.charge_all(&together).expect("the store answers");
            let receipt = charge();
            assert_eq!(subject.give_back(receipt).ok(), Some(5), "{subject}, {limit:?}");
            assert_eq!(remaining(), before, "{subject}, {limit:?}");
            let receipt = charge();
            assert_eq!(subject.give_back_n(receipt, 2).ok(), Some(3), "{subject}, {limit:?}");
            let receipt = charge();
            assert!(subject.charge_all(&together).is_ok_and(|limited| !limited.decision().is_admitted()));
            assert_eq!(subject.give_back(receipt).ok(), Some(5), "{subject}, {limit:?}");
        }
    });
}

/// Others may have used units of the same key since.
#[test]
fn a_late_refund_takes_nothing_from_others() {
    let limit = Limit::fixed_window(5, Duration::from_millis(200));
    with_each(&Server::start(), |subject, index| {
        let key = key!("late", index);
        let receipt = subject.charge(&key, limit.cost(3)).expect("the store answers");
        thread::sleep(receipt.reset_after() + Duration::from_millis(1));
        let longer = Limit::fixed_window(5, HOUR);
        // An open window would stay open for the hour.
        while subject.peek(&key, longer).expect("the store answers").remaining() < 4 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(subject.check(&key, longer.cost(3)).expect("the store answers").is_admitted());
        assert_eq!(subject.give_back(receipt).ok(), Some(0), "{subject}");
        let left = subject.peek(&key, longer).expect("the store answers").remaining();
        assert_eq!(left, 1, "{subject}");
    });
}

#[test]
fn a_receipt_is_refunded_only_where_it_was_charged() {
    let limit = Limit::token_bucket(10, Duration::from_secs(3600));
    let [here, elsewhere] = [(); 2].map(|()| Throttler::builder(Backend::memory()).build());
    let receipt = here.check_n(&key!("export"), limit, 3).expect("memory answers");
    let _used = elsewhere.check_n(&key!("export"), limit, 5).expect("memory answers");
    let error = elsewhere.refund(receipt).expect_err("it is another throttler's");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(elsewhere.peek(&key!("export"), limit).expect("memory answers").remaining(), 4);
}
