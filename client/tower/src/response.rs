//! The responses to requests that do not reach the service.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use premier_client::{Error, ErrorKind};

use crate::headers::{Headers, add_retry_after};
use crate::{RateLimits, Refusal};

/// The registry of IANA, as the draft of the rate limit headers asks it to be filled.
const PROBLEM_TYPES: &str = "https://iana.org/assignments/http-problem-types";

/// Answers a limited request: 429, with a problem in JSON (RFC 9457) that names the violated
/// policies.
pub(crate) fn limited(limits: &RateLimits) -> Response<Bytes> {
    let violated: Vec<_> = limits.violated().map(|name| Json(name).to_string()).collect();
    let members = format!("\"violated-policies\":[{}]", violated.join(","));
    let title = "Request cannot be satisfied as assigned quota has been exceeded";
    problem(StatusCode::TOO_MANY_REQUESTS, &format!("{PROBLEM_TYPES}#quota-exceeded"), title, &members)
}

/// Adds what each response to a limited request has. `all` includes the decisions of outer layers.
pub(crate) fn show_limited(limits: &RateLimits, all: &RateLimits, headers: Headers, response: &mut Response<Bytes>) {
    add_retry_after(limits, response.headers_mut());
    headers.add(limits, all, response.headers_mut());
}

/// Answers a request that could not be decided: 503 if the store does not answer, 500 if it is used
/// wrongly.
pub(crate) fn undecided(error: &Error) -> Response<Bytes> {
    if is_outage(error) {
        let title = "Request cannot be satisfied due to temporary server capacity constraints";
        let kind = format!("{PROBLEM_TYPES}#temporary-reduced-capacity");
        problem(StatusCode::SERVICE_UNAVAILABLE, &kind, title, "")
    } else {
        problem(StatusCode::INTERNAL_SERVER_ERROR, "about:blank", "Internal Server Error", "")
    }
}

/// Returns whether the store did not answer.
pub(crate) fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost)
}

/// Answers a request that is refused before it is limited.
pub(crate) fn refused(refusal: &Refusal) -> Response<Bytes> {
    let title = refusal.status().canonical_reason().unwrap_or("Refused");
    let detail = format!("\"detail\":{}", Json(refusal.reason()));
    problem(refusal.status(), "about:blank", title, &detail)
}

/// A string of JSON.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\0'..'\u{20}' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

fn problem(status: StatusCode, kind: &str, title: &str, members: &str) -> Response<Bytes> {
    let mut body = format!("{{\"type\":{},\"title\":{},\"status\":{}", Json(kind), Json(title), status.as_u16());
    if !members.is_empty() {
        body.push(',');
        body.push_str(members);
    }
    body.push('}');
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
