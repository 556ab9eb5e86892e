//! gRPC calls that are limited get a status that their clients understand.

use std::time::Duration;

use premier_client::{AsyncBackend, AsyncThrottler, Limit};
use premier_tower::{Rule, ThrottleLayer};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::tools::{HOUR, TWO, layer, request, send};

fn status(response: &http::Response<bytes::Bytes>) -> Status {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    Status::from_header_map(response.headers()).expect("there is a status")
}

#[tokio::test]
async fn a_limited_call_is_told_when_to_retry() {
    let layer = layer().grpc().rule(Rule::new("two", TWO));
    for _ in 0..2 {
        assert!(Status::from_header_map(send(&layer, request()).await.headers()).is_none());
    }
    let status = status(&send(&layer, request()).await);
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "quota exceeded: two"));
    let delay = status.get_details_retry_info().expect("it has one").retry_delay.expect("it has one");
    assert!(delay.abs_diff(HOUR) < Duration::from_secs(5), "{delay:?}");
}

#[tokio::test]
async fn a_call_that_is_never_admitted_is_not_told_to_retry() {
    let layer = layer().grpc().rule(Rule::new("blocked", Limit::fixed_window(0, HOUR)));
    let status = status(&send(&layer, request()).await);
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());
}

#[tokio::test]
async fn other_answers_have_a_status_too() {
    let backend = AsyncBackend::redis("redis://127.0.0.1:1").expect("an address");
    let away = ThrottleLayer::new(AsyncThrottler::builder(backend).build()).grpc().rule(Rule::new("two", TWO));
    assert_eq!(status(&send(&away, request()).await).code(), Code::Unavailable);
    let nobody = layer().grpc().rule(Rule::new("two", TWO).by_header(http::header::AUTHORIZATION));
    assert_eq!(status(&send(&nobody, request()).await).code(), Code::InvalidArgument);
    let same = layer().grpc().rule(Rule::new("two", TWO)).rule(Rule::new("two", TWO));
    assert_eq!(status(&send(&same, request()).await).code(), Code::Internal);
}
