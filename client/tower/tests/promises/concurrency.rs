//! Limits on requests in flight.

use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use premier_client::{Algorithm, AsyncBackend, AsyncThrottler, Concurrency, Hold, Key, Limit, OnError, Share};
use premier_test_server::Server;
use premier_tower::{Headers, RateLimits, Rule, ThrottleBody, ThrottleLayer};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use crate::tools::{HOUR, TWO, answering, layer, request, send, throttler};

const ONE: Concurrency = Limit::concurrency(1, HOUR);

/// A body whose frames wait to be let through. The last one may be an error.
struct Streamed {
    frames: Vec<Result<Bytes, &'static str>>,
    gate: Arc<Semaphore>,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let this = self.get_mut();
        let Ok(pass) = this.gate.try_acquire() else {
            context.waker().wake_by_ref();
            return Poll::Pending;
        };
        pass.forget();
        Poll::Ready(this.frames.pop().map(|frame| frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}

/// Sends a request to a service that responds with these frames.
async fn stream(
    layer: &ThrottleLayer,
    frames: Vec<Result<Bytes, &'static str>>,
    gate: &Arc<Semaphore>,
) -> Response<ThrottleBody<Streamed>> {
    let mut body = Some(Streamed { frames, gate: Arc::clone(gate) });
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let mut response = Response::new(body.take().expect("it is called once"));
        // For the test to see.
        *response.extensions_mut() = request.into_parts().0.extensions;
        async { Ok::<_, Infallible>(response) }
    });
    // A service that is called once need not be cloned.
    layer.layer(Once(Some(service))).oneshot(request()).await.expect("it never fails")
}

/// A service that is called only once, so its clones are never called.
struct Once<S>(Option<S>);

impl<S> Clone for Once<S> {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl<S, R> Service<R> for Once<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.as_mut().expect("it is not a clone").poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.as_mut().expect("it is not a clone").call(request)
    }
}

fn frames(count: usize) -> Vec<Result<Bytes, &'static str>> {
    (0..count).map(|_| Ok(Bytes::from_static(b"part"))).collect()
}

async fn used(throttler: &AsyncThrottler, name: &str) -> u64 {
    let usage = throttler.inspect(&Key::named(name), Hold).await.expect("the store answers");
    usage.map_or(0, |usage| usage.used())
}

/// The body lives until it was sent, is dropped, or fails.
#[tokio::test]
async fn a_place_is_kept_as_long_as_the_body_lives() {
    let throttler = throttler();
    let layer = ThrottleLayer::new(throttler.clone()).rule(Rule::new("one", ONE));
    let gate = Arc::new(Semaphore::new(0));

    let response = stream(&layer, frames(2), &gate).await;
    assert_eq!((response.status().as_u16(), send(&layer, request()).await.status().as_u16()), (200, 429));
    let mut body = response.into_body();
    gate.add_permits(1);
    assert!(body.frame().await.expect("a frame").is_ok());
    assert_eq!(used(&throttler, "one").await, 1);
    gate.add_permits(1);
    assert!(body.frame().await.expect("a frame").is_ok());
    assert_eq!(used(&throttler, "one").await, 0, "it was the last frame");
    // Not twice: this would be the place of the next request.
    let other = stream(&layer, frames(1), &gate).await;
    drop(body);
    assert_eq!(used(&throttler, "one").await, 1);
    drop(other);
    assert_eq!(used(&throttler, "one").await, 0, "it was dropped");

    let failing = stream(&layer, vec![Ok(Bytes::new()), Err("broken")], &gate).await;
    gate.add_permits(1);
    let mut body = failing.into_body();
    assert_eq!(body.frame().await.expect("an error").expect_err("an error"), "broken");
    assert_eq!(used(&throttler, "one").await, 0, "it has failed");
}

/// It may return an error, panic, or wait forever until the client hangs up.
#[tokio::test]
async fn no_place_is_lost_when_the_service_fails() {
    let throttler = throttler();
    let layer = ThrottleLayer::new(throttler.clone()).rule(Rule::new("one", ONE));
    for _ in 0..3 {
        let failing = service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>("broken") });
        let mut answer = Box::pin(layer.layer(failing).oneshot(request()));
        assert!(poll_fn(|context| answer.as_mut().poll(context)).await.is_err());
        assert_eq!(used(&throttler, "one").await, 0, "even while its future lives");

        let panicking = service_fn(|request: Request<Full<Bytes>>| async move {
            assert!(request.extensions().is_empty(), "it panics, as it sees the decision");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let answer = tokio::spawn(layer.layer(panicking).oneshot(request())).await;
        assert!(answer.is_err_and(|error| error.is_panic()));
        assert_eq!(used(&throttler, "one").await, 0);

        let never = service_fn(|_: Request<Full<Bytes>>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
        let hung_up = tokio::time::timeout(Duration::from_millis(20), layer.layer(never).oneshot(request()));
        assert!(hung_up.await.is_err());
        assert_eq!(used(&throttler, "one").await, 0);
    }
}

/// Before it returns the future of the response.
#[tokio::test]
async fn nothing_is_lost_when_the_call_itself_panics() {
    let throttler = throttler();
    let limits = ThrottleLayer::new(throttler.clone())
        .rule(Rule::new("one", ONE))
        .rule(Rule::new("rate", Limit::fixed_window(1, HOUR)))
        .refund_unanswered();
    for limits in [limits.clone(), limits.wait_up_to(Duration::from_secs(1))] {
        let panicking = service_fn(|request: Request<Full<Bytes>>| {
            assert!(request.extensions().is_empty(), "it panics, as it sees the decision");
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        });
        let answer = tokio::spawn(async move { limits.layer(panicking).oneshot(request()).await }).await;
        assert!(answer.is_err_and(|error| error.is_panic()));
        assert_eq!(used(&throttler, "one").await, 0);
        tokio::task::yield_now().await;
        let rate = throttler.inspect(&Key::named("rate"), Algorithm::FixedWindow).await.expect("memory answers");
        assert_eq!(rate.map_or(0, |usage| usage.used()), 0);
    }
}

/// Rates and places of several limits are charged together.
#[tokio::test]
async fn places_and_rates_are_charged_all_or_none() {
    let throttler = throttler();
    let layer = ThrottleLayer::new(throttler.clone())
        .rule(Rule::new("rate", TWO))
        .rule(Rule::new("few", ONE))
        .rule(Rule::new("many", Limit::concurrency(9, HOUR)).cost(|_| 2));
    let gate = Arc::new(Semaphore::new(0));
    let response = stream(&layer, frames(1), &gate).await;
    let limits = response.extensions().get::<RateLimits>().expect("it was decided");
    let shown: Vec<_> = limits.policies().iter().map(|policy| (policy.name(), policy.remaining())).collect();
    assert_eq!(shown, [("rate", 1), ("few", 0), ("many", 7)]);

    let limited = send(&layer, request()).await;
    let limits = limited.extensions().get::<RateLimits>().expect("it was decided");
    let shown: Vec<_> = limits.policies().iter().map(|policy| (policy.name(), policy.remaining())).collect();
    assert_eq!(shown, [("rate", 1), ("few", 0), ("many", 7)], "nothing was charged");
    assert_eq!(limits.violated().collect::<Vec<_>>(), ["few"]);
    drop(response);
    assert_eq!((used(&throttler, "few").await, used(&throttler, "many").await), (0, 0));
    assert_eq!(send(&layer, request()).await.status(), 200);
    let limited = send(&layer, request()).await;
    assert!(limited.body().ends_with(b"\"violated-policies\":[\"rate\"]}"));
    assert_eq!(used(&throttler, "many").await, 0);
}

/// Older forms of the headers show only rates.
#[tokio::test]
async fn concurrency_has_its_unit_in_the_headers() {
    let rules = || layer().rule(Rule::new("open", ONE)).rule(Rule::new("rate", Limit::fixed_window(9, HOUR)));
    let gate = Arc::new(Semaphore::new(0));
    let layer = rules();
    let response = stream(&layer, frames(1), &gate).await;
    assert_eq!(response.headers()["ratelimit-policy"], "\"open\";q=1;qu=\"concurrent-requests\", \"rate\";q=9;w=3600");
    assert_eq!(response.headers()["ratelimit"], "\"open\";r=0, \"rate\";r=8;t=3600");
    let limited = send(&layer, request()).await;
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().ok()), (429, Some("3600")));
    assert_eq!(limited.headers()["ratelimit"], "\"open\";r=0, \"rate\";r=8;t=3600");
    let problem: serde_json::Value = serde_json::from_slice(limited.body()).expect("JSON");
    assert_eq!(problem["violated-policies"], serde_json::json!(["open"]));
    for (headers, name) in [(Headers::Draft6, "ratelimit-remaining"), (Headers::XRateLimit, "x-ratelimit-remaining")] {
        let response = stream(&rules().headers(headers), frames(1), &gate).await;
        assert_eq!(response.headers()[name], "8");
    }
}

/// They are admitted in the order in which they came, as soon as a place is free.
#[tokio::test(start_paused = true)]
async fn requests_wait_for_a_place() {
    let wait = Duration::from_secs(60);
    let one = || Rule::new("one", ONE);
    for layer in [layer().rule(one()), layer().rule(one()).rule(Rule::new("rate", Limit::fixed_window(9, HOUR)))] {
        let layer = layer.wait_up_to(wait);
        let start = tokio::time::Instant::now();
        let gate = Arc::new(Semaphore::new(0));
        let response = stream(&layer, frames(1), &gate).await;
        let waiting = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(response);
        };
        let (sent, ()) = tokio::join!(send(&layer, request()), waiting);
        assert_eq!(sent.status(), 200);
        assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
        let kept = stream(&layer, frames(1), &gate).await;
        assert_eq!(send(&layer, request()).await.status(), 429);
        assert!(start.elapsed() < wait + Duration::from_secs(8), "{:?}", start.elapsed());
        drop(kept);
    }
}

/// A request beyond the limit goes ahead without a place.
#[tokio::test]
async fn a_place_in_shadow_limits_nothing() {
    let throttler = throttler();
    let layer = ThrottleLayer::new(throttler.clone()).rule(Rule::new("shadow", ONE).shadow());
    let gate = Arc::new(Semaphore::new(0));
    let first = stream(&layer, frames(1), &gate).await;
    let second = stream(&layer, frames(1), &gate).await;
    let violated = |response: &Response<_>| {
        response.extensions().get::<RateLimits>().expect("it was decided").policies()[0].is_violated()
    };
    assert_eq!((violated(&first), violated(&second), used(&throttler, "shadow").await), (false, true, 1));
    drop(second);
    assert_eq!(used(&throttler, "shadow").await, 1);
    drop(first);
    assert_eq!(used(&throttler, "shadow").await, 0);
}

/// The rate is given back at once, and the place when the body has ended.
#[tokio::test]
async fn a_refund_leaves_the_place_to_the_body() {
    let throttler = throttler();
    let layer = ThrottleLayer::new(throttler.clone())
        .rule(Rule::new("one", ONE))
        .rule(Rule::new("rate", Limit::fixed_window(1, HOUR)))
        .refund_when(|reply| reply.status() == StatusCode::OK);
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..3 {
        let response = stream(&layer, frames(1), &gate).await;
        assert_eq!((response.status().as_u16(), used(&throttler, "one").await), (200, 1));
        drop(response);
        assert_eq!(used(&throttler, "one").await, 0);
        // The refund is a task of its own.
        tokio::task::yield_now().await;
    }
}

/// Its lease is renewed while the body is sent, and ends soon after the process has died.
#[tokio::test]
async fn a_long_response_keeps_its_place_in_the_store() {
    let server = Server::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let throttler = AsyncThrottler::builder(AsyncBackend::redis(url.as_str()).expect("an address")).build();
    let lease = Duration::from_secs(1);
    let layer = ThrottleLayer::new(throttler.clone()).rule(Rule::new("one", Limit::concurrency(1, lease)));
    let response = stream(&layer, frames(1), &Arc::new(Semaphore::new(0))).await;
    for _ in 0..5 {
        tokio::time::sleep(lease / 2).await;
        assert_eq!(send(&layer, request()).await.status(), 429);
    }
    drop(response);
    let freed = tokio::time::timeout(lease * 10, async {
        while send(&layer, request()).await.status() == 429 {
            tokio::time::sleep(lease / 100).await;
        }
    });
    freed.await.expect("the place is free");
}

/// A place that no store knows is never lost.
#[tokio::test]
async fn an_outage_is_decided_as_the_policy_says() {
    let unreachable = |on_error| {
        let backend = AsyncBackend::redis("redis://127.0.0.1:1").expect("an address");
        let throttler = AsyncThrottler::builder(backend).on_error(on_error).build();
        ThrottleLayer::new(throttler).rule(Rule::new("one", ONE)).rule(Rule::new("rate", Limit::fixed_window(9, HOUR)))
    };
    for (on_error, statuses) in [
        (OnError::Fail, [503, 503]),
        (OnError::Admit, [200, 200]),
        (OnError::Limit, [429, 429]),
        (OnError::Local { share: Share::WHOLE }, [200, 429]),
    ] {
        let layer = unreachable(on_error);
        let service = || layer.layer(answering(StatusCode::OK)).oneshot(request());
        let first = service().await.expect("it never fails");
        let second = service().await.expect("it never fails");
        assert_eq!([first.status().as_u16(), second.status().as_u16()], statuses, "{on_error:?}");
        drop((first, second));
        assert_eq!(service().await.expect("it never fails").status(), statuses[0], "{on_error:?}");
    }
}
