//! Calls with several limits, charged to all of them or to none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use premier_client::{AnyLimit, Backend, Decision, ErrorKind, Key, Limit, MemoryBackend, RetryAfter, Throttler, key};
use premier_test_server::{Cluster, Server};

use crate::stores::{Setup, Subject, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs a test on every kind of store; in the cluster all keys are on one node.
fn with_each(try_it: impl Fn(&Subject, usize)) {
    let (server, cluster) = (Server::start(), Cluster::start(3));
    let setup = Setup { keyspace: "{together}", ..Setup::default() };
    let subjects = setup.everywhere_and_on(&server, &cluster);
    subjects.iter().enumerate().for_each(|(index, subject)| try_it(subject, index));
}

/// Makes three limits by each algorithm, the second of which admits least.
fn twelve(index: usize) -> Vec<(Key<'static>, AnyLimit)> {
    let quotas = [("wide", 20), ("narrow", 2), ("middle", 10)];
    let of = |(name, quota)| limits(quota, HOUR).map(|limit| (key!(name, index), limit));
    quotas.into_iter().flat_map(of).collect()
}

#[test]
fn a_call_is_charged_to_all_limits_or_to_none() {
    with_each(|subject, index| {
        let limits = twelve(index);
        for call in 1..=4 {
            let answer = subject.check_all(&limits).expect("the store answers");
            let used = call.min(2);
            let context = format!("{subject}, call {call}: {answer:?}");
            assert_eq!(answer.decision().is_admitted(), call <= 2, "{context}");
            assert_eq!((answer.decision().limit(), answer.decision().remaining()), (2, 2 - used), "{context}");
            assert_eq!(answer.each().len(), limits.len(), "{context}");
            let binds = answer.each()[answer.binding()];
            assert_eq!((binds.limit(), binds.is_admitted()), (2, call <= 2), "{context}");
            for ((key, limit), alone) in limits.iter().zip(answer.each()) {
                let is_narrow = alone.limit() == 2;
                assert_eq!(alone.is_admitted(), call <= 2 || !is_narrow, "{context}");
                // A limit that would admit a limited call answers as if it had charged it.
                let would_leave = alone.limit() - used - u64::from(call > 2 && !is_narrow);
                assert_eq!(alone.remaining(), would_leave, "{context}");
                let peeked = subject.peek(key, *limit).expect("the store answers");
                let left = alone.limit() - used;
                assert_eq!(peeked.remaining(), left - u64::from(left > 0), "{context}: {key:?} has another charge");
            }
        }
    });
}

/// The longest wait counts, even if another limit binds.
#[test]
fn an_admitted_call_waits_for_its_turn_by_all_limits() {
    with_each(|subject, index| {
        let queue = Limit::leaky_bucket(10, HOUR).into();
        let window = Limit::fixed_window(3, HOUR).into();
        let limits = [(key!("queue", index), queue), (key!("window", index), window)];
        let first = subject.check_all(&limits).expect("the store answers");
        assert_eq!(first.decision().wait(), Some(Duration::ZERO), "{subject}");
        let second = subject.check_all(&limits).expect("the store answers");
        assert_eq!((second.binding(), second.decision().limit()), (1, 3), "{subject}: {second:?}");
        assert_eq!(second.decision().wait(), second.each()[0].wait(), "{subject}: {second:?}");
        assert!(second.decision().wait().is_some_and(|wait| wait > HOUR / 20), "{subject}: {second:?}");
    });
}

#[test]
fn each_limit_has_its_own_cost_and_force() {
    with_each(|subject, index| {
        let blocked = (key!("blocked", index), Limit::fixed_window(0, HOUR).forced().into());
        let expensive = (key!("expensive", index), Limit::token_bucket(5, HOUR).cost(4).into());
        let forced = (key!("forced", index), Limit::sliding_window(5, HOUR).cost(7).forced().into());
        let answer = subject.check_all(&[expensive.clone(), forced.clone()]).expect("the store answers");
        let remaining: Vec<_> = answer.each().iter().map(Decision::remaining).collect();
        assert_eq!((answer.decision().is_admitted(), answer.binding(), remaining), (true, 1, vec![1, 0]), "{subject}");

        let answer = subject.check_all(&[forced, expensive, blocked]).expect("the store answers");
        assert_eq!(answer.decision().retry_after(), Some(RetryAfter::Never), "{subject}: {answer:?}");
        assert_eq!(answer.binding(), 2, "{subject}: {answer:?}");
    });
}

#[test]
fn concurrent_calls_are_charged_one_by_one() {
    const THREADS: usize = 8;
    const CALLS: usize = 40;
    with_each(|subject, index| {
        // Each thread shares one key with all threads, and one with its neighbour, in another
        // order.
        let limit = |name: &str, of: usize, quota| -> (Key<'static>, AnyLimit) {
            (key!("threads", index, name, of), Limit::token_bucket(quota, HOUR * 10_000).into())
        };
        let admitted = [(); THREADS].map(|()| AtomicU64::new(0));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let admitted = &admitted;
                scope.spawn(move || {
                    let mut limits = vec![
                        limit("pair", thread, 50),
                        limit("all", 0, 150),
                        limit("pair", (thread + 1) % THREADS, 50),
                    ];
                    limits.rotate_left(thread % 3);
                    for _ in 0..CALLS {
                        let answer = subject.check_all(&limits).expect("the store answers");
                        admitted[thread].fetch_add(answer.decision().is_admitted().into(), Ordering::Relaxed);
                    }
                });
            }
        });
        let admitted = admitted.map(AtomicU64::into_inner);
        let used = |name, of, quota| {
            let (key, limit) = limit(name, of, quota);
            quota - subject.peek(&key, limit).map_or(0, |would| would.remaining() + u64::from(would.is_admitted()))
        };
        let sum: u64 = admitted.iter().sum();
        assert_eq!(sum, used("all", 0, 150), "{subject}: {admitted:?}");
        for thread in 0..THREADS {
            let neighbour = (thread + THREADS - 1) % THREADS;
            assert_eq!(admitted[thread] + admitted[neighbour], used("pair", thread, 50), "{subject}: {admitted:?}");
        }
        // No call was limited without reason: some key is used up.
        assert!(sum == 150 || (0..THREADS).any(|of| used("pair", of, 50) == 50), "{subject}: {admitted:?}");
    });
}

/// Even if two calls name the same keys in opposite order.
#[test]
fn calls_in_memory_do_not_deadlock() {
    let throttler = Throttler::builder(Backend::memory()).build();
    let (done, all_done) = mpsc::channel();
    for thread in 0..8 {
        let (throttler, done) = (throttler.clone(), done.clone());
        thread::spawn(move || {
            let mut limits: Vec<_> =
                (0..16).map(|of| (key!("order", of), Limit::fixed_window(1, HOUR).into())).collect();
            if thread % 2 == 0 {
                limits.reverse();
            }
            for _ in 0..5_000 {
                let _ = throttler.check_all(&limits).expect("memory answers");
            }
            done.send(()).expect("the test still waits");
        });
    }
    for _ in 0..8 {
        all_done.recv_timeout(Duration::from_secs(60)).expect("the calls do not deadlock");
    }
}

#[test]
fn a_refused_call_is_charged_to_no_limit() {
    with_each(|subject, index| {
        let limit: AnyLimit = Limit::fixed_window(100, HOUR).into();
        let many: Vec<_> = (0..17).map(|of| (key!("many", index, of), limit)).collect();
        assert_eq!(subject.check_all(&many[..16]).expect("the store answers").each().len(), 16, "{subject}");
        let twice = [many[0].clone(), many[1].clone(), many[0].clone()];
        let expected = [
            (&many[..], "a call may have at most 16 limits"),
            (&twice, "a key may be named only once"),
            (&[], "a call must have a limit"),
        ];
        for (limits, sentence) in expected {
            let error = subject.check_all(limits).expect_err("they are invalid together");
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Configuration, sentence), "{subject}");
        }
        assert_eq!(subject.peek(&many[0].0, limit).expect("the store answers").remaining(), 98, "{subject}");

        // Another algorithm makes another key.
        let other = (many[0].0.clone(), Limit::sliding_window(100, HOUR).into());
        assert!(subject.check_all(&[many[0].clone(), other]).expect("the store answers").decision().is_admitted());
    });
}

#[test]
fn memory_refuses_the_limits_that_throttlers_refuse() {
    let memory = MemoryBackend::new();
    let limit: AnyLimit = Limit::fixed_window(1, HOUR).into();
    for limits in [&[][..], &[("key", limit), ("key", Limit::sliding_window(1, HOUR).into())], &[("key", limit); 17]] {
        let error = memory.decide_all(limits).expect_err("they are invalid together");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert!(memory.decide_all(&[("a", limit), ("b", limit)]).is_ok_and(|answer| answer.decision().is_admitted()));
    assert_eq!(memory.len(), 2);
    assert!(memory.decide_all(&[("a", limit), ("c", limit)]).is_ok_and(|answer| !answer.decision().is_admitted()));
    assert_eq!(memory.len(), 2, "a limited call created a key");
}

#[test]
fn cluster_keys_must_be_in_one_slot() {
    let cluster = Cluster::start(3);
    for subject in Setup::default().on_cluster(&cluster.urls()) {
        let limit: AnyLimit = Limit::fixed_window(2, HOUR).into();
        let apart = [(key!("apart", "a"), limit), (key!("apart", "b"), limit), (key!("apart", "c"), limit)];
        let error = subject.check_all(&apart).expect_err("they are on several nodes");
        assert_eq!(error.kind(), ErrorKind::Refused, "{subject}: {error}");
        assert!(error.to_string().contains("put what they have in common into braces"), "{error:#}");
        for (key, limit) in apart {
            assert_eq!(subject.peek(&key, limit).expect("the cluster answers").remaining(), 1, "{subject}");
        }

        for user in 0..10 {
            let user = format!("{{{user}}}");
            let together = [(key!("second", &user), limit), (key!("day", &user), limit)];
            assert_eq!(subject.check_all(&together).expect("they are on one node").decision().limit(), 2, "{subject}");
        }
    }
}
