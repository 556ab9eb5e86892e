//! The master that sentinels name, while it is replaced.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AsyncBackend, AsyncThrottler, Backend, DecidedBy, Error, ErrorKind, Limit, Receipt, Throttler, Token, key,
};
use premier_test_server::{Sentinels, Server, patience};
use redis::{Client, Connection, TlsCertificates};

use crate::stores::{LOCAL, LOCALLY, Setup, Subject};
use crate::tls::decrypt_in_front_of;

const QUOTA: u64 = 1_000;
/// So slow that nothing refills during a test.
const LIMIT: Limit<Token> = Limit::token_bucket(QUOTA, Duration::from_secs(365 * 24 * 60 * 60));

/// How soon after the failover calls work again.
const SOON: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(10);

fn subjects(setup: Setup, sentinels: &Sentinels) -> Vec<Subject> {
    let mut subjects = setup.on_master(&sentinels.urls(), Sentinels::MASTER);
    subjects.extend(setup.scripted_on_master(&sentinels.urls(), Sentinels::MASTER));
    subjects
}

fn in_a_service() -> Setup {
    Setup { deadline: Duration::from_millis(500), ..Setup::default() }
}

/// Calls until the store decides again. Returns when it did so, and what it leaves.
fn call_until_decided(subject: &Subject, user: usize) -> (Instant, u64) {
    let start = Instant::now();
    loop {
        match subject.check(&key!("master", user), LIMIT) {
            Ok(decision) if decision.decided_by() == DecidedBy::Store => {
                assert!(decision.is_admitted(), "{subject}");
                return (Instant::now(), decision.remaining());
            }
            Ok(decision) => assert_eq!(decision.decided_by(), LOCALLY, "{subject}"),
            Err(error) => assert!(is_outage(&error), "{subject}: {error:#}"),
        }
        assert!(start.elapsed() < 2 * patience(), "{subject} does not find the new master");
        thread::sleep(PAUSE);
    }
}

fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost)
}

/// Lets all subjects call until the replica decides. Returns what it leaves to each.
fn call_during_failover(subjects: &[Subject], sentinels: &Sentinels) -> Vec<u64> {
    thread::scope(|scope| {
        let call = |(user, subject)| scope.spawn(move || call_until_decided(subject, user));
        let calls: Vec<_> = subjects.iter().enumerate().map(call).collect();
        sentinels.wait_until_master(&sentinels.servers()[1]);
        let is_over = Instant::now();
        let of_each = subjects.iter().zip(calls).map(|(subject, call)| {
            let (at, left) = call.join().expect("no panic");
            let late = at.saturating_duration_since(is_over);
            assert!(late < SOON, "{subject} calls the new master {late:?} after the failover");
            left
        });
        of_each.collect()
    })
}

fn wait_for_replica(master: &mut Connection) {
    let replicas: Result<u64, _> = redis::cmd("WAIT").arg(1).arg(10_000).query(master);
    assert_eq!(replicas, Ok(1));
}

fn blocked_clients(connection: &mut Connection) -> usize {
    let info: String = redis::cmd("INFO").arg("clients").query(connection).expect("it answers");
    let blocked = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).expect("the server counts them");
    blocked.parse().expect("a number")
}

#[test]
fn a_killed_master_is_replaced_and_no_call_charged_twice() {
    let mut sentinels = Sentinels::start();
    let mut subjects = subjects(in_a_service(), &sentinels);
    subjects.extend(self::subjects(Setup { on_error: LOCAL, ..in_a_service() }, &sentinels));
    for (user, subject) in subjects.iter().enumerate() {
        for used in 1..=3 {
            let decision = subject.check(&key!("master", user), LIMIT).expect("the master answers");
            assert_eq!(decision.remaining(), QUOTA - used, "{subject}");
        }
    }
    // On a connection with a write of its own, as WAIT waits for those.
    let mut connection = sentinels.servers()[0].connection();
    redis::cmd("SET").arg(&["written", "last"]).exec(&mut connection).expect("it answers");
    wait_for_replica(&mut connection);

    // The master dies during a call.
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut connection).expect("it answers");
    let patient = self::subjects(Setup::default(), &sentinels);
    thread::scope(|scope| {
        let check = |(user, subject): (usize, &Subject)| subject.check(&key!("master", user), LIMIT);
        let calls: Vec<_> = patient.iter().enumerate().map(|call| scope.spawn(move || check(call))).collect();
        let start = Instant::now();
        while blocked_clients(&mut connection) < calls.len() {
            assert!(start.elapsed() < patience(), "the calls do not arrive");
            thread::sleep(PAUSE);
        }
        sentinels.servers_mut()[0].kill();
        for (subject, call) in patient.iter().zip(calls) {
            let error = call.join().expect("no panic").expect_err("the master has died");
            assert_eq!(error.kind(), ErrorKind::ReplyLost, "{subject}: {error:#}");
        }
    });

    for (subject, left) in subjects.iter().zip(call_during_failover(&subjects, &sentinels)) {
        assert_eq!(left, QUOTA - 4, "{subject}: a call was charged twice, or not");
    }
    for (user, subject) in patient.iter().enumerate() {
        let decision = subject.check(&key!("master", user), LIMIT).expect("the new master answers");
        assert_eq!(decision.remaining(), QUOTA - 5, "{subject}: a call was charged twice, or not");
    }
}

/// Its connections stay open, and nobody answers there.
#[test]
fn a_master_that_hangs_is_left() {
    let mut sentinels = Sentinels::start();
    let subjects = subjects(in_a_service(), &sentinels);
    for (user, subject) in subjects.iter().enumerate() {
        let decision = subject.check(&key!("master", user), LIMIT).expect("the master answers");
        assert!(decision.is_admitted(), "{subject}");
    }
    sentinels.servers_mut()[0].suspend();
    call_during_failover(&subjects, &sentinels);
}

/// A planned failover: the old master lives on as a replica.
#[test]
fn a_master_that_becomes_a_replica_is_left() {
    let sentinels = Sentinels::start();
    let subjects = subjects(Setup::default(), &sentinels);
    let check = |left| {
        for (user, subject) in subjects.iter().enumerate() {
            let decision = subject.check(&key!("master", user), LIMIT).expect("the master answers");
            assert_eq!((decision.remaining(), decision.decided_by()), (left, DecidedBy::Store), "{subject}");
        }
    };
    check(QUOTA - 1);
    let [old, new] = sentinels.servers() else { panic!("there are two servers") };
    let mut connection = old.connection();
    redis::cmd("SET").arg(&["written", "last"]).exec(&mut connection).expect("it answers");
    wait_for_replica(&mut connection);

    let failover = redis::cmd("SENTINEL").arg(&["FAILOVER", Sentinels::MASTER]).clone();
    failover.exec(&mut sentinels.sentinels()[0].connection()).expect("the sentinel has a replica");
    sentinels.wait_until_master(new);
    // The sentinels would do so ten seconds later, and close its connections.
    let of = [new.address().to_string(), new.port().to_string()];
    redis::cmd("REPLICAOF").arg(&of).exec(&mut connection).expect("it answers");
    check(QUOTA - 2);
}

/// Starts a sentinel of its own.
fn alone(name: &str, port: u16) -> Server {
    Server::builder().sentinel().config("sentinel", &format!("monitor {name} 127.0.0.1 {port} 1")).start()
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn assert_admits(subjects: &[Subject]) {
    for subject in subjects {
        assert!(subject.check(&key!("sentinels"), LIMIT).expect("the master answers").is_admitted(), "{subject}");
    }
}

#[test]
fn sentinels_that_are_down_hang_or_lag_behind_are_passed_over() {
    let (master, replica) = (Server::start(), Server::start());
    let of = ["127.0.0.1".to_owned(), master.port().to_string()];
    redis::cmd("REPLICAOF").arg(&of).exec(&mut replica.connection()).expect("the server answers");
    let down = Server::start();
    let (name, port_of_nobody) = ("master", down.port());
    drop(down);
    let hangs = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let [current, lagging, lost] = [master.port(), replica.port(), port_of_nobody].map(|port| alone(name, port));

    let hanging = hangs.local_addr().expect("it is bound").port();
    for other in [port_of_nobody, hanging, lagging.port(), lost.port()] {
        let setup = Setup { deadline: Duration::from_secs(2), ..Setup::default() };
        assert_admits(&setup.on_master(&[url(other), url(current.port())], name));
    }
    for error in [port_of_nobody, lagging.port(), lost.port()].into_iter().flat_map(|other| errors(&url(other), name)) {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    }
    drop(hangs);
}

fn errors(sentinel: &str, master: &str) -> Vec<Error> {
    let subjects = Setup::default().on_master(&[sentinel.to_owned()], master);
    let check = |subject: &Subject| subject.check(&key!("sentinels"), LIMIT);
    subjects.iter().map(|subject| check(subject).expect_err("there is no master")).collect()
}

#[test]
fn a_wrong_name_or_kind_of_server_is_a_configuration_error() {
    let server = Server::start();
    let sentinel = alone("master", server.port());
    for error in errors(&url(sentinel.port()), "mister") {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");
        assert!(error.to_string().starts_with("the sentinels know no master named \"mister\""), "{error}");
    }
    for error in errors(&url(server.port()), "master") {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{} is not a sentinel", server.port())), "{error}");
    }
    for (sentinels, master) in [(vec![], "master"), (vec!["http://h"], "master"), (vec![""], "m")] {
        let error = Backend::sentinel(sentinels, master).expect_err("no sentinel");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");
    }
    for master in ["", "my master", "redis+unix:///tmp/server.sock", "http://master"] {
        let error = AsyncBackend::sentinel([url(sentinel.port())], master).expect_err("no master");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{master}: {error:#}");
    }
}

#[test]
fn sentinels_and_servers_have_passwords_of_their_own() {
    let server = Server::start();
    let sentinel = alone("master", server.port());
    let run = |server: &Server, words: &[&str]| {
        redis::cmd(words[0]).arg(&words[1..]).exec(&mut server.connection()).expect("it answers");
    };
    run(&sentinel, &["SENTINEL", "SET", "master", "auth-pass", "of-server"]);
    run(&sentinel, &["ACL", "SETUSER", "client", "on", ">of-sentinel", "+sentinel|get-master-addr-by-name", "+hello"]);
    run(&server, &["ACL", "SETUSER", "api", "on", ">of-server", "~*", "+premier.token", "+select"]);
    run(&sentinel, &["ACL", "SETUSER", "default", "off"]);
    run(&server, &["ACL", "SETUSER", "default", "off"]);

    let of_sentinel = format!("redis://client:of-sentinel@127.0.0.1:{}", sentinel.port());
    assert_admits(&Setup::default().on_master(std::slice::from_ref(&of_sentinel), "redis://api:of-server@master/3"));
    for (sentinel, master) in [
        (&*of_sentinel, "master"),
        (&*of_sentinel, "redis://api:of-sentinel@master/3"),
        (&*url(sentinel.port()), "redis://api:of-server@master/3"),
    ] {
        for error in errors(sentinel, master) {
            assert_eq!(error.kind(), ErrorKind::Refused, "{master}: {error:#}");
        }
    }
}

/// Calls until the store answers. A connection may take a second, which two TLS handshakes exceed
/// on a loaded machine.
async fn answered(call: impl AsyncFn() -> Result<Receipt, Error>) -> Receipt {
    let start = Instant::now();
    loop {
        match call().await {
            Err(error) if is_outage(&error) && start.elapsed() < patience() => {}
            answer => return answer.expect("the master answers"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_servers_may_be_encrypted() {
    let server = Server::start();
    let (server_url, server_certificate) = decrypt_in_front_of(&server).await;
    let port = server_url.rsplit_once(':').expect("it has a port").1.parse().expect("a number");
    let sentinel = alone("master", port);
    let (sentinel_url, certificate) = decrypt_in_front_of(&sentinel).await;
    let trusted = format!("{certificate}\n{server_certificate}");
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(trusted.into_bytes()) };
    let client = Client::build_with_tls(sentinel_url, certificates).expect("a valid address");
    let info = client.get_connection_info().clone();

    let backend = AsyncBackend::sentinel([info.clone()], "rediss://master").expect("a valid address");
    let asynchronous = AsyncThrottler::builder(backend).deadline(Duration::from_secs(10)).build();
    let backend = Backend::sentinel([info], "rediss://master").expect("a valid address");
    let sync = Throttler::builder(backend).deadline(Duration::from_secs(10)).build();
    let receipt = answered(async || asynchronous.check(&key!("sentinels"), LIMIT).await).await;
    assert_eq!(receipt.remaining(), QUOTA - 1);
    let check = async || {
        let sync = sync.clone();
        let check = tokio::task::spawn_blocking(move || sync.check(&key!("sentinels"), LIMIT));
        check.await.expect("no panic")
    };
    assert_eq!(answered(check).await.remaining(), QUOTA - 2);
}
