//! The server dies during a call, is down for two seconds, and comes back.

use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    Algorithm, AnyLimit, DecidedBy, Decision, Error, ErrorKind, Key, Keyspace, Limit, OnError, RetryAfter, Token, key,
};
use premier_test_server::{Cluster, Proxy, Server};

use crate::stores::{LOCAL, LOCALLY, Setup, Subject};

const QUOTA: u64 = 20;
const LIMIT: Limit<Token> = Limit::token_bucket(QUOTA, Duration::from_secs(24 * 60 * 60));

const DEADLINE: Duration = Duration::from_millis(300);
const DOWN: Duration = Duration::from_secs(2);
const AT_MOST: Duration = Duration::from_secs(20);

/// The pause between calls of a service that is not busy.
const PAUSE: Duration = Duration::from_millis(20);

/// The settings of a server that forgets no admitted call, even if it is killed.
const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// What a caller saw while the store was down.
#[derive(Default)]
struct Seen {
    admitted: u64,
    limited: u64,
    failed: u64,
}

/// Each subject makes a call that the dying server does not answer, and more calls until the server
/// is back.
///
/// With a proxy, which loses the reply, the server has charged that call; without a proxy it has
/// not.
fn outage(on_error: OnError, subjects: &[Subject], server: &mut Server, proxy: Option<&Proxy>) {
    let keys: Vec<Key> = (0..subjects.len()).map(|index| key!("outage", index)).collect();
    let check = |index: usize| subjects[index].check(&keys[index], LIMIT);
    let each = || 0..subjects.len();

    for index in each() {
        let before = check(index).expect("the store answers");
        assert_eq!((before.remaining(), before.decided_by()), (QUOTA - 1, DecidedBy::Store));
    }

    // The server dies during a call: after charging it, or before.
    let in_mid_call: Vec<_> = if let Some(proxy) = proxy {
        let lost = |index| {
            proxy.lose_next_reply();
            let result = check(index);
            proxy.wait_until_lost();
            result
        };
        let lost = each().map(lost).collect();
        server.kill();
        lost
    } else {
        redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut server.connection()).expect("it answers");
        thread::scope(|scope| {
            let calls: Vec<_> = each().map(|index| scope.spawn(move || check(index))).collect();
            // Well within the deadline, so that the call ends by the server's death.
            thread::sleep(DEADLINE / 3);
            server.kill();
            calls.into_iter().map(|call| call.join().expect("no panic")).collect()
        })
    };
    let mut local = vec![0; subjects.len()];
    for (index, result) in in_mid_call.into_iter().enumerate() {
        if on_error == OnError::Fail {
            let error = result.expect_err("there is no reply");
            assert_eq!(error.kind(), ErrorKind::ReplyLost, "{}: {error}", subjects[index]);
        } else {
            local[index] += u64::from(by_policy(on_error, result).is_admitted());
        }
    }

    // The server is down.
    let gone = Instant::now();
    let seen: Vec<Seen> = thread::scope(|scope| {
        let callers: Vec<_> =
            each().map(|index| scope.spawn(move || call_while_down(on_error, gone, || check(index)))).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    for (index, seen) in seen.iter().enumerate() {
        let (subject, Seen { admitted, limited, failed }) = (&subjects[index], seen);
        let seen = format!("{subject}, {on_error:?}: {admitted} admitted, {limited} limited, {failed} failed");
        match on_error {
            OnError::Fail => assert!(*failed > 0 && admitted + limited == 0, "{seen}"),
            OnError::Admit => assert!(*admitted > QUOTA && limited + failed == 0, "{seen}"),
            OnError::Limit => assert!(*limited > QUOTA && admitted + failed == 0, "{seen}"),
            _ => assert!(admitted + local[index] == QUOTA && *limited > 0 && *failed == 0, "{seen}"),
        }
    }

    // The server is back, and has charged what it had admitted.
    server.start_again();
    for index in each() {
        let subject = &subjects[index];
        let back = Instant::now();
        let decision = loop {
            match check(index) {
                Ok(decision) if decision.decided_by() == DecidedBy::Store => break decision,
                other => assert!(back.elapsed() < AT_MOST, "{subject} does not recover: {other:?}"),
            }
            thread::sleep(PAUSE);
        };
        let charged = 1 + u64::from(proxy.is_some());
        assert_eq!(decision.remaining(), QUOTA - charged - 1, "{subject}, {on_error:?}");
        for _ in 0..3 {
            let by = check(index).map(|decision| decision.decided_by());
            assert!(matches!(by, Ok(DecidedBy::Store)), "{subject}, {on_error:?}: the store is back, but {by:?}");
        }
    }
}

fn call_while_down(on_error: OnError, gone: Instant, check: impl Fn() -> Result<Decision, Error>) -> Seen {
    let mut seen = Seen::default();
    while gone.elapsed() < DOWN {
        match check() {
            Err(error) if on_error == OnError::Fail => {
                assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost), "{error}");
                seen.failed += 1;
            }
            answer => {
                let is_admitted = by_policy(on_error, answer).is_admitted();
                seen.admitted += u64::from(is_admitted);
                seen.limited += u64::from(!is_admitted);
            }
        }
        thread::sleep(PAUSE);
    }
    seen
}

/// Checks a decision in place of the store's, which must say so.
fn by_policy(on_error: OnError, answer: Result<Decision, Error>) -> Decision {
    let decision = answer.expect("the policy decides");
    let by = if on_error == LOCAL { LOCALLY } else { DecidedBy::OnError };
    assert_eq!(decision.decided_by(), by);
    assert_eq!(decision.limit(), QUOTA);
    if on_error == OnError::Limit {
        assert_eq!(decision.retry_after(), Some(RetryAfter::After(DEADLINE)));
    }
    decision
}

fn setup(on_error: OnError) -> Setup {
    Setup { deadline: DEADLINE, on_error, ..Setup::default() }
}

fn durable_server() -> Server {
    DURABLE.iter().fold(Server::builder(), |server, (name, value)| server.config(name, value)).start()
}

/// The reply is lost, so only the server knows that the call was charged.
fn server_dies_after_charging(on_error: OnError) {
    let mut server = durable_server();
    let proxy = Proxy::start(server.port());
    let subjects = setup(on_error).on_server(proxy.port());
    outage(on_error, &subjects, &mut server, Some(&proxy));
}

fn server_dies_before_charging(on_error: OnError) {
    let mut server = durable_server();
    let subjects = setup(on_error).on_server(server.port());
    outage(on_error, &subjects, &mut server, None);
}

fn cluster_dies(on_error: OnError) {
    let mut cluster = Cluster::start_with(1, &DURABLE);
    let subjects = setup(on_error).on_cluster(&cluster.urls());
    outage(on_error, &subjects, &mut cluster.nodes_mut()[0], None);
}

/// Defines tests for each policy.
macro_rules! under_each_policy {
    ($($policy:ident: $on_error:expr;)+) => {
        $(
            mod $policy {
                use super::*;

                #[test]
                fn holds_when_the_server_dies_after_charging() {
                    server_dies_after_charging($on_error);
                }

                #[test]
                fn holds_when_the_server_dies_before_charging() {
                    server_dies_before_charging($on_error);
                }

                #[test]
                fn holds_when_a_node_of_a_cluster_dies() {
                    cluster_dies($on_error);
                }
            }
        )+
    };
}

under_each_policy! {
    fail: OnError::Fail;
    admit: OnError::Admit;
    limit: OnError::Limit;
    decide_locally: LOCAL;
}

/// Outages are per node.
#[test]
fn a_dead_node_of_a_cluster_overrules_no_other_node() {
    const NODES: usize = 3;
    for on_error in [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL] {
        let mut cluster = Cluster::start(NODES);
        let name = |key: &Key<'_>| Keyspace::default().key(key, Algorithm::TokenBucket);
        for (index, subject) in setup(on_error).on_cluster(&cluster.urls()).iter().enumerate() {
            if index > 0 {
                cluster.nodes_mut()[0].start_again();
                cluster.wait_until_agreed();
            }
            let mut keys = vec![Vec::new(); NODES];
            for user in 0..30 {
                let key = key!("node", index * 100 + user);
                keys[cluster.locate(&name(&key)).1].push(key);
            }
            let one = Limit::token_bucket(1, DOWN * 1000);
            for key in keys.iter().flatten() {
                assert!(subject.check(key, one).expect("the cluster answers").is_admitted(), "{subject}");
            }
            cluster.nodes_mut()[0].kill();
            for _ in 0..5 {
                for healthy in keys[1..].iter().flatten() {
                    let dead = &keys[0][0];
                    match subject.check(dead, one) {
                        Ok(decision) => assert_ne!(decision.decided_by(), DecidedBy::Store, "{subject}, {on_error:?}"),
                        Err(error) => assert_eq!(on_error, OnError::Fail, "{subject}: {error}"),
                    }
                    let decision = subject.check(healthy, one).expect("its node answers");
                    let by = (decision.decided_by(), decision.is_admitted());
                    assert_eq!(by, (DecidedBy::Store, false), "{subject}, {on_error:?}");
                }
            }
        }
    }
}

/// Waiting for one node costs the calls to others nothing.
#[test]
fn a_hanging_node_of_a_cluster_overrules_no_other_node() {
    let cluster = Cluster::start(2);
    for (index, subject) in setup(OnError::Admit).on_cluster(&cluster.urls()).iter().enumerate() {
        let mut keys = vec![Vec::new(); 2];
        for user in 0..20 {
            let key = key!("hanging", index * 100 + user);
            keys[cluster.locate(&Keyspace::default().key(&key, Algorithm::TokenBucket)).1].push(key);
        }
        for key in keys.iter().flatten() {
            assert!(subject.check(key, LIMIT).expect("the cluster answers").is_admitted(), "{subject}");
        }
        // The first node, which was named first, leaves all calls unanswered.
        let mut hanging = cluster.nodes()[0].connection();
        redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut hanging).expect("it answers");
        for left in [18, 17, 16] {
            let decision = subject.check(&keys[0][0], LIMIT).expect("the policy admits it");
            assert_eq!(decision.decided_by(), DecidedBy::OnError, "{subject}");
            for healthy in &keys[1] {
                let decision = subject.check(healthy, LIMIT).expect("its node answers");
                assert_eq!((decision.decided_by(), decision.remaining()), (DecidedBy::Store, left), "{subject}");
            }
            thread::sleep(DEADLINE);
        }
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut hanging).expect("it answers");
    }
}

/// The promoted replica is found through the other nodes.
#[test]
fn a_cluster_is_used_again_after_a_failover() {
    for index in 0..2 {
        let mut cluster = Cluster::start_with_replicas(3, &[("cluster-node-timeout", "500")]);
        let seed = cluster.urls()[1].clone();
        let subject = &setup(OnError::Admit).on_cluster(&[seed])[index];
        let name = |key: &Key<'_>| Keyspace::default().key(key, Algorithm::TokenBucket);
        let key = (0..100).map(|user| key!("failover", user)).find(|key| cluster.locate(&name(key)).1 == 0);
        let key = key.expect("a third of all keys is there");
        assert_eq!(subject.check(&key, LIMIT).expect("the cluster answers").decided_by(), DecidedBy::Store);
        cluster.nodes_mut()[0].kill();
        let gone = Instant::now();
        while subject.check(&key, LIMIT).expect("the policy admits it").decided_by() != DecidedBy::Store {
            assert!(gone.elapsed() < AT_MOST, "{subject} does not find the new primary");
            thread::sleep(PAUSE);
        }
    }
}

/// One call discovers that many connections broke together.
#[test]
fn one_lost_call_is_enough_to_notice_a_restart() {
    const CONNECTIONS: u64 = 6;
    let mut server = durable_server();
    for subject in Setup::default().on_server(server.port()) {
        // So that all connections are in use at the same time.
        redis::cmd("CLIENT").arg("PAUSE").arg(300).arg("WRITE").exec(&mut server.connection()).expect("it answers");
        thread::scope(|scope| {
            for user in 0..CONNECTIONS {
                let subject = &subject;
                scope.spawn(move || subject.check(&key!("many", user), LIMIT).map(|decision| decision.is_admitted()));
            }
        });
        server.kill();
        server.start_again();
        let failed = (0..CONNECTIONS).filter(|user| subject.check(&key!("many", user), LIMIT).is_err()).count();
        assert!(failed <= 1, "{subject}: {failed} calls failed");
    }
}

#[test]
fn a_server_that_is_back_is_used_at_the_next_call() {
    let mut server = durable_server();
    for subject in (Setup { deadline: Duration::from_secs(5), ..Setup::default() }).on_server(server.port()) {
        assert!(subject.check(&key!("back"), LIMIT).is_ok());
        server.kill();
        for _ in 0..2 {
            assert!(subject.check(&key!("back"), LIMIT).is_err(), "{subject}");
        }
        server.start_again();
        let decision = subject.check(&key!("back"), LIMIT);
        assert!(decision.is_ok(), "{subject}: {decision:?}");
    }
}

#[test]
fn local_usage_is_cleared_too() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    for subject in setup(LOCAL).on_server(port) {
        let limit = Limit::fixed_window(1, DOWN * 100);
        let is_admitted = || subject.check(&key!("local"), limit).expect("it is decided locally").is_admitted();
        assert!(is_admitted() && !is_admitted(), "{subject}");
        let error = subject.clear(&Keyspace::default()).expect_err("the store is down");
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost), "{error}");
        assert!(is_admitted(), "{subject}");
    }
}

#[test]
fn every_method_follows_the_policy() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    let [one, other]: [AnyLimit; 2] = [Limit::fixed_window(3, DOWN * 100).into(), LIMIT.into()];
    let (first, second) = (key!("policy"), key!("other"));
    let together = [(second.clone(), other), (first.clone(), one)];
    let by = |decision: &Decision| (decision.is_admitted(), decision.decided_by(), decision.remaining());

    for subject in setup(OnError::Fail).on_server(port) {
        let errors = [
            subject.peek(&first, one).expect_err("the store is down"),
            subject.refund(&first, one, 1).expect_err("the store is down"),
            subject.check_all(&together).expect_err("the store is down"),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost), "{subject}: {error}");
        }
    }
    for (on_error, is_admitted) in [(OnError::Admit, true), (OnError::Limit, false)] {
        let remaining = |limit| if is_admitted { limit } else { 0 };
        let fallback = |limit| (is_admitted, DecidedBy::OnError, remaining(limit));
        for subject in setup(on_error).on_server(port) {
            let peeked = subject.peek(&first, one).expect("the policy decides");
            assert_eq!(by(&peeked), fallback(3), "{subject}, {on_error:?}");
            assert_eq!(subject.refund(&first, one, 1).expect("the policy decides"), 0, "{subject}, {on_error:?}");
            let answer = subject.check_all(&together).expect("the policy decides");
            let each: Vec<_> = answer.each().iter().map(by).collect();
            assert_eq!(each, [fallback(QUOTA), fallback(3)], "{subject}, {on_error:?}");
            assert_eq!(answer.binding(), usize::from(is_admitted), "{subject}, {on_error:?}");
            assert_eq!(answer.decision(), answer.each()[answer.binding()], "{subject}, {on_error:?}");
            let retry = (!is_admitted).then_some(RetryAfter::After(DEADLINE));
            assert_eq!((peeked.retry_after(), answer.decision().retry_after()), (retry, retry), "{subject}");
        }
    }
    for subject in setup(LOCAL).on_server(port) {
        let local = |is_admitted, remaining| (is_admitted, LOCALLY, remaining);
        for left in [2, 1, 0] {
            let peeked = subject.peek(&first, one).expect("it is decided locally");
            let answer = subject.check_all(&together).expect("it is decided locally");
            assert_eq!((by(&peeked), by(&answer.decision())), (local(true, left), local(true, left)), "{subject}");
        }
        let answer = subject.check_all(&together).expect("it is decided locally");
        assert_eq!((by(&answer.decision()), answer.binding()), (local(false, 0), 1), "{subject}");
        assert!(answer.each().iter().all(|alone| alone.decided_by() == LOCALLY), "{subject}");
        assert_eq!(subject.refund(&first, one, 1).expect("the store is down"), 0, "{subject}");
    }
}

/// No policy hides a call that is invalid.
#[test]
fn invalid_limits_are_not_an_outage() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    for on_error in [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL] {
        for subject in setup(on_error).on_server(port) {
            let twice = [(key!("twice"), LIMIT.into()), (key!("twice"), LIMIT.into())];
            for limits in [&[][..], &twice] {
                let error = subject.check_all(limits).expect_err("the limits are invalid");
                assert_eq!(error.kind(), ErrorKind::Configuration, "{subject}, {on_error:?}: {error}");
            }
        }
    }
}
