//! The responses to gRPC calls that do not reach the service.

use bytes::Bytes;
use http::{Response, StatusCode};
use premier_client::{Error, RetryAfter};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::response::is_outage;
use crate::{RateLimits, Refusal};

/// Answers a limited call: `RESOURCE_EXHAUSTED`, with `RetryInfo` if waiting is of any use.
pub(crate) fn limited(limits: &RateLimits) -> Response<Bytes> {
    let violated: Vec<_> = limits.violated().collect();
    let message = format!("quota exceeded: {}", violated.join(", "));
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

fn answer(status: Status) -> Response<Bytes> {
    status.into_http()
}
