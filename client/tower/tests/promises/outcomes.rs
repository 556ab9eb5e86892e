//! Costs by outcome, waiting, and limits in shadow.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use premier_client::{AsyncThrottler, Fixed, Limit};
use premier_tower::{ClientAddress, Head, Policy, PolicyLimit, Refusal, Rule, ThrottleLayer};
use tokio::time::Instant;
use tower::{Layer, ServiceExt as _, service_fn};

use crate::tools::{HOUR, TWO, answering, layer, request, send, statuses, throttler};

const WIDE: Limit<Fixed> = Limit::fixed_window(1_000, HOUR);

async fn answer_with(layer: &ThrottleLayer, status: StatusCode) -> u16 {
    let response = layer.layer(answering(status)).oneshot(request()).await.expect("the service never fails");
    // What is given back in the background.
    tokio::task::yield_now().await;
    response.status().as_u16()
}

#[tokio::test]
async fn a_failed_request_costs_nothing() {
    let layer = layer().rule(Rule::new("two", TWO)).refund_when(|reply| reply.status().is_server_error());
    for _ in 0..5 {
        assert_eq!(answer_with(&layer, StatusCode::BAD_GATEWAY).await, 502);
    }
    assert_eq!(answer_with(&layer, StatusCode::OK).await, 200);
    assert_eq!(answer_with(&layer, StatusCode::NOT_FOUND).await, 404);
    assert_eq!(answer_with(&layer, StatusCode::BAD_GATEWAY).await, 429);
}

/// Of all limits, and once.
#[tokio::test]
async fn a_refund_gives_back_what_was_charged() {
    let throttler = throttler();
    let layer = ThrottleLayer::new(throttler.clone())
        .rule(Rule::new("wide", Limit::fixed_window(9, HOUR)).cost(|_| 3))
        .rule(Rule::new("two", TWO))
        .rule(Rule::new("shadow", TWO).shadow())
        .refund_when(|reply| reply.status() == 502)
        .refund_unanswered();
    assert_eq!(answer_with(&layer, StatusCode::OK).await, 200);
    assert_eq!(answer_with(&layer, StatusCode::BAD_GATEWAY).await, 502);
    let used = async |name| {
        let usage = throttler.inspect(&premier_client::Key::named(name), premier_client::Algorithm::FixedWindow).await;
        usage.expect("memory answers").map_or(0, |usage| usage.used())
    };
    assert_eq!((used("wide").await, used("two").await, used("shadow").await), (3, 1, 1));
}

/// While the service is still at work.
#[tokio::test]
async fn a_client_that_hangs_up_gets_its_units_back_if_wanted() {
    for (refunds, next) in [(true, 200), (false, 429)] {
        let layer = layer().rule(Rule::new("one", Limit::fixed_window(1, HOUR)));
        let layer = if refunds { layer.refund_unanswered() } else { layer };
        let never = service_fn(|_: Request<Full<Bytes>>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
        let answer = tokio::time::timeout(Duration::from_millis(20), layer.layer(never).oneshot(request()));
        assert!(answer.await.is_err(), "the service never answers");
        tokio::task::yield_now().await;
        assert_eq!(send(&layer, request()).await.status(), next);
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_given_back_if_wanted() {
    let layer = layer().rule(Rule::new("one", Limit::fixed_window(1, HOUR))).refund_unanswered();
    for _ in 0..3 {
        let failing = service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>("broken") });
        assert_eq!(layer.layer(failing).oneshot(request()).await.expect_err("it fails"), "broken");
        tokio::task::yield_now().await;
    }
}

/// A request that is admitted after the time would be too late.
#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_turn_if_wanted() {
    let start = Instant::now();
    let memory = premier_client::MemoryBackend::with_clock(move || Duration::from_secs(1_000) + start.elapsed());
    let throttler = AsyncThrottler::builder(memory).build();
    let rule = Rule::new("one a second", Limit::token_bucket(1, Duration::from_secs(1)));
    let layer = ThrottleLayer::new(throttler).rule(rule).wait_up_to(Duration::from_millis(1_500));
    assert_eq!(send(&layer, request()).await.status(), 200);
    assert!(start.elapsed().is_zero());
    assert_eq!(send(&layer, request()).await.status(), 200);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    let (one, other) = tokio::join!(send(&layer, request()), send(&layer, request()));
    let mut statuses = [one.status().as_u16(), other.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    assert!(start.elapsed() < Duration::from_secs(3), "the last one would have to wait too long");
}

/// A queue admits now, and lets the request go ahead later.
#[tokio::test(start_paused = true)]
async fn a_leaky_bucket_spaces_requests() {
    let start = Instant::now();
    let memory = premier_client::MemoryBackend::with_clock(move || Duration::from_secs(1_000) + start.elapsed());
    let throttler = AsyncThrottler::builder(memory).build();
    let layer = ThrottleLayer::new(throttler).rule(Rule::new("paced", Limit::leaky_bucket(2, Duration::from_secs(2))));
    let arrivals = Mutex::new(Vec::new());
    let arrived = async || {
        let response = send(&layer, request()).await;
        arrivals.lock().expect("nobody panics").push((response.status().as_u16(), start.elapsed().as_millis()));
    };
    tokio::join!(arrived(), arrived(), arrived());
    let mut arrivals = arrivals.into_inner().expect("nobody panics");
    arrivals.sort_unstable();
    assert_eq!(arrivals, [(200, 0), (200, 1_000), (429, 0)]);
}

/// First come, first served: later requests that cost less do not keep a costly one waiting.
#[tokio::test(start_paused = true)]
async fn waiting_requests_are_admitted_in_turn() {
    let start = Instant::now();
    let memory = premier_client::MemoryBackend::with_clock(move || Duration::from_secs(1_000) + start.elapsed());
    let cost = |head: &Head<'_>| if head.headers().contains_key("x-costly") { 2 } else { 1 };
    let layer = ThrottleLayer::new(AsyncThrottler::builder(memory).build())
        .rule(Rule::new("window", Limit::sliding_window(2, Duration::from_secs(1))).cost(cost))
        .wait_up_to(Duration::from_secs(60));
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (name, cost, at) in [("first", 1, 0), ("second", 1, 500), ("costly", 2, 600), ("late", 1, 1_100)] {
        let (layer, arrivals) = (layer.clone(), Arc::clone(&arrivals));
        tasks.push(tokio::spawn(async move {
            tokio::time::sleep_until(start + Duration::from_millis(at)).await;
            let mut request = request();
            if cost > 1 {
                request.headers_mut().insert("x-costly", http::HeaderValue::from_static("1"));
            }
            assert_eq!(send(&layer, request).await.status(), 200);
            arrivals.lock().expect("nobody panics").push(name);
        }));
    }
    for task in tasks {
        task.await.expect("it does not panic");
    }
    assert_eq!(*arrivals.lock().expect("nobody panics"), ["first", "second", "costly", "late"]);
}

/// It has not reached the service.
#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_while_it_waits_is_charged_nothing() {
    let pace = Limit::leaky_bucket(2, Duration::from_secs(20));
    for wait in [None, Some(Duration::from_secs(60))] {
        let throttler = throttler();
        let layer = ThrottleLayer::new(throttler.clone()).rule(Rule::new("paced", pace));
        let layer = if let Some(wait) = wait { layer.wait_up_to(wait) } else { layer };
        assert_eq!(send(&layer, request()).await.status(), 200);
        let waiting = tokio::time::timeout(Duration::from_secs(1), send(&layer, request()));
        assert!(waiting.await.is_err(), "its turn comes in 10 seconds");
        tokio::task::yield_now().await;
        let key = premier_client::Key::named("paced");
        let usage = throttler.inspect(&key, premier_client::Algorithm::LeakyBucket).await.expect("memory answers");
        assert_eq!(usage.map_or(0, |usage| usage.used()), 1);
    }
}

/// Whichever of its limits it would wait for.
#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_it_may() {
    let queue = Limit::leaky_bucket(5, Duration::from_secs(10));
    let lending = Limit::token_bucket(1, Duration::from_secs(2)).max_wait(Duration::from_secs(3));
    for turns in [PolicyLimit::from(queue), lending.into()] {
        for wait in [Duration::ZERO, Duration::from_millis(300)] {
            let alone = layer().rule(Rule::new("turns", turns)).wait_up_to(wait);
            let beside_a_window =
                layer().rule(Rule::new("turns", turns)).rule(Rule::new("wide", WIDE)).wait_up_to(wait);
            let places = Limit::concurrency(9, HOUR);
            let beside_places =
                layer().rule(Rule::new("turns", turns)).rule(Rule::new("places", places)).wait_up_to(wait);
            for layer in [alone, beside_a_window, beside_places] {
                let start = Instant::now();
                assert_eq!(statuses(&layer, [request(), request()]).await, [200, 429], "{turns:?}, {wait:?}");
                assert!(start.elapsed() <= wait, "{turns:?}: {:?}", start.elapsed());
            }
        }
        let patient = layer().rule(Rule::new("turns", turns)).rule(Rule::new("wide", WIDE)).wait_up_to(HOUR);
        let start = Instant::now();
        assert_eq!(statuses(&patient, [request(), request()]).await, [200, 200], "{turns:?}");
        assert_eq!(start.elapsed().as_secs(), 2, "{turns:?}");
    }
}

/// Not even those that a rule would refuse.
#[tokio::test]
async fn a_shadow_refuses_nothing() {
    let by_header = |name| Rule::new(name, TWO).by_header(http::HeaderName::from_static("x-user"));
    let by_client = Rule::new("client", TWO).by_client(ClientAddress::peer());
    let rules = layer().rule(by_header("user").shadow()).rule(by_client.clone().shadow());
    let refusing = |_: &Head<'_>| Err::<Policy, _>(Refusal::new(http::StatusCode::FORBIDDEN, "nobody"));
    let layers = [rules, layer().rule(by_header("user")).rule(by_client).rule(refusing).shadow()];
    for layer in layers {
        let mut twice = request();
        for user in ["ada", "bob"] {
            twice.headers_mut().append("x-user", http::HeaderValue::from_static(user));
        }
        assert_eq!(statuses(&layer, [request(), twice]).await, [200, 200]);
    }
    assert_eq!(send(&layer().rule(by_header("user")), request()).await.status(), 400);
}

/// It is charged as ever, so it reports what it would limit.
#[tokio::test]
async fn a_shadow_limits_nothing_and_hides_nothing() {
    let violations = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&violations);
    let layer = layer()
        .rule(Rule::new("shadow", Limit::fixed_window(1, HOUR)).shadow())
        .rule(Rule::new("two", TWO))
        .on_shadow(move |policy| {
            assert_eq!(policy.name(), "shadow");
            count.fetch_add(1, Ordering::Relaxed);
        });
    assert_eq!(statuses(&layer, (0..3).map(|_| request())).await, [200, 200, 429]);
    // The last request was limited, so it was not asked.
    assert_eq!(violations.load(Ordering::Relaxed), 1);
}

/// Each rule reports what it would limit, whatever the others decide.
#[tokio::test]
async fn a_layer_in_shadow_limits_nothing() {
    let violations = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&violations);
    let layer = layer()
        .rule(Rule::new("one", Limit::fixed_window(1, HOUR)))
        .rule(|_: &Head<'_>| [Policy::new("two", TWO)])
        .on_shadow(move |policy| reported.lock().expect("no panic").push(policy.name().to_owned()))
        .shadow();
    for _ in 0..4 {
        let response = send(&layer, request()).await;
        assert_eq!((response.status().as_u16(), response.headers().len()), (200, 0));
    }
    assert_eq!(*violations.lock().expect("no panic"), ["one", "one", "two", "one", "two"]);
}

/// Clients see only what limits them.
#[tokio::test]
async fn a_shadow_is_not_in_the_headers() {
    let layer = layer().rule(Rule::new("shadow", Limit::fixed_window(1, HOUR)).shadow());
    for _ in 0..2 {
        let response = send(&layer, request()).await;
        assert_eq!((response.status().as_u16(), response.headers().len()), (200, 0));
    }
}
