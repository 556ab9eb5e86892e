//! Clearing a keyspace.

use std::time::Duration;

use premier_client::{
    Algorithm, Backend, ErrorKind, Key, Keyspace, Limit, PremierPipelineCommands, Throttler, Token, key,
};
use premier_test_server::{Cluster, Server};
use redis::cluster::{ClusterClient, cluster_pipe};

use crate::stores::{Setup, Subject};

const LIMIT: Limit<Token> = Limit::token_bucket(1, Duration::from_secs(60 * 60));

/// Clearing one of these would clear others, if it were read as a pattern or as a prefix.
const KEYSPACES: [&str; 8] = ["test", "test2", "te*t", "t?st", "[t]est", "te", "t\\est", "téßt🦀"];

#[test]
fn a_keyspace_is_cleared_and_no_other() {
    let (server, cluster) = (Server::start(), Cluster::start(3));
    let throttlers = |keyspace| {
        let setup = Setup { keyspace, ..Setup::default() };
        let mut throttlers = setup.on_server(server.port());
        throttlers.extend(setup.on_cluster(&cluster.urls()));
        throttlers
    };
    let in_keyspaces = KEYSPACES.map(throttlers);
    for number in 0..in_keyspaces[0].len() {
        for cleared in 0..KEYSPACES.len() {
            let keys = ["a", "b", "c"].map(|custom| Key::new("clearing", "only one").custom(custom));
            for throttlers in &in_keyspaces {
                for key in &keys {
                    let _ = throttlers[number].check(key, LIMIT).expect("the store answers");
                }
            }
            let throttler = &in_keyspaces[cleared][number];
            let keyspace = Keyspace::new(KEYSPACES[cleared]).expect("a valid keyspace");
            assert_eq!(throttler.clear(&keyspace).expect("the store answers"), 3, "{throttler}, {keyspace}");
            for (name, throttlers) in KEYSPACES.iter().zip(&in_keyspaces) {
                for key in &keys {
                    let is_fresh = throttlers[number].check(key, LIMIT).expect("the store answers").is_admitted();
                    assert_eq!(is_fresh, *name == KEYSPACES[cleared], "{throttler}: clearing {keyspace}, not {name}");
                }
            }
        }
        for (name, throttlers) in KEYSPACES.iter().zip(&in_keyspaces) {
            throttlers[number].clear(&Keyspace::new(*name).expect("a valid keyspace")).expect("the store answers");
        }
    }
}

#[test]
fn memory_clears_only_the_keyspace() {
    for subject in Setup::default().in_memory() {
        assert!(subject.check(&key!("f"), LIMIT).expect("memory answers").is_admitted());
        let other = Keyspace::new("prem").expect("a valid keyspace");
        assert_eq!(subject.clear(&other).expect("memory answers"), 0);
        assert!(!subject.check(&key!("f"), LIMIT).expect("memory answers").is_admitted(), "{subject}");
        assert_eq!(subject.clear(&Keyspace::default()).expect("memory answers"), 1);
        assert!(subject.check(&key!("f"), LIMIT).expect("memory answers").is_admitted(), "{subject}");
    }
}

/// The other nodes would keep theirs.
#[test]
fn one_of_several_nodes_is_not_cleared_as_a_server() {
    let cluster = Cluster::start_with_replicas(2, &[]);
    for node in cluster.nodes() {
        for subject in Setup::default().on_server(node.port()) {
            let error = subject.clear(&Keyspace::default()).expect_err("there are other nodes");
            assert_eq!(error.kind(), ErrorKind::Configuration, "{subject}: {error:#}");
            assert!(error.to_string().contains("use `Backend::cluster` or `AsyncBackend::cluster`"), "{error}");
        }
    }
}

#[test]
fn the_only_node_of_a_cluster_is_cleared_as_a_server() {
    let cluster = Cluster::start(1);
    for subject in Setup::default().on_server(cluster.nodes()[0].port()) {
        for user in 0..3 {
            assert!(subject.check(&key!("only", user), LIMIT).expect("the store answers").is_admitted());
        }
        assert_eq!(subject.clear(&Keyspace::default()).expect("the store answers"), 3, "{subject}");
    }
}

/// Only what it takes to delete keys.
#[test]
fn a_user_of_few_commands_clears() {
    let server = Server::start();
    let rules = ["SETUSER", "few", "on", ">secret", "~*", "+scan", "+unlink", "+ping", "+premier.token"];
    redis::cmd("ACL").arg(&rules).exec(&mut server.connection()).expect("the server answers");
    for subject in Setup::default().at(&format!("redis://few:secret@127.0.0.1:{}", server.port())) {
        assert!(subject.check(&key!("few"), LIMIT).expect("the store answers").is_admitted());
        assert_eq!(subject.clear(&Keyspace::default()).expect("the store answers"), 1, "{subject}");
    }
}

/// Most steps of the scan find no key of the keyspace.
#[test]
fn a_keyspace_is_cleared_among_many_foreign_keys() {
    let (server, cluster) = (Server::start(), Cluster::start(2));
    for node in cluster.nodes().iter().chain([&server]) {
        redis::cmd("DEBUG").arg("POPULATE").arg(5_000).exec(&mut node.connection()).expect("the server answers");
    }
    let mut subjects = Setup::default().on_server(server.port());
    subjects.extend(Setup::default().on_cluster(&cluster.urls()));
    let clear = |subject: &Subject| subject.clear(&Keyspace::default()).expect("the store answers");
    for subject in &subjects {
        assert_eq!(clear(subject), 0, "{subject}");
        for user in 0..3 {
            assert!(subject.check(&key!("few", user), LIMIT).expect("the store answers").is_admitted());
        }
        assert_eq!(clear(subject), 3, "{subject}");
        assert_eq!(clear(subject), 0, "{subject}");
    }
    assert_eq!(redis::cmd("DBSIZE").query(&mut server.connection()), Ok(5_000));
}

const MANY: u64 = 100_000;
const OTHERS: u64 = 10;

/// Returns the names of many keys in `many`, and of a few in `many2`.
fn many_keys() -> Vec<String> {
    let names = |keyspace: &str, count| {
        let keyspace = Keyspace::new(keyspace).expect("a valid keyspace");
        let key = move |user| keyspace.key(&Key::new("clearing", "many").custom(user), Algorithm::TokenBucket);
        (0..count).map(key)
    };
    names("many", MANY).chain(names("many2", OTHERS)).collect()
}

#[test]
fn a_hundred_thousand_keys_of_a_server_are_cleared() {
    let server = Server::start();
    let mut connection = server.connection();
    for subject in (Setup { keyspace: "many", ..Setup::default() }).on_server(server.port()) {
        for names in many_keys().chunks(1_000) {
            let mut pipeline = redis::pipe();
            for name in names {
                pipeline.premier_token(name, LIMIT).ignore();
            }
            pipeline.exec(&mut connection).expect("the server answers");
        }
        let cleared = subject.clear(&Keyspace::new("many").expect("a valid keyspace"));
        assert_eq!(cleared.expect("the server answers"), MANY, "{subject}");
        assert_eq!(redis::cmd("DBSIZE").query(&mut connection), Ok(OTHERS), "{subject}");
        redis::cmd("FLUSHALL").exec(&mut connection).expect("the server answers");
    }
}

#[test]
fn a_hundred_thousand_keys_of_a_cluster_are_cleared() {
    let cluster = Cluster::start(3);
    let mut connection = ClusterClient::new(cluster.urls()).and_then(|client| client.get_connection());
    let connection = connection.as_mut().expect("the cluster answers");
    for subject in (Setup { keyspace: "many", ..Setup::default() }).on_cluster(&cluster.urls()) {
        for names in many_keys().chunks(1_000) {
            let mut pipeline = cluster_pipe();
            for name in names {
                pipeline.premier_token(name, LIMIT).ignore();
            }
            pipeline.exec(connection).expect("the cluster answers");
        }
        let size = |node: &Server| redis::cmd("DBSIZE").query::<u64>(&mut node.connection());
        let sizes = || cluster.nodes().iter().map(|node| size(node).expect("the node answers"));
        assert!(sizes().all(|size| size > MANY / 4), "the keys are not spread");
        let cleared = subject.clear(&Keyspace::new("many").expect("a valid keyspace"));
        assert_eq!(cleared.expect("the cluster answers"), MANY, "{subject}");
        assert_eq!(sizes().sum::<u64>(), OTHERS, "{subject}");
        for node in cluster.nodes() {
            redis::cmd("FLUSHALL").exec(&mut node.connection()).expect("the node answers");
        }
    }
}

/// A long step would block all other clients of the server.
#[test]
fn no_step_keeps_the_server_busy_for_long() {
    let server = Server::start();
    let mut connection = server.connection();
    for names in many_keys().chunks(1_000) {
        let mut pipeline = redis::pipe();
        for name in names {
            pipeline.premier_token(name, LIMIT).ignore();
        }
        pipeline.exec(&mut connection).expect("the server answers");
    }
    redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut connection).expect("the server answers");
    let throttler = Throttler::builder(Backend::redis(("127.0.0.1", server.port())).expect("a valid address")).build();
    throttler.clear(&Keyspace::new("many").expect("a valid keyspace")).expect("the server answers");

    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection).expect("the server answers");
    let calls = |command: &str| -> u64 {
        let (_, stats) = stats.split_once(&format!("cmdstat_{command}:calls=")).expect("the command was called");
        stats.split_once(',').and_then(|(calls, _)| calls.parse().ok()).expect("a number")
    };
    assert!(calls("scan") >= MANY / 2_000, "too few steps: {stats}");
    assert_eq!(calls("unlink"), MANY, "more than one key at a time: {stats}");
    assert!(!stats.contains("cmdstat_keys") && !stats.contains("cmdstat_flush"), "{stats}");
}
