//! The requests a second of an HTTP service with premier's tower layer to those without one, in
//! memory and on a server, beside `tower_governor`. `wrk` sends them, over loopback. Prints the
//! table of docs/http.md.
//!
//! ```sh
//! cargo bench -p premier-benches --bench http
//! ```

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use premier_benches::{environment, grouped};
use premier_client::{AsyncBackend, AsyncThrottler, Limit};
use premier_test_server::Server;
use premier_tower::{ClientAddress, Headers, Rule, ThrottleLayer};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

const ROUNDS: usize = 9;
const SECONDS: &str = "1s";

/// So deep that every request is admitted.
const CAPACITY: u32 = 1_000_000_000;

fn main() {
    // `cargo test` asks for nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    if Command::new("wrk").arg("-v").output().is_err() {
        println!("http: skipped, as wrk cannot be run: on Debian, apt-get install wrk");
        return;
    }
    let server = Server::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let redis = AsyncBackend::redis(url.as_str()).expect("an address");
    let in_memory = |headers| serve(app().layer(premier(AsyncBackend::memory(), headers)));
    let mut governor = GovernorConfigBuilder::default();
    governor.per_millisecond(600).burst_size(CAPACITY);
    let plain = GovernorLayer::new(governor.finish().expect("a valid limit"));
    let with_headers = GovernorLayer::new(governor.use_headers().finish().expect("a valid limit"));
    let services = [
        ("none", serve(app())),
        ("tower_governor", serve(app().layer(plain))),
        ("tower_governor, with headers", serve(app().layer(with_headers))),
        ("premier-tower in memory, without headers", in_memory(Headers::None)),
        ("premier-tower in memory, with `X-RateLimit-*`", in_memory(Headers::XRateLimit)),
        ("premier-tower in memory, with the headers of draft 11", in_memory(Headers::Draft11)),
        (
            "premier-tower on a server, with the headers of draft 11",
            serve(app().layer(premier(redis, Headers::Draft11))),
        ),
    ];

    let mut rates = vec![Vec::new(); services.len()];
    for round in 0..=ROUNDS {
        for (index, (name, address)) in services.iter().enumerate() {
            let rate = requests_a_second(*address, name);
            // The first round warms up.
            if round > 0 {
                rates[index].push(rate);
            }
        }
    }
    let (commit, date, server) = (environment::commit(), environment::date(), environment::server(&server));
    println!("Measured on {commit}, {date}: {server},\n{}, {}.\n", environment::compiler(), environment::processor());
    println!("| layer | requests a second | to none |\n| --- | --- | --- |");
    for (index, (name, _)) in services.iter().enumerate() {
        // Rounds are compared with themselves, as others use the machine too.
        let percents = rates[index].iter().zip(&rates[0]).map(|(rate, none)| rate * 100 / none);
        println!("| {name} | {} | {}% |", grouped(median(rates[index].iter().copied())), median(percents));
    }
}

fn app() -> Router {
    Router::new().route("/", get(async || "hello"))
}

fn premier(backend: AsyncBackend, headers: Headers) -> ThrottleLayer {
    let limit = Limit::token_bucket(100, Duration::from_secs(60)).capacity(CAPACITY.into());
    ThrottleLayer::new(AsyncThrottler::builder(backend).build())
        .headers(headers)
        .rule(Rule::new("peer", limit).by_client(ClientAddress::peer()))
}

/// Serves a router by a thread of its own, as long as the program runs.
fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            listener.set_nonblocking(true).expect("a socket");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).await
        })
    });
    address
}

fn requests_a_second(address: SocketAddr, name: &str) -> u64 {
    let arguments = ["-t1", "-c32", "-d", SECONDS];
    let output = Command::new("wrk").args(arguments).arg(format!("http://{address}/")).output().expect("wrk runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "{name}: {report}");
    let rate = report.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let (whole, _) = rate.and_then(|rate| rate.trim().split_once('.')).expect("wrk reports a rate");
    whole.parse().expect("a number")
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}
