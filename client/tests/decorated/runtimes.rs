//! Async functions in memory work on any runtime.

use std::future::pending;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use premier_client::{
    AsyncBackend, AsyncThrottler, Error, ErrorKind, Leaky, Limit, fixed_window, key, leaky_bucket, retry, timeout,
};

#[leaky_bucket(quota = 1, duration = "1h")]
async fn admitted() -> Result<u8, Error> {
    Ok(1)
}

#[fixed_window(quota = 1, duration = "1h", on_limit = wait("10s"))]
async fn ready_to_wait() -> Result<u8, Error> {
    Ok(1)
}

#[retry(strategy = |_| Duration::ZERO)]
async fn retried_at_once(attempts: &mut u8) -> Result<u8, ()> {
    *attempts += 1;
    if *attempts < 3 { Err(()) } else { Ok(1) }
}

#[timeout("1m")]
async fn in_time() -> Result<u8, Error> {
    Ok(1)
}

/// A call that is ready when it is polled first has neither asked a timer nor yielded.
fn is_ready_at_once<E>(call: impl Future<Output = Result<u8, E>>) -> bool {
    matches!(pin!(call).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(1)))
}

#[test]
fn a_call_that_need_not_wait_uses_no_timer() {
    assert!(is_ready_at_once(admitted()));
    assert!(is_ready_at_once(ready_to_wait()));
    assert!(is_ready_at_once(retried_at_once(&mut 0)));
    assert!(is_ready_at_once(in_time()));
}

const MOMENT: Duration = Duration::from_millis(50);

#[leaky_bucket(quota = 1, duration = MOMENT, capacity = 2)]
async fn queued() -> Result<(), Error> {
    Ok(())
}

#[fixed_window(quota = 1, duration = MOMENT, on_limit = wait("1m"))]
async fn waiting() -> Result<(), Error> {
    Ok(())
}

#[retry]
#[fixed_window(quota = 1, duration = MOMENT)]
async fn retried() -> Result<(), Error> {
    Ok(())
}

#[timeout(MOMENT)]
async fn endless() -> Result<(), Error> {
    pending().await
}

async fn wait_in_each_way() {
    let start = Instant::now();
    for _ in 0..2 {
        queued().await.expect("there is a place");
    }
    for _ in 0..2 {
        waiting().await.expect("it waits");
    }
    for _ in 0..2 {
        retried().await.expect("it is tried again");
    }
    assert_eq!(endless().await.map_err(|error| error.kind()), Err(ErrorKind::Timeout));
    assert!(start.elapsed() + Duration::from_millis(4) >= MOMENT * 4, "each of the four waits");
}

#[test]
fn a_wait_outside_tokio_ends() {
    block_on(wait_in_each_way());
    // Neither does a runtime need timers.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    for _ in 0..2 {
        runtime.block_on(wait_in_each_way());
    }
}

#[test]
fn throttlers_wait_outside_tokio() {
    const PACE: Limit<Leaky> = Limit::leaky_bucket(1, MOMENT).capacity(3);
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let start = Instant::now();
    for _ in 0..2 {
        assert!(block_on(throttler.admit(&key!("admit"), PACE)).is_ok_and(|decision| decision.is_admitted()));
        assert!(block_on(throttler.acquire(&key!("acquire"), PACE, 2 * MOMENT)).is_ok());
    }
    assert!(start.elapsed() + Duration::from_millis(1) >= MOMENT);
}

#[test]
fn a_server_outside_tokio_is_an_error_that_says_so() {
    let throttler = AsyncThrottler::builder(AsyncBackend::redis("redis://127.0.0.1:1/").expect("an address")).build();
    let limit = Limit::fixed_window(1, Duration::from_secs(60));
    let error = block_on(throttler.check(&key!("outside"), limit)).expect_err("there is no runtime");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("within a tokio runtime"), "{error}");
}

#[test]
fn a_turn_dropped_outside_tokio_is_given_back() {
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let limit = Limit::leaky_bucket(1, Duration::from_secs(3600)).capacity(10);
    let turn = key!("turn");
    for _ in 0..3 {
        let mut call = Box::pin(throttler.acquire(&turn, limit, Duration::from_secs(36_000)));
        let _dropped = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    // The first call had its turn at once.
    assert_eq!(block_on(throttler.peek(&turn, limit)).expect("memory answers").remaining(), 8);
}
