//! Admitted calls that replicas confirm.

use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AnyLimit, AsyncBackend, AsyncThrottler, Backend, ErrorKind, Limit, OnError, Throttler, Token, key,
};
use premier_test_server::{Cluster, Server, patience};

use crate::stores::{LOCAL, Setup, Subject};

const LIMIT: Limit<Token> = Limit::token_bucket(3, Duration::from_secs(24 * 60 * 60));

/// Too long to wait for.
const ENDLESS: Duration = Duration::from_secs(60 * 60);

const SHORT: Duration = Duration::from_millis(300);

fn confirmed_by(replicas: u32, timeout: Duration) -> Setup {
    Setup { confirmed_by: Some((replicas, timeout)), ..Setup::default() }
}

/// All that can confirm calls.
fn on_server(setup: Setup, port: u16) -> Vec<Subject> {
    let mut subjects = setup.on_server(port);
    subjects.truncate(2);
    subjects.extend(setup.on_given(port));
    subjects.extend(setup.scripted(port));
    subjects
}

fn start_with_replica() -> [Server; 2] {
    let server = || Server::builder().config("repl-diskless-sync-delay", "0").start();
    let [primary, replica] = [server(), server()];
    let of = ["127.0.0.1".to_owned(), primary.port().to_string()];
    redis::cmd("REPLICAOF").arg(&of).exec(&mut replica.connection()).expect("the server answers");
    let start = Instant::now();
    let mut connection = primary.connection();
    redis::cmd("SET").arg(&["written", "first"]).exec(&mut connection).expect("the server answers");
    while redis::cmd("WAIT").arg(&[1, 100]).query::<u64>(&mut connection) != Ok(1) {
        assert!(start.elapsed() < patience(), "the replica does not connect");
    }
    [primary, replica]
}

fn both(user: usize) -> [(premier_client::Key<'static>, AnyLimit); 2] {
    [(key!("both", user), LIMIT.into()), (key!("both", user, "too"), LIMIT.into())]
}

#[test]
fn an_admitted_call_is_confirmed_by_the_replicas() {
    let [primary, replica] = start_with_replica();
    for (user, subject) in on_server(confirmed_by(1, ENDLESS), primary.port()).iter().enumerate() {
        for used in 1..=3 {
            let decision = subject.check(&key!("confirmed", user), LIMIT).expect("the store answers");
            assert_eq!((decision.remaining(), decision.confirmed_by()), (3 - used, Some(1)), "{subject}");
            // It is there without waiting.
            let keys: usize = redis::cmd("EXISTS")
                .arg(format!("premier:confirmed:token:{user}"))
                .query(&mut replica.connection())
                .expect("it answers");
            assert_eq!(keys, 1, "{subject}");
        }
        let limited = subject.check(&key!("confirmed", user), LIMIT).expect("the store answers");
        assert_eq!((limited.is_admitted(), limited.confirmed_by()), (false, None), "{subject}");
        let admitted = subject.check_all(&both(user)).expect("the store answers");
        assert_eq!(admitted.decision().confirmed_by(), Some(1), "{subject}");
        let acquired = subject.acquire(&key!("acquired", user), LIMIT, Duration::ZERO).expect("the store answers");
        assert_eq!(acquired.confirmed_by(), Some(1), "{subject}");
        let peeked = subject.peek(&key!("acquired", user), LIMIT).expect("the store answers");
        assert_eq!(peeked.confirmed_by(), None, "{subject}");
    }
}

#[test]
fn a_call_of_a_cluster_is_confirmed_by_the_replicas_of_its_node() {
    let mut cluster = Cluster::start_with_replicas(1, &[]);
    let urls = cluster.urls()[..1].to_vec();
    let subjects = |timeout| {
        let mut subjects = confirmed_by(1, timeout).on_cluster(&urls);
        subjects.extend(confirmed_by(1, timeout).scripted_on_cluster(&urls));
        subjects
    };
    for (user, subject) in subjects(ENDLESS).iter().enumerate() {
        let decision = subject.check(&key!("confirmed", user), LIMIT).expect("the store answers");
        assert_eq!(decision.confirmed_by(), Some(1), "{subject}");
    }
    cluster.nodes_mut()[1].suspend();
    for (user, subject) in subjects(SHORT).iter().enumerate() {
        let decision = subject.check(&key!("confirmed", user), LIMIT).expect("the store answers");
        assert_eq!((decision.remaining(), decision.confirmed_by()), (1, Some(0)), "{subject}");
    }
}

#[test]
fn a_call_that_no_replica_confirms_is_charged_once_and_says_so() {
    let server = Server::start();
    for (user, subject) in on_server(confirmed_by(1, SHORT), server.port()).iter().enumerate() {
        let start = Instant::now();
        let decision = subject.check(&key!("alone", user), LIMIT).expect("the store answers");
        assert_eq!((decision.remaining(), decision.confirmed_by()), (2, Some(0)), "{subject}");
        assert!(start.elapsed() >= SHORT && start.elapsed() < patience(), "{subject}: {:?}", start.elapsed());
        let receipt = subject.charge(&key!("alone", user), LIMIT).expect("the store answers");
        assert_eq!(receipt.remaining(), 1, "{subject}");
        assert_eq!(subject.give_back(receipt).expect("the store answers"), 1, "{subject}");
    }
    // A timeout of zero is not the endless one of WAIT.
    let decision = confirmed_by(1, Duration::ZERO).on_server(server.port())[0].check(&key!("hasty"), LIMIT);
    assert_eq!(decision.expect("the store answers").confirmed_by(), Some(0));
}

#[test]
fn while_a_replica_hangs_only_admitted_calls_wait_for_it() {
    let [primary, mut replica] = start_with_replica();
    replica.suspend();
    for (user, subject) in on_server(confirmed_by(1, SHORT), primary.port()).iter().enumerate() {
        for used in 1..=3 {
            let start = Instant::now();
            let decision = subject.check(&key!("hangs", user), LIMIT).expect("the store answers");
            assert_eq!((decision.remaining(), decision.confirmed_by()), (3 - used, Some(0)), "{subject}");
            assert!(start.elapsed() >= SHORT, "{subject}");
        }
    }
    for (user, subject) in on_server(confirmed_by(1, ENDLESS), primary.port()).iter().enumerate() {
        let decision = subject.check(&key!("hangs", user), LIMIT).expect("the store answers");
        assert!(!decision.is_admitted(), "{subject}");
    }
    replica.resume();
    for (user, subject) in on_server(confirmed_by(1, ENDLESS), primary.port()).iter().enumerate() {
        let decision = subject.check(&key!("resumed", user), LIMIT).expect("the store answers");
        assert_eq!(decision.confirmed_by(), Some(1), "{subject}");
    }
}

/// Neither those that wait for replicas, too, nor those that do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_replicas_blocks_no_other() {
    const CALLS: usize = 20;
    const TIMEOUT: Duration = Duration::from_secs(1);
    let server = Server::start();
    let backend = AsyncBackend::redis(format!("redis://127.0.0.1:{}", server.port())).expect("a valid address");
    let confirmed = AsyncThrottler::builder(backend.clone()).deadline(patience()).confirmed_by(1, TIMEOUT).build();
    let other = AsyncThrottler::builder(backend).deadline(patience()).build();
    let start = Instant::now();
    let call = |user| {
        let throttler = confirmed.clone();
        tokio::spawn(async move { throttler.check(&key!("waits", user), LIMIT).await })
    };
    let calls: Vec<_> = (0..CALLS).map(call).collect();
    for user in 0..CALLS {
        assert!(other.check(&key!("other", user), LIMIT).await.expect("the store answers").is_admitted());
    }
    assert!(start.elapsed() < TIMEOUT, "calls wait for those that wait for replicas");
    for call in calls {
        let receipt = call.await.expect("no panic").expect("the store answers");
        assert_eq!(receipt.confirmed_by(), Some(0));
    }
    assert!(start.elapsed() < 3 * TIMEOUT, "calls wait one after the other: {:?}", start.elapsed());
}

/// The reply to the call itself has come, so nothing is in doubt except the replicas.
#[test]
fn a_primary_that_dies_before_the_replicas_confirm_has_decided() {
    for index in 0..4 {
        let mut server = Server::start();
        let subject = on_server(confirmed_by(1, ENDLESS), server.port()).remove(index);
        thread::scope(|scope| {
            let call = scope.spawn(|| subject.check(&key!("dies"), LIMIT));
            let start = Instant::now();
            let mut connection = server.connection();
            let blocked = |info: String| info.contains("blocked_clients:1");
            while !redis::cmd("INFO").arg("clients").query(&mut connection).map(blocked).expect("it answers") {
                assert!(start.elapsed() < patience(), "{subject} does not wait for replicas");
                thread::sleep(Duration::from_millis(5));
            }
            server.kill();
            let decision = call.join().expect("no panic").expect("the call was decided");
            assert_eq!((decision.is_admitted(), decision.confirmed_by()), (true, Some(0)), "{subject}");
        });
    }
}

#[test]
fn what_connects_anew_on_its_own_cannot_confirm() {
    let server = Server::start();
    let setup = Setup { on_error: OnError::Admit, ..confirmed_by(1, ENDLESS) };
    let manager = setup.on_server(server.port()).remove(2);
    let error = manager.check(&key!("manager"), LIMIT).expect_err("it cannot confirm");
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");
    let keys: Result<u64, _> = redis::cmd("DBSIZE").query(&mut server.connection());
    assert_eq!(keys, Ok(0), "the call was charged");
    assert_eq!(manager.peek(&key!("manager"), LIMIT).expect("nothing to confirm").remaining(), 2);

    let cluster = Cluster::start(1);
    let error = setup.on_given_cluster(&cluster.urls()).check(&key!("cluster"), LIMIT).expect_err("it cannot confirm");
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");
}

#[test]
fn memory_has_no_replicas() {
    for subject in confirmed_by(1, ENDLESS).in_memory() {
        assert_eq!(subject.check(&key!("memory"), LIMIT).expect("it decides").confirmed_by(), None, "{subject}");
    }
    let backend = Backend::redis("redis://127.0.0.1:1").expect("a valid address");
    let throttler = Throttler::builder(backend).on_error(LOCAL).confirmed_by(1, ENDLESS).build();
    assert_eq!(throttler.check(&key!("local"), LIMIT).expect("it decides").confirmed_by(), None);
}
