//! What services answer to requests that go out: whatever it is, the next request waits for the
//! time that a valid `Retry-After` names, and never for longer than is allowed.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | `4` for the status 429, `5` for 503, and 200 for any other |
//! | the rest | lines of a header each, whose first byte is one of `HEADERS` |

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use premier_client::{AsyncBackend, AsyncThrottler};
use premier_tower::{Headers, ThrottleLayer};
use tower::{Layer, ServiceExt as _, service_fn};

/// The headers of the lines that begin with these letters.
const HEADERS: [(u8, &str); 5] = [
    (b'r', "retry-after"),
    (b'l', "ratelimit"),
    (b'p', "ratelimit-policy"),
    (b'g', "grpc-status"),
    (b'd', "grpc-status-details-bin"),
];

/// The longest time that is heeded, in seconds.
const AT_MOST: u64 = 3_600;

/// Checks the answer of a service.
///
/// # Panics
///
/// If it cannot be read, or the time that it names is not heeded.
pub fn check(input: &[u8]) {
    let Some((choice, lines)) = input.split_first() else { return };
    let status = match choice {
        b'4' => StatusCode::TOO_MANY_REQUESTS,
        b'5' => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let mut headers: HeaderMap = lines.split(|byte| *byte == b'\n').filter_map(header).collect();
    let pause = pause_after(status, headers.clone());
    assert!(pause.is_none_or(|pause| pause <= AT_MOST), "{pause:?}");
    if let Some(seconds) = headers.get(RETRY_AFTER).and_then(whole_seconds).filter(|_| status != StatusCode::OK) {
        assert_eq!(pause, Some(seconds.min(AT_MOST)).filter(|pause| *pause > 0));
    }
    headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
    assert_eq!(pause_after(StatusCode::TOO_MANY_REQUESTS, headers), Some(7));
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (letter, value) = line.split_first()?;
    let (_, name) = HEADERS.iter().find(|(named, _)| named == letter)?;
    Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?))
}

fn whole_seconds(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok().filter(|text| text.len() < 19 && text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Returns for how many seconds the next request is not sent; `None` if it is sent.
fn pause_after(status: StatusCode, headers: HeaderMap) -> Option<u64> {
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let heeding = ThrottleLayer::new(throttler).heed_responses(Duration::from_secs(AT_MOST)).headers(Headers::None);
    let send = |status: StatusCode, headers: HeaderMap| {
        let answer = move |_: Request<()>| {
            let mut response = Response::new(String::new());
            *response.status_mut() = status;
            response.headers_mut().clone_from(&headers);
            std::future::ready(Ok::<_, Infallible>(response))
        };
        let response = pin!(heeding.layer(service_fn(answer)).oneshot(Request::new(())));
        let Poll::Ready(Ok(response)) = response.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing waits")
        };
        response
    };
    send(status, headers);
    let next = send(StatusCode::OK, HeaderMap::new());
    (next.status() == StatusCode::TOO_MANY_REQUESTS)
        .then(|| next.headers().get(RETRY_AFTER).and_then(whole_seconds).expect("whole seconds"))
}
