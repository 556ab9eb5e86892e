//! Waiting to be admitted, as long as the store says.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{Backend, ErrorKind, Limit, RetryAfter, Throttler, key};
use premier_test_server::Server;

use crate::stores::{Setup, Subject};

const LONG: Duration = Duration::from_secs(60);

fn with_each(mut try_it: impl FnMut(&Subject, usize)) {
    let server = Server::start();
    let mut subjects = Setup::default().on_server(server.port());
    subjects.extend(Setup::default().in_memory());
    for (index, subject) in subjects.iter().enumerate() {
        try_it(subject, index);
    }
}

#[test]
fn acquire_waits_for_the_retry_after_and_asks_again() {
    let limit = Limit::fixed_window(1, Duration::from_millis(300));
    with_each(|subject, index| {
        let key = key!("again", index);
        let first = subject.check(&key, limit).expect("the store answers");
        let start = Instant::now();
        let second = subject.acquire(&key, limit, LONG).expect("it is admitted in the end");
        assert!(second.is_admitted(), "{subject}");
        // The rest of the window is in whole milliseconds, rounded up.
        let millisecond = Duration::from_millis(1);
        assert!(start.elapsed() + 2 * millisecond >= first.reset_after(), "{subject} came too early");
    });
}

#[test]
fn acquire_asks_no_more_often_than_it_must() {
    let server = Server::start();
    let limit = Limit::fixed_window(1, Duration::from_millis(500));
    for (index, subject) in Setup::default().on_server(server.port()).iter().enumerate() {
        let before = server.calls_of("PREMIER.FIXED");
        for _ in 0..2 {
            assert!(subject.acquire(&key!("rarely", index), limit, LONG).expect("its turn comes").is_admitted());
        }
        // Limited once, and perhaps again at the edge of a millisecond.
        let calls = server.calls_of("PREMIER.FIXED") - before;
        assert!((3..=4).contains(&calls), "{subject}: {calls} calls");
    }
}

#[test]
fn acquire_gives_up_at_once_if_the_wait_is_too_long() {
    let limit = Limit::sliding_window(1, LONG);
    with_each(|subject, index| {
        let key = key!("hopeless", index);
        assert!(subject.acquire(&key, limit, Duration::ZERO).expect("the key is fresh").is_admitted());
        let start = Instant::now();
        let error = subject.acquire(&key, limit, LONG / 2).expect_err("it would have to wait for a minute");
        assert!(start.elapsed() < LONG / 4, "{subject} waited");

        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        let stored = format!("premier:hopeless:sliding:{index}");
        assert_eq!(error.key(), Some(stored.as_str()));
        let decision = error.decision().expect("the error contains the decision");
        let Some(RetryAfter::After(after)) = decision.retry_after() else { panic!("{subject}: {decision:?}") };
        assert_eq!(error.to_string(), format!("the quota of {stored} is exceeded: retry after {after:?}"));
    });
}

#[test]
fn acquire_does_not_wait_for_what_is_never_admitted() {
    let limit = Limit::token_bucket(1, Duration::from_millis(1)).cost(2);
    with_each(|subject, index| {
        let error = subject.acquire(&key!("too expensive", index), limit, LONG).expect_err("it costs too much");
        assert!(error.to_string().ends_with("the cost and reserve of the call exceed the limit of 1"), "{error}");
    });
}

#[test]
fn acquire_waits_for_its_turn_in_a_queue() {
    let limit = Limit::leaky_bucket(2, Duration::from_millis(400)).capacity(3);
    with_each(|subject, index| {
        let key = key!("queue", index);
        let start = Instant::now();
        for _ in 0..3 {
            assert!(subject.acquire(&key, limit, LONG).expect("there is a place").is_admitted());
        }
        let two_units = Duration::from_millis(400);
        assert!(start.elapsed() >= two_units, "{subject} went ahead before its turn");
    });
}

#[test]
fn a_turn_after_the_deadline_takes_no_place() {
    let limit = Limit::leaky_bucket(1, LONG).capacity(2);
    with_each(|subject, index| {
        let key = key!("too late", index);
        assert!(subject.check(&key, limit).expect("the store answers").is_admitted());
        let error = subject.acquire(&key, limit, LONG / 2).expect_err("its turn comes in a minute");
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{subject}");
        let next = subject.check(&key, limit).expect("the store answers");
        assert!(next.is_admitted(), "{subject}: the place was taken");
    });
}

#[test]
fn waiting_callers_are_admitted_within_the_limit() {
    const WAITING: u32 = 8;
    let server = Server::start();
    let period = Duration::from_millis(50);
    for backend in [Backend::redis(("127.0.0.1", server.port())).expect("a valid address"), Backend::memory()] {
        let throttler = Throttler::builder(backend).deadline(LONG).build();
        let start = Instant::now();
        let all_here = Barrier::new(WAITING as usize);
        thread::scope(|scope| {
            for _ in 0..WAITING {
                scope.spawn(|| {
                    all_here.wait();
                    let limit = Limit::sliding_window(1, period);
                    throttler.acquire(&key!("crowd"), limit, LONG).expect("each is admitted in the end")
                });
            }
        });
        assert!(start.elapsed() >= period * (WAITING - 1), "{throttler:?} admitted too many");
    }
}
