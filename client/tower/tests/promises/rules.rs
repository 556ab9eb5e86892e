//! Rules choose the limits of a request, which are charged all or none.

use http::header::{AUTHORIZATION, HeaderValue};
use http::{Method, StatusCode};
use metrics::set_default_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use premier_client::{Algorithm, AnyLimit, AsyncBackend, AsyncThrottler, Key, Limit, Policies};
use premier_tower::{Head, Missing, Policy, Refusal, Rule, Rules, ThrottleLayer};
use tower::{Layer, ServiceExt as _};

use crate::tools::{HOUR, TWO, answering, layer, request, send, statuses, throttler};

#[derive(Debug, Clone)]
struct User(u32);

fn request_of(user: u32) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = request();
    request.extensions_mut().insert(User(user));
    request
}

#[tokio::test]
async fn a_rule_counts_all_requests_together() {
    let layer = layer().rule(Rule::new("all", TWO));
    assert_eq!(statuses(&layer, (0..3).map(|_| request())).await, [200, 200, 429]);
}

#[tokio::test]
async fn a_layer_without_rules_admits_all() {
    let response = send(&layer(), request()).await;
    assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn a_rule_counts_by_header() {
    let layer = layer().rule(Rule::new("key", TWO).by_header(AUTHORIZATION));
    let with = |value: &'static [u8]| {
        let mut request = request();
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a valid value"));
        request
    };
    let sent = [with(b"a"), with(b"a"), with(b"a"), with(b"b"), with(b"\xff")];
    assert_eq!(statuses(&layer, sent).await, [200, 200, 429, 200, 200]);
    let response = send(&layer, request()).await;
    assert_eq!(response.status(), 400);
    assert!(response.body().windows(32).any(|part| part == b"header authorization is missing\""));
}

#[tokio::test]
async fn a_rule_counts_by_extension() {
    let rule = Rule::new("user", TWO).by_extension(|user: &User| user.0);
    let refusing = layer().rule(rule.clone());
    assert_eq!(statuses(&refusing, [1, 1, 1, 2].map(request_of)).await, [200, 200, 429, 200]);
    assert_eq!(send(&refusing, request()).await.status(), 500, "the outer layer is missing");
    assert_eq!(send(&layer().rule(rule.missing(Missing::Admit)), request()).await.status(), 200);
}

#[tokio::test]
async fn a_rule_counts_by_method_and_path() {
    let layer = layer().rule(Rule::new("route", TWO).by_route());
    let to = |method: Method, path: &'static str| {
        let mut request = request();
        (*request.method_mut(), *request.uri_mut()) = (method, path.parse().expect("a path"));
        request
    };
    let sent = [
        to(Method::GET, "/a?page=1"),
        to(Method::GET, "/a?page=2"),
        to(Method::GET, "/a"),
        to(Method::POST, "/a"),
        to(Method::GET, "/b"),
    ];
    assert_eq!(statuses(&layer, sent).await, [200, 200, 429, 200, 200]);
    // The handler of GET answers HEAD, too.
    assert_eq!(send(&layer, to(Method::HEAD, "/a")).await.status(), 429);
    let made_up = ["POST1", "get", "X"].map(|name| to(Method::from_bytes(name.as_bytes()).expect("a token"), "/a"));
    assert_eq!(statuses(&layer, made_up).await, [200, 200, 429], "a client makes keys by making up methods");
}

/// By all of its parts.
#[tokio::test]
async fn a_rule_counts_by_several_things() {
    let rule = Rule::new("both", TWO).by_extension(|user: &User| user.0).by_route();
    let layer = layer().rule(rule);
    let to = |user, path: &'static str| {
        let mut request = request_of(user);
        *request.uri_mut() = path.parse().expect("a path");
        request
    };
    let sent = [to(1, "/a"), to(1, "/a"), to(1, "/a"), to(1, "/b"), to(2, "/a")];
    assert_eq!(statuses(&layer, sent).await, [200, 200, 429, 200, 200]);
}

#[tokio::test]
async fn a_request_costs_what_its_rule_says() {
    let cost = |head: &Head<'_>| head.headers().get("x-cost").map_or(0, |_| u64::MAX);
    let layer = layer().rule(Rule::new("cost", TWO).cost(cost));
    // Costs are cut to their bounds: here 1, and there 10¹².
    assert_eq!(send(&layer, request()).await.status(), 200);
    let mut large = request();
    large.headers_mut().insert("x-cost", HeaderValue::from_static("many"));
    let response = send(&layer, large).await;
    assert_eq!((response.status().as_u16(), response.headers().get("retry-after")), (429, None));
}

#[tokio::test]
async fn a_closure_returns_a_policy_or_refuses_the_request() {
    let one = layer().rule(|_: &Head<'_>| Policy::new("one", TWO));
    assert_eq!(statuses(&one, (0..3).map(|_| request())).await, [200, 200, 429]);
    let by_key = layer().rule(|head: &Head<'_>| {
        let key = head.headers().get("x-key").ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "no key"))?;
        Ok::<_, Refusal>(Some(Policy::new("key", TWO).by(key.as_bytes().escape_ascii())))
    });
    assert_eq!(send(&by_key, request()).await.status(), 401);
    let with_key = || {
        let mut request = request();
        request.headers_mut().insert("x-key", HeaderValue::from_static("ada"));
        request
    };
    assert_eq!(statuses(&by_key, (0..3).map(|_| with_key())).await, [200, 200, 429]);
}

#[tokio::test]
async fn a_closure_returns_any_number_of_policies() {
    let by_path = |head: &Head<'_>| -> Vec<Policy> {
        match head.uri().path() {
            "/free" => Vec::new(),
            _ => vec![Policy::new("one", TWO), Policy::new("other", Limit::fixed_window(5, HOUR)).by("x")],
        }
    };
    let layer = layer().rule(by_path);
    let mut free = request();
    *free.uri_mut() = "/free".parse().expect("a path");
    assert_eq!(statuses(&layer, [request(), request(), request(), free]).await, [200, 200, 429, 200]);
}

/// A request that one policy limits takes nothing from the others.
#[tokio::test]
async fn all_policies_are_charged_or_none() {
    let wide: AnyLimit = Limit::fixed_window(4, HOUR).into();
    let layer = layer()
        .rule(Rule::new("wide", wide))
        .rule(Rule::new("narrow", TWO).by(|head| head.uri().query().map(str::to_owned)).missing(Missing::Admit));
    let with = |query: Option<&str>| {
        let mut request = request();
        *request.uri_mut() = query.map_or("/".to_owned(), |query| format!("/?{query}")).parse().expect("a path");
        request
    };
    let sent = [Some("a"), Some("a"), Some("a"), Some("a"), None, None, None].map(with);
    assert_eq!(statuses(&layer, sent).await, [200, 200, 429, 429, 200, 200, 429]);
}

#[tokio::test]
async fn a_rule_may_refuse_a_request() {
    struct Authenticated;
    impl Rules for Authenticated {
        fn choose(&self, _: &Head<'_>, _: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
            Err(Refusal::new(StatusCode::UNAUTHORIZED, "say \"who\" you are:\n\\ü"))
        }
    }
    let response = send(&layer().rule(Authenticated), request()).await;
    assert_eq!(response.status(), 401);
    let problem: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(problem["detail"], "say \"who\" you are:\n\\ü");
}

/// That is a fault of the program, not of the store.
#[tokio::test]
async fn two_policies_with_one_key_are_an_error() {
    let layer = layer().rule(Rule::new("same", TWO)).rule(Rule::new("same", TWO));
    assert_eq!(send(&layer, request()).await.status(), 500);
}

/// Nor if it leaves out something else, or sends what a missing part is written as.
#[tokio::test]
async fn nobody_can_forge_the_key_of_those_who_lack_a_part() {
    let [a, b] = ["x-a", "x-b"].map(http::HeaderName::from_static);
    let rule = Rule::new("both", TWO).by_header(a).by_header(b).missing(Missing::Share);
    let layer = layer().rule(rule);
    let with = |headers: &[(&'static str, &'static str)]| {
        let mut request = request();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    };
    let sent = [&[("x-a", "1")][..]; 3].map(with);
    assert_eq!(statuses(&layer, sent).await, [200, 200, 429]);
    for forged in [
        &[("x-b", "1")][..],
        &[("x-a", "1"), ("x-b", "")],
        &[("x-a", ""), ("x-b", "1")],
        &[("x-a", "1"), ("x-b", "-")],
        &[("x-a", "1"), ("x-b", "\\-")],
        &[("x-a", "1:\\-")],
        &[],
    ] {
        assert_eq!(send(&layer, with(forged)).await.status(), 200, "{forged:?}");
    }
}

/// The service might believe another one.
#[tokio::test]
async fn a_header_that_is_there_twice_is_refused() {
    for missing in [Missing::Refuse, Missing::Admit, Missing::Share] {
        let layer = layer().rule(Rule::new("key", TWO).by_header(AUTHORIZATION).missing(missing));
        let mut twice = request();
        for value in ["mine", "made up"] {
            twice.headers_mut().append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let response = send(&layer, twice).await;
        assert_eq!(response.status(), 400);
        assert!(String::from_utf8_lossy(response.body()).contains("the header authorization is given more than once"));
    }
}

/// So other programs name them by `key!`. Short parts are kept in place, others are not.
#[tokio::test]
async fn keys_are_those_of_the_client() {
    let given = [&["a"][..], &["a:b", "c"], &["a", "b:c"], &["", "\\", ":"], &["2001:db8::/64", "é"]];
    let given = given.map(|parts| parts.iter().map(ToString::to_string).collect());
    let of_any_length = (0..50).map(|length| vec!["a".repeat(length), "b:".to_owned()]);
    for parts in of_any_length.chain(given) {
        let throttler = throttler();
        let of_request = parts.clone();
        let policies = move |_: &Head<'_>| Some(of_request.iter().fold(Policy::new("x:y", TWO), Policy::by));
        assert_eq!(send(&ThrottleLayer::new(throttler.clone()).rule(policies), request()).await.status(), 200);
        let parts: Vec<&dyn std::fmt::Display> = parts.iter().map(|part| part as _).collect();
        let key = Key::named("x:y").custom_parts(&parts);
        let usage = throttler.inspect(&key, Algorithm::FixedWindow).await.expect("memory answers");
        assert_eq!(usage.map(|usage| usage.used()), Some(1), "{key:?}");
    }
}

/// 16 at most.
#[tokio::test]
async fn a_request_with_too_many_policies_is_a_500() {
    let many = |policies: usize| {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"];
        layer().rule(move |_: &Head<'_>| {
            names.map(|name| Policy::new(name, TWO)).into_iter().take(policies).collect::<Vec<_>>()
        })
    };
    assert_eq!(send(&many(16), request()).await.status(), 200);
    assert_eq!(send(&many(17), request()).await.status(), 500);
}

/// A change of the file applies to later requests, and what was used before still counts.
#[tokio::test]
async fn a_rule_finds_its_limit_by_name() {
    let file = std::env::temp_dir().join(format!("premier-tower-{}.toml", std::process::id()));
    let write = |limit: &str| {
        let text = format!("[user]\nlimit = '{limit}'\noverrides = {{ '7' = 'fixed 3/1h', '9*' = 'fixed 0/1h' }}");
        std::fs::write(&file, text).expect("it can be written");
    };
    write("fixed 1/1h");
    let policies = Policies::from_file(&file).expect("valid policies");
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).policies(policies).build();
    let layer = ThrottleLayer::new(throttler).rule(Rule::policy("user").by_extension(|user: &User| user.0));
    assert_eq!(
        statuses(&layer, [1, 1, 2, 7, 7, 7, 7, 99].map(request_of)).await,
        [200, 429, 200, 200, 200, 200, 429, 429]
    );
    let response = send(&layer, request_of(3)).await;
    assert_eq!(response.headers()["ratelimit-policy"], "\"user\";q=1;w=3600");
    write("fixed 2/1h");
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(statuses(&layer, [1, 1].map(request_of)).await, [200, 429]);
    std::fs::remove_file(file).expect("it is there");
}

/// Its place is kept as long as the body lives, as that of a limit that is given.
#[tokio::test]
async fn a_rule_by_name_may_limit_requests_under_way() {
    let file = std::env::temp_dir().join(format!("premier-tower-hold-{}.toml", std::process::id()));
    std::fs::write(&file, "downloads = 'hold 2/30s'").expect("it can be written");
    let policies = Policies::from_file(&file).expect("valid policies");
    std::fs::remove_file(file).expect("it is there");
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).policies(policies).build();
    let layer = ThrottleLayer::new(throttler).rule(Rule::policy("downloads").by_extension(|user: &User| user.0));
    let open = |user| layer.layer(answering(StatusCode::OK)).oneshot(request_of(user));
    let (one, two) = (open(1).await.expect("no error"), open(1).await.expect("no error"));
    assert_eq!(one.headers()["ratelimit-policy"], "\"downloads\";q=2;qu=\"concurrent-requests\"");
    assert_eq!((two.status().as_u16(), open(1).await.expect("no error").status().as_u16()), (200, 429));
    assert_eq!(open(2).await.expect("no error").status(), 200);
    drop(one);
    assert_eq!(open(1).await.expect("no error").status(), 200);
}

/// The one of the throttler, and by a cost of its own.
#[tokio::test]
async fn a_policy_that_is_not_there_is_a_500() {
    let file = std::env::temp_dir().join(format!("premier-tower-missing-{}.toml", std::process::id()));
    std::fs::write(&file, "api = 'fixed 4/1h'").expect("it can be written");
    let policies = Policies::from_file(&file).expect("valid policies");
    std::fs::remove_file(file).expect("it is there");
    let (sender, errors) = std::sync::mpsc::channel();
    let layer = |throttler, name| {
        let sender = sender.clone();
        ThrottleLayer::new(throttler)
            .rule(Rule::policy(name).cost(|_| 3))
            .on_error(move |error| sender.send(error.to_string()).expect("the test listens"))
    };
    assert_eq!(send(&layer(throttler(), "api"), request()).await.status(), 500);
    assert!(errors.try_recv().expect("an error").contains("policies"));
    let with = || AsyncThrottler::builder(AsyncBackend::memory()).policies(policies.clone()).build();
    assert_eq!(send(&layer(with(), "typo"), request()).await.status(), 500);
    assert!(errors.try_recv().expect("an error").contains("typo"));
    let response = send(&layer(with(), "api"), request()).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["ratelimit"].to_str().ok()),
        (200, Some("\"api\";r=1;t=3600"))
    );
}

#[tokio::test]
async fn requests_are_in_the_metrics_by_policy() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = set_default_local_recorder(&recorder);
    let layer = layer().rule(Rule::new("user", TWO).by_extension(|user: &User| user.0)).rule(Rule::new("all", TWO));
    assert_eq!(statuses(&layer, [1, 1, 1].map(request_of)).await, [200, 200, 429]);
    drop(guard);
    let text = handle.render();
    for policy in ["user", "all"] {
        for (answer, count) in [("admitted", 2), ("limited", 1)] {
            let line = format!(r#"{{limit="{policy}",answer="{answer}",decided_by="store"}} {count}"#);
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
}
