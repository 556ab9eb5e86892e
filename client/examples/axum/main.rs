//! An HTTP service on axum with decorated handlers: one is limited for each user, one is cached.
//! Responses of the first say what is left, as draft-ietf-httpapi-ratelimit-headers wants it. What
//! was decided is at `/metrics`, for Prometheus.
//!
//! ```sh
//! # In one terminal; limits are in memory, or with REDIS_URL=redis://127.0.0.1/ in a server.
//! cargo run -p premier-client --example axum --features metrics -- --stay
//! # In another terminal.
//! curl -i http://127.0.0.1:8080/greet/ada
//! curl http://127.0.0.1:8080/metrics
//! ```

#[cfg(test)]
mod tests;

use std::env;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, serve};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use premier_client::{AsyncBackend, Decision, Error, ErrorKind, RetryAfter, cache, configure, token_bucket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Two requests a minute for each user.
#[token_bucket(quota = 2, duration = "1m", key = |user| user, decision = decision)]
async fn greet(Path(user): Path<String>) -> Result<impl IntoResponse, Refusal> {
    Ok((rate_limit(&decision), format!("hello, {user}\n")))
}

fn rate_limit(decision: &Decision) -> [(&'static str, String); 2] {
    let (left, reset) = (decision.remaining(), whole_seconds(decision.reset_after()));
    [
        ("ratelimit-policy", format!("\"user\";q={};w=60", decision.limit())),
        ("ratelimit", format!("\"user\";r={left};t={reset}")),
    ]
}

/// Rounds up: a client that comes back too early is limited again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

static COMPUTED: AtomicU32 = AtomicU32::new(0);

#[cache(ttl = "30s")]
async fn report() -> String {
    let computed = COMPUTED.fetch_add(1, Ordering::Relaxed) + 1;
    format!("this took an hour to compute, {computed} times so far\n")
}

/// The answer to a request that is not admitted.
struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = (status, format!("{}\n", self.0)).into_response();
        let retry_after = self.0.decision().and_then(|decision| decision.retry_after());
        if let Some(seconds) = retry_after.and_then(RetryAfter::as_secs) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Installs what keeps the metrics of this process.
fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    const SECONDS: [f64; 6] = [0.000_2, 0.000_5, 0.001, 0.005, 0.02, 0.1];
    let store = Matcher::Full("premier_store_duration_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(store, &SECONDS)?.install_recorder()
}

fn app(metrics: PrometheusHandle) -> Router {
    let show_metrics = async move || {
        metrics.run_upkeep();
        metrics.render()
    };
    Router::new().route("/greet/{user}", get(greet)).route("/report", get(report)).route("/metrics", get(show_metrics))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    if let Ok(url) = env::var("REDIS_URL") {
        configure().async_backend(AsyncBackend::redis(url)?).install()?;
    }
    let metrics = install_metrics()?;
    let stays = env::args().any(|argument| argument == "--stay");
    let listener = TcpListener::bind(("127.0.0.1", if stays { 8080 } else { 0 })).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let service = tokio::spawn(async move { serve(listener, app(metrics)).await });
    if stays {
        return Ok(service.await??);
    }
    for path in ["/greet/ada", "/greet/ada", "/greet/ada", "/greet/bob", "/report", "/report", "/metrics"] {
        println!("GET {path}\n{}", fetch(address, path).await?);
    }
    Ok(())
}

/// Returns the response to a request, with its headers.
async fn fetch(address: SocketAddr, path: &str) -> Result<String, std::io::Error> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    Ok(response)
}
