//! Limits that are tried on real traffic, and limit nothing.

use std::time::{Duration, Instant};

use metrics::with_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use premier_client::{Algorithm, Backend, DecidedBy, Hold, Limit, Throttler, key};
use premier_test_server::Server;

use crate::stores::{Setup, Subject, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Returns a throttler of each kind in shadow.
fn subjects(server: &Server, keyspace: &'static str) -> Vec<Subject> {
    let setup = Setup { keyspace, is_shadow: true, ..Setup::default() };
    setup.in_memory().into_iter().chain(setup.on_server(server.port())).collect()
}

/// By each algorithm.
#[test]
fn a_shadow_charges_as_ever_and_admits_all_at_once() {
    let server = Server::start();
    for (index, subject) in subjects(&server, "shadow").iter().enumerate() {
        for limit in limits(2, HOUR) {
            let key = key!("all", index);
            let start = Instant::now();
            for call in 0..4 {
                let decision = subject.check(&key, limit).expect("it is decided");
                let by = if call < 2 { DecidedBy::Store } else { DecidedBy::Shadow };
                assert_eq!(decision.wait(), Some(Duration::ZERO), "{subject}, {limit}");
                assert_eq!((decision.decided_by(), decision.limit()), (by, 2), "{subject}, {limit}, call {call}");
            }
            let usage = subject.inspect(&key, limit.algorithm()).expect("it answers").expect("it is used");
            assert_eq!(usage.used(), 2, "{subject}, {limit}");
            // Whether it would have to ask again, to queue, or to borrow.
            let acquired = subject.acquire(&key, limit, 2 * HOUR).expect("it is decided");
            assert_eq!(acquired.wait(), Some(Duration::ZERO), "{subject}, {limit}");
            assert!(start.elapsed() < HOUR / 60, "{subject}, {limit}");
        }
    }
}

#[test]
fn peeking_shows_the_limit_in_shadow() {
    for subject in (Setup { is_shadow: true, ..Setup::default() }).in_memory() {
        let limit = Limit::fixed_window(1, HOUR);
        assert!(subject.check(&key!("peek"), limit).expect("it is decided").is_admitted());
        assert!(!subject.peek(&key!("peek"), limit).expect("it is decided").is_admitted(), "{subject}");
    }
}

#[test]
fn a_call_that_is_limited_in_shadow_has_nothing_to_refund() {
    let server = Server::start();
    for (index, subject) in subjects(&server, "refund").iter().enumerate() {
        let (key, other) = (key!("one", index), key!("other", index));
        let limit = Limit::fixed_window(2, HOUR);
        let first = subject.charge(&key, limit.cost(2)).expect("it is decided");
        let second = subject.charge(&key, limit).expect("it is decided");
        assert_eq!(second.decided_by(), DecidedBy::Shadow, "{subject}");
        assert_eq!(subject.give_back(second).expect("it answers"), 0, "{subject}");

        let joint = subject.charge_all(&[(key, limit.into()), (other.clone(), limit.into())]);
        let joint = joint.expect("it is decided");
        assert!(joint.is_admitted() && joint.each().iter().all(premier_client::Decision::is_admitted), "{subject}");
        assert_eq!(joint.decision().decided_by(), DecidedBy::Shadow, "{subject}");
        assert_eq!(subject.give_back(joint).expect("it answers"), 0, "{subject}");
        assert_eq!(subject.inspect(&other, Algorithm::FixedWindow).expect("it answers"), None, "{subject}");

        assert_eq!(subject.give_back(first).expect("it answers"), 2, "{subject}");
        let some = subject.check_at_most(&key!("some", index), Limit::fixed_window(0, HOUR), 5).expect("it is decided");
        assert_eq!((some.is_admitted(), some.granted()), (true, Some(5)), "{subject}");
        assert_eq!(subject.give_back(some).expect("it answers"), 0, "{subject}");
    }
}

/// Nor does one wait for a place.
#[test]
fn a_permit_that_is_given_in_shadow_holds_nothing() {
    let server = Server::start();
    for (index, subject) in subjects(&server, "held").iter().enumerate() {
        let (key, jobs) = (key!("jobs", index), Limit::concurrency(1, HOUR));
        let used = || subject.inspect(&key, Hold).expect("it answers").map_or(0, |usage| usage.used());
        let start = Instant::now();
        let first = subject.hold(&key, jobs).expect("it is decided");
        let mut permits = vec![subject.hold(&key, jobs).expect("it is decided")];
        permits.push(subject.hold_within(&key, jobs, HOUR).expect("it is decided"));
        let rate = [(key!("rate", index), Limit::fixed_window(5, HOUR).into())];
        let (permit, receipt) = subject.hold_all(&key, jobs, &rate).expect("it is decided");
        assert_eq!(receipt.decision().decided_by(), DecidedBy::Shadow, "{subject}");
        assert_eq!(subject.give_back(receipt).expect("it answers"), 0, "{subject}");
        permits.push(permit);
        assert!(start.elapsed() < HOUR / 60, "{subject}");
        assert_eq!((first.decision().decided_by(), used()), (DecidedBy::Store, 1), "{subject}");
        for permit in permits {
            assert_eq!(permit.decision().decided_by(), DecidedBy::Shadow, "{subject}");
            assert!(permit.renew().is_ok() && !permit.is_lost(), "{subject}");
            assert_eq!((permit.release().ok(), used()), (Some(0), 1), "{subject}");
        }
        assert_eq!(first.release().ok(), Some(1), "{subject}");
    }
}

#[test]
fn metrics_show_what_is_limited_in_shadow() {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        let throttler = Throttler::builder(Backend::memory()).shadow().build();
        for _ in 0..3 {
            let _ = throttler.check(&key!("new"), Limit::fixed_window(1, HOUR)).expect("it is decided");
        }
    });
    let text = recorder.handle().render();
    for (answer, count) in [("admitted", 1), ("shadow", 2)] {
        let line = format!(r#"{{limit="new",answer="{answer}",decided_by="store"}} {count}"#);
        assert!(text.contains(&line), "{line}: {text}");
    }
}
