//! Requests that do not reach the service get an answer that says why.

use bytes::Bytes;
use http::{Response, StatusCode};
use premier_client::{AsyncBackend, AsyncThrottler, Backend, Limit, OnError, Share, Throttler, key};
use premier_test_server::Server;
use premier_tower::{RateLimits, Rule, ThrottleLayer};

use crate::tools::{HOUR, TWO, layer, request, send, statuses};

#[tokio::test]
async fn a_limited_request_gets_a_problem_that_names_the_policies() {
    let layer =
        layer().rule(Rule::new("a", TWO)).rule(Rule::new("b", TWO)).rule(Rule::new("c", Limit::fixed_window(9, HOUR)));
    assert_eq!(statuses(&layer, (0..2).map(|_| request())).await, [200, 200]);
    let response = send(&layer, request()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!(["a", "b"]));
    let limits = response.extensions().get::<RateLimits>().expect("outer layers see the decisions");
    assert_eq!(limits.violated().collect::<Vec<_>>(), ["a", "b"]);
}

/// JSON has them all, where a header has ASCII only.
#[tokio::test]
async fn a_problem_names_policies_as_they_are_named() {
    let name = "\"über\" \\ 上\n";
    let response = send(&layer().rule(Rule::new(name, Limit::fixed_window(0, HOUR))), request()).await;
    let problem: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(problem["violated-policies"], serde_json::json!([name]));
}

#[tokio::test]
async fn waiting_is_not_recommended_where_it_is_of_no_use() {
    let response = send(&layer().rule(Rule::new("blocked", Limit::fixed_window(0, HOUR))), request()).await;
    assert_eq!((response.status().as_u16(), response.headers().get("retry-after")), (429, None));
}

#[tokio::test]
async fn a_limited_request_may_be_answered_by_the_service_itself() {
    let layer = layer().rule(Rule::new("two", TWO)).on_limited(|limits| {
        let mut response = Response::new(Bytes::from(limits.violated().collect::<String>()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    assert_eq!(statuses(&layer, (0..2).map(|_| request())).await, [200, 200]);
    let response = send(&layer, request()).await;
    assert_eq!((response.status().as_u16(), &response.body()[..]), (418, &b"two"[..]));
    assert_eq!(response.headers()["retry-after"], "3600");
}

/// Nobody listens at port 1.
fn unreachable(on_error: OnError) -> AsyncThrottler {
    AsyncThrottler::builder(AsyncBackend::redis("redis://127.0.0.1:1").expect("an address")).on_error(on_error).build()
}

#[tokio::test]
async fn an_outage_is_a_503_unless_a_policy_decides() {
    let (sender, errors) = std::sync::mpsc::channel();
    let layer = |on_error| {
        let sender = sender.clone();
        ThrottleLayer::new(unreachable(on_error))
            .rule(Rule::new("two", TWO))
            .on_error(move |error| sender.send(error.kind()).expect("the test listens"))
    };
    let response = send(&layer(OnError::Fail), request()).await;
    assert_eq!(response.status(), 503);
    let problem: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
    assert_eq!(errors.try_recv(), Ok(premier_client::ErrorKind::Unavailable));

    let local = layer(OnError::Local { share: Share::WHOLE });
    assert_eq!(statuses(&local, (0..3).map(|_| request())).await, [200, 200, 429]);
    assert_eq!(statuses(&layer(OnError::Admit), (0..3).map(|_| request())).await, [200; 3]);
    assert_eq!(send(&layer(OnError::Limit), request()).await.status(), 429);
    assert!(errors.try_recv().is_err(), "a policy has decided");
}

/// It is a fault of the program: the key belongs to somebody else.
#[tokio::test]
async fn a_store_that_is_used_wrongly_is_a_500() {
    let server = Server::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let throttler = AsyncThrottler::builder(AsyncBackend::redis(url.as_str()).expect("an address")).build();
    let () = redis::cmd("SET").arg("premier:two:fixed").arg(1).query(&mut server.connection()).expect("SET");
    assert_eq!(send(&ThrottleLayer::new(throttler).rule(Rule::new("two", TWO)), request()).await.status(), 500);
}

/// The key in the store is the name of the policy.
#[tokio::test]
async fn other_programs_share_the_limits_of_a_layer() {
    let server = Server::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let throttler = AsyncThrottler::builder(AsyncBackend::redis(url.as_str()).expect("an address")).build();
    let layer = ThrottleLayer::new(throttler).rule(Rule::new("two", TWO).by(|_| Some("ada".to_owned())));
    assert_eq!(send(&layer, request()).await.status(), 200);
    let other = Throttler::builder(Backend::redis(url.as_str()).expect("an address")).build();
    let decision =
        tokio::task::spawn_blocking(move || other.check(&key!("two", "ada"), TWO).expect("the server answers"));
    assert_eq!(decision.await.expect("it returns").remaining(), 0);
    assert_eq!(send(&layer, request()).await.status(), 429);
}

/// It is away for this layer once the throttler's deadline has passed.
#[tokio::test]
async fn a_store_that_hangs_is_an_outage() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("redis://{}", listener.local_addr().expect("it is bound"));
    let layer = |on_error| {
        let backend = AsyncBackend::redis(url.as_str()).expect("an address");
        let throttler =
            AsyncThrottler::builder(backend).deadline(std::time::Duration::from_millis(50)).on_error(on_error);
        ThrottleLayer::new(throttler.build()).rule(Rule::new("two", TWO))
    };
    let start = std::time::Instant::now();
    assert_eq!(send(&layer(OnError::Fail), request()).await.status(), 503);
    let local = layer(OnError::Local { share: Share::WHOLE });
    assert_eq!(statuses(&local, (0..3).map(|_| request())).await, [200, 200, 429]);
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}
