//! How long a response asks its client to wait before the next request.
//!
//! | what | source |
//! | --- | --- |
//! | `Retry-After` of 429 and 503 | RFC 9110, section 10.2.3: seconds, or a date |
//! | `RetryInfo` of `RESOURCE_EXHAUSTED` and `UNAVAILABLE`, with the feature `tonic` | gRPC: google/rpc/error_details.proto |
//! | `RateLimit`, `RateLimit-Policy` | draft-ietf-httpapi-ratelimit-headers-11, by Structured Fields (RFC 9651) |

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use crate::headers::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// Returns for how long requests should be held back. `Retry-After` and `RetryInfo` take precedence
/// over `RateLimit`.
pub(crate) fn pause(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let is_refused = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let retry_after = headers.get(RETRY_AFTER).filter(|_| is_refused);
    let retry_after = retry_after.and_then(|value| time_until(value, now));
    #[cfg(feature = "tonic")]
    let retry_after = retry_after.or_else(|| crate::grpc::retry_delay(headers));
    retry_after.or_else(|| until_available(headers))
}

/// Reads `Retry-After`. A date in the past is a pause of zero.
fn time_until(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit into 64 bits are cut.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default())
}

/// Returns the longest time for which a policy has no units left: `t` of `RateLimit`, or else the
/// window of the policy.
fn until_available(headers: &HeaderMap) -> Option<Duration> {
    let (states, policies) = (list(headers, &RATE_LIMIT)?, list(headers, &RATE_LIMIT_POLICY).unwrap_or_default());
    let window = |name: &BareItem| {
        items(&policies).find(|policy| policy.bare_item == *name).and_then(|policy| number(policy, "w"))
    };
    let used_up = items(&states).filter(|state| number(state, "r") == Some(0));
    let seconds = used_up.filter_map(|state| number(state, "t").or_else(|| window(&state.bare_item)));
    seconds.max().map(Duration::from_secs)
}

/// Reads a header, which may be spread over several lines.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<List> {
    let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    Parser::new(&lines.join(&b", "[..])).parse().ok()
}

fn items(list: &List) -> impl Iterator<Item = &Item> {
    list.iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

/// Returns a parameter that is a number of zero or more.
fn number(item: &Item, name: &str) -> Option<u64> {
    item.params.get(name)?.as_integer().and_then(|number| i64::from(number).try_into().ok())
}
