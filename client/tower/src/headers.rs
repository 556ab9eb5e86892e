//! The headers that show a client its limits.
//!
//! | what | source |
//! | --- | --- |
//! | `RateLimit-Policy`, `RateLimit` | draft-ietf-httpapi-ratelimit-headers-11; fields are Structured Fields, RFC 9651 |
//! | the same of draft 7, and `RateLimit-Limit`, `-Remaining`, `-Reset` of draft 6 | older clients |
//! | `X-RateLimit-*` | what many services send, times in seconds |
//! | `Retry-After` | RFC 9110, section 10.2.3 |

use std::fmt::{self, Write as _};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use premier_client::RetryAfter;

use crate::{PolicyDecision, RateLimits};

/// Which headers show a client its limits, on admitted and limited responses. `Retry-After` is not
/// one of them: each limited response has it, if waiting is of any use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Headers {
    /// `RateLimit-Policy` and `RateLimit` of draft 11, with all policies.
    #[default]
    Draft11,
    /// `RateLimit-Policy` and `RateLimit` of draft 7, with the policy that limits most.
    Draft7,
    /// `RateLimit-Policy`, `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` of draft
    /// 6, with the policy that limits most.
    Draft6,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, in seconds, with the
    /// policy that limits most.
    XRateLimit,
    /// None.
    None,
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Headers {
    /// Adds the headers of a layer's decisions. `all` has those of outer and inner layers, too: the
    /// older forms have room for one policy of all. Draft 11 is a list, so each layer adds its own.
    pub(crate) fn add(self, limits: &RateLimits, all: &RateLimits, headers: &mut HeaderMap) {
        if limits.enforced().next().is_none() {
            return;
        }
        let Some(binding) = all.binding() else { return };
        match self {
            Self::Draft11 => {
                let at_most = longest_time(headers);
                let mut text = String::with_capacity(64);
                list(limits, &mut text, write_policy);
                append(headers, RATE_LIMIT_POLICY, &text);
                text.clear();
                list(limits, &mut text, |policy, out| write_state(policy, at_most, out));
                append(headers, RATE_LIMIT, &text);
            }
            Self::Draft7 => {
                let [limit, remaining, reset] = numbers(binding);
                insert(headers, RATE_LIMIT_POLICY, &old_policy(binding));
                insert(headers, RATE_LIMIT, &format!("limit={limit}, remaining={remaining}, reset={reset}"));
            }
            Self::Draft6 => {
                insert(headers, RATE_LIMIT_POLICY, &old_policy(binding));
                let names = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
                insert_numbers(headers, names, binding);
            }
            Self::XRateLimit => {
                let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
                insert_numbers(headers, names, binding);
            }
            Self::None => {}
        }
    }
}

/// Adds when to come back, unless the response says so already: whole seconds, rounded up, at least
/// one. Nothing if waiting is of no use.
pub(crate) fn add_retry_after(limits: &RateLimits, headers: &mut HeaderMap) {
    if let Some(seconds) = limits.retry_after().and_then(RetryAfter::as_secs) {
        headers.entry(RETRY_AFTER).or_insert_with(|| seconds.max(1).into());
    }
}

/// Returns the seconds that a response asks its client to wait: a `t` must not be longer. A date is
/// taken for now.
fn longest_time(headers: &HeaderMap) -> Option<u64> {
    let retry_after = headers.get(RETRY_AFTER)?;
    Some(retry_after.to_str().ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
}

fn insert_numbers(headers: &mut HeaderMap, names: [&'static str; 3], policy: &PolicyDecision) {
    for (name, number) in names.into_iter().zip(numbers(policy)) {
        headers.insert(HeaderName::from_static(name), number.into());
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Appended, as a service may have limits of its own.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

fn list(limits: &RateLimits, list: &mut String, mut write: impl FnMut(&PolicyDecision, &mut String)) {
    for policy in limits.enforced() {
        if !list.is_empty() {
            list.push_str(", ");
        }
        write(policy, list);
    }
}

fn write_policy(policy: &PolicyDecision, out: &mut String) {
    push_quoted(out, policy.name());
    push_parameter(out, ";q=", policy.limit().terms().quota());
    push_parameter(out, ";w=", window(policy));
}

/// Writes what is available, and for how long. A client must not come back before that, so no time
/// is longer than `at_most`.
fn write_state(policy: &PolicyDecision, at_most: Option<u64>, out: &mut String) {
    let [_, remaining, reset] = numbers(policy);
    push_quoted(out, policy.name());
    push_parameter(out, ";r=", remaining);
    if at_most.is_none_or(|at_most| reset <= at_most) {
        push_parameter(out, ";t=", reset);
    }
}

fn old_policy(policy: &PolicyDecision) -> String {
    format!("{};w={}", policy.limit().terms().quota(), window(policy))
}

/// Returns the duration of the limit in whole seconds, at least one.
fn window(policy: &PolicyDecision) -> u64 {
    seconds(policy.limit().terms().duration()).max(1)
}

/// Returns the limit, what remains, and the seconds until a limited client may come back, or until
/// all is available again.
fn numbers(policy: &PolicyDecision) -> [u64; 3] {
    let decision = policy.decision();
    let reset = match decision.retry_after() {
        Some(RetryAfter::After(time)) => time,
        _ => decision.reset_after(),
    };
    [decision.limit(), policy.remaining(), seconds(reset)]
}

/// Returns a time in whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn push_quoted(out: &mut String, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\')) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        let _infallible = write!(out, "{}", Quoted(text));
    }
}

/// By itoa, as `fmt` would take half of the time of a header.
fn push_parameter(out: &mut String, name: &str, value: u64) {
    out.push_str(name);
    out.push_str(itoa::Buffer::new().format(value));
}

/// A string of Structured Fields, which is one of JSON as well: it carries ASCII only, so anything
/// else becomes a question mark.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                ' '..='~' => f.write_char(character)?,
                _ => f.write_char('?')?,
            }
        }
        f.write_char('"')
    }
}
