//! Connections that are closed, busy, or lead to the wrong server.

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AsyncBackend, AsyncThrottler, Backend, DecidedBy, Decision, Error, ErrorKind, Limit, OnError, Throttler, Token, key,
};
use premier_test_server::{Cluster, Proxy, Server, patience};
use tokio::runtime::{self, Runtime};

use crate::stores::Setup;

/// So slow that nothing refills during a test.
const LIMIT: Limit<Token> = Limit::token_bucket(1_000, Duration::from_secs(365 * 24 * 60 * 60));

/// Long enough for a loaded machine.
const DEADLINE: Duration = Duration::from_secs(10);

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn throttler(port: u16) -> Throttler {
    Throttler::builder(Backend::redis(url(port)).expect("a valid address")).deadline(DEADLINE).build()
}

/// Makes as many calls at the same time, so that each has a connection of its own.
fn check_at_once(server: &Server, throttler: &Throttler, calls: usize) -> Vec<Result<bool, Error>> {
    let mut connection = server.connection();
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut connection).expect("the server answers");
    thread::scope(|scope| {
        let check = |user| throttler.check(&key!("at once", user), LIMIT).map(|decision| decision.is_admitted());
        let check = |user| scope.spawn(move || check(user));
        let calls: Vec<_> = (0..calls).map(check).collect();
        wait_until(|| info(server, "clients", "blocked_clients") >= calls.len() as u64);
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut connection).expect("the server answers");
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    })
}

fn info(server: &Server, section: &str, name: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg(section).query(&mut server.connection()).expect("the server answers");
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("the server counts it").parse().expect("a number")
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience(), "it takes too long");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Closes all connections from the server's side, as its `timeout` and balancers do.
fn close_connections(server: &Server) {
    let mut connection = server.connection();
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut connection).expect("the server answers");
    wait_until(|| {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection).expect("the server answers");
        clients.lines().count() == 1
    });
}

/// Starts a server that also listens at a Unix socket. Returns the address of that.
fn start_with_unix_socket() -> (Server, String) {
    let server = Server::builder().config("unixsocket", "server.sock").start();
    let url = format!("redis+unix://{}", server.dir().join("server.sock").display());
    (server, url)
}

#[test]
fn a_closed_idle_connection_loses_no_call() {
    let ((server, unix), cluster) = (start_with_unix_socket(), Cluster::start(1));
    let on_cluster = Backend::cluster(cluster.urls()).expect("valid addresses");
    let backends = [
        (&server, Backend::redis(url(server.port())).expect("a valid address")),
        (&server, Backend::redis(unix).expect("a valid address")),
        (&cluster.nodes()[0], on_cluster),
    ];
    for (server, backend) in backends {
        let throttler = Throttler::builder(backend).deadline(DEADLINE).build();
        for _ in 0..3 {
            for result in check_at_once(server, &throttler, 3) {
                assert!(result.expect("the store answers"));
            }
            close_connections(server);
        }
        assert!(throttler.check(&key!("closed"), LIMIT).expect("the store answers").is_admitted());
    }
}

fn check_in<'a>(runtime: &'a Runtime, throttler: &'a AsyncThrottler) -> impl Fn() -> Decision + 'a {
    move || *runtime.block_on(throttler.check(&key!("rested"), LIMIT)).expect("the store answers")
}

/// However short the rest is.
#[test]
fn a_connection_closed_while_the_runtime_rested_loses_no_call() {
    let ((server, unix), cluster) = (start_with_unix_socket(), Cluster::start(1));
    let on_cluster = AsyncBackend::cluster(cluster.urls()).expect("valid addresses");
    let runtime = current_thread();
    let client = redis::Client::open(url(server.port())).expect("a valid address");
    let manager = runtime.block_on(client.get_connection_manager()).expect("the server answers");
    let backends = [
        (&server, AsyncBackend::redis(url(server.port())).expect("a valid address")),
        (&server, AsyncBackend::redis(unix).expect("a valid address")),
        (&server, AsyncBackend::from(manager)),
        (&cluster.nodes()[0], on_cluster),
    ];
    for (server, backend) in backends {
        let throttler = AsyncThrottler::builder(backend).deadline(DEADLINE).build();
        let check = check_in(&runtime, &throttler);
        let before = check().remaining();
        for closed in 1..=10 {
            close_connections(server);
            assert_eq!(check().remaining(), before - closed, "a call was charged twice, or not");
        }
    }
}

/// An unread reply hides the end of the connection.
#[test]
fn a_connection_closed_after_a_late_reply_loses_no_call() {
    let server = Server::start();
    let backend = AsyncBackend::redis(url(server.port())).expect("a valid address");
    let hasty = AsyncThrottler::builder(backend.clone()).deadline(Duration::from_millis(100)).build();
    let throttler = AsyncThrottler::builder(backend).deadline(DEADLINE).build();
    let runtime = current_thread();
    let check = check_in(&runtime, &throttler);
    let before = check().remaining();

    let mut connection = server.connection();
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut connection).expect("the server answers");
    let error = runtime.block_on(hasty.check(&key!("rested"), LIMIT)).expect_err("the server is paused");
    assert_eq!(error.kind(), ErrorKind::ReplyLost, "{error}");
    redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut connection).expect("the server answers");
    wait_until(|| info(&server, "clients", "blocked_clients") == 0);
    close_connections(&server);
    assert_eq!(check().remaining(), before - 2, "a call was charged twice, or not");
}

fn current_thread() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// As a throttler in a static is used by each test of a program.
#[test]
fn a_throttler_is_usable_in_any_number_of_runtimes() {
    let (server, cluster) = (Server::start(), Cluster::start(2));
    let on_server = AsyncBackend::redis(url(server.port())).expect("a valid address");
    let on_cluster = AsyncBackend::cluster(cluster.urls()).expect("valid addresses");
    for backend in [on_server, on_cluster] {
        let throttler = AsyncThrottler::builder(backend).deadline(DEADLINE).build();
        let mut admitted = 0;
        let mut check = |runtime: &Runtime| {
            let decision = runtime.block_on(throttler.check(&key!("runtimes"), LIMIT)).expect("the store answers");
            admitted += 1;
            assert_eq!(decision.remaining(), 1_000 - admitted, "a call was charged twice, or not");
        };
        let [idle, other] = [current_thread(), current_thread()];
        for _ in 0..3 {
            check(&idle);
            check(&other);
            check(&other);
        }
        drop(idle);
        check(&other);
        drop(other);
        for _ in 0..3 {
            check(&current_thread());
        }
    }
}

/// A failover behind one address leaves connections to the old primary, which is a replica now.
#[test]
fn a_failover_behind_one_address_loses_no_call() {
    let [first, second] = [Server::start(), Server::start()];
    let proxy = Proxy::start(first.port());
    let pooled = throttler(proxy.port());
    let multiplexed = AsyncBackend::redis(url(proxy.port())).expect("a valid address");
    let multiplexed = AsyncThrottler::builder(multiplexed).deadline(DEADLINE).build();
    let runtime = current_thread();
    for result in check_at_once(&first, &pooled, 3) {
        assert!(result.expect("the store answers"));
    }
    let _ = runtime.block_on(multiplexed.check(&key!("async"), LIMIT)).expect("the store answers");

    replicate(&first, &second);
    proxy.lead_to(second.port());
    for left in [999, 998, 997] {
        let decision = pooled.check(&key!("sync"), LIMIT).expect("the new primary answers");
        assert_eq!((decision.decided_by(), decision.remaining()), (DecidedBy::Store, left));
        let decision = runtime.block_on(multiplexed.check(&key!("async"), LIMIT)).expect("the new primary answers");
        assert_eq!((decision.decided_by(), decision.remaining()), (DecidedBy::Store, left));
    }
    assert_eq!(redis::cmd("DBSIZE").query(&mut second.connection()), Ok(2));

    // The address changes later than the primary.
    redis::cmd("REPLICAOF").arg(&["NO", "ONE"]).exec(&mut first.connection()).expect("the server answers");
    replicate(&second, &first);
    let error = pooled.check(&key!("early"), LIMIT).expect_err("the server is a replica");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = runtime.block_on(multiplexed.check(&key!("early"), LIMIT)).expect_err("the server is a replica");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    proxy.lead_to(first.port());
    assert!(pooled.check(&key!("sync"), LIMIT).expect("the new primary answers").is_admitted());
    let decision = runtime.block_on(multiplexed.check(&key!("async"), LIMIT)).expect("the new primary answers");
    assert!(decision.is_admitted());
}

fn replicate(replica: &Server, primary: &Server) {
    let of = ["127.0.0.1".to_owned(), primary.port().to_string()];
    redis::cmd("REPLICAOF").arg(&of).exec(&mut replica.connection()).expect("the server answers");
}

#[test]
fn a_late_reply_wears_out_only_its_own_connection() {
    const CONNECTIONS: usize = 4;
    let server = Server::start();
    let backend = Backend::redis(url(server.port())).expect("a valid address");
    let patient = Throttler::builder(backend.clone()).deadline(DEADLINE).build();
    let hasty = Throttler::builder(backend).deadline(Duration::from_millis(100)).build();
    for result in check_at_once(&server, &patient, CONNECTIONS) {
        assert!(result.expect("the store answers"));
    }

    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut server.connection()).expect("it answers");
    let error = hasty.check(&key!("late"), LIMIT).expect_err("the server is paused");
    assert_eq!(error.kind(), ErrorKind::ReplyLost, "{error}");
    redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut server.connection()).expect("it answers");

    let own = |server: &Server| {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.connection()).expect("it answers");
        // This one is a connection of the test.
        clients.lines().count() - 1
    };
    wait_until(|| own(&server) == CONNECTIONS - 1);
}

/// Calls that wait too long for a connection are not sent at all.
#[test]
fn a_full_pool_sends_no_call_that_cannot_return() {
    const CALLERS: usize = 40;
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let backend = Backend::redis(url(proxy.port())).expect("a valid address").max_connections(NonZero::<usize>::MIN);
    // In that time ten replies return.
    let throttler = Throttler::builder(backend).deadline(Duration::from_secs(3)).build();
    let _ = throttler.check(&key!("full"), LIMIT).expect("the store answers");
    proxy.delay_replies(Duration::from_millis(300));
    let _ = throttler.check(&key!("full"), LIMIT).expect("the store answers");

    let connections = info(&server, "stats", "total_connections_received");
    let results: Vec<_> = thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| throttler.check(&key!("full"), LIMIT))).collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    let errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(!errors.is_empty() && errors.len() < CALLERS, "{} of {CALLERS} calls failed", errors.len());
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let reason = error.source().map(ToString::to_string);
        assert_eq!(reason.as_deref(), Some("no connection was free or made in time"));
    }
    // Each look at the statistics is one.
    assert_eq!(info(&server, "stats", "total_connections_received"), connections + 1);
}

#[test]
fn the_size_of_a_pool_bounds_its_connections() {
    const CALLERS: usize = 20;
    let server = Server::start();
    for size in [1, 3, 15].map(|size| NonZero::new(size).expect("it is not zero")) {
        let connections = size.get() as u64;
        let backend = Backend::redis(url(server.port())).expect("a valid address").max_connections(size);
        let throttler = Throttler::builder(backend).deadline(DEADLINE).build();
        let mut connection = server.connection();
        redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut connection).expect("it answers");
        thread::scope(|scope| {
            let calls: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| throttler.check(&key!("size"), LIMIT))).collect();
            wait_until(|| info(&server, "clients", "blocked_clients") == connections);
            redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut connection).expect("it answers");
            for call in calls {
                let _ = call.join().expect("no panic").expect("the store answers");
            }
        });
    }
}

/// The deadline is so long that a call which waits for it does not end.
#[test]
fn a_refused_connection_fails_at_once() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    let setup = Setup { deadline: Duration::from_secs(60 * 60), ..Setup::default() };
    let mut subjects = setup.on_server(port);
    subjects.extend(setup.on_cluster(&[url(port)]));
    for subject in subjects {
        for _ in 0..3 {
            let error = subject.check(&key!("refused"), LIMIT).expect_err("there is no server");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{subject}: {error}");
        }
    }
}

#[test]
fn an_endless_deadline_is_no_error() {
    let server = Server::start();
    let mut subjects = Setup { deadline: Duration::MAX, ..Setup::default() }.on_server(server.port());
    subjects.extend(Setup { deadline: Duration::MAX, ..Setup::default() }.in_memory());
    for subject in subjects {
        for _ in 0..2 {
            assert!(subject.check(&key!("endless"), LIMIT).expect("the store answers").is_admitted(), "{subject}");
        }
    }
}

/// No outage, so that no fallback hides it.
#[test]
fn an_http_server_is_an_error_of_the_configuration() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 1_024]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            });
        }
    });
    let setup = Setup { on_error: OnError::Admit, ..Setup::default() };
    let mut subjects = setup.on_server(port);
    subjects.extend(setup.on_cluster(&[url(port)]));
    for subject in subjects {
        let error = subject.check(&key!("http"), LIMIT).expect_err("this is no store");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{subject}: {error:#}");
    }
}

#[test]
fn a_runtime_without_timers_reaches_a_server() {
    let server = Server::start();
    let backend = AsyncBackend::redis(url(server.port())).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).deadline(DEADLINE).build();
    let runtime = runtime::Builder::new_current_thread().enable_io().build().expect("a runtime can be made");
    for _ in 0..2 {
        assert!(runtime.block_on(throttler.check(&key!("timers"), LIMIT)).expect("it answers").is_admitted());
    }
    drop(server);
    let error = runtime.block_on(throttler.check(&key!("timers"), LIMIT)).expect_err("there is no server");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
}

#[test]
fn a_runtime_without_io_is_an_error_of_the_configuration() {
    let server = Server::start();
    let cluster = AsyncBackend::cluster([url(server.port())]).expect("valid addresses");
    for backend in [AsyncBackend::redis(url(server.port())).expect("a valid address"), cluster] {
        let throttler = AsyncThrottler::builder(backend).deadline(DEADLINE).on_error(OnError::Admit).build();
        let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
        let error = runtime.block_on(throttler.check(&key!("io"), LIMIT)).expect_err("it cannot connect");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:#}");
        assert!(error.to_string().ends_with("build it with `enable_all`"), "{error}");
    }
}
