//! The responses to gRPC calls that do not reach the service, and those that come from others.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use premier_client::{Error, RetryAfter};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::response::is_outage;
use crate::{RateLimits, Refusal};

/// Answers a limited call: `RESOURCE_EXHAUSTED`, with `RetryInfo` if waiting is of any use.
pub(crate) fn limited(limits: &RateLimits) -> Response<Bytes> {
    let violated: Vec<_> = limits.violated().collect();
    let message = if violated.is_empty() {
        "the called service has asked to wait".to_owned()
    } else {
        format!("quota exceeded: {}", violated.join(", "))
    };
    let mut details = ErrorDetails::new();
    if let Some(RetryAfter::After(time)) = limits.retry_after() {
        details.set_retry_info(Some(time));
    }
    answer(Status::with_error_details(Code::ResourceExhausted, message, details))
}

/// Answers a call that could not be decided.
pub(crate) fn undecided(error: &Error) -> Response<Bytes> {
    answer(if is_outage(error) {
        Status::unavailable("the rate limiter is unavailable")
    } else {
        Status::internal("the rate limiter is misconfigured")
    })
}

/// Answers a call that is refused before it is limited.
pub(crate) fn refused(refusal: &Refusal) -> Response<Bytes> {
    let code = match refusal.status() {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    };
    answer(Status::new(code, refusal.reason()))
}

/// Returns how long a refused call asks its client to wait, by `RetryInfo`. A call that was
/// answered with messages has it in its trailers, which are not read.
pub(crate) fn retry_delay(headers: &HeaderMap) -> Option<Duration> {
    const DETAILS: &str = "grpc-status-details-bin";
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    if !matches!(code, Code::ResourceExhausted | Code::Unavailable) {
        return None;
    }
    // `Status::from_header_map` would panic if they are not in base64.
    let details = (HeaderName::from_static(DETAILS), headers.get(DETAILS)?.clone());
    let details = MetadataMap::from_headers([details].into_iter().collect()).get_bin(DETAILS)?.to_bytes().ok()?;
    Status::with_details(code, "", details).get_details_retry_info()?.retry_delay
}

fn answer(status: Status) -> Response<Bytes> {
    status.into_http()
}
