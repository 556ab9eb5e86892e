//! A call whose reply is lost is never sent again.

use std::time::{Duration, Instant};

use premier_client::{ErrorKind, Limit, Token, key};
use premier_test_server::{Cluster, Proxy, Server};

use crate::stores::{Setup, Subject};

const LIMIT: Limit<Token> = Limit::token_bucket(10, Duration::from_secs(60 * 60));

/// Loses a reply to each method of each subject, on a connection that is in use already.
fn lose_a_reply_of_each(subjects: &[Subject], proxy: &Proxy) {
    for (index, subject) in subjects.iter().enumerate() {
        let key = key!("lost", subject.to_string(), index);
        assert_eq!(subject.check(&key, LIMIT).expect("the store answers").remaining(), 9, "{subject}");
        // A server that does not know a script refuses it, and that reply is not to be lost.
        let _ = subject.refund(&key!("known", subject.to_string()), LIMIT, 1).expect("the store answers");
        let _ = subject.check_all(&[(key!("known", subject.to_string()), LIMIT.into())]).expect("the store answers");

        proxy.lose_next_reply();
        let error = subject.check(&key, LIMIT).expect_err("the reply is lost");
        proxy.wait_until_lost();
        assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}: {error}");
        assert!(error.to_string().contains("the call may or may not have been charged"), "{error}");

        let next = subject.check(&key, LIMIT).expect("the store answers again");
        assert_eq!(next.remaining(), 7, "{subject}: the lost call was not charged exactly once");
        let next = subject.check(&key, LIMIT).expect("the store answers");
        assert_eq!(next.remaining(), 6, "{subject}");

        proxy.lose_next_reply();
        let error = subject.refund(&key, LIMIT, 2).expect_err("the reply is lost");
        proxy.wait_until_lost();
        assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}: {error}");
        let next = subject.peek(&key, LIMIT).expect("the store answers again");
        assert_eq!(next.remaining(), 7, "{subject}: two units were not given back exactly once");

        proxy.lose_next_reply();
        let error = subject.check_all(&[(key.clone(), LIMIT.into())]).expect_err("the reply is lost");
        proxy.wait_until_lost();
        assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}: {error}");
        let next = subject.peek(&key, LIMIT).expect("the store answers again");
        assert_eq!(next.remaining(), 6, "{subject}: the lost call was not charged exactly once");
    }
}

#[test]
fn a_server_is_never_sent_a_call_twice() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    lose_a_reply_of_each(&Setup::default().on_server(proxy.port()), &proxy);
    lose_a_reply_of_each(&Setup::default().scripted(proxy.port()), &proxy);
}

#[test]
fn a_cluster_is_never_sent_a_call_twice() {
    let cluster = Cluster::start(1);
    let proxy = Proxy::start(cluster.nodes()[0].port());
    cluster.announce_port(0, proxy.port());
    let urls = [format!("redis://127.0.0.1:{}", proxy.port())];
    lose_a_reply_of_each(&Setup::default().on_cluster(&urls), &proxy);
    lose_a_reply_of_each(&Setup::default().scripted_on_cluster(&urls), &proxy);
}

/// A reply after the deadline is dropped.
#[test]
fn a_late_reply_is_not_taken_for_that_of_the_next_call() {
    let (server, cluster) = (Server::start(), Cluster::start(1));
    let setup = Setup { deadline: Duration::from_millis(200), ..Setup::default() };
    let on_server = setup.on_server(server.port()).into_iter().map(|subject| (subject, &server));
    let on_cluster = setup.on_cluster(&cluster.urls()).into_iter().map(|subject| (subject, &cluster.nodes()[0]));
    for (index, (subject, server)) in on_server.chain(on_cluster).enumerate() {
        assert!(subject.check(&key!("before", index), LIMIT).expect("the store answers").is_admitted());

        redis::cmd("CLIENT")
            .arg("PAUSE")
            .arg(60_000)
            .arg("WRITE")
            .exec(&mut server.connection())
            .expect("the server answers");
        let start = Instant::now();
        let error = subject.check(&key!("late", index), LIMIT).expect_err("the server is paused");
        assert!(start.elapsed() < Duration::from_secs(5), "{subject} waited for longer than its deadline");
        assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}: {error}");
        assert!(error.to_string().starts_with("the store did not reply within 200ms"), "{error}");
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut server.connection()).expect("the server answers");

        let other = Limit::token_bucket(3, Duration::from_secs(60 * 60));
        let decision = (0..10).find_map(|_| subject.check(&key!("after", index), other).ok());
        let decision = decision.expect("the store answers again");
        assert_eq!(decision.limit(), 3, "{subject} took the reply of an earlier call");
    }
}
