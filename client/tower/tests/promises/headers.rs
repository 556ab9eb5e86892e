//! Responses show clients their limits, in the form that was chosen.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use premier_client::{AnyLimit, Limit};
use premier_tower::{Head, Headers, Policy, Rule};
use proptest::prelude::*;

use crate::tools::{HOUR, TWO, layer, request, send};

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    let mut values = response.headers().get_all(name).iter();
    let value = values.next().map(|value| value.to_str().expect("a text"));
    assert_eq!(values.next(), None, "{name} is there twice");
    value
}

fn headers(response: &Response<Bytes>, names: &[&str]) -> Vec<Option<String>> {
    names.iter().map(|name| header(response, name).map(str::to_owned)).collect()
}

#[tokio::test]
async fn draft_11_shows_all_policies() {
    let layer = layer().rule(Rule::new("burst", TWO)).rule(Rule::new("day", Limit::sliding_window(9, HOUR * 24)));
    let names = ["ratelimit-policy", "ratelimit", "retry-after"];
    let policies = Some("\"burst\";q=2;w=3600, \"day\";q=9;w=86400".to_owned());
    let first = headers(&send(&layer, request()).await, &names);
    assert_eq!(first, [policies.clone(), Some("\"burst\";r=1;t=3600, \"day\";r=8;t=86400".into()), None]);
    send(&layer, request()).await;
    // The day ends after the client may come back, so its end is left out.
    let limited = headers(&send(&layer, request()).await, &names);
    assert_eq!(limited, [policies, Some("\"burst\";r=0;t=3600, \"day\";r=7".into()), Some("3600".into())]);
}

#[tokio::test]
async fn headers_of_many_policies_are_complete() {
    let names: Vec<_> = (0..16).map(|number| format!("policy \"{number}\" {}", "x".repeat(number * 9))).collect();
    let policies = names.iter().map(|name| Policy::new(name.clone(), TWO)).collect::<Vec<_>>();
    let layer = layer().rule(move |_: &Head<'_>| policies.clone());
    for left in [1, 0] {
        let response = send(&layer, request()).await;
        let list = |state: &str| {
            let quoted = names.iter().map(|name| format!("\"{}\";{state}", name.replace('"', "\\\"")));
            quoted.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(header(&response, "ratelimit-policy"), Some(&*list("q=2;w=3600")));
        assert_eq!(header(&response, "ratelimit"), Some(&*list(&format!("r={left};t=3600"))));
    }
}

#[tokio::test]
async fn older_drafts_show_the_policy_that_limits_most() {
    let with = |headers| {
        let layer = layer().headers(headers);
        layer.rule(Rule::new("day", Limit::fixed_window(9, HOUR * 24))).rule(Rule::new("burst", TWO))
    };
    let text = |value: &str| Some(value.to_owned());
    let seventh = with(Headers::Draft7);
    let names = ["ratelimit-policy", "ratelimit"];
    let response = send(&seventh, request()).await;
    assert_eq!(headers(&response, &names), [text("2;w=3600"), text("limit=2, remaining=1, reset=3600")]);

    let sixth = with(Headers::Draft6);
    let names = ["ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit"];
    let response = send(&sixth, request()).await;
    assert_eq!(headers(&response, &names), [text("2;w=3600"), text("2"), text("1"), text("3600"), None]);

    let old = with(Headers::XRateLimit);
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit"];
    for remaining in ["1", "0", "0"] {
        let response = send(&old, request()).await;
        assert_eq!(headers(&response, &names), [text("2"), text(remaining), text("3600"), None]);
    }
}

/// A client that takes 0 for "now" would come back at once, for ever.
#[tokio::test]
async fn a_request_that_is_never_admitted_is_not_invited_back() {
    for headers in [Headers::Draft11, Headers::Draft7, Headers::Draft6, Headers::XRateLimit] {
        let layer = layer().headers(headers).rule(Rule::new("blocked", Limit::fixed_window(0, HOUR)));
        let response = send(&layer, request()).await;
        let (name, shown) = match headers {
            Headers::Draft11 => ("ratelimit", "\"blocked\";r=0;t=3600"),
            Headers::Draft7 => ("ratelimit", "limit=0, remaining=0, reset=3600"),
            Headers::Draft6 => ("ratelimit-reset", "3600"),
            _ => ("x-ratelimit-reset", "3600"),
        };
        assert_eq!((header(&response, name), header(&response, "retry-after")), (Some(shown), None));
    }
}

/// But for `Retry-After`.
#[tokio::test]
async fn headers_can_be_left_out() {
    let layer = layer().headers(Headers::None).rule(Rule::new("burst", TWO));
    for _ in 0..2 {
        assert!(send(&layer, request()).await.headers().is_empty());
    }
    let limited = send(&layer, request()).await;
    assert_eq!(header(&limited, "retry-after"), Some("3600"));
    assert_eq!(header(&limited, "ratelimit"), None);
}

/// A header carries ASCII only.
#[tokio::test]
async fn any_name_makes_a_valid_header() {
    let layer = layer().rule(Rule::new("a \"b\" \\ ü\n", TWO));
    let response = send(&layer, request()).await;
    assert_eq!(header(&response, "ratelimit"), Some("\"a \\\"b\\\" \\\\ ??\";r=1;t=3600"));
}

proptest! {
    /// Rounded up to whole seconds, at least one: a client that waits that long is admitted.
    #[test]
    fn retry_after_is_rounded_up(millis in 1..10_000_u64, algorithm in 0..4_usize) {
        let duration = Duration::from_millis(millis);
        let limits: [AnyLimit; 4] = [
            Limit::fixed_window(1, duration).into(),
            Limit::sliding_window(1, duration).into(),
            Limit::token_bucket(1, duration).into(),
            Limit::leaky_bucket(1, duration).into(),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let response = runtime.block_on(async {
            // On a clock that stands still.
            let memory = premier_client::MemoryBackend::with_clock(|| Duration::from_secs(1_000));
            let throttler = premier_client::AsyncThrottler::builder(memory).build();
            let layer = premier_tower::ThrottleLayer::new(throttler).rule(Rule::new("one", limits[algorithm]));
            send(&layer, request()).await;
            send(&layer, request()).await
        });
        prop_assert_eq!(response.status().as_u16(), 429);
        let seconds: u64 = header(&response, "retry-after").expect("waiting helps").parse().expect("a number");
        prop_assert_eq!(seconds, millis.div_ceil(1_000));
        // The end of `t` is never later.
        let shown = header(&response, "ratelimit").expect("it is shown").to_owned();
        prop_assert_eq!(shown, format!("\"one\";r=0;t={seconds}"));
    }
}
