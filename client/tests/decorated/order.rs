//! The top attribute is the outermost layer: each pair of layers, in both orders.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use premier_client::{Error, ErrorKind, cache, fixed_window, leaky_bucket, retry, throttle, timeout};
use tokio::time::sleep;

use crate::use_cases::{block_on, identity};

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn count(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

/// An error that no layer raises.
fn failure() -> Error {
    premier_client::Keyspace::new("").expect_err("a keyspace has a name")
}

/// The pairs of layers that both sync and async functions may have.
macro_rules! pairs {
    ($name:ident: $run:path, [$($async:tt)?]) => {
        mod $name {
            use super::*;

            #[cache(ttl = "1h")]
            #[fixed_window(quota = 1, duration = "1h")]
            $($async)? fn cache_over_throttle(number: u32) -> Result<u32, Error> {
                Ok(number)
            }

            #[test]
            fn a_cache_above_a_limit_saves_the_cost() {
                assert_eq!($run(cache_over_throttle(1)).ok(), Some(1));
                assert_eq!($run(cache_over_throttle(1)).ok(), Some(1));
                assert_eq!(kind($run(cache_over_throttle(2))), Some(ErrorKind::QuotaExceeded));
            }

            #[cache(ttl = "1h", key = |key, _| key)]
            #[retry(max = 2, delay = "1us")]
            #[fixed_window(quota = 1, duration = "100ms", on_limit = Err(failure()))]
            $($async)? fn cache_over_retried_fallback(key: u8, runs: &AtomicU32) -> Result<u32, Error> {
                let _ = key;
                Ok(count(runs))
            }

            #[test]
            fn a_cache_remembers_the_retry_of_a_fallback() {
                let runs = AtomicU32::new(0);
                let results = [1, 2, 2].map(|key| $run(cache_over_retried_fallback(key, &runs)).ok());
                assert_eq!(results, [Some(1), Some(2), Some(2)]);
            }

            #[cache(ttl = "1h", key = |_| "the same")]
            #[cache(ttl = "1h", keyspace = "outer", key = |_| "the same")]
            #[fixed_window(quota = 0, duration = "1h", on_limit = count(runs))]
            $($async)? fn caches_over_fallback(runs: &AtomicU32) -> u32 {
                let _ = runs;
                0
            }

            #[test]
            fn a_cache_never_remembers_a_fallback() {
                let runs = AtomicU32::new(0);
                assert_eq!(($run(caches_over_fallback(&runs)), $run(caches_over_fallback(&runs))), (1, 2));
            }

            #[fixed_window(quota = 1, duration = "1h")]
            #[cache(ttl = "1h")]
            $($async)? fn throttle_over_cache(number: u32) -> Result<u32, Error> {
                Ok(number)
            }

            #[test]
            fn a_cache_below_a_limit_saves_no_cost() {
                assert_eq!($run(throttle_over_cache(1)).ok(), Some(1));
                assert_eq!(kind($run(throttle_over_cache(1))), Some(ErrorKind::QuotaExceeded));
            }

            #[retry(max = 3, delay = "1us", on = [Configuration])]
            #[throttle(quota = 2, duration = "1h")]
            $($async)? fn retry_over_throttle(runs: &AtomicU32) -> Result<(), Error> {
                count(runs);
                Err(failure())
            }

            #[test]
            fn a_limit_below_a_retry_charges_each_attempt() {
                let runs = AtomicU32::new(0);
                assert_eq!(kind($run(retry_over_throttle(&runs))), Some(ErrorKind::Configuration));
                assert_eq!(runs.into_inner(), 2);
            }

            #[throttle(quota = 1, duration = "1h")]
            #[retry(max = 3, delay = "1us")]
            $($async)? fn throttle_over_retry(runs: &AtomicU32) -> Result<(), Error> {
                count(runs);
                Err(failure())
            }

            #[test]
            fn a_limit_above_a_retry_charges_once() {
                let runs = AtomicU32::new(0);
                assert_eq!(kind($run(throttle_over_retry(&runs))), Some(ErrorKind::Configuration));
                assert_eq!(kind($run(throttle_over_retry(&runs))), Some(ErrorKind::QuotaExceeded));
                assert_eq!(runs.into_inner(), 3);
            }

            #[cache(ttl = "1h", key = |keys, _| count(keys))]
            #[retry(max = 3, delay = "1us")]
            $($async)? fn cache_over_retry(keys: &AtomicU32, runs: &AtomicU32) -> Result<u32, Error> {
                match count(runs) {
                    run @ 3 => Ok(run),
                    _ => Err(failure()),
                }
            }

            #[test]
            fn a_cache_above_a_retry_is_asked_once() {
                let (keys, runs) = (AtomicU32::new(0), AtomicU32::new(0));
                assert_eq!($run(cache_over_retry(&keys, &runs)).ok(), Some(3));
                assert_eq!((keys.into_inner(), runs.into_inner()), (1, 3));
            }

            #[retry(max = 3, delay = "1us")]
            #[cache(ttl = "1h", key = |keys, _| count(keys))]
            $($async)? fn retry_over_cache(keys: &AtomicU32, runs: &AtomicU32) -> Result<u32, Error> {
                match count(runs) {
                    run @ 3 => Ok(run),
                    _ => Err(failure()),
                }
            }

            #[test]
            fn a_cache_below_a_retry_is_asked_by_each_attempt() {
                let (keys, runs) = (AtomicU32::new(0), AtomicU32::new(0));
                assert_eq!($run(retry_over_cache(&keys, &runs)).ok(), Some(3));
                assert_eq!((keys.into_inner(), runs.into_inner()), (3, 3));
            }

            #[fixed_window(quota = 3, duration = "1h")]
            #[fixed_window(quota = 1, duration = "1h", keyspace = "inner")]
            $($async)? fn throttle_over_throttle() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn the_outer_limit_is_asked_first() {
                assert_eq!(kind($run(throttle_over_throttle())), None);
                let limited_by = |name| move |error: Error| error.key().is_some_and(|key| key.starts_with(name));
                assert!($run(throttle_over_throttle()).is_err_and(limited_by("inner:")));
                assert!($run(throttle_over_throttle()).is_err_and(limited_by("inner:")));
                assert!($run(throttle_over_throttle()).is_err_and(limited_by("premier:")));
            }
        }
    };
}

pairs!(sync_functions: identity, []);
pairs!(async_functions: block_on, [async]);

const HOUR: Duration = Duration::from_secs(60 * 60);

#[timeout("1m")]
#[leaky_bucket(quota = 1, duration = "1h", capacity = 2)]
async fn timeout_over_throttle() -> Result<(), Error> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_a_limit_includes_the_wait() {
    assert_eq!(kind(timeout_over_throttle().await), None);
    assert_eq!(kind(timeout_over_throttle().await), Some(ErrorKind::Timeout));
}

#[leaky_bucket(quota = 1, duration = "1h", capacity = 2)]
#[timeout("1m")]
async fn throttle_over_timeout() -> Result<(), Error> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_a_limit_excludes_the_wait() {
    let start = tokio::time::Instant::now();
    assert_eq!(kind(throttle_over_timeout().await), None);
    assert_eq!(kind(throttle_over_timeout().await), None);
    assert!(start.elapsed() > HOUR / 2);
}

#[timeout("150s")]
#[retry(max = 10, strategy = "fixed", delay = "1m", jitter = false)]
async fn timeout_over_retry(runs: &AtomicU32) -> Result<(), Error> {
    count(runs);
    Err(failure())
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_a_retry_covers_all_attempts() {
    let runs = AtomicU32::new(0);
    assert_eq!(kind(timeout_over_retry(&runs).await), Some(ErrorKind::Timeout));
    assert_eq!(runs.into_inner(), 3);
}

#[retry(max = 3, on = [Timeout])]
#[timeout("1m")]
async fn retry_over_timeout(runs: &AtomicU32) -> Result<(), Error> {
    if count(runs) < 3 {
        sleep(HOUR).await;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_a_retry_covers_each_attempt() {
    let runs = AtomicU32::new(0);
    assert_eq!(kind(retry_over_timeout(&runs).await), None);
    assert_eq!(runs.into_inner(), 3);
}

/// The first run takes an hour, each other 40 seconds.
async fn compute(runs: &AtomicU32) -> Result<u32, Error> {
    let run = count(runs);
    sleep(if run == 1 { HOUR } else { Duration::from_secs(40) }).await;
    Ok(run)
}

#[cache(ttl = "1h", key = |_| "the same")]
#[timeout("50s")]
async fn cache_over_timeout(runs: &AtomicU32) -> Result<u32, Error> {
    compute(runs).await
}

/// Makes the other call when the first has run for 30 of its 50 seconds.
async fn one_and_another<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> (T, T) {
    tokio::join!(one, async {
        sleep(Duration::from_secs(30)).await;
        other.await
    })
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_a_cache_excludes_waiting() {
    let runs = AtomicU32::new(0);
    let (one, other) = one_and_another(cache_over_timeout(&runs), cache_over_timeout(&runs)).await;
    assert_eq!(kind(one), Some(ErrorKind::Timeout));
    assert_eq!(other.ok(), Some(2));
}

#[timeout("50s")]
#[cache(ttl = "1h", key = |_| "the same")]
async fn timeout_over_cache(runs: &AtomicU32) -> Result<u32, Error> {
    compute(runs).await
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_a_cache_includes_waiting() {
    let runs = AtomicU32::new(0);
    let (one, other) = Box::pin(one_and_another(timeout_over_cache(&runs), timeout_over_cache(&runs))).await;
    assert_eq!(kind(one), Some(ErrorKind::Timeout));
    assert_eq!(kind(other), Some(ErrorKind::Timeout));
    assert_eq!(runs.into_inner(), 2);
}
