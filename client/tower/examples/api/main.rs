//! An HTTP service on axum with four limits: per user by a policy in `policies.toml`, per address
//! by rate and by requests in flight, and for all requests. Requests that fail on the server's side
//! cost nothing, and a stricter limit is tried in shadow. Limits are kept in memory, or in a server
//! that `REDIS_URL` names; while the server does not answer, in memory. `/metrics` shows the
//! decisions to Prometheus.
//!
//! ```sh
//! # In one terminal; with REDIS_URL=redis://127.0.0.1/ for a server.
//! cargo run -p premier-tower --features axum,policies --example api -- --stay
//! # In another terminal.
//! curl -i -H 'x-user: ada' http://127.0.0.1:8080/hello
//! curl http://127.0.0.1:8080/metrics
//! ```

#[cfg(test)]
mod tests;

use std::env;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, serve};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use premier_client::{
    AsyncBackend, AsyncThrottler, Concurrency, Error, Limit, OnError, Policies, Share, Sliding, Token,
};
use premier_tower::{ClientAddress, Missing, PolicyDecision, RateLimits, Rule, ThrottleLayer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PER_ADDRESS: Limit<Token> = Limit::token_bucket(600, Duration::from_secs(60)).capacity(20);
const OPEN_PER_ADDRESS: Concurrency = Limit::concurrency(10, Duration::from_secs(30));
const OF_ALL: Limit<Token> = Limit::token_bucket(1_000, Duration::from_secs(1));
/// What the limit of users might become.
const STRICTER: Limit<Sliding> = Limit::sliding_window(2, Duration::from_secs(60));

#[derive(Clone)]
struct User(String);

/// Stands for what authenticates users: here they just say who they are.
async fn authenticate(mut request: Request, next: Next) -> Response {
    if let Some(user) = request.headers().get("x-user").and_then(|user| user.to_str().ok()) {
        let user = User(user.to_owned());
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

async fn hello(limits: RateLimits) -> String {
    let left = limits.binding().map_or(0, PolicyDecision::remaining);
    format!("hello, you have {left} more\n")
}

async fn broken() -> StatusCode {
    StatusCode::BAD_GATEWAY
}

fn limits(throttler: AsyncThrottler) -> ThrottleLayer {
    let by_user = |rule: Rule| rule.by_extension(|user: &User| user.0.clone()).missing(Missing::Admit);
    // Behind a load balancer: ClientAddress::peer().trusted_proxies(1)
    let address = ClientAddress::peer();
    ThrottleLayer::new(throttler)
        .rule(by_user(Rule::policy("user")))
        .rule(by_user(Rule::new("stricter", STRICTER)).shadow())
        .rule(Rule::new("address", PER_ADDRESS).by_client(address.clone()))
        .rule(Rule::new("open", OPEN_PER_ADDRESS).by_client(address))
        .rule(Rule::new("all", OF_ALL))
        .refund_when(|reply| reply.status().is_server_error())
        .on_shadow(|policy| println!("{} would limit this request", policy.name()))
        .on_error(|error| eprintln!("no decision: {error:#}"))
}

fn app(throttler: AsyncThrottler, metrics: PrometheusHandle) -> Router {
    let show_metrics = async move || {
        metrics.run_upkeep();
        metrics.render()
    };
    Router::new()
        .route("/hello", get(hello))
        .route("/broken", get(broken))
        .layer(limits(throttler))
        // Outside of the limits, which need the user.
        .layer(from_fn(authenticate))
        // Outside of all limits.
        .route("/metrics", get(show_metrics))
}

fn backend() -> Result<AsyncBackend, Error> {
    match env::var("REDIS_URL") {
        Ok(url) => AsyncBackend::redis(url),
        Err(_) => Ok(AsyncBackend::memory()),
    }
}

/// Limits by the policies of the file. If a later version of it is invalid, that is printed, and
/// the last valid one stays in use.
fn throttler(backend: AsyncBackend) -> Result<AsyncThrottler, Error> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/api/policies.toml");
    let policies = Policies::from_file(file)?.on_invalid(|error| eprintln!("{error}"));
    let on_error = OnError::Local { share: Share::WHOLE };
    Ok(AsyncThrottler::builder(backend).on_error(on_error).policies(policies).build())
}

/// Serves the app, and returns where. The peer's address is known only to servers that keep it.
async fn start(port: u16, throttler: AsyncThrottler, metrics: PrometheusHandle) -> Result<SocketAddr, std::io::Error> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let service = app(throttler, metrics).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { serve(listener, service).await });
    Ok(address)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let stays = env::args().any(|argument| argument == "--stay");
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let address = start(if stays { 8080 } else { 0 }, throttler(backend()?)?, metrics).await?;
    println!("listening on http://{address}");
    if stays {
        std::future::pending::<()>().await;
    }
    for path in ["/hello", "/broken", "/hello", "/hello", "/hello", "/metrics"] {
        println!("GET {path}\n{}", fetch(address, path, "ada").await?);
    }
    Ok(())
}

/// Returns the response to a request of a user, with its headers.
async fn fetch(address: SocketAddr, path: &str, user: &str) -> Result<String, std::io::Error> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-user: {user}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    Ok(response)
}
