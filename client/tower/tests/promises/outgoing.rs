//! Outgoing requests, to a partner with limits of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use premier_client::{Algorithm, AsyncThrottler, Hold, Key, Limit, MemoryBackend};
use premier_tower::{Head, Headers, RateLimits, Rule, ThrottleLayer};
use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, ServiceExt as _, service_fn};

use crate::tools::{HOUR, collected, layer, request, throttler};

const SECOND: Duration = Duration::from_secs(1);

const MINUTE: Duration = Duration::from_secs(60);

/// A partner that counts its requests. It answers the first with this status and these headers, and
/// the others with 200.
#[derive(Clone)]
struct Partner {
    requests: Arc<AtomicUsize>,
    status: StatusCode,
    headers: HeaderMap,
}

impl Partner {
    fn answering(status: u16, headers: &[(&str, &str)]) -> Self {
        let value = |value: &str| HeaderValue::from_str(value).expect("a valid value");
        let headers = headers.iter().map(|(name, text)| (HeaderName::try_from(*name).expect("a name"), value(text)));
        let status = StatusCode::from_u16(status).expect("a valid status");
        Self { requests: Arc::default(), status, headers: headers.collect() }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    async fn send(&self, layer: &ThrottleLayer, uri: &str) -> Response<Bytes> {
        let mut request = request();
        *request.uri_mut() = uri.parse().expect("a URI");
        let partner = self.clone();
        let service = service_fn(move |request: Request<Full<Bytes>>| {
            let mut response = Response::new(Full::<Bytes>::from("partner"));
            // For the test to see.
            *response.extensions_mut() = request.into_parts().0.extensions;
            if partner.requests.fetch_add(1, Ordering::Relaxed) == 0 {
                *response.status_mut() = partner.status;
                response.headers_mut().clone_from(&partner.headers);
            }
            async {
                // So that another request is sent meanwhile.
                tokio::task::yield_now().await;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        collected(layer.layer(service).oneshot(request).await.expect("it never fails")).await
    }
}

fn heeding(at_most: Duration) -> ThrottleLayer {
    layer().heed_responses(at_most).headers(Headers::None)
}

/// Returns for how long requests are held back after such a response.
async fn pause_after(status: u16, headers: &[(&str, &str)]) -> Duration {
    let partner = Partner::answering(status, headers);
    let layer = heeding(HOUR);
    let start = Instant::now();
    partner.send(&layer, "/").await;
    while partner.requests() < 2 {
        let response = partner.send(&layer, "/").await;
        if partner.requests() < 2 {
            let retry_after = response.headers()["retry-after"].to_str().expect("a text").parse();
            tokio::time::advance(Duration::from_secs(retry_after.expect("seconds"))).await;
        }
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_heeded() {
    let seconds = Duration::from_secs;
    for (status, headers, pause) in [
        (429, &[("retry-after", "7")][..], seconds(7)),
        (503, &[("retry-after", "7")], seconds(7)),
        (429, &[], seconds(0)),
        (200, &[("retry-after", "7")], seconds(0)),
        (301, &[("retry-after", "7")], seconds(0)),
        (429, &[("retry-after", "soon")], seconds(0)),
        (429, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], seconds(0)),
        (200, &[("ratelimit", r#""day";r=0;t=30"#)], seconds(30)),
        (429, &[("ratelimit", r#""day";r=1;t=30"#)], seconds(0)),
        (200, &[("ratelimit", r#""a";r=0;t=3, "b";r=0;t=20;pk=:YQ==:, "c";r=1;t=90"#)], seconds(20)),
        (200, &[("ratelimit", r#""a";r=0"#), ("ratelimit-policy", r#""b";q=1;w=9, "a";q=5;w=12"#)], seconds(12)),
        (200, &[("ratelimit", r#""a";r=0"#), ("ratelimit-policy", r#""a";q=5;qu="concurrent-requests""#)], seconds(0)),
        // It takes precedence.
        (429, &[("retry-after", "2"), ("ratelimit", r#""day";r=0;t=30"#)], seconds(2)),
        (429, &[("retry-after", "99999999999999999999999")], HOUR),
        (200, &[("ratelimit", "limit=1, remaining=0")], seconds(0)),
    ] {
        assert_eq!(pause_after(status, headers).await, pause, "{status} {headers:?}");
    }
    let date = httpdate::fmt_http_date(SystemTime::now() + seconds(100));
    let pause = pause_after(503, &[("retry-after", &date)]).await;
    assert!((seconds(90)..=seconds(100)).contains(&pause), "{pause:?}");
}

/// The responses say when to retry, and who has limited the requests.
#[tokio::test(start_paused = true)]
async fn requests_are_limited_until_the_partner_takes_them() {
    let partner = Partner::answering(429, &[("retry-after", "7")]);
    let layer = heeding(MINUTE).rule(Rule::new("host", Limit::fixed_window(9, HOUR)).by(host));
    assert_eq!(partner.send(&layer, "http://a/").await.status(), 429);
    let limited = partner.send(&layer, "http://a/").await;
    assert_eq!((limited.status().as_u16(), partner.requests()), (429, 1));
    assert_eq!(limited.headers()["retry-after"], "7");
    let limits = limited.extensions().get::<RateLimits>().expect("it was decided");
    assert!(limits.policies().is_empty() && limits.retry_after().is_some());
    assert_eq!(partner.send(&layer, "http://b/").await.status(), 200, "another host is not concerned");
    tokio::time::advance(Duration::from_secs(7)).await;
    let response = partner.send(&layer, "http://a/").await;
    let limits = response.extensions().get::<RateLimits>().expect("it was decided");
    assert_eq!((response.status().as_u16(), limits.policies()[0].remaining()), (200, 7), "nothing was charged");
}

#[tokio::test(start_paused = true)]
async fn a_layer_in_shadow_holds_nothing_back() {
    let partner = Partner::answering(429, &[("retry-after", "7")]);
    let layer = heeding(MINUTE).rule(Rule::new("host", Limit::fixed_window(9, HOUR)).by(host)).shadow();
    for requests in 1..=3 {
        partner.send(&layer, "http://a/").await;
        assert_eq!(partner.requests(), requests);
    }
}

fn host(head: &Head<'_>) -> Option<String> {
    head.uri().host().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn requests_wait_until_the_partner_takes_them() {
    let partner = Partner::answering(429, &[("retry-after", "7")]);
    let start = Instant::now();
    let layer = heeding(MINUTE).wait_up_to(Duration::from_secs(10));
    partner.send(&layer, "/").await;
    assert_eq!(partner.send(&layer, "/").await.status(), 200);
    assert_eq!((start.elapsed(), partner.requests()), (Duration::from_secs(7), 2));

    let partner = Partner::answering(429, &[("retry-after", "30")]);
    partner.send(&layer, "/").await;
    let limited = partner.send(&layer, "/").await;
    assert_eq!((limited.headers()["retry-after"].to_str().ok(), partner.requests()), (Some("30"), 1));
    assert_eq!(start.elapsed(), Duration::from_secs(7), "waiting is of no use");
}

/// A response may arrive while another request waits for its turn.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_heeds_what_comes_meanwhile() {
    let start = Instant::now();
    let memory = MemoryBackend::with_clock(move || Duration::from_secs(1_000) + start.elapsed());
    let throttler = AsyncThrottler::builder(memory).build();
    let pace = Rule::new("pace", Limit::leaky_bucket(3, Duration::from_secs(3)));
    let layer = ThrottleLayer::new(throttler.clone()).rule(pace).heed_responses(MINUTE).headers(Headers::None);
    let partner = Partner::answering(429, &[("retry-after", "20")]);
    let (first, second) = tokio::join!(partner.send(&layer, "/"), partner.send(&layer, "/"));
    assert_eq!((first.status().as_u16(), second.status().as_u16(), partner.requests()), (429, 429, 1));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    tokio::task::yield_now().await;
    let usage = throttler.inspect(&Key::named("pace"), Algorithm::LeakyBucket).await.expect("memory answers");
    assert_eq!(usage.map_or(0, |usage| usage.used()), 0, "it has given back what it was charged");
}

/// Also if it is malformed, as far as it can be read.
#[tokio::test(start_paused = true)]
async fn the_retry_info_of_a_grpc_partner_is_heeded() {
    let refused = |code, delay| {
        let mut details = ErrorDetails::new();
        details.set_retry_info(delay);
        Status::with_error_details(code, "later", details).into_http::<()>().headers().clone()
    };
    let pause = async |headers: &HeaderMap| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("a text"))).collect();
        pause_after(200, &headers).await
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(pause(&refused(Code::ResourceExhausted, seconds(90))).await, 90 * SECOND);
    assert_eq!(pause(&refused(Code::Unavailable, seconds(7))).await, 7 * SECOND);
    assert_eq!(pause(&refused(Code::ResourceExhausted, seconds(u64::MAX))).await, HOUR);
    assert_eq!(pause(&refused(Code::ResourceExhausted, None)).await, Duration::ZERO);
    assert_eq!(pause(&refused(Code::NotFound, seconds(90))).await, Duration::ZERO);
    for details in ["?", "AA", "AAAA", ""] {
        let mut malformed = refused(Code::ResourceExhausted, seconds(90));
        malformed.insert("grpc-status-details-bin", HeaderValue::from_static(details));
        assert_eq!(pause(&malformed).await, Duration::ZERO, "{details}");
    }
}

/// Whatever a partner sends, the layer does not panic, and waits no longer than allowed.
#[test]
fn whatever_a_partner_sends_the_pause_is_bounded() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be made");
    let part = prop_oneof![
        "[ -~]{0,20}",
        any::<i64>().prop_map(|number| format!("\"a\";r=0;t={number}")),
        any::<u128>().prop_map(|number| number.to_string()),
        Just("\"a\";r=0;t=1.5;pk=:AA==:".to_owned()),
        Just("(\"a\" b);r=0;t=9".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        Just("8".to_owned()),
        "[A-Za-z0-9+/]{0,40}={0,2}",
    ];
    let lines = || proptest::collection::vec(part.clone(), 0..3);
    proptest!(|(status in prop_oneof![Just(200_u16), Just(429), Just(503)], states in lines(), policies in lines(), after in lines(), code in lines(), details in lines())| {
        let mut headers = Vec::new();
        let names = ["ratelimit", "ratelimit-policy", "retry-after", "grpc-status", "grpc-status-details-bin"];
        for (name, lines) in names.into_iter().zip([&states, &policies, &after, &code, &details]) {
            headers.extend(lines.iter().map(|line| (name, line.as_str())));
        }
        prop_assert!(runtime.block_on(pause_after(status, &headers)) <= HOUR);
    });
}

/// Starts a partner, and returns its address.
async fn partner() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let busy = get(async || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")]));
    let slow = get(async || tokio::time::sleep(MINUTE).await);
    let app = Router::new().route("/hello", get(async || "hello")).route("/busy", busy).route("/slow", slow);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The layer works around any client that is a tower service.
#[tokio::test]
async fn a_client_is_paced_by_the_layer() {
    let address = partner().await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let client = layer()
        .rule(Rule::new("rate", Limit::token_bucket(50, Duration::from_secs(1)).capacity(1)).by(host))
        .rule(Rule::new("open", Limit::concurrency(4, MINUTE)))
        .wait_up_to(Duration::from_secs(10))
        .heed_responses(MINUTE)
        .headers(Headers::None)
        .layer(client);
    let start = std::time::Instant::now();
    let get = async |path: &str| {
        let request = Request::get(format!("http://{address}{path}")).body(Full::default()).expect("a request");
        let (parts, body) = client.clone().oneshot(request).await.expect("the partner answers").into_parts();
        (parts.status.as_u16(), body.collect().await.expect("the partner answers").to_bytes())
    };
    for _ in 0..6 {
        assert_eq!(get("/hello").await, (200, Bytes::from_static(b"hello")));
    }
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    assert_eq!(get("/busy").await.0, 429);
    let (status, problem) = get("/hello").await;
    assert_eq!((status, problem.starts_with(b"{\"type\":")), (429, true), "it was not sent");
}

/// A middleware of reqwest follows the same rules.
#[tokio::test]
async fn a_client_of_reqwest_is_paced_by_the_layer() {
    #[derive(Clone)]
    struct Tenant(&'static str);

    let address = partner().await;
    let throttler = throttler();
    let limits = ThrottleLayer::new(throttler.clone())
        .rule(Rule::new("tenant", Limit::fixed_window(5, HOUR)).by_extension(|tenant: &Tenant| tenant.0))
        .rule(Rule::new("open", Limit::concurrency(1, MINUTE)))
        .heed_responses(MINUTE)
        .headers(Headers::None);
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(limits).build();
    let to = |path: &str, tenant| client.get(format!("http://{address}{path}")).with_extension(Tenant(tenant));
    let open = async || {
        let usage = throttler.inspect(&Key::named("open"), Hold).await.expect("memory answers");
        usage.map_or(0, |usage| usage.used())
    };

    let response = to("/hello", "a").send().await.expect("the partner answers");
    assert_eq!((response.status().as_u16(), response.url().path(), open().await), (200, "/hello", 1));
    let limited = to("/hello", "b").send().await.expect("it is limited");
    assert_eq!((limited.status().as_u16(), limited.url().path()), (429, "/hello"));
    assert!(limited.text().await.expect("a problem").contains("\"open\""));
    assert_eq!((response.text().await.expect("a body").as_str(), open().await), ("hello", 0));

    let slow = to("/slow", "a").timeout(Duration::from_millis(50)).send().await.expect_err("it takes too long");
    assert!(matches!(slow, reqwest_middleware::Error::Reqwest(error) if error.is_timeout()));
    assert_eq!(open().await, 0);
    assert_eq!(to("/busy", "a").send().await.expect("the partner answers").status(), 429);
    let heeded = to("/hello", "a").send().await.expect("it is limited");
    assert_eq!(heeded.headers()["retry-after"], "60");
    assert_eq!(to("/hello", "b").send().await.expect("the partner answers").status(), 200);
}
