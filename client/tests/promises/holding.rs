//! Permits: units that are held, renewed, lost and given back.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AnyLimit, AsyncBackend, AsyncPremierCommands, AsyncThrottler, Backend, Concurrency, DecidedBy, Decision, Error,
    ErrorKind, Hold, Key, Keyspace, Limit, MemoryBackend, OnError, PremierCommands, PremierPipelineCommands,
    RetryAfter, Share, Throttler, Usage, key,
};
use premier_test_server::{Cluster, Proxy, Server, patience};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{self, Runtime};
use tokio::task::{JoinHandle, JoinSet, yield_now};

use crate::clock::Clock;
use crate::stores::{Held, LOCAL, LOCALLY, Setup, Subject};

const HOUR: Duration = Duration::from_secs(60 * 60);
const LONG: Duration = Duration::from_secs(60);

/// A lease that ends during a test, and is long enough for a busy machine to renew it in time.
const SHORT: Duration = Duration::from_secs(1);

fn with_all(mut try_it: impl FnMut(&Subject, usize)) {
    with_subjects(|subjects| {
        for (index, subject) in subjects.iter().enumerate() {
            try_it(subject, index);
        }
    });
}

fn with_subjects(try_them: impl FnOnce(&[Subject])) {
    let (server, cluster) = (Server::start(), Cluster::start(3));
    try_them(&Setup::default().everywhere_and_on(&server, &cluster));
}

/// Waits until something becomes true, as what is dropped is released in the background.
fn soon(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < patience(), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn limited(result: Result<Held, Error>) -> RetryAfter {
    let error = result.expect_err("there is no place");
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
    error.decision().and_then(|decision| decision.retry_after()).expect("a limited call has a retry-after")
}

#[test]
fn units_are_held_until_they_are_released() {
    let jobs = Limit::concurrency(3, HOUR);
    with_all(|subject, index| {
        let key = key!("jobs", index);
        let one = subject.hold(&key, jobs).expect("there is a place");
        let decision = one.decision();
        assert_eq!((decision.limit(), decision.remaining(), decision.decided_by()), (3, 2, DecidedBy::Store));
        let two = subject.hold(&key, jobs.cost(2)).expect("there is a place");
        let RetryAfter::After(after) = limited(subject.hold(&key, jobs)) else { panic!("{subject}: the leases end") };
        assert!(after <= HOUR && after > HOUR / 2, "{subject}: {after:?}");
        assert_eq!(limited(subject.hold(&key, jobs.cost(4))), RetryAfter::Never, "{subject}");

        assert_eq!(two.release().ok(), Some(2), "{subject}");
        assert_eq!(subject.peek_hold(&key, jobs).expect("the store answers").remaining(), 1, "{subject}");
        assert!(!one.is_lost(), "{subject}");
        drop(one);
        soon("the dropped permit is not released", || {
            subject.peek_hold(&key, jobs).expect("the store answers").remaining() == 2
        });
    });
}

#[test]
fn the_same_id_is_never_counted_twice() {
    let jobs = Limit::concurrency(3, HOUR);
    with_all(|subject, index| {
        let key = key!("ids", index);
        let hold = |id, cost| subject.hold_as(&key, jobs.cost(cost), id);
        let used = || subject.inspect(&key, Hold).expect("the store answers").map(|usage| usage.used());
        let first = hold("one", 1).expect("there is a place");
        let again = hold("one", 2).expect("it is the same holder");
        assert_eq!(used(), Some(2), "{subject}");
        let other = hold("two", 1).expect("there is a place");
        // It keeps what it had.
        limited(hold("one", 3));
        assert_eq!(used(), Some(3), "{subject}");
        assert_eq!([again.release().ok(), first.release().ok(), other.release().ok()], [Some(2), Some(0), Some(1)]);
        assert_eq!(used(), None, "{subject}");
    });
}

#[test]
fn ids_of_a_user_have_bounds() {
    for subject in Setup::default().in_memory() {
        for (id, is_valid) in [("", false), ("a", true), (&"a".repeat(128), true), (&"a".repeat(129), false)] {
            let permit = subject.hold_as(&key!("bounds"), Limit::concurrency(9, HOUR), id);
            assert_eq!(permit.is_ok(), is_valid, "{id}");
            if let Err(error) = permit {
                let expected = format!("an id must be 1 to 128 bytes, not {}", id.len());
                assert_eq!((error.kind(), error.to_string()), (ErrorKind::Configuration, expected));
            }
        }
    }
}

#[test]
fn a_key_of_holds_can_be_inspected_reset_and_cleared() {
    let jobs = Limit::concurrency(3, HOUR);
    with_all(|subject, index| {
        let key = key!("known", index);
        assert_eq!(subject.inspect(&key, Hold).expect("the store answers"), None, "{subject}");
        let permit = subject.hold(&key, jobs.cost(2)).expect("there is a place");
        let usage = subject.inspect(&key, Hold).expect("the store answers").expect("it is used");
        assert_eq!(usage.used(), 2, "{subject}");
        // Servers may keep a key for a millisecond longer.
        let at_most = HOUR + Duration::from_millis(1);
        assert!(usage.reset_after() <= at_most && usage.reset_after() > HOUR / 2, "{subject}: {usage:?}");
        assert!(subject.reset(&key, Hold).expect("the store answers"), "{subject}");
        assert!(!subject.reset(&key, Hold).expect("the store answers"), "{subject}");
        assert_eq!(permit.release().ok(), Some(0), "{subject}");

        let _permit = subject.hold(&key, jobs).expect("there is a place");
        assert_eq!(subject.clear(&Keyspace::default()).ok(), Some(1), "{subject}");
        assert_eq!(subject.inspect(&key, Hold).expect("the store answers"), None, "{subject}");
    });
}

#[test]
fn a_reserve_is_for_calls_that_keep_none() {
    let jobs = Limit::concurrency(3, SHORT);
    with_all(|subject, index| {
        let key = key!("reserve", index);
        let first = subject.hold(&key, jobs.keep(2)).expect("two remain");
        let important = [(); 2].map(|()| subject.hold(&key, jobs).expect("there is a place"));
        // A renewal needs no reserve.
        first.renew().expect("it holds its place");
        assert!(!first.is_lost(), "{subject}");
        limited(subject.hold(&key, jobs.keep(2)));
        drop(important);
    });
}

/// The task of an async permit renews it, a sync one is renewed on demand.
#[test]
fn renewals_keep_a_permit_for_several_leases() {
    let jobs = Limit::concurrency(1, SHORT);
    let renew = |subject: &Subject, index: usize| {
        let key = key!("renewed", index);
        let permit = subject.hold(&key, jobs).expect("there is a place");
        let start = Instant::now();
        while start.elapsed() < 3 * SHORT {
            limited(subject.hold(&key, jobs));
            if let Held::Sync(permit) = &permit {
                permit.renew().expect("the store answers");
            }
            assert!(!permit.is_lost(), "{subject} after {:?}", start.elapsed());
            thread::sleep(SHORT / 10);
        }
        assert_eq!(permit.release().ok(), Some(1), "{subject}");
    };
    with_subjects(|subjects| {
        thread::scope(|scope| {
            for (index, subject) in subjects.iter().enumerate() {
                scope.spawn(move || renew(subject, index));
            }
        });
    });
}

/// However long the replies take: in the store the lease began before they were sent.
#[test]
fn a_lease_counts_from_the_sending_of_its_call() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let backend = Backend::redis(("127.0.0.1", proxy.port())).expect("a valid address");
    let throttler = Throttler::builder(backend).deadline(LONG).build();
    let delay = SHORT / 2;
    proxy.delay_replies(delay / 2);
    drop(throttler.hold(&key!("connected"), Limit::concurrency(1, HOUR)).expect("there is a place"));
    for is_renewed in [false, true] {
        proxy.delay_replies(delay);
        let mut sent = Instant::now();
        let permit = throttler.hold(&key!("sent"), Limit::concurrency(2, SHORT)).expect("there is a place");
        if is_renewed {
            proxy.delay_replies(delay / 2);
            sent = Instant::now();
            permit.renew().expect("it is in time");
        }
        while !permit.is_lost() {
            thread::sleep(Duration::from_millis(1));
        }
        let held = sent.elapsed();
        assert!(held >= SHORT && held < SHORT + delay / 2, "{held:?}");
        proxy.delay_replies(Duration::ZERO);
    }
}

#[test]
fn a_permit_that_is_not_renewed_is_lost_with_its_lease() {
    let server = Server::start();
    let backends = [Backend::redis(("127.0.0.1", server.port())).expect("a valid address"), Backend::memory()];
    for throttler in backends.map(|backend| Throttler::builder(backend).deadline(LONG).build()) {
        let jobs = Limit::concurrency(1, Duration::from_millis(100));
        let sent = Instant::now();
        let permit = throttler.hold(&key!("lost"), jobs).expect("there is a place");
        while !permit.is_lost() {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(sent.elapsed() >= Duration::from_millis(100), "{throttler:?}");
        // Others may hold the place from now on, so it never comes back.
        let other = throttler.hold_within(&key!("lost"), jobs, LONG).expect("the lease has ended");
        let error = permit.renew().expect_err("it is lost");
        assert_eq!((error.kind(), error.key()), (ErrorKind::PermitLost, Some("premier:lost:hold")));
        assert!(permit.is_lost(), "{throttler:?}");
        assert_eq!(permit.release().ok(), Some(0), "{throttler:?}");
        assert_eq!(other.release().ok(), Some(1), "{throttler:?}");
    }
}

/// The lease of a permit whose process was stopped has ended when it goes on.
#[tokio::test]
async fn a_process_that_was_stopped_knows_that_its_permit_is_lost() {
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let permit = throttler.hold(&key!("stopped"), Limit::concurrency(1, Duration::from_millis(100))).await;
    let permit = permit.expect("there is a place");
    yield_now().await;
    // Nothing else runs on this thread.
    thread::sleep(Duration::from_millis(150));
    assert!(permit.is_lost());
    permit.lost().await;
    assert_eq!(permit.renew().await.map_err(|error| error.kind()), Err(ErrorKind::PermitLost));
}

#[test]
fn a_permit_is_lost_when_the_store_gave_its_place_away() {
    let jobs = Limit::concurrency(1, HOUR);
    with_all(|subject, index| {
        let key = key!("given", index);
        let permit = subject.hold(&key, jobs).expect("there is a place");
        subject.reset(&key, Hold).expect("the store answers");
        let _other = subject.hold(&key, jobs).expect("there is a place again");
        assert!(!permit.is_lost(), "{subject}: nobody has asked yet");
        assert_eq!(permit.renew().map_err(|error| error.kind()), Err(ErrorKind::PermitLost), "{subject}");
        assert!(permit.is_lost(), "{subject}");
    });
}

#[tokio::test]
async fn the_end_of_the_store_is_the_end_of_a_permit_one_lease_later() {
    let mut server = Server::start();
    let backend = AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).build();
    let permit = throttler.hold(&key!("dead"), Limit::concurrency(1, SHORT)).await.expect("there is a place");
    tokio::time::timeout(2 * SHORT, permit.lost()).await.expect_err("it is renewed");
    let last_sent = Instant::now();
    server.kill();
    tokio::time::timeout(LONG, permit.lost()).await.expect("it is lost");
    // It was renewed two thirds of a lease before, or later.
    assert!(last_sent.elapsed() >= SHORT / 2, "{:?}", last_sent.elapsed());
    assert!(last_sent.elapsed() <= SHORT + Duration::from_secs(10), "{:?}", last_sent.elapsed());
    assert!(permit.is_lost());
}

/// A caller that was stopped reads a reply that was in time, after its lease has ended.
#[test]
fn a_reply_after_the_lease_brings_no_permit_back() {
    const LEASE: Duration = Duration::from_secs(3);
    let server = Server::start();
    let backend = AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).deadline(LONG).build();
    // Nothing runs there, and renews the permit, after it was given.
    let idle = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let permit = idle.block_on(throttler.hold(&key!("late"), Limit::concurrency(1, LEASE))).expect("there is a place");
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        permit.renew().await.expect("it is in time");
        thread::sleep(LEASE / 2);
        let mut renewal = pin!(permit.renew());
        assert!(poll_once(renewal.as_mut()).is_pending());
        thread::sleep(LEASE / 2 + LEASE / 10);
        assert_eq!(renewal.await.map_err(|error| error.kind()), Err(ErrorKind::PermitLost));
        assert!(permit.is_lost());
    });
    drop(idle);
    // In the store the lease began anew when it was sent.
    assert_eq!(runtime.block_on(permit.release()).ok(), Some(1));
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn server_has(server: &Server, key: &str) -> bool {
    let used = server.connection().premier_inspect(key).expect("the server answers");
    used.is_some_and(|usage| usage.used() > 0)
}

/// A renewal whose reply is lost is sent again in time, and never counts twice.
#[test]
fn a_lost_renewal_costs_no_permit_and_no_second_place() {
    const LEASE: Duration = Duration::from_secs(2);
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let jobs = Limit::concurrency(2, LEASE);
    for (index, subject) in Setup::default().on_server(proxy.port()).into_iter().enumerate() {
        let key = key!("renewal", index);
        let stored = Keyspace::default().key(&key, Hold);
        let permit = subject.hold(&key, jobs).expect("there is a place");
        proxy.lose_next_reply();
        if let Held::Sync(permit) = &permit {
            assert_eq!(permit.renew().map_err(|error| error.kind()), Err(ErrorKind::ReplyLost));
            permit.renew().expect("the store answers again");
        }
        proxy.wait_until_lost();
        let start = Instant::now();
        while start.elapsed() < LEASE {
            let usage = server.connection().premier_inspect(&stored).expect("the server answers");
            assert_eq!(usage.map(|usage| usage.used()), Some(1), "{subject}");
            if let Held::Sync(permit) = &permit {
                permit.renew().expect("the store answers");
            }
            assert!(!permit.is_lost(), "{subject}");
            thread::sleep(LEASE / 20);
        }
        assert_eq!(permit.release().ok(), Some(1), "{subject}");
    }
}

/// Nobody knows of the place that was held, so it is released in the background.
#[test]
fn a_hold_whose_reply_is_lost_keeps_no_place() {
    for on_error in [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL] {
        let server = Server::start();
        let proxy = Proxy::start(server.port());
        let subjects = Setup { on_error, ..Setup::default() }.on_server(proxy.port());
        for (index, subject) in subjects.into_iter().enumerate() {
            let key = key!("lost", index);
            let stored = Keyspace::default().key(&key, Hold);
            let jobs = Limit::concurrency(1, HOUR);
            drop(subject.hold(&key, jobs).expect("there is a place"));
            soon("the first is not released", || !server_has(&server, &stored));
            proxy.lose_next_reply();
            let answer = subject.hold(&key, jobs);
            proxy.wait_until_lost();
            match on_error {
                OnError::Fail => assert_eq!(answer.err().map(|error| error.kind()), Some(ErrorKind::ReplyLost)),
                OnError::Limit => drop(limited(answer)),
                _ => assert_ne!(answer.expect("it is admitted").decision().decided_by(), DecidedBy::Store),
            }
            soon("the place is never free", || !server_has(&server, &stored));
        }
    }
}

/// Its user asks again with the same id, so that nothing may be released meanwhile.
#[test]
fn a_hold_by_a_users_id_is_not_released_behind_its_back() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    for (index, subject) in Setup::default().on_server(proxy.port()).into_iter().enumerate() {
        let key = key!("own", index);
        let jobs = Limit::concurrency(1, HOUR);
        proxy.lose_next_reply();
        let error = subject.hold_as(&key, jobs, "job 7").expect_err("the reply is lost");
        assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}");
        thread::sleep(Duration::from_millis(100));
        limited(subject.hold_as(&key, jobs, "job 8"));
        let permit = subject.hold_as(&key, jobs, "job 7").expect("it is the same holder");
        assert_eq!(permit.release().ok(), Some(1), "{subject}");
    }
}

#[test]
fn a_release_whose_reply_is_lost_frees_its_place() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    for (index, subject) in Setup::default().on_server(proxy.port()).into_iter().enumerate() {
        let key = key!("release", index);
        let permit = subject.hold(&key, Limit::concurrency(1, HOUR)).expect("there is a place");
        proxy.lose_next_reply();
        assert_eq!(permit.release().map_err(|error| error.kind()), Err(ErrorKind::ReplyLost), "{subject}");
        let other = subject.hold_within(&key, Limit::concurrency(1, HOUR), LONG).expect("it was released");
        assert_eq!(other.release().ok(), Some(1), "{subject}");
    }
}

/// The server executes the call after nobody waits for it any more.
#[tokio::test]
async fn a_hold_that_is_dropped_keeps_no_place() {
    let server = Server::start();
    let backend = AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).deadline(LONG).build();
    let jobs = Limit::concurrency(1, HOUR);
    throttler.hold(&key!("before"), jobs).await.expect("there is a place").release().await.expect("the store answers");
    let mut connection = server.connection();
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut connection).expect("the server answers");
    let (key, wait) = (key!("dropped"), Duration::from_millis(200));
    tokio::time::timeout(wait, throttler.hold(&key, jobs)).await.expect_err("the server is paused");
    redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut connection).expect("the server answers");
    let permit = throttler.hold_within(&key, jobs, LONG).await.expect("the place is released");
    assert_eq!(permit.release().await.ok(), Some(1));
}

/// A permit outlives the outage of its store if that is shorter than its lease.
#[test]
fn a_permit_that_cannot_be_released_is_released_later() {
    let mut server = Server::builder().config("appendonly", "yes").config("appendfsync", "always").start();
    let setup = Setup { deadline: Duration::from_millis(300), ..Setup::default() };
    let subjects = setup.on_server(server.port());
    let hold = |(index, subject): (usize, &Subject)| subject.hold(&key!("later", index), Limit::concurrency(1, HOUR));
    let permits: Vec<_> = subjects.iter().enumerate().map(hold).collect();
    server.kill();
    for permit in permits {
        drop(permit.expect("there is a place"));
    }
    server.start_again();
    for index in 0..subjects.len() {
        let stored = Keyspace::default().key(&key!("later", index), Hold);
        soon("the place is never free", || !server_has(&server, &stored));
    }
}

/// Renewals are tried again until the lease has ended.
#[test]
fn a_permit_outlives_an_outage_that_is_shorter_than_its_lease() {
    const LEASE: Duration = Duration::from_secs(4);
    let mut server = Server::builder().config("appendonly", "yes").config("appendfsync", "always").start();
    let setup = Setup { deadline: Duration::from_millis(300), ..Setup::default() };
    let subjects = setup.on_server(server.port());
    let mut permits = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        let permit = subject.hold(&key!("outlives", index), Limit::concurrency(1, LEASE));
        permits.push((permit.expect("there is a place"), subject));
    }
    // The first renewals fail.
    server.kill();
    thread::sleep(LEASE / 2);
    server.start_again();
    let back = Instant::now();
    while back.elapsed() < LEASE {
        for (permit, subject) in &permits {
            if let Held::Sync(permit) = permit {
                let _ = permit.renew();
            }
            assert!(!permit.is_lost(), "{subject}");
        }
        thread::sleep(LEASE / 40);
    }
    for (permit, subject) in permits {
        assert_eq!(permit.release().ok(), Some(1), "{subject}");
    }
}

#[test]
fn permits_follow_the_policy_while_the_store_is_down() {
    let jobs = Limit::concurrency(4, SHORT);
    for on_error in [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL, OnError::Local { share: Share::one_in(3) }] {
        let server = Server::start();
        let port = server.port();
        drop(server);
        let setup = Setup { deadline: Duration::from_millis(300), on_error, ..Setup::default() };
        for subject in setup.on_server(port) {
            let hold = || subject.hold(&key!("policy"), jobs);
            match on_error {
                OnError::Fail => assert_eq!(hold().err().map(|error| error.kind()), Some(ErrorKind::Unavailable)),
                OnError::Limit => {
                    assert_eq!(limited(hold()), RetryAfter::After(setup.deadline), "{subject}");
                }
                OnError::Admit => {
                    let permits = [(); 6].map(|()| hold().expect("it is admitted"));
                    assert!(permits.iter().all(|permit| permit.decision().decided_by() == DecidedBy::OnError));
                    thread::sleep(SHORT + SHORT / 2);
                    for permit in permits {
                        assert!(!permit.is_lost() && permit.renew().is_ok(), "{subject}");
                        assert_eq!(permit.release().ok(), Some(0), "{subject}");
                    }
                }
                OnError::Local { share } => {
                    let room = if share == Share::WHOLE { 4 } else { 1 };
                    let permits: Vec<_> = (0..room).map(|_| hold().expect("there is a place")).collect();
                    assert!(permits.iter().all(|held| held.decision().decided_by() == DecidedBy::Local { share }));
                    limited(hold());
                    for permit in permits {
                        permit.renew().expect("it is kept in memory");
                        assert_eq!(permit.release().ok(), Some(1), "{subject}");
                    }
                    assert!(hold().is_ok(), "{subject}");
                }
                _ => unreachable!("there is no other policy"),
            }
        }
    }
}

/// Even if its local share would be less than its cost.
#[test]
fn a_local_share_has_room_for_a_call() {
    for subject in
        (Setup { on_error: OnError::Local { share: Share::one_in(10) }, ..Setup::default() }).at("redis://127.0.0.1:1")
    {
        let jobs = Limit::concurrency(3, HOUR);
        let decision = subject.hold(&key!("share"), jobs.cost(2)).expect("it is decided locally").decision();
        assert_eq!((decision.limit(), decision.remaining()), (2, 0), "{subject}");
        assert_eq!(limited(subject.hold(&key!("other"), jobs.cost(4))), RetryAfter::Never, "{subject}");
    }
}

#[test]
fn places_and_rates_are_taken_together_or_not_at_all() {
    let (jobs, rate) = (Limit::concurrency(2, HOUR), Limit::fixed_window(10, HOUR));
    with_all(|subject, index| {
        let (key, other) = (key!("together", format_args!("{{{index}}}")), key!("other", format_args!("{{{index}}}")));
        let rates =
            |cost| [(key.clone(), rate.cost(cost).into()), (other.clone(), Limit::token_bucket(99, HOUR).into())];
        let hold = |cost: u64| subject.hold_all(&key, jobs, &rates(cost));
        let left = || subject.peek(&key, rate).expect("the store answers").remaining() + 1;
        let free = || 2 - subject.inspect(&key, Hold).expect("the store answers").map_or(0, |usage| usage.used());

        let (permit, receipt) = hold(4).expect("both admit it");
        assert_eq!((permit.decision().limit(), permit.decision().remaining()), (2, 1), "{subject}");
        assert_eq!(receipt.each().iter().map(Decision::remaining).collect::<Vec<_>>(), [6, 98], "{subject}");
        assert_eq!((receipt.binding(), receipt.decision().remaining()), (0, 6), "{subject}");
        assert_eq!((left(), free()), (6, 1), "{subject}");

        let error = hold(7).expect_err("the rate is exceeded");
        assert_eq!((error.kind(), error.key()), (ErrorKind::QuotaExceeded, Some(&*stored(&key, "fixed"))), "{subject}");
        assert_eq!((left(), free()), (6, 1), "{subject}");
        let (second, _) = hold(1).expect("both admit it");
        let error = hold(1).expect_err("there is no place");
        assert_eq!(error.key(), Some(&*stored(&key, "hold")), "{subject}");
        assert_eq!((left(), free()), (5, 0), "{subject}");

        assert_eq!(subject.give_back_n(receipt, 3).ok(), Some(4), "{subject}: three of the one, one of the other");
        assert_eq!((permit.release().ok(), second.release().ok()), (Some(1), Some(1)), "{subject}");
        assert_eq!((left(), free()), (8, 2), "{subject}");
        assert!(subject.hold_all(&key, jobs, &[]).is_err(), "{subject}: there is no rate");
    });
}

/// With or without rates, and of one place or several.
#[test]
fn several_places_are_taken_together_or_not_at_all() {
    let (few, many, rate) = (Limit::concurrency(1, HOUR), Limit::concurrency(9, HOUR), Limit::fixed_window(9, HOUR));
    with_all(|subject, index| {
        let [a, b] = ["few", "many"].map(|name| Key::named(name).custom(format_args!("{{{index}}}")));
        let places = [(a.clone(), few), (b.clone(), many.cost(2))];
        let used = |key: &Key<'_>| subject.inspect(key, Hold).expect("it answers").map_or(0, |usage| usage.used());
        for (places, rates) in [
            (&places[..], &[][..]),
            (&places[..], &[(a.clone(), rate.into())]),
            (&places[..1], &[(a.clone(), rate.into())]),
        ] {
            let (permits, receipt) = subject.check_and_hold(places, rates).expect("it is decided");
            assert!(receipt.is_admitted() && permits.len() == places.len(), "{subject}");
            assert_eq!(receipt.each().len(), places.len() + rates.len(), "{subject}");
            let expected = (1, if places.len() == 2 { 2 } else { 0 });
            assert_eq!((used(&a), used(&b)), expected, "{subject}");
            let (none, limited) = subject.check_and_hold(places, rates).expect("it is decided");
            assert!(none.is_empty() && !limited.is_admitted() && limited.binding() == 0, "{subject}");
            assert_eq!((used(&a), used(&b)), expected, "{subject}");
            assert_eq!(subject.give_back(limited).ok(), Some(0), "{subject}");
            assert_eq!(subject.give_back(receipt).ok(), Some(rates.len() as u64), "{subject}");
            for permit in permits {
                assert!(permit.release().expect("it answers") > 0, "{subject}");
            }
            assert_eq!((used(&a), used(&b)), (0, 0), "{subject}");
        }
        let (permits, alone) = subject.check_and_hold(&places[..1], &[]).expect("it is decided");
        assert_eq!((permits.len(), alone.each().len()), (1, 1), "{subject}");
        assert!(subject.check_and_hold(&[], &[]).is_err(), "{subject}: there is no limit");
        assert!(
            subject.check_and_hold(&[places[0].clone(), places[0].clone()], &[]).is_err(),
            "{subject}: the key is the same"
        );
    });
}

fn stored(key: &Key<'_>, algorithm: &str) -> String {
    Keyspace::default().key(key, Hold).replace(":hold:", &format!(":{algorithm}:"))
}

#[test]
fn rates_and_places_follow_the_policy_together() {
    let (jobs, rate) = (Limit::concurrency(4, HOUR), Limit::fixed_window(9, HOUR));
    for on_error in [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL] {
        let setup = Setup { on_error, deadline: Duration::from_millis(300), ..Setup::default() };
        for subject in setup.at("redis://127.0.0.1:1") {
            let answer = subject.hold_all(&key!("policy"), jobs, &[(key!("policy"), rate.into())]);
            match on_error {
                OnError::Fail => assert_eq!(answer.err().map(|error| error.kind()), Some(ErrorKind::Unavailable)),
                OnError::Limit => drop(limited(answer.map(|(permit, _)| permit))),
                _ => {
                    let (permit, receipt) = answer.expect("it is admitted");
                    let by = if on_error == LOCAL { LOCALLY } else { DecidedBy::OnError };
                    assert_eq!((permit.decision().decided_by(), receipt.decision().decided_by()), (by, by));
                    let given_back = u64::from(on_error == LOCAL);
                    assert_eq!(subject.give_back(receipt).ok(), Some(given_back), "{subject}");
                    assert_eq!(permit.release().ok(), Some(given_back), "{subject}");
                }
            }
        }
    }
}

/// Counts who is at work.
#[derive(Default)]
struct Work {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Work {
    fn begin(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn end(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn of_eight_threads_never_more_than_three_are_at_work() {
    let jobs = Limit::concurrency(3, HOUR);
    let server = Server::start();
    let backends = [Backend::redis(("127.0.0.1", server.port())).expect("a valid address"), Backend::memory()];
    for backend in backends {
        let work = Work::default();
        thread::scope(|scope| {
            // Each with a throttler of its own, as processes have.
            for throttler in [(); 8].map(|()| Throttler::builder(backend.clone()).deadline(LONG).build()) {
                scope.spawn({
                    let work = &work;
                    move || {
                        for _ in 0..4 {
                            let permit = throttler.hold_within(&key!("eight"), jobs, LONG).expect("a place comes");
                            work.begin();
                            thread::sleep(Duration::from_millis(10));
                            work.end();
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert!(work.most.into_inner() <= 3, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_tasks_never_more_than_three_are_at_work() {
    // So short that it is renewed at work.
    let jobs = Limit::concurrency(3, SHORT);
    let server = Server::start();
    for backend in [AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address"), AsyncBackend::memory()]
    {
        let throttler = AsyncThrottler::builder(backend).deadline(LONG).build();
        let work = Arc::new(Work::default());
        let mut tasks = JoinSet::new();
        for task in 0..8_u64 {
            let (throttler, work) = (throttler.clone(), Arc::clone(&work));
            tasks.spawn(async move {
                for run in 0..6 {
                    let permit = throttler.hold_within(&key!("eight"), jobs, LONG).await.expect("a place comes");
                    work.begin();
                    let time = if (task + run) % 6 == 0 { 2 * SHORT } else { Duration::from_millis(10) };
                    tokio::time::sleep(time).await;
                    assert!(!permit.is_lost());
                    work.end();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        assert!(work.most.load(Ordering::SeqCst) <= 3, "{throttler:?}");
    }
}

/// Makes a throttler in memory on tokio's clock, which the tests below pause.
fn on_paused_clock() -> AsyncThrottler {
    let start = tokio::time::Instant::now();
    AsyncThrottler::builder(MemoryBackend::with_clock(move || start.elapsed())).build()
}

/// Begins to wait, as a task of its own.
async fn waiting<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let waiting = tokio::spawn(call);
    yield_now().await;
    waiting
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_renewed_as_long_as_it_lives() {
    let (throttler, jobs) = (on_paused_clock(), Limit::concurrency(1, LONG));
    let permit = throttler.hold(&key!("alive"), jobs).await.expect("there is a place");
    tokio::time::timeout(100 * LONG, permit.lost()).await.expect_err("it is renewed");
    assert!(throttler.hold(&key!("alive"), jobs).await.is_err());
    drop(permit);
    yield_now().await;
    assert!(throttler.hold(&key!("alive"), jobs).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiters_for_a_place_are_served_in_order() {
    let (throttler, served) = (on_paused_clock(), Arc::new(Mutex::new(Vec::new())));
    let jobs = Limit::concurrency(2, LONG);
    let mut waiters = Vec::new();
    for waiter in 0..20 {
        let (throttler, served) = (throttler.clone(), Arc::clone(&served));
        waiters.push(
            waiting(async move {
                let permit = throttler.hold_within(&key!("order"), jobs, 99 * LONG).await.expect("its turn comes");
                served.lock().expect("no panic").push(waiter);
                tokio::time::sleep(LONG / 7).await;
                permit.release().await.expect("memory answers")
            })
            .await,
        );
    }
    for waiter in waiters {
        assert_eq!(waiter.await.expect("no panic"), 1);
    }
    assert_eq!(*served.lock().expect("no panic"), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_release_wakes_the_next_waiter_at_once() {
    let (throttler, start) = (on_paused_clock(), tokio::time::Instant::now());
    let jobs = Limit::concurrency(1, LONG);
    let permit = throttler.hold(&key!("wake"), jobs).await.expect("there is a place");
    let next = {
        let throttler = throttler.clone();
        waiting(async move {
            let permit = throttler.hold_within(&key!("wake"), jobs, LONG).await;
            permit.map(|permit| (permit, tokio::time::Instant::now()))
        })
        .await
    };
    // Between two times when the waiter asks.
    tokio::time::sleep(Duration::from_micros(12_345_678)).await;
    drop(permit);
    let (_permit, woken) = next.await.expect("no panic").expect("the place is free");
    assert_eq!(woken - start, Duration::from_micros(12_345_678).div_ceil_millis());
}

trait DivCeilMillis {
    fn div_ceil_millis(self) -> Self;
}

/// The timer of tokio counts milliseconds.
impl DivCeilMillis for Duration {
    fn div_ceil_millis(self) -> Self {
        Self::from_millis(u64::try_from(self.as_micros().div_ceil(1_000)).expect("a short time"))
    }
}

/// The place is freed between the moment when the store limits the waiter and the one when its
/// reply arrives.
#[test]
fn a_release_is_not_missed_by_a_waiter_that_asks() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let backend = Backend::redis(("127.0.0.1", proxy.port())).expect("a valid address");
    let throttler = Throttler::builder(backend).deadline(LONG).build();
    let (jobs, delay) = (Limit::concurrency(1, HOUR), Duration::from_millis(300));
    let calls = || server.calls_of("PREMIER.HOLD");
    let permit = throttler.hold(&key!("missed"), jobs).expect("there is a place");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _permit = throttler.hold_within(&key!("missed"), jobs, LONG).expect("the place is free");
            Instant::now()
        });
        // By then it asks every half second at most.
        thread::sleep(Duration::from_secs(2));
        proxy.delay_replies(delay);
        let before = calls();
        soon("the waiter does not ask", || calls() != before);
        // Only the reply to the waiter, which the proxy has by now, is late.
        thread::sleep(delay / 6);
        proxy.delay_replies(Duration::ZERO);
        let released = Instant::now();
        permit.release().expect("the store answers");
        let wait = waiter.join().expect("no panic") - released;
        assert!(wait < delay + delay / 2, "{wait:?}");
    });
}

/// What another process releases is found within about a second.
#[tokio::test(start_paused = true)]
async fn a_waiter_asks_again_before_the_leases_have_ended() {
    let start = tokio::time::Instant::now();
    let memory = MemoryBackend::with_clock(move || start.elapsed());
    let [one, other] = [(); 2].map(|()| AsyncThrottler::builder(memory.clone()).build());
    let jobs = Limit::concurrency(1, 60 * LONG);
    let permit = one.hold(&key!("far"), jobs).await.expect("there is a place");
    let next = waiting(async move { other.hold_within(&key!("far"), jobs, LONG).await }).await;
    tokio::time::sleep(LONG / 2).await;
    let released = tokio::time::Instant::now();
    drop(permit);
    let _permit = next.await.expect("no panic").expect("the place is free");
    assert!(released.elapsed() <= Duration::from_secs(1), "{:?}", released.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_lets_the_next_one_have_the_place() {
    let throttler = on_paused_clock();
    let jobs = Limit::concurrency(1, 60 * LONG);
    let permit = throttler.hold(&key!("dropped"), jobs).await.expect("there is a place");
    let hold = || {
        let throttler = throttler.clone();
        waiting(async move { throttler.hold_within(&key!("dropped"), jobs, LONG).await })
    };
    let [first, second, third] = [hold().await, hold().await, hold().await];
    second.abort();
    first.abort();
    yield_now().await;
    let start = tokio::time::Instant::now();
    permit.release().await.expect("memory answers");
    let _permit = third.await.expect("no panic").expect("the place is free");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// However long the leases are, as a place may be free at any time.
#[tokio::test(start_paused = true)]
async fn a_waiter_waits_as_long_as_it_is_ready_to() {
    let throttler = on_paused_clock();
    let jobs = Limit::concurrency(1, 60 * LONG);
    let _permit = throttler.hold(&key!("patient"), jobs).await.expect("there is a place");
    let start = tokio::time::Instant::now();
    let [short, long] = [LONG / 10, LONG].map(|at_most| {
        let throttler = throttler.clone();
        tokio::spawn(async move { (throttler.hold_within(&key!("patient"), jobs, at_most).await, start.elapsed()) })
    });
    // Long before the first of them asks again.
    tokio::time::sleep(LONG / 20).await;
    let (begun, moment) = (tokio::time::Instant::now(), Duration::from_millis(10));
    throttler.hold_within(&key!("patient"), jobs, moment).await.expect_err("there is no place");
    assert_eq!(begun.elapsed(), moment);
    for (waiter, at_most) in [(short, LONG / 10), (long, LONG)] {
        let (result, waited) = waiter.await.expect("no panic");
        let error = result.expect_err("there is no place");
        assert_eq!((error.kind(), waited), (ErrorKind::QuotaExceeded, at_most));
        let after = error.decision().and_then(|decision| decision.retry_after());
        // The permit is renewed after a third of its lease at the earliest.
        assert_eq!(after, Some(RetryAfter::After((60 * LONG).saturating_sub(at_most))));
    }
    assert!(format!("{throttler:?}").contains("queues: {}"), "{throttler:?}");
    let never = throttler.hold_within(&key!("patient"), jobs.cost(2), LONG).await;
    let after = never.expect_err("it costs too much").decision().and_then(|decision| decision.retry_after());
    assert_eq!((after, start.elapsed()), (Some(RetryAfter::Never), LONG));
}

/// Nothing renews it there.
#[test]
fn a_permit_outside_tokio_is_released_when_it_is_dropped() {
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let jobs = Limit::concurrency(1, HOUR);
    let hold = || futures_executor::block_on(throttler.hold(&key!("outside"), jobs));
    let permit = hold().expect("there is a place");
    futures_executor::block_on(permit.renew()).expect("memory answers");
    assert!(hold().is_err());
    drop(permit);
    let permit = hold().expect("there is a place");
    assert_eq!(futures_executor::block_on(permit.release()).ok(), Some(1));
}

/// A runtime that has ended no longer renews, but the permit can still be given back.
#[test]
fn a_permit_whose_runtime_has_ended_can_be_released() {
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let [one, other] = [(); 2].map(|()| Runtime::new().expect("a runtime can be made"));
    let permit = one.block_on(throttler.hold(&key!("ended"), Limit::concurrency(1, HOUR))).expect("there is a place");
    drop(one);
    assert_eq!(other.block_on(permit.release()).ok(), Some(1));
}

#[test]
fn memory_forgets_keys_whose_leases_have_ended() {
    let clock = Clock::default();
    let memory = clock.memory();
    let jobs = Limit::concurrency(1, LONG);
    for job in 0..1_000 {
        assert!(memory.hold(&format!("job:{job}"), "id", jobs).expect("a valid id").is_admitted());
    }
    assert_eq!(memory.release("job:7", "id").ok(), Some(1));
    assert_eq!(memory.len(), 999, "a key that nobody holds stays");
    clock.set(LONG);
    // Few other keys, in all parts of the memory.
    for call in 0..20_000 {
        let _ = memory.hold(&format!("other:{}", call % 1_000), "id", jobs).expect("a valid id");
    }
    assert_eq!(memory.len(), 1_000);
}

#[test]
fn a_key_has_no_more_holders_than_on_a_server() {
    let memory = MemoryBackend::new();
    let jobs = Limit::concurrency(1_000_000, HOUR);
    for holder in 0..65_536 {
        assert!(memory.hold("full", holder.to_string(), jobs).expect("there is room").is_admitted());
    }
    let error = memory.hold("full", "one more", jobs).expect_err("it is one too many");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Refused, "the key has 65536 holders, the most that a key can have")
    );
    assert!(memory.hold("full", "7", jobs).expect("it holds units already").is_admitted());
}

#[test]
fn commands_hold_and_release() {
    let server = Server::start();
    let jobs = Limit::concurrency(3, HOUR).cost(2);
    let mut connection = server.connection();
    let one = connection.premier_hold("jobs", "one", jobs).expect("the server answers");
    assert_eq!((one.is_admitted(), one.remaining()), (true, 1));
    assert!(!connection.premier_hold("jobs", "two", jobs).expect("the server answers").is_admitted());
    assert!(connection.premier_hold("jobs", "one", jobs).expect("the server answers").is_admitted());
    assert!(!connection.premier_peek_hold("jobs", jobs).expect("the server answers").is_admitted());
    let (freed, again): (u64, u64) = redis::pipe()
        .premier_release("jobs", "one")
        .premier_release("jobs", "one")
        .query(&mut connection)
        .expect("the server answers");
    assert_eq!((freed, again), (2, 0));
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let client = redis::Client::open(("127.0.0.1", server.port())).expect("a valid address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
        let peeked = connection.premier_peek_hold("jobs", jobs.keep(2)).await.expect("the server answers");
        assert!(!peeked.is_admitted());
        assert!(connection.premier_hold("jobs", "two", jobs).await.expect("the server answers").is_admitted());
        assert_eq!(connection.premier_release("jobs", "two").await.expect("the server answers"), 2);
    });
}

#[test]
fn concurrency_limits_are_text() {
    let seconds = Duration::from_secs(30);
    for (text, limit) in [
        ("hold 10/30s", Limit::concurrency(10, seconds)),
        ("hold 10/30s cost 2 keep 3", Limit::concurrency(10, seconds).cost(2).keep(3)),
        ("hold 0/100ms", Limit::concurrency(0, Duration::from_millis(100))),
    ] {
        assert_eq!(limit.to_string(), text);
        assert_eq!(text.parse(), Ok(limit));
        assert_eq!(text.strip_prefix("hold ").expect("its name").parse(), Ok(limit));
        assert_eq!(serde_json::to_string(&limit).ok(), Some(format!("{text:?}")));
        assert_eq!(serde_json::from_str::<Concurrency>(&format!("{text:?}")).ok(), Some(limit));
    }
    for (text, reason) in [
        ("10", "expected quota/lease, as in 10/30s or hold 10/30s cost 2"),
        ("token 10/30s", "the algorithm must be hold, not token"),
        ("10/30s force", "unknown option 'force': expected COST or KEEP"),
    ] {
        let error = text.parse::<Concurrency>().expect_err("it is invalid");
        assert_eq!(error.to_string(), format!("invalid limit {text:?}: {reason}"));
    }
    for (result, argument) in [
        (Limit::try_concurrency(1, Duration::ZERO), "lease"),
        (Limit::try_concurrency(u64::MAX, seconds), "quota"),
        (Limit::concurrency(1, seconds).try_cost(0), "cost"),
        (Limit::concurrency(1, seconds).try_keep(u64::MAX), "keep"),
    ] {
        assert_eq!(result.map_err(|invalid| invalid.argument()), Err(argument));
    }
}

/// What is asked of a key.
#[derive(Debug, Clone)]
enum Call {
    Hold { of: u8, id: u8, limit: Concurrency },
    Release { of: u8, id: u8 },
    Peek { of: u8, limit: Concurrency },
    Inspect { of: u8 },
    Reset { of: u8 },
    HoldAll { of: u8, limit: Concurrency, rate: AnyLimit },
}

/// A store, and the permits that it gave, by the keys and ids.
struct Asked<'a> {
    subject: &'a Subject,
    permits: HashMap<(u8, u8), Vec<Held>>,
}

impl Asked<'_> {
    /// Returns the numbers of the answer, and its times.
    fn ask(&mut self, call: &Call, key: impl Fn(u8) -> Key<'static>) -> (Vec<u64>, Vec<Duration>) {
        let subject = self.subject;
        let decision = |result: Result<&Held, &Error>| {
            let decision = match result {
                Ok(permit) => permit.decision(),
                Err(error) => error.decision().unwrap_or_else(|| panic!("{subject}: {error:#}")),
            };
            let retry = match decision.retry_after() {
                Some(RetryAfter::After(after)) => after,
                Some(RetryAfter::Never) => Duration::MAX,
                None => Duration::ZERO,
            };
            let numbers = vec![decision.is_admitted().into(), decision.limit(), decision.remaining()];
            (numbers, vec![retry, decision.reset_after()])
        };
        match call {
            Call::Hold { of, id, limit } => {
                let result = subject.hold_as(&key(*of), *limit, &id.to_string());
                let answer = decision(result.as_ref());
                self.permits.entry((*of, *id)).or_default().extend(result);
                answer
            }
            Call::Release { of, id } => {
                let permit = self.permits.get_mut(&(*of, *id)).and_then(Vec::pop);
                (vec![permit.map_or(0, |permit| permit.release().expect("the store answers"))], Vec::new())
            }
            Call::Peek { of, limit } => {
                let decision = subject.peek_hold(&key(*of), *limit).expect("the store answers");
                (vec![decision.is_admitted().into(), decision.remaining()], vec![decision.reset_after()])
            }
            Call::Inspect { of } => {
                let usage = subject.inspect(&key(*of), Hold).expect("the store answers");
                let times = usage.iter().map(Usage::reset_after);
                (usage.iter().map(Usage::used).collect(), times.collect())
            }
            Call::Reset { of } => (vec![subject.reset(&key(*of), Hold).expect("the store answers").into()], Vec::new()),
            Call::HoldAll { of, limit, rate } => {
                let result = subject.hold_all(&key(*of), *limit, &[(key(*of), *rate)]);
                let (held, rate) = match &result {
                    Ok((held, receipt)) => (Ok(held), receipt.decision().remaining()),
                    Err(error) => (Err(error), 0),
                };
                let (mut numbers, times) = decision(held);
                numbers.push(rate);
                self.permits.entry((*of, u8::MAX)).or_default().extend(result.map(|(held, _)| held));
                (numbers, times)
            }
        }
    }
}

fn any_call() -> impl Strategy<Value = Call> {
    let key = || 0..2_u8;
    let id = || 0..4_u8;
    let limit = || {
        let options = (0..=6_u64, 1..=3_u32, 1..=3_u64, prop_oneof![3 => Just(0), 1 => 1..=2_u64]);
        options.prop_map(|(quota, hours, cost, keep)| Limit::concurrency(quota, HOUR * hours).cost(cost).keep(keep))
    };
    prop_oneof![
        6 => (key(), id(), limit()).prop_map(|(of, id, limit)| Call::Hold { of, id, limit }),
        3 => (key(), id()).prop_map(|(of, id)| Call::Release { of, id }),
        1 => key().prop_map(|of| Call::Release { of, id: u8::MAX }),
        1 => (key(), limit()).prop_map(|(of, limit)| Call::Peek { of, limit }),
        1 => key().prop_map(|of| Call::Inspect { of }),
        1 => key().prop_map(|of| Call::Reset { of }),
        2 => (key(), limit(), 0..=6_u64).prop_map(|(of, limit, quota)| {
            Call::HoldAll { of, limit, rate: Limit::fixed_window(quota, HOUR).into() }
        }),
    ]
}

#[test]
fn all_backends_hold_alike() {
    const TOLERANCE: Duration = Duration::from_secs(20);
    let (server, cluster) = (Server::start(), Cluster::start(3));
    // So that a call with several keys is possible in the cluster too.
    let setup = Setup { keyspace: "{alike}", ..Setup::default() };
    let stores = setup.everywhere_and_on(&server, &cluster);
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    let case = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(&vec(any_call(), 1..24), |calls| {
        case.set(case.get() + 1);
        let start = Instant::now();
        let mut stores: Vec<_> = stores.iter().map(|subject| Asked { subject, permits: HashMap::new() }).collect();
        for (index, call) in calls.iter().enumerate() {
            let key = |store: usize, of: u8| key!("alike", case.get(), store, of);
            let answers = stores.iter_mut().enumerate().map(|(store, asked)| asked.ask(call, |of| key(store, of)));
            let answers: Vec<_> = answers.collect();
            for (store, (numbers, times)) in answers.iter().enumerate() {
                let (expected, expected_times) = &answers[0];
                let subject = stores[store].subject;
                prop_assert_eq!(numbers, expected, "{}, call {}: {:?}", subject, index, call);
                prop_assert_eq!(times.len(), expected_times.len());
                let is_about = times.iter().zip(expected_times).all(|(one, other)| one.abs_diff(*other) < TOLERANCE);
                prop_assert!(
                    is_about,
                    "{}, call {}, {:?}: {:?}, not {:?}",
                    subject,
                    index,
                    call,
                    times,
                    expected_times
                );
            }
        }
        prop_assert!(start.elapsed() < TOLERANCE, "the machine is too slow to compare times");
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
