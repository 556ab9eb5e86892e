//! What the attributes are for, with each kind of throttler.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AsyncBackend, AsyncThrottler, Backend, Error, ErrorKind, Keyspace, RetryAfter, Throttler, fixed_window,
    leaky_bucket, token_bucket,
};
use tokio::runtime::{self, Runtime};

use crate::server;

const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) static MEMORY: LazyLock<Throttler> = LazyLock::new(|| Throttler::builder(Backend::memory()).build());

pub(crate) static SERVER: LazyLock<Throttler> = LazyLock::new(|| {
    let backend = Backend::redis(("127.0.0.1", server::port())).expect("a valid address");
    Throttler::builder(backend).deadline(DEADLINE).build()
});

pub(crate) static ASYNC_MEMORY: LazyLock<AsyncThrottler> =
    LazyLock::new(|| AsyncThrottler::builder(AsyncBackend::memory()).build());

pub(crate) static ASYNC_SERVER: LazyLock<AsyncThrottler> = LazyLock::new(|| {
    let backend = AsyncBackend::redis(("127.0.0.1", server::port())).expect("a valid address");
    AsyncThrottler::builder(backend).deadline(DEADLINE).build()
});

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be made")
});

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

pub(crate) fn identity<T>(value: T) -> T {
    value
}

fn retry_after_any(result: Result<(), Error>) -> RetryAfter {
    let error = result.expect_err("the call is limited");
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
    error.decision().and_then(|decision| decision.retry_after()).expect("a limited call has a wait")
}

/// The wait of a limited call.
fn retry_after(result: Result<(), Error>) -> Duration {
    match retry_after_any(result) {
        RetryAfter::After(after) => after,
        RetryAfter::Never => panic!("the wait has an end"),
    }
}

fn three_pass_and_the_fourth_is_limited(call: impl Fn() -> Result<(), Error>) {
    let start = Instant::now();
    for _ in 0..3 {
        call().expect("three pass");
    }
    let after = retry_after(call());
    assert!(after <= HOUR && after + start.elapsed() >= HOUR, "{after:?}");
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What the clocks of the client and the server may differ by.
const TICK: Duration = Duration::from_millis(5);

/// Calls until a call is limited. At least `admitted` calls pass, and more of them only on a
/// machine that is slow: one for each `interval` since `start`. Returns when the limited call was
/// made, and its wait.
fn use_up(
    call: &impl Fn() -> Result<(), Error>,
    admitted: u32,
    interval: Duration,
    start: Instant,
) -> (Instant, Duration) {
    let mut passed = 0;
    loop {
        let asked = Instant::now();
        let result = call();
        if result.is_err() {
            assert!(passed >= admitted, "only {passed} of {admitted} calls pass");
            return (asked, retry_after(result));
        }
        passed += 1;
        let elapsed = start.elapsed();
        let most = u128::from(admitted) + (elapsed + TICK).as_micros() / interval.as_micros();
        assert!(u128::from(passed) <= most, "{passed} calls pass within {elapsed:?}");
    }
}

/// Two in each 400 ms.
fn after_the_wait_it_passes_again(call: impl Fn() -> Result<(), Error>) {
    let interval = Duration::from_millis(200);
    let (asked, wait) = use_up(&call, 2, interval, Instant::now());
    thread::sleep(wait);
    use_up(&call, 2, interval, asked + wait);
}

/// Capacity 3, and one leaves every 200 ms.
fn concurrent_calls_go_one_at_a_time(call: impl Fn() -> Result<(), Error> + Sync) {
    let start = Instant::now();
    let mut went: Vec<Duration> = thread::scope(|scope| {
        let call = || {
            call().expect("three fit");
            start.elapsed()
        };
        let calls: Vec<_> = (0..3).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    went.sort();
    for (turn, went) in (0..).zip(went) {
        let turn = Duration::from_millis(200) * turn;
        // The store orders the calls, and counts turns from the first call that it receives.
        assert!(went + TICK >= turn, "before its turn: {went:?} of {turn:?}");
    }
}

/// Capacity 3, and one leaves every hour.
fn one_of_six_concurrent_calls_fills_the_bucket(call: impl Fn(u64) -> Result<(), Error> + Sync) {
    let start = Instant::now();
    assert_eq!(retry_after_any(call(4)), RetryAfter::Never);
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| passed.fetch_add(call(3).is_ok().into(), Ordering::Relaxed));
        }
    });
    assert_eq!(passed.into_inner(), 1);
    let after = retry_after(call(1));
    assert!(after <= HOUR && after + start.elapsed() >= HOUR, "{after:?}");
}

/// Three tokens, and one comes back every 500 ms.
fn a_token_comes_back_before_the_duration_is_over(call: impl Fn() -> Result<(), Error>) {
    let interval = Duration::from_millis(500);
    let (asked, wait) = use_up(&call, 3, interval, Instant::now());
    assert!(wait <= interval, "a third of the duration: {wait:?}");
    thread::sleep(wait);
    use_up(&call, 1, interval, asked + wait);
}

fn a_quota_of_zero_limits_all(call: impl Fn() -> Result<(), Error>) {
    assert_eq!(retry_after_any(call()), RetryAfter::Never);
}

fn calls_count_apart_for_each_key(call: impl Fn(&str) -> Result<(), Error>) {
    call("ada").expect("the first of ada's");
    call("bob").expect("the first of bob's");
    retry_after(call("ada"));
    retry_after(call("bob"));
}

fn clearing_one_keyspace_leaves_the_other(
    [one, other]: [&dyn Fn() -> Result<(), Error>; 2],
    clear: impl FnOnce(&Keyspace) -> Result<u64, Error>,
) {
    for call in [one, other] {
        call().expect("one passes");
        retry_after(call());
    }
    let cleared = clear(&Keyspace::from_static("use-cases-one")).expect("the store answers");
    assert!(cleared > 0);
    one().expect("the first call was forgotten");
    retry_after(other());
}

fn three_of_fifty_concurrent_calls_pass(call: impl Fn() -> Result<(), Error> + Sync) {
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| passed.fetch_add(call().is_ok().into(), Ordering::Relaxed));
        }
    });
    assert_eq!(passed.into_inner(), 3);
}

/// The same functions, sync or async, with each throttler.
macro_rules! use_cases {
    ($name:ident: $throttler:expr, $run:path, [$($async:tt)?]) => {
        mod $name {
            use super::*;

            #[fixed_window(quota = 3, duration = "1h", throttler = $throttler)]
            $($async)? fn three_in_a_window() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn limits_a_function() {
                three_pass_and_the_fourth_is_limited(|| $run(three_in_a_window()));
            }

            struct Service;

            impl Service {
                #[fixed_window(quota = 3, duration = "1h", throttler = $throttler)]
                $($async)? fn three_in_a_window(&self) -> Result<(), Error> {
                    Ok(())
                }
            }

            #[test]
            fn limits_a_method() {
                three_pass_and_the_fourth_is_limited(|| $run(Service.three_in_a_window()));
            }

            #[fixed_window(quota = 2, duration = "400ms", throttler = $throttler)]
            $($async)? fn two_a_moment() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn admits_again_after_the_wait() {
                after_the_wait_it_passes_again(|| $run(two_a_moment()));
            }

            #[leaky_bucket(quota = 1, duration = "200ms", capacity = 3, throttler = $throttler)]
            $($async)? fn one_after_the_other() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn queues_calls() {
                concurrent_calls_go_one_at_a_time(|| $run(one_after_the_other()));
            }

            #[leaky_bucket(quota = 1, duration = "1h", capacity = 3, cost = units, throttler = $throttler)]
            $($async)? fn fill(units: u64) -> Result<(), Error> {
                let _ = units;
                Ok(())
            }

            #[test]
            fn limits_calls_when_the_queue_is_full() {
                one_of_six_concurrent_calls_fills_the_bucket(|units| $run(fill(units)));
            }

            #[token_bucket(quota = 3, duration = "1500ms", throttler = $throttler)]
            $($async)? fn three_tokens() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn refills_tokens_one_by_one() {
                a_token_comes_back_before_the_duration_is_over(|| $run(three_tokens()));
            }

            #[fixed_window(quota = 0, duration = "5s", throttler = $throttler)]
            $($async)? fn nobody() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn limits_all_by_a_quota_of_zero() {
                a_quota_of_zero_limits_all(|| $run(nobody()));
            }

            #[token_bucket(quota = 1, duration = "1h", key = |user| user, throttler = $throttler)]
            $($async)? fn one_each(user: &str) -> Result<(), Error> {
                let _ = user;
                Ok(())
            }

            #[test]
            fn limits_each_user() {
                calls_count_apart_for_each_key(|user| $run(one_each(user)));
            }

            #[fixed_window(quota = 1, duration = "1h", keyspace = "use-cases-one", throttler = $throttler)]
            $($async)? fn in_one() -> Result<(), Error> {
                Ok(())
            }

            #[fixed_window(quota = 1, duration = "1h", keyspace = "use-cases-one2", throttler = $throttler)]
            $($async)? fn in_other() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn clears_one_keyspace_only() {
                let _one_at_a_time = CLEARING.lock().unwrap_or_else(PoisonError::into_inner);
                let calls: [&dyn Fn() -> Result<(), Error>; 2] = [&|| $run(in_one()), &|| $run(in_other())];
                clearing_one_keyspace_leaves_the_other(calls, |keyspace| $run($throttler.clear(keyspace)));
            }

            #[token_bucket(quota = 3, duration = "1h", throttler = $throttler)]
            $($async)? fn three_an_hour() -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn limits_concurrent_calls() {
                three_of_fifty_concurrent_calls_pass(|| $run(three_an_hour()));
            }
        }
    };
}

/// Held while a keyspace is cleared: on the server, sync and async functions share it.
static CLEARING: Mutex<()> = Mutex::new(());

use_cases!(sync_in_memory: MEMORY, identity, []);
use_cases!(sync_on_a_server: SERVER, identity, []);
use_cases!(async_in_memory: ASYNC_MEMORY, block_on, [async]);
use_cases!(async_on_a_server: ASYNC_SERVER, block_on, [async]);
