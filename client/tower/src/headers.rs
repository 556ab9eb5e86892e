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

use arrayvec::ArrayString;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use premier_client::{AnyLimit, RetryAfter};

use crate::{PolicyDecision, PolicyLimit, RateLimits};

/// Which headers show a client its limits, on admitted and limited responses. `Retry-After` is not
/// one of them: each limited response has it, if waiting is of any use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Headers {
    /// `RateLimit-Policy` and `RateLimit` of draft 11, with all policies. Those of concurrency have
    /// the unit `concurrent-requests`, and no times.
    #[default]
    Draft11,
    /// `RateLimit-Policy` and `RateLimit` of draft 7, with the policy that limits most. This and
    /// the older forms cannot show concurrency limits.
    Draft7,
    /// `RateLimit-Policy`, `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` of draft
    /// 6, with the policy that limits most.
    Draft6,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, in seconds, with the
    /// policy that limits most.
    XRateLimit,
    /// No headers but `Retry-After`.
    None,
}

pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const DRAFT_6: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];
const X_RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

impl Headers {
    /// Adds the headers of a layer's decisions. `all` has those of outer and inner layers, too: the
    /// older forms have room for one policy of all. Draft 11 is a list, so each layer adds its own.
    pub(crate) fn add(self, limits: &RateLimits, all: &RateLimits, headers: &mut HeaderMap) {
        if self == Self::None || limits.enforced().next().is_none() {
            return;
        }
        if self == Self::Draft11 {
            let at_most = longest_time(headers);
            // Appended, as a service may have limits of its own.
            headers.append(RATE_LIMIT_POLICY, policies(limits));
            headers.append(RATE_LIMIT, list(limits, |policy, out| write_state(policy, at_most, out)));
            return;
        }
        let Some((binding, limit)) = all.binding_rate() else { return };
        match self {
            Self::Draft7 => {
                let [quota, remaining, reset] = numbers(binding);
                headers.insert(RATE_LIMIT_POLICY, old_policy(limit));
                let state = value(|out| write!(out, "limit={quota}, remaining={remaining}, reset={reset}"));
                headers.insert(RATE_LIMIT, state);
            }
            Self::Draft6 => {
                headers.insert(RATE_LIMIT_POLICY, old_policy(limit));
                insert_numbers(headers, DRAFT_6, binding);
            }
            Self::XRateLimit => {
                insert_numbers(headers, X_RATE_LIMIT, binding);
            }
            Self::Draft11 | Self::None => {}
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

fn insert_numbers(headers: &mut HeaderMap, names: [HeaderName; 3], policy: &PolicyDecision) {
    for (name, number) in names.into_iter().zip(numbers(policy)) {
        headers.insert(name, value(|out| out.write_str(itoa::Buffer::new().format(number))));
    }
}

/// Makes a header of a text, without an allocation of its own for most.
fn value(write: impl Fn(&mut dyn fmt::Write) -> fmt::Result) -> HeaderValue {
    let mut short = ArrayString::<96>::new();
    let mut long = String::new();
    let text = if write(&mut short).is_ok() {
        &*short
    } else {
        write(&mut long).expect("a string has room");
        &long
    };
    HeaderValue::from_str(text).expect("names are quoted, and all else is ASCII")
}

/// An item of `RateLimit-Policy`.
#[derive(Debug)]
pub(crate) struct PolicyItem {
    /// With its quotes, as items of `RateLimit` begin with it, too.
    name: String,
    item: HeaderValue,
}

impl PolicyItem {
    pub(crate) fn new(name: &str, limit: PolicyLimit) -> Self {
        let name = quoted(name);
        let item = value(|out| write_policy(&name, limit, out));
        Self { name, item }
    }
}

fn quoted(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\')) {
        ["\"", text, "\""].concat()
    } else {
        Quoted(text).to_string()
    }
}

fn write_policy(name: &str, limit: PolicyLimit, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_str(name)?;
    write_parameter(";q=", limit.quota(), out)?;
    match limit {
        PolicyLimit::Rate(limit) => write_parameter(";w=", window(limit), out),
        PolicyLimit::Concurrency(_) => out.write_str(";qu=\"concurrent-requests\""),
    }
}

/// Returns what is said of all policies.
fn policies(limits: &RateLimits) -> HeaderValue {
    let mut enforced = limits.enforced();
    match (enforced.next(), enforced.next()) {
        (Some(one), None) => one.item().item.clone(),
        _ => list(limits, |policy, out| out.write_str(policy.item().item.to_str().unwrap_or_default())),
    }
}

fn list(limits: &RateLimits, write: impl Fn(&PolicyDecision, &mut dyn fmt::Write) -> fmt::Result) -> HeaderValue {
    value(|out| {
        for (index, policy) in limits.enforced().enumerate() {
            if index > 0 {
                out.write_str(", ")?;
            }
            write(policy, out)?;
        }
        Ok(())
    })
}

/// Writes what is available, and for how long. A client must not come back before that, so no time
/// is longer than `at_most`.
fn write_state(policy: &PolicyDecision, at_most: Option<u64>, out: &mut dyn fmt::Write) -> fmt::Result {
    let [_, remaining, reset] = numbers(policy);
    out.write_str(&policy.item().name)?;
    write_parameter(";r=", remaining, out)?;
    // Nobody knows when a place is given back.
    if policy.is_rate() && at_most.is_none_or(|at_most| reset <= at_most) {
        write_parameter(";t=", reset, out)?;
    }
    Ok(())
}

fn old_policy(limit: AnyLimit) -> HeaderValue {
    value(|out| write!(out, "{};w={}", limit.terms().quota(), window(limit)))
}

/// Returns the duration of the limit in whole seconds, at least one.
fn window(limit: AnyLimit) -> u64 {
    seconds(limit.terms().duration()).max(1)
}

/// Returns the limit, what remains, and the seconds until a limited client may come back, or until
/// all is available again.
fn numbers(policy: &PolicyDecision) -> [u64; 3] {
    let decision = policy.decision();
    let reset = match (decision.retry_after(), policy.limit()) {
        (Some(RetryAfter::After(time)), _) => time,
        // Nothing changes for a whole window. 0 would invite the client to come back at once.
        (Some(RetryAfter::Never), PolicyLimit::Rate(limit)) => limit.terms().duration(),
        _ => decision.reset_after(),
    };
    [decision.limit(), policy.remaining(), seconds(reset)]
}

/// Returns a time in whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// By itoa, as `fmt` would take half of the time of a header.
fn write_parameter(name: &str, value: u64, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_str(name)?;
    out.write_str(itoa::Buffer::new().format(value))
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
