//! Layers above each other.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use premier_client::Limit;
use premier_tower::{Headers, PolicyDecision, RateLimits, Rule, ThrottleLayer};
use tower::{Layer, ServiceExt as _, service_fn};

use crate::tools::{HOUR, TWO, collected, layer, request};

/// Sends a request through both layers, to a service that answers with the names of the policies
/// that it sees.
async fn send(outer: &ThrottleLayer, inner: &ThrottleLayer) -> Response<Bytes> {
    let service = service_fn(async |request: Request<Full<Bytes>>| {
        let limits = request.extensions().get::<RateLimits>().expect("it was decided");
        let names: Vec<_> = limits.policies().iter().map(PolicyDecision::name).collect();
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(names.join(" "))))
    });
    collected(outer.layer(inner.layer(service)).oneshot(request()).await.expect("it never fails")).await
}

fn all(response: &Response<Bytes>, name: &str) -> Vec<String> {
    response.headers().get_all(name).iter().map(|value| value.to_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn decisions_and_headers_of_all_layers_are_shown() {
    let outer = layer().rule(Rule::new("day", Limit::sliding_window(9, HOUR * 24)));
    let inner = layer().rule(Rule::new("two", TWO));
    let response = send(&outer, &inner).await;
    assert_eq!(response.body(), "day two");
    assert_eq!(all(&response, "ratelimit"), ["\"two\";r=1;t=3600", "\"day\";r=8;t=86400"]);
    let limits = response.extensions().get::<RateLimits>().expect("it was decided");
    assert_eq!(limits.policies().len(), 2);

    send(&outer, &inner).await;
    let limited = send(&outer, &inner).await;
    assert_eq!(limited.status(), 429);
    assert_eq!(all(&limited, "retry-after"), ["3600"]);
    // The day ends after the client may come back.
    assert_eq!(all(&limited, "ratelimit"), ["\"two\";r=0;t=3600", "\"day\";r=6"]);
    let limits = limited.extensions().get::<RateLimits>().expect("it was decided");
    assert_eq!((limits.policies().len(), limits.violated().collect::<Vec<_>>()), (2, vec!["two"]));
}

/// Whichever layer it belongs to.
#[tokio::test]
async fn older_headers_show_the_policy_that_limits_most_of_all_layers() {
    let few = || layer().headers(Headers::XRateLimit).rule(Rule::new("two", TWO));
    let many = || layer().headers(Headers::XRateLimit).rule(Rule::new("many", Limit::fixed_window(9, HOUR)));
    for (outer, inner) in [(few(), many()), (many(), few())] {
        for (status, remaining) in [(200, "1"), (200, "0"), (429, "0")] {
            let response = send(&outer, &inner).await;
            assert_eq!(response.status(), status);
            assert_eq!(all(&response, "x-ratelimit-limit"), ["2"]);
            assert_eq!(all(&response, "x-ratelimit-remaining"), [remaining]);
        }
    }
}

/// A time that is longer would contradict it.
#[tokio::test]
async fn a_retry_after_of_the_service_is_kept() {
    for (retry_after, shown) in [("60", "\"two\";r=1"), ("3600", "\"two\";r=1;t=3600")] {
        let busy = service_fn(move |_: Request<Full<Bytes>>| {
            let response = Response::builder().status(503).header("retry-after", retry_after);
            std::future::ready(response.body(Full::<Bytes>::default()))
        });
        let response =
            layer().rule(Rule::new("two", TWO)).layer(busy).oneshot(request()).await.expect("it never fails");
        let response = collected(response).await;
        assert_eq!(
            (all(&response, "retry-after"), all(&response, "ratelimit")),
            (vec![retry_after.into()], vec![shown.into()])
        );
    }
    let layer = layer().rule(Rule::new("none", Limit::token_bucket(1, HOUR))).on_limited(|_| {
        Response::builder().status(429).header("retry-after", "7200").body(Bytes::new()).expect("a response")
    });
    crate::tools::send(&layer, request()).await;
    assert_eq!(all(&crate::tools::send(&layer, request()).await, "retry-after"), ["7200"]);
}
