//! Calls find their keys while the slots of a cluster move.

use std::thread;
use std::time::{Duration, Instant};

use premier_client::{Algorithm, Key, Keyspace, Limit, Token, key};
use premier_test_server::{Cluster, Server, patience};

use crate::stores::{Setup, Subject};

const LIMIT: Limit<Token> = Limit::token_bucket(10, Duration::from_secs(60 * 60));

fn subjects(cluster: &Cluster) -> Vec<Subject> {
    let mut subjects = Setup::default().on_cluster(&cluster.urls());
    // To a node that does not know the script, too.
    subjects.extend(Setup::default().scripted_on_cluster(&cluster.urls()));
    subjects
}

#[test]
fn a_call_follows_its_key_to_another_node() {
    calls_follow_their_keys(&Cluster::start(3));
}

/// Behind some gateways, nodes name only the ports of others.
#[test]
fn a_call_follows_its_key_to_a_node_named_by_port_only() {
    calls_follow_their_keys(&Cluster::start_with(3, &[("cluster-preferred-endpoint-type", "unknown-endpoint")]));
}

fn calls_follow_their_keys(cluster: &Cluster) {
    for (index, subject) in subjects(cluster).iter().enumerate() {
        let key = key!("moved", index);
        let remaining = || subject.check(&key, LIMIT).map(|decision| decision.remaining());
        assert_eq!(remaining().expect("the cluster answers"), 9, "{subject}");

        let (slot, from) = cluster.locate(&Keyspace::default().key(&key, Algorithm::TokenBucket));
        let to = (from + 1) % 3;
        cluster.move_slot(slot, from, to);
        let redirected_before = redirected(cluster);
        for left in [8, 7, 6, 5] {
            assert_eq!(remaining().expect("the call is redirected"), left, "{subject}");
        }
        assert_eq!(redirected(cluster), redirected_before + 1, "{subject} does not learn where the slot is");

        cluster.move_slot(slot, to, from);
        assert_eq!(remaining().expect("the call is redirected"), 4, "{subject}");
    }
}

/// One redirection is enough to learn where all slots of the node are.
#[test]
fn a_planned_failover_redirects_one_call() {
    // Nodes do not vote for the same replica again so soon.
    for subjects in [Setup::on_cluster, Setup::scripted_on_cluster] {
        let cluster = Cluster::start_with_replicas(3, &[]);
        redirects_one_call(&subjects(Setup::default(), &cluster.urls()), &cluster);
    }
}

fn redirects_one_call(subjects: &[Subject], cluster: &Cluster) {
    let mut replica = 3;
    let mut primary = 0;
    for (index, subject) in subjects.iter().enumerate() {
        let keys = (0..100).map(|user| key!("planned", 100 * index + user));
        let on_node =
            |key: &Key<'_>| cluster.locate(&Keyspace::default().key(key, Algorithm::TokenBucket)).1 == primary;
        let keys: Vec<_> = keys.filter(on_node).collect();
        let check_all = || {
            for key in &keys {
                assert!(subject.check(key, LIMIT).expect("the cluster answers").is_admitted(), "{subject}");
            }
        };
        check_all();
        redis::cmd("CLUSTER").arg("FAILOVER").exec(&mut cluster.nodes()[replica].connection()).expect("it answers");
        let start = Instant::now();
        while role(&cluster.nodes()[replica]) != "master" || role(&cluster.nodes()[primary]) != "slave" {
            assert!(start.elapsed() < patience(), "there is no failover");
            thread::sleep(Duration::from_millis(10));
        }
        cluster.wait_until_agreed();
        let redirected_before = redirected(cluster);
        check_all();
        assert_eq!(redirected(cluster), redirected_before + 1, "{subject}");
        (primary, replica) = (replica, primary);
    }
}

fn role(server: &Server) -> String {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query(&mut server.connection()).expect("it answers");
    redis::from_redis_value(role.into_iter().next().expect("the name of a role")).expect("a name")
}

/// Returns how many calls were redirected so far.
fn redirected(cluster: &Cluster) -> u64 {
    let redirected = |node: &Server| {
        let stats: String = redis::cmd("INFO").arg("errorstats").query(&mut node.connection()).expect("it answers");
        let moved = stats.lines().find_map(|line| line.strip_prefix("errorstat_MOVED:count="));
        moved.map_or(0, |count| count.parse::<u64>().expect("a number"))
    };
    cluster.nodes().iter().map(redirected).sum()
}

#[test]
fn a_fresh_key_of_a_migrating_slot_goes_to_its_new_node() {
    let cluster = Cluster::start(3);
    for (index, subject) in subjects(&cluster).iter().enumerate() {
        let key = key!("moving", index);
        let (slot, from) = cluster.locate(&Keyspace::default().key(&key, Algorithm::TokenBucket));
        let to = (from + 1) % 3;
        cluster.begin_slot_move(slot, from, to);
        for left in [9, 8] {
            let decision = subject.check(&key, LIMIT).expect("the call is redirected");
            assert_eq!(decision.remaining(), left, "{subject}");
        }
        cluster.move_slot(slot, from, to);
        assert_eq!(subject.check(&key, LIMIT).expect("the call is redirected").remaining(), 7, "{subject}");
    }
}
