//! Redis Clusters.

use std::thread::sleep;
use std::time::{Duration, Instant};

use premier_test_server::{Cluster, Proxy, Server};
use redis::cluster::ClusterClient;
use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, cmd};

/// The same for every test, as which slot is moved does not matter.
const KEY: &str = "user:42";

fn token(key: &str) -> Cmd {
    cmd("PREMIER.TOKEN").arg(key).arg(5).arg("1d").to_owned()
}

fn fixed(key: &str) -> Cmd {
    cmd("PREMIER.FIXED").arg(key).arg(5).arg("1d").to_owned()
}

fn remaining(reply: [i64; 5]) -> i64 {
    reply[2]
}

fn direct(node: &Server, call: &Cmd) -> RedisResult<i64> {
    call.query(&mut node.connection()).map(remaining)
}

fn exists(node: &Server, key: &str) -> RedisResult<bool> {
    cmd("EXISTS").arg(key).query(&mut node.connection())
}

fn kind<T: std::fmt::Debug>(result: RedisResult<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

#[test]
fn a_cluster_answers_for_all_slots() {
    let cluster = Cluster::start(3);
    let mut client = ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    let mut owners = [0; 3];
    for number in 0..60 {
        let key = format!("key:{number}");
        assert_eq!(token(&key).query(&mut client).map(remaining), Ok(4));
        owners[cluster.locate(&key).1] += 1;
    }
    assert!(owners.iter().all(|&keys| keys > 0), "a node has no keys: {owners:?}");
}

#[test]
fn a_moved_slot_takes_its_keys_along() {
    let cluster = Cluster::start(3);
    let mut client = ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    let neighbour = format!("{{{KEY}}}:other");
    assert_eq!(token(KEY).query(&mut client).map(remaining), Ok(4));
    assert_eq!(fixed(&neighbour).query(&mut client).map(remaining), Ok(4));

    let (slot, from) = cluster.locate(KEY);
    let to = (from + 1) % 3;
    cluster.move_slot(slot, from, to);

    assert_eq!(cluster.locate(KEY), (slot, to));
    for (index, node) in cluster.nodes().iter().enumerate() {
        if index != to {
            assert_eq!(kind(direct(node, &token(KEY))), ErrorKind::Server(ServerErrorKind::Moved));
        }
    }
    assert_eq!(direct(&cluster.nodes()[to], &token(KEY)), Ok(3));
    assert_eq!(direct(&cluster.nodes()[to], &fixed(&neighbour)), Ok(3));
    // The client still has the slots of before.
    assert_eq!(token(KEY).query(&mut client).map(remaining), Ok(2));
}

#[test]
fn an_empty_slot_moves_to_and_fro() {
    let cluster = Cluster::start(2);
    let (slot, from) = cluster.locate(KEY);
    let to = 1 - from;
    cluster.move_slot(slot, from, to);
    assert_eq!(cluster.locate(KEY), (slot, to));
    cluster.move_slot(slot, to, from);
    assert_eq!(cluster.locate(KEY), (slot, from));
}

#[test]
fn a_slot_that_is_being_moved_is_asked_for() {
    let cluster = Cluster::start(3);
    let (slot, from) = cluster.locate(KEY);
    let to = (from + 1) % 3;
    let missing = format!("{{{KEY}}}:missing");
    let source = &cluster.nodes()[from];
    assert_eq!(direct(source, &fixed(KEY)), Ok(4));

    cluster.begin_slot_move(slot, from, to);

    assert_eq!(direct(source, &fixed(KEY)), Ok(3));
    assert_eq!(kind(direct(source, &fixed(&missing))), ErrorKind::Server(ServerErrorKind::Ask));
    let mut client = ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    assert_eq!(fixed(&missing).query(&mut client).map(remaining), Ok(4));

    cluster.move_slot(slot, from, to);

    let target = &cluster.nodes()[to];
    assert_eq!(direct(target, &fixed(KEY)), Ok(2));
    assert_eq!(direct(target, &fixed(&missing)), Ok(3));
}

#[test]
fn clients_are_sent_to_the_announced_port() {
    let cluster = Cluster::start(2);
    let (_, owner) = cluster.locate(KEY);
    let proxy = Proxy::start(cluster.nodes()[owner].port());
    cluster.announce_port(owner, proxy.port());

    let moved = direct(&cluster.nodes()[1 - owner], &fixed(KEY)).expect_err("another node's key");
    assert_eq!(moved.redirect_node().map(|(address, _)| address), Some(&*format!("127.0.0.1:{}", proxy.port())));
}

#[test]
fn a_lost_reply_of_a_cluster_may_be_followed_by_a_crash() {
    let mut cluster = Cluster::start(1);
    let proxy = Proxy::start(cluster.nodes()[0].port());
    cluster.announce_port(0, proxy.port());
    let proxy_url = format!("redis://127.0.0.1:{}", proxy.port());
    let mut client = ClusterClient::builder([proxy_url.as_str()]).retries(0).build().unwrap().get_connection().unwrap();
    assert_eq!(fixed(KEY).query(&mut client).map(remaining), Ok(4));

    proxy.lose_next_reply();
    assert!(fixed(KEY).exec(&mut client).is_err());
    proxy.wait_until_lost();
    assert_eq!(direct(&cluster.nodes()[0], &fixed(KEY)), Ok(2));
    assert_eq!(exists(&cluster.nodes()[0], KEY), Ok(true));

    cluster.nodes_mut()[0].kill();
    assert!(fixed(KEY).exec(&mut client).is_err());
    cluster.nodes_mut()[0].start_again();

    let deadline = Instant::now() + Duration::from_secs(10);
    let mut client = loop {
        let connected = ClusterClient::new([proxy_url.as_str()]).unwrap().get_connection();
        match connected.and_then(|mut client| fixed(KEY).exec(&mut client).map(|()| client)) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "the node does not come back: {error}"),
        }
        sleep(Duration::from_millis(50));
    };
    proxy.lose_next_reply();
    let _ = fixed(KEY).exec(&mut client);
    proxy.wait_until_lost();
}
