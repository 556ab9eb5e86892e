//! Throttlers on connections that somebody else has made.

use std::time::{Duration, Instant};

use premier_client::{ErrorKind, Keyspace, Limit, OnError, Token, key};
use premier_test_server::{Cluster, Proxy, Server};

use crate::stores::Setup;

const LIMIT: Limit<Token> = Limit::token_bucket(10, Duration::from_secs(24 * 60 * 60));

#[test]
fn given_connections_charge_each_call_once() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    for (user, subject) in Setup::default().on_given(proxy.port()).iter().enumerate() {
        let key = key!("given", user);
        for used in 1..=3 {
            assert_eq!(subject.check(&key, LIMIT).expect("it answers").remaining(), 10 - used, "{subject}");
        }
        proxy.lose_next_reply();
        let error = subject.check(&key, LIMIT).expect_err("the reply is lost");
        proxy.wait_until_lost();
        assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}: {error:#}");
    }
    // Whatever the given ones can do by now.
    let others = Setup::default().on_server(server.port());
    for user in 0..2 {
        let left = others[0].peek(&key!("given", user), LIMIT).expect("it answers").remaining();
        assert_eq!(left, 5, "a call was charged twice, or not");
    }
}

#[test]
fn a_given_pool_connects_anew_and_a_given_connection_does_not() {
    let mut server = Server::start();
    let subjects = Setup::default().on_given(server.port());
    let [connection, pool] = &subjects[..] else { panic!("there are two") };
    for subject in &subjects {
        assert!(subject.check(&key!("given"), LIMIT).expect("it answers").is_admitted(), "{subject}");
    }
    server.restart();
    assert!(pool.check(&key!("given"), LIMIT).expect("the pool connects anew").is_admitted());
    for _ in 0..2 {
        let error = connection.check(&key!("given"), LIMIT).expect_err("it is lost");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    }
    drop(server);
    let error = pool.check(&key!("given"), LIMIT).expect_err("there is no server");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
}

#[test]
fn given_connections_obey_the_throttlers_deadline_and_fallback() {
    let server = Server::start();
    let setup = Setup { deadline: Duration::from_millis(200), on_error: OnError::Limit, ..Setup::default() };
    for subject in setup.on_given(server.port()) {
        let pause = redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut server.connection());
        pause.expect("the server answers");
        let start = Instant::now();
        assert!(!subject.check(&key!("given"), LIMIT).expect("a fallback").is_admitted(), "{subject}");
        assert!(start.elapsed() < Duration::from_secs(5), "{subject} waited for longer than its deadline");
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut server.connection()).expect("the server answers");
    }
}

#[test]
fn a_given_cluster_connection_reaches_each_node() {
    let mut cluster = Cluster::start(2);
    let keyspace = Keyspace::default();
    let subject = Setup::default().on_given_cluster(&cluster.urls());
    for user in 0..20 {
        for used in 1..=2 {
            let decision = subject.check(&key!("given", user), LIMIT).expect("the cluster answers");
            assert_eq!(decision.remaining(), 10 - used);
        }
    }
    for node in cluster.nodes() {
        let keys: u64 = redis::cmd("DBSIZE").query(&mut node.connection()).expect("the node answers");
        assert!(keys > 0, "a node has no key");
    }
    let error = subject.clear(&keyspace).expect_err("a scan would reach one node");
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");

    let key = key!("given", 0);
    let (_, node) = cluster.locate("premier:given:token:0");
    cluster.nodes_mut()[node].kill();
    let error = subject.check(&key, LIMIT).expect_err("the node is down");
    assert_eq!(error.kind(), ErrorKind::ReplyLost, "{error:#}");
}
