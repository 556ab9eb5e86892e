//! The layer is a well-behaved tower service.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use premier_client::Limit;
use premier_tower::{Head, Policy, RateLimits, Refusal, Rule, Rules};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use crate::tools::{HOUR, TWO, answering, layer, request};

/// A service that may only be called after it was ready.
#[derive(Default)]
struct Strict {
    is_ready: bool,
    clones: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self { is_ready: false, clones: Arc::clone(&self.clones) }
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(self.is_ready, "it was called without being ready");
        self.is_ready = false;
        let mut response = Response::new(Full::from("hello"));
        // For the test to see.
        *response.extensions_mut() = request.into_parts().0.extensions;
        ready(Ok(response))
    }
}

/// Whether the request is decided at once or later.
#[tokio::test]
async fn the_service_that_was_ready_is_called() {
    let at_once = layer().rule(Rule::new("two", TWO));
    let later = layer().rule(Rule::new("two", TWO)).wait_up_to(Duration::from_millis(1));
    let leaky = Limit::leaky_bucket(100, Duration::from_secs(1)).capacity(2);
    let in_turn = layer().rule(Rule::new("turns", leaky)).rule(Rule::new("two", TWO));
    for (layer, clones) in [(at_once, 1), (later, 3), (in_turn, 2)] {
        let inner = Strict::default();
        let cloned = Arc::clone(&inner.clones);
        let mut service = layer.layer(inner);
        for status in [200, 200, 429] {
            let service = service.ready().await.expect("it never fails");
            assert_eq!(service.call(request()).await.expect("it never fails").status(), status);
        }
        assert_eq!(cloned.load(Ordering::Relaxed), clones, "it is cloned for no request that it answers at once");
    }
}

/// A service may keep a place for the request that it was ready for.
#[tokio::test]
async fn a_limited_request_takes_nothing_from_the_service() {
    let inner = ConcurrencyLimit::new(answering(StatusCode::OK), 1);
    let refusing = |_: &Head<'_>| [Policy::new("none", Limit::fixed_window(0, HOUR))];
    for layer in [layer().rule(refusing), layer().rule(refusing).wait_up_to(HOUR), layer().rule(Refusing)] {
        let mut limited = layer.layer(inner.clone());
        let response = limited.ready().await.expect("it never fails").call(request()).await.expect("it never fails");
        assert_ne!(response.status(), 200);
        let answer = tokio::time::timeout(Duration::from_secs(5), inner.clone().oneshot(request())).await;
        let answer = answer.expect("there is a place");
        assert_eq!(answer.expect("it never fails").status(), 200);
        drop(limited);
    }
}

struct Refusing;

impl Rules for Refusing {
    fn choose(&self, _: &Head<'_>, _: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        Err(Refusal::new(StatusCode::FORBIDDEN, "nobody"))
    }
}

/// The inner service is asked whether it is ready, and no limit is.
#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let mut service = layer().rule(Rule::new("two", TWO)).layer(Strict::default());
    for _ in 0..5 {
        service.ready().await.expect("it never fails");
    }
    let response = service.call(request()).await.expect("it never fails");
    let limits = response.extensions().get::<RateLimits>().expect("it was decided");
    assert_eq!(limits.policies()[0].decision().remaining(), 1, "only the call was charged");
}

#[tokio::test]
async fn clones_and_services_of_a_layer_share_what_was_used() {
    let layer = layer().rule(Rule::new("two", TWO));
    let one = layer.layer(answering(StatusCode::OK));
    let services = [one.clone(), one, layer.layer(answering(StatusCode::OK))];
    let mut statuses = Vec::new();
    for service in services {
        statuses.push(service.oneshot(request()).await.expect("it never fails").status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn the_service_sees_the_decisions_on_its_request() {
    let was_called = Arc::new(AtomicBool::new(false));
    let called = Arc::clone(&was_called);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let limits = request.extensions().get::<RateLimits>().expect("it was decided").clone();
        assert_eq!((limits.policies()[0].name(), limits.policies()[0].decision().remaining()), ("two", 1));
        called.store(true, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    layer().rule(Rule::new("two", TWO)).layer(service).oneshot(request()).await.expect("it never fails");
    assert!(was_called.load(Ordering::Relaxed));
}

#[tokio::test]
async fn errors_are_those_of_the_inner_service() {
    let failing = service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>("broken") });
    let service = layer().rule(Rule::new("two", TWO)).layer(failing);
    let error = service.clone().oneshot(request()).await.expect_err("it fails");
    assert_eq!(error, "broken");
    assert!(service.clone().oneshot(request()).await.is_err());
    assert_eq!(service.oneshot(request()).await.expect("it is limited").status(), 429);
}

/// A body with a frame and trailers, of a type that nobody else knows.
#[derive(Debug)]
struct Streamed(u8);

impl Body for Streamed {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.0 += 1;
        Poll::Ready(match self.0 {
            1 => Some(Ok(Frame::data(Bytes::from_static(b"streamed")))),
            2 => {
                let trailers = [(HeaderName::from_static("x-end"), HeaderValue::from_static("1"))];
                Some(Ok(Frame::trailers(HeaderMap::from_iter(trailers))))
            }
            3 => Some(Err("broken")),
            _ => None,
        })
    }
}

#[tokio::test]
async fn bodies_of_any_type_pass_untouched() {
    struct NotSend(#[expect(dead_code, reason = "it makes requests of threads")] std::rc::Rc<()>);
    let service = service_fn(|_: Request<NotSend>| async { Ok::<_, Infallible>(Response::new(Streamed(0))) });
    let service = layer().rule(Rule::new("two", TWO)).layer(service);
    let response = service.oneshot(Request::new(NotSend(std::rc::Rc::default()))).await.expect("it never fails");
    let mut body = response.into_body();
    let data = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
    assert_eq!(data, "streamed");
    let trailers = body.frame().await.expect("a frame").expect("no error").into_trailers().expect("trailers");
    assert_eq!(trailers["x-end"], "1");
    assert_eq!(body.frame().await.expect("an error").expect_err("an error"), "broken");
}
