//! Calls that take too long.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use premier_client::{Error, ErrorKind, fixed_window, timeout};
use tokio::time::{Instant, sleep};

#[timeout("60s")]
async fn takes(time: Duration) -> Result<Duration, Error> {
    sleep(time).await;
    Ok(time)
}

#[tokio::test(start_paused = true)]
async fn a_call_fails_when_its_timeout_ends() {
    let just_in_time = Duration::from_millis(59_999);
    assert_eq!(takes(just_in_time).await.ok(), Some(just_in_time));

    let start = Instant::now();
    let error = takes(Duration::from_secs(3600)).await.expect_err("it takes too long");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.to_string(), "the call did not end within 60s");
    assert_eq!(start.elapsed().as_secs(), 60);
}

/// Records when a call is dropped.
struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[timeout(after / 2)]
async fn hold(is_dropped: &AtomicBool, after: Duration) -> Result<(), Error> {
    let _guard = Guard(is_dropped);
    sleep(after).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped() {
    let is_dropped = AtomicBool::new(false);
    assert!(hold(&is_dropped, Duration::from_secs(8)).await.is_err());
    assert!(is_dropped.into_inner());
}

struct Counter {
    count: u32,
}

impl Counter {
    #[timeout("1m")]
    async fn count_mut(&mut self) -> Result<&mut u32, Error> {
        if self.count > 1 {
            return Ok(&mut self.count);
        }
        self.count += 1;
        Ok(&mut self.count)
    }
}

#[timeout("1m")]
async fn trimmed(mut text: &str) -> Result<&str, Error> {
    text = text.trim();
    Ok(text)
}

#[tokio::test]
async fn a_call_that_may_time_out_can_return_a_borrow() {
    let mut counter = Counter { count: 0 };
    *counter.count_mut().await.expect("it is quick") += 1;
    assert_eq!(counter.count_mut().await.ok(), Some(&mut 2));
    assert_eq!(trimmed(" ada ").await.ok(), Some("ada"));
}

#[timeout("1s")]
#[tokio::main(flavor = "current_thread", start_paused = true)]
#[fixed_window(quota = 1, duration = "1h")]
async fn run() -> Result<(), Error> {
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

#[test]
fn a_main_function_can_time_out() {
    assert_eq!(run().map_err(|error| error.kind()), Err(ErrorKind::Timeout));
    assert_eq!(run().map_err(|error| error.kind()), Err(ErrorKind::QuotaExceeded));
}

#[timeout("1s")]
fn returns_a_future(time: Duration) -> impl Future<Output = Result<(), Error>> + Send {
    let doubled = time * 2;
    async move {
        sleep(doubled).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_returns_a_future_can_time_out() {
    assert!(returns_a_future(Duration::from_millis(499)).await.is_ok());
    assert_eq!(returns_a_future(Duration::from_secs(1)).await.map_err(|error| error.kind()), Err(ErrorKind::Timeout));
}
