//! Calls that take too long.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use premier_client::{AsyncMemoryCache, Error, ErrorKind, cache, fixed_window, retry, timeout};
use tokio::task::yield_now;
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

#[timeout("1m")]
async fn count_in(cell: Cell<u32>, receiver: Receiver<u32>) -> Result<u32, Error> {
    while let Ok(number) = receiver.try_recv() {
        cell.set(cell.get() + number);
        yield_now().await;
    }
    Ok(cell.get())
}

#[timeout("2m")]
#[retry(max = 1)]
#[timeout("1m")]
#[fixed_window(quota = 1, duration = "1h", on_limit = Ok(0), key = |numbers| numbers.len())]
async fn sum_of(numbers: &[u32]) -> Result<u32, Error> {
    yield_now().await;
    Ok(numbers.iter().sum())
}

#[cache(ttl = "1h", key = |cell, _| cell.get())]
#[timeout("1m")]
#[fixed_window(quota = 2, duration = "1h", on_limit = Ok(0))]
async fn cached(cell: Cell<u32>, receiver: Receiver<u32>) -> Result<u32, Error> {
    yield_now().await;
    Ok(cell.get() + receiver.try_iter().sum::<u32>())
}

struct Shop {
    prices: AsyncMemoryCache,
}

impl Shop {
    #[cache(ttl = "1h", key = |product| product, cache = self.prices)]
    #[timeout("1m")]
    async fn price(self: Arc<Self>, product: u32) -> Result<u32, Error> {
        yield_now().await;
        Ok(product + u32::from(Arc::strong_count(&self) > 1))
    }
}

#[tokio::test]
async fn arguments_that_are_not_sync_leave_the_future_send() {
    let numbers = || {
        let (sender, receiver) = mpsc::channel();
        (1..=3).for_each(|number| sender.send(number).expect("it is open"));
        receiver
    };
    assert_eq!(tokio::spawn(count_in(Cell::new(4), numbers())).await.expect("no panic").ok(), Some(10));
    assert_eq!(tokio::spawn(sum_of(&[1, 2])).await.expect("no panic").ok(), Some(3));
    for (start, sum) in [(1, 7), (2, 8), (1, 7), (3, 0), (2, 8), (3, 0)] {
        let cached = tokio::spawn(cached(Cell::new(start), numbers()));
        assert_eq!(cached.await.expect("no panic").ok(), Some(sum), "fallbacks are not remembered");
    }
    let shop = Arc::new(Shop { prices: AsyncMemoryCache::new(10) });
    assert_eq!(tokio::spawn(Arc::clone(&shop).price(1)).await.expect("no panic").ok(), Some(2));
    assert_eq!(tokio::spawn(shop.price(1)).await.expect("no panic").ok(), Some(2), "it was not remembered");
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
