//! The service, called over HTTP.

use std::time::Instant;

use axum::serve;
use tokio::net::TcpListener;

use crate::{app, fetch, install_metrics};

#[tokio::test]
async fn requests_are_limited_per_user_and_counted() {
    let metrics = install_metrics().expect("there is no other recorder");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a port");
    let address = listener.local_addr().expect("it listens");
    let service = tokio::spawn(async { serve(listener, app(metrics)).await });
    let get = async |path| fetch(address, path).await.expect("the service answers");

    let start = Instant::now();
    for left in ["1", "0"] {
        let response = get("/greet/ada").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("hello, ada\n"), "{response}");
        assert!(response.contains("\r\nratelimit-policy: \"user\";q=2;w=60\r\n"), "{response}");
        assert!(response.contains(&format!("\r\nratelimit: \"user\";r={left};t=")), "{response}");
    }
    let response = get("/greet/ada").await;
    assert!(response.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{response}");
    let (_, retry_after) = response.split_once("\r\nretry-after: ").expect("a limited response says when to come back");
    let (retry_after, _) = retry_after.split_once("\r\n").expect("a header is a line");
    // A token comes back every 30 seconds.
    let retry_after: u64 = retry_after.parse().expect("seconds");
    assert!(retry_after <= 30 && retry_after + start.elapsed().as_secs() >= 29, "{retry_after}");
    assert!(response.contains("greet:token:ada is exceeded: retry after"), "{response}");
    assert!(get("/greet/bob").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(get("/report").await.lines().last(), get("/report").await.lines().last(), "the report is remembered");

    let metrics = get("/metrics").await;
    for (answer, count) in [("admitted", 3), ("limited", 1)] {
        let labels = format!(r#"limit="axum::greet",answer="{answer}",decided_by="store""#);
        let line = format!("\npremier_decisions_total{{{labels}}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("ada"), "no user is in the metrics: {metrics}");
    service.abort();
}
