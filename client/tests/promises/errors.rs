//! What errors say, and that they differ from limited calls.

use std::error::Error as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use premier_client::{
    Algorithm, AsyncBackend, Backend, DecidedBy, Error, ErrorKind, Key, Keyspace, Limit, OnError, Throttler, Token, key,
};
use premier_test_server::{Cluster, Server};

use crate::stores::{LOCAL, Setup, Subject};

const LIMIT: Limit<Token> = Limit::token_bucket(2, Duration::from_secs(60 * 60));

/// No policy hides these errors, as the store answers.
const POLICIES: [OnError; 4] = [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL];

#[test]
fn a_missing_module_error_says_how_to_load_it() {
    let server = Server::builder().without_module().start();
    for on_error in POLICIES {
        for subject in (Setup { on_error, ..Setup::default() }).on_server(server.port()) {
            let error = subject.check(&key!("f"), LIMIT).expect_err("there is no module");
            assert_eq!(error.kind(), ErrorKind::ModuleNotLoaded, "{subject}: {error}");
            assert!(error.to_string().contains("loadmodule /path/to/libpremier.so"), "{error}");
            assert!(error.to_string().contains("use `Backend::scripted`"), "{error}");
            assert!(error.source().is_some_and(|source| source.to_string().contains("unknown command")), "{error:?}");
        }
    }
}

#[test]
fn a_server_that_is_down_is_unavailable() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    let setup = Setup { deadline: Duration::from_millis(300), ..Setup::default() };
    let on_server = setup.on_server(port);
    for subject in on_server.iter().chain(&setup.on_cluster(&[format!("redis://127.0.0.1:{port}")])) {
        let error = subject.check(&key!("f"), LIMIT).expect_err("there is no server");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{subject}: {error}");
        assert_eq!(error.to_string(), "the store is unavailable, nothing was charged");
        assert!(error.key().is_none() && error.decision().is_none());
    }
}

#[test]
fn a_key_of_another_type_is_refused() {
    let server = Server::start();
    let name = Keyspace::default().key(&key!("taken"), Algorithm::TokenBucket);
    redis::cmd("SET").arg(name).arg(1).exec(&mut server.connection()).expect("the server answers");
    for on_error in POLICIES {
        for subject in (Setup { on_error, ..Setup::default() }).on_server(server.port()) {
            let together = [(key!("free"), LIMIT.into()), (key!("taken"), LIMIT.into())];
            let errors = [
                subject.check(&key!("taken"), LIMIT).expect_err("it is a string"),
                subject.peek(&key!("taken"), LIMIT).expect_err("it is a string"),
                subject.refund(&key!("taken"), LIMIT, 1).expect_err("it is a string"),
                subject.check_all(&together).expect_err("one is a string"),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Refused, "{subject}: {error}");
                assert!(format!("{error:#}").contains("WRONGTYPE"), "{error:#}");
            }
        }
    }
}

#[test]
fn a_server_that_is_out_of_memory_is_unavailable() {
    let server = Server::builder().config("maxmemory", "1").start();
    for subject in Setup::default().on_server(server.port()).iter().chain(&Setup::default().scripted(server.port())) {
        let error = subject.check(&key!("f"), LIMIT).expect_err("there is no memory");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{subject}: {error}");
    }
    for subject in (Setup { on_error: OnError::Admit, ..Setup::default() }).on_server(server.port()) {
        let decision = subject.check(&key!("f"), LIMIT).expect("the policy admits it");
        assert_eq!(decision.decided_by(), DecidedBy::OnError, "{subject}");
    }
}

#[test]
fn authentication_and_permission_errors_are_not_limits() {
    let server = Server::start();
    let mut connection = server.connection();
    for rules in ["reader on >r ~* +get +hello", "default >secret"] {
        let command = redis::cmd("ACL").arg("SETUSER").arg(rules.split(' ').collect::<Vec<_>>()).exec(&mut connection);
        command.expect("the server answers");
    }
    let throttler = |user: &str| {
        let url = format!("redis://{user}127.0.0.1:{}", server.port());
        let setup = Throttler::builder(Backend::redis(url).expect("a valid address"));
        setup.deadline(Duration::from_millis(500)).build()
    };
    assert!(throttler(":secret@").check(&key!("f"), LIMIT).expect("the password is right").is_admitted());
    let error = throttler("").check(&key!("f"), LIMIT).expect_err("there is no password");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let error = throttler(":wrong@").check(&key!("f"), LIMIT).expect_err("the password is wrong");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let error = throttler("reader:r@").check(&key!("f"), LIMIT).expect_err("it may only read");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

/// A store that answers is never overruled, in sync and async code alike.
#[test]
fn a_wrong_password_or_database_is_refused_under_any_policy() {
    let (server, cluster, dead) = (Server::start(), Cluster::start(1), Server::start());
    for server in [&server, &cluster.nodes()[0]] {
        redis::cmd("CONFIG").arg(&["SET", "requirepass", "secret"]).exec(&mut server.connection()).expect("it answers");
    }
    let node = cluster.nodes()[0].port();
    let dead = {
        let port = dead.port();
        drop(dead);
        format!("redis://127.0.0.1:{port}")
    };
    for on_error in POLICIES {
        let setup = Setup { on_error, ..Setup::default() };
        for login in ["", ":wrong@", "nobody:secret@"] {
            assert_refused(&setup.at(&format!("redis://{login}127.0.0.1:{}", server.port())));
            // A node that does not answer makes no outage of it.
            assert_refused(&setup.on_cluster(&[format!("redis://{login}127.0.0.1:{node}"), dead.clone()]));
        }
        assert_refused(&setup.at(&format!("redis://:secret@127.0.0.1:{}/16", server.port())));
    }
}

fn assert_refused(subjects: &[Subject]) {
    for subject in subjects {
        for _ in 0..2 {
            let error = subject.check(&key!("f"), LIMIT).expect_err("the server refuses it");
            assert_eq!(error.kind(), ErrorKind::Refused, "{subject}: {error}");
        }
    }
}

#[test]
fn the_wrong_kind_of_store_is_a_configuration_error() {
    let (server, cluster) = (Server::start(), Cluster::start(2));
    // One of its two nodes has not the slot.
    let foreign = (0..100)
        .map(|user| key!("f", user))
        .find(|key| cluster.locate(&Keyspace::default().key(key, Algorithm::TokenBucket)).1 == 1);
    let foreign = foreign.expect("half of all keys are there");
    for on_error in POLICIES {
        let setup = Setup { on_error, ..Setup::default() };
        for subject in setup.on_server(cluster.nodes()[0].port()) {
            let error = subject.check(&foreign, LIMIT).expect_err("the key is on the other node");
            assert_eq!(error.kind(), ErrorKind::Configuration, "{subject}, {on_error:?}: {error}");
            assert!(error.to_string().contains("use `Backend::cluster`"), "{error}");
        }
        for subject in setup.on_cluster(&[format!("redis://127.0.0.1:{}", server.port())]) {
            let error = subject.check(&foreign, LIMIT).expect_err("the server is in no cluster");
            assert_eq!(error.kind(), ErrorKind::Configuration, "{subject}, {on_error:?}: {error}");
            assert!(error.to_string().contains("use `Backend::redis`"), "{error}");
        }
    }
}

/// Nothing was sent, so nothing was charged.
#[test]
fn an_unknown_host_or_a_silent_one_is_unavailable() {
    // It accepts connections and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let silent = format!("redis://{}", silent.local_addr().expect("it is bound"));
    let setup = Setup { deadline: Duration::from_millis(300), ..Setup::default() };
    for url in ["redis://no-such-host.invalid", &silent] {
        let mut subjects = setup.at(url);
        subjects.extend(setup.on_cluster(&[url.to_owned()]));
        for subject in subjects {
            for _ in 0..3 {
                let error = subject.check(&key!("f"), LIMIT).expect_err("there is no server");
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{subject} at {url}: {error}");
            }
        }
    }
}

#[test]
fn a_server_with_too_many_clients_is_unavailable() {
    let server = Server::start();
    let _held = server.connection();
    redis::cmd("CONFIG").arg(&["SET", "maxclients", "1"]).exec(&mut server.connection()).expect("it answers");
    for subject in Setup::default().on_server(server.port()) {
        let error = subject.check(&key!("f"), LIMIT).expect_err("it is one client too many");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{subject}: {error}");
    }
}

#[test]
fn invalid_settings_are_configuration_errors() {
    let errors = [
        Backend::redis("http://127.0.0.1").expect_err("http is not supported"),
        AsyncBackend::redis("nowhere").expect_err("the address is invalid"),
        Backend::cluster(Vec::<String>::new()).expect_err("there is no address"),
        AsyncBackend::cluster(["redis://127.0.0.1", "http://127.0.0.1"]).expect_err("one address is invalid"),
        Keyspace::new("").expect_err("the name is empty"),
        Keyspace::new("a:b").expect_err("the name contains a colon"),
        Throttler::builder(Backend::memory()).build().check_n(&key!("f"), LIMIT, 0).expect_err("the cost is 0"),
        Throttler::builder(Backend::memory()).build().refund_key(&key!("f"), LIMIT, 0).expect_err("there are no units"),
        Throttler::builder(Backend::memory()).build().check_all(&[]).expect_err("there is no limit"),
        Throttler::builder(Backend::memory()).build().limit(1, Duration::ZERO).expect_err("the duration is 0"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    }
}

#[test]
fn errors_are_send_sync_and_static() {
    fn check<E: std::error::Error + Send + Sync + 'static>() {}
    check::<Error>();
}

#[test]
fn throttlers_are_clone_send_and_sync() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Throttler>();
    check::<premier_client::AsyncThrottler>();
}

/// Two functions, algorithms or keyspaces never share a key by accident.
#[test]
fn keys_contain_all_their_parts() {
    let key = |module, function, custom: Option<&str>, algorithm| {
        let key = Key::new(module, function);
        let key = custom.map_or(key.clone(), |custom| key.custom(custom));
        Keyspace::new("space").expect("a valid keyspace").key(&key, algorithm)
    };
    assert_eq!(key("shop::cart", "pay", None, Algorithm::FixedWindow), "space:shop::cart:pay:fixed");
    assert_eq!(key("shop", "pay", Some("7"), Algorithm::SlidingWindow), "space:shop:pay:sliding:7");
    assert_eq!(key("shop", "pay", Some(""), Algorithm::TokenBucket), "space:shop:pay:token:");
    assert_eq!(key("shop", "pay", Some("a:b c"), Algorithm::LeakyBucket), "space:shop:pay:leaky:a:b c");
}
