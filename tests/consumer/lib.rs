//! A service written from the documentation of premier's packages.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use premier_client::{Error, Leaky, Limit, Sliding, Throttler, cache, key, retry, timeout, token_bucket};

/// Three logins in any minute.
const LOGINS: Limit<Sliding> = Limit::sliding_window(3, Duration::from_secs(60));

/// A mail every millisecond.
const PACE: Limit<Leaky> = Limit::leaky_bucket(1_000, Duration::from_secs(1));

/// Returns whether a user may try a password now.
///
/// # Errors
///
/// If the store does not decide.
pub fn may_log_in(throttler: &Throttler, user: &str) -> Result<bool, Error> {
    Ok(throttler.check(&key!("login", user), LOGINS)?.is_admitted())
}

/// Waits until a mail may be sent.
///
/// # Errors
///
/// If that takes more than a second.
pub fn pace(throttler: &Throttler) -> Result<(), Error> {
    throttler.acquire(&key!("mail"), PACE, Duration::from_secs(1)).map(drop)
}

/// Greets a user twice an hour.
///
/// # Errors
///
/// If the user was greeted twice already.
#[token_bucket(quota = 2, duration = "1h", key = |user| user)]
pub fn greet(user: &str) -> Result<String, Error> {
    Ok(format!("hello, {user}"))
}

/// Does the same in async code, in which each user may ask once.
///
/// # Errors
///
/// If the user asks again.
#[timeout("10s")]
#[token_bucket(quota = 1, duration = "1h", key = |user| user)]
pub async fn greet_later(user: &str) -> Result<String, Error> {
    tokio::task::yield_now().await;
    Ok(format!("hello again, {user}"))
}

/// How often the weather was measured.
pub static MEASURED: AtomicU32 = AtomicU32::new(0);

/// Returns the weather, which is measured once an hour.
#[cache(ttl = "1h")]
pub async fn weather(city: &str) -> String {
    MEASURED.fetch_add(1, Ordering::Relaxed);
    format!("sunny in {city}")
}

/// Returns the square of a number, which is computed once an hour.
#[cache(ttl = "1h")]
pub fn square(number: u64) -> u64 {
    number * number
}

/// Succeeds at the third attempt.
///
/// # Errors
///
/// With the number of the attempt, if there are fewer than three.
#[retry(max = 3, strategy = "fixed", delay = "1ms")]
pub fn third_time_lucky(attempts: &AtomicU32) -> Result<u32, u32> {
    let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
    if attempt < 3 { Err(attempt) } else { Ok(attempt) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use premier_algorithms::{
        Algorithm, Clock, Cost, Fixed, FixedLimit, LimitDuration, Outcome, Quota, Span, State, Timestamp, Window,
    };
    use premier_client::{AsyncBackend, AsyncThrottler, Backend, ErrorKind, RetryAfter};
    use premier_tower::{Rule, ThrottleLayer};
    use tower::{Layer as _, ServiceExt as _, service_fn};

    use super::*;

    #[test]
    fn a_sync_throttler_limits_in_memory() {
        let throttler = Throttler::builder(Backend::memory()).build();
        let answers = [(); 4].map(|()| may_log_in(&throttler, "ada").expect("memory answers"));
        assert_eq!(answers, [true, true, true, false]);
        assert!(may_log_in(&throttler, "bob").expect("memory answers"), "another user has a limit of their own");

        for _ in 0..3 {
            pace(&throttler).expect("a turn comes within a second");
        }
    }

    #[tokio::test]
    async fn an_async_throttler_limits_in_memory() {
        let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
        let key = key!("api", "ada");
        assert!(throttler.check(&key, LOGINS).await.expect("memory answers").is_admitted());
        let decision = throttler.check_n(&key, LOGINS, 3).await.expect("memory answers");
        assert!(matches!(decision.retry_after(), Some(RetryAfter::After(_))), "{decision:?}");
    }

    #[tokio::test]
    async fn a_layer_limits_requests() {
        let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
        let layer = ThrottleLayer::new(throttler).rule(Rule::new("all", LOGINS));
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let response = layer.layer(service).oneshot(Request::new(())).await.expect("it never fails");
            statuses.push(response.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, 200, 429]);
    }

    #[test]
    fn an_attribute_limits_a_sync_function() {
        assert_eq!(greet("ada").expect("the first"), "hello, ada");
        greet("ada").expect("the second");
        let error = greet("ada").expect_err("two are admitted");
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        greet("bob").expect("another user has a limit of their own");
    }

    #[tokio::test]
    async fn an_attribute_limits_an_async_function() {
        assert_eq!(greet_later("ada").await.expect("the first"), "hello again, ada");
        let error = greet_later("ada").await.expect_err("one is admitted");
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    }

    #[tokio::test]
    async fn a_cached_function_computes_once() {
        assert_eq!(weather("Oslo").await, "sunny in Oslo");
        assert_eq!(weather("Oslo").await, "sunny in Oslo");
        assert_eq!(MEASURED.load(Ordering::Relaxed), 1);
        assert_eq!([square(7), square(7), square(8)], [49, 49, 64]);
    }

    #[test]
    fn a_retried_function_runs_again_after_an_error() {
        assert_eq!(third_time_lucky(&AtomicU32::new(0)), Ok(3));
    }

    #[test]
    fn an_algorithm_decides_without_a_client() {
        let quota = Quota::new(1).expect("within bounds");
        let duration = LimitDuration::new(Span::from_secs(10)).expect("within bounds");
        let limit = FixedLimit { quota, window: Window::FromFirstCall(duration) };
        let now = Clock::new().read(Timestamp::from_micros(1_800_000_000_000_000));

        let mut state = <Fixed as Algorithm>::State::default();
        let decision = Fixed::decide(&state, now, &limit, Cost::ONE);
        let Outcome::Admitted { change, .. } = decision.outcome else { panic!("{decision:?}") };
        state.apply(&change);
        let decision = Fixed::decide(&state, now, &limit, Cost::ONE);
        assert!(matches!(decision.outcome, Outcome::Limited { .. }), "{decision:?}");
    }
}
