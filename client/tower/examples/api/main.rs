//! An HTTP service on axum with three limits: per user, per address, and for all requests. What
//! fails on the server's side costs nothing, and a stricter limit is tried in shadow. Limits are in
//! memory, or with `REDIS_URL` in a server; while that does not answer, in memory.
//!
//! ```sh
//! # In one terminal; with REDIS_URL=redis://127.0.0.1/ for a server.
//! cargo run -p premier-tower --features axum --example api -- --stay
//! # In another terminal.
//! curl -i -H 'x-user: ada' http://127.0.0.1:8080/hello
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
use premier_client::{AsyncBackend, AsyncThrottler, Error, Limit, OnError, Share, Sliding, Token};
use premier_tower::{ClientAddress, Missing, PolicyDecision, RateLimits, Rule, ThrottleLayer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PER_USER: Limit<Sliding> = Limit::sliding_window(3, Duration::from_secs(60));
const PER_ADDRESS: Limit<Token> = Limit::token_bucket(600, Duration::from_secs(60)).capacity(20);
const OF_ALL: Limit<Token> = Limit::token_bucket(1_000, Duration::from_secs(1));
/// What `PER_USER` might become.
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
    let user = |name, limit: Limit<Sliding>| Rule::new(name, limit).by_extension(|user: &User| user.0.clone());
    ThrottleLayer::new(throttler)
        .rule(user("user", PER_USER).missing(Missing::Admit))
        .rule(user("stricter", STRICTER).missing(Missing::Admit).shadow())
        // Behind a load balancer: ClientAddress::peer().trusted_proxies(1)
        .rule(Rule::new("address", PER_ADDRESS).by_client(ClientAddress::peer()))
        .rule(Rule::new("all", OF_ALL))
        .refund_when(|reply| reply.status().is_server_error())
        .on_shadow(|policy| println!("{} would limit this request", policy.name()))
        .on_error(|error| eprintln!("no decision: {error:#}"))
}

fn app(throttler: AsyncThrottler) -> Router {
    Router::new()
        .route("/hello", get(hello))
        .route("/broken", get(broken))
        .layer(limits(throttler))
        // Outside of the limits, which need the user.
        .layer(from_fn(authenticate))
}

fn throttler() -> Result<AsyncThrottler, Error> {
    let backend = match env::var("REDIS_URL") {
        Ok(url) => AsyncBackend::redis(url)?,
        Err(_) => AsyncBackend::memory(),
    };
    Ok(AsyncThrottler::builder(backend).on_error(OnError::Local { share: Share::WHOLE }).build())
}

/// Serves the app, and returns where. The peer's address is known only to servers that keep it.
async fn start(port: u16, throttler: AsyncThrottler) -> Result<SocketAddr, std::io::Error> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let service = app(throttler).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { serve(listener, service).await });
    Ok(address)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let stays = env::args().any(|argument| argument == "--stay");
    let address = start(if stays { 8080 } else { 0 }, throttler()?).await?;
    println!("listening on http://{address}");
    if stays {
        std::future::pending::<()>().await;
    }
    for path in ["/hello", "/broken", "/hello", "/hello", "/hello"] {
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
