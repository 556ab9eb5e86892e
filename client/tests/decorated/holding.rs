//! `concurrency`: how many calls run at the same time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    Concurrency, Error, ErrorKind, Hold, Keyspace, Limit, cache, concurrency, fixed_window, key, retry, timeout,
};
use tokio::sync::Notify;

use crate::use_cases::{ASYNC_MEMORY, ASYNC_SERVER, MEMORY, SERVER, block_on, identity};

const LONG: Duration = Duration::from_secs(60);

/// Counts who is at work.
#[derive(Default)]
struct Work {
    now: AtomicU32,
    most: AtomicU32,
}

impl Work {
    fn run(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(10));
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// The same functions, sync or async, with each throttler. The place of an async call is free a
/// moment after its end, so the next call waits for it.
macro_rules! each {
    ($name:ident: $throttler:expr, $run:path, [$($async:tt)?]) => {
        mod $name {
            use super::*;

            #[concurrency(quota = 2, lease = "1h", throttler = $throttler, on_limit = wait("1m"))]
            $($async)? fn two_at_a_time(work: &Work) -> Result<(), Error> {
                work.run();
                Ok(())
            }

            #[test]
            fn no_more_calls_run_than_the_quota() {
                let work = Work::default();
                thread::scope(|scope| {
                    for _ in 0..8 {
                        scope.spawn(|| $run(two_at_a_time(&work)).expect("a place comes"));
                    }
                });
                assert!(work.most.into_inner() <= 2);
            }

            /// One that holds the place while it is asked who has it.
            #[concurrency(quota = 3, lease = "1h", cost = cost, key = |user, _| user, keyspace = "held", throttler = $throttler, permit = permit)]
            $($async)? fn held(user: &str, cost: u64) -> Result<(String, u64), Error> {
                assert!(!permit.is_lost());
                Ok((permit.key().to_owned(), permit.decision().remaining()))
            }

            #[test]
            fn the_body_sees_its_permit() {
                let (key, left) = $run(held(stringify!($name), 2)).expect("there is a place");
                assert_eq!(left, 1);
                let expected = concat!("held:", module_path!(), ":held:hold:", stringify!($name));
                assert_eq!(key, expected);
                let free = || $run($throttler.inspect(&premier_client::Key::exact(expected), Hold));
                while free().expect("the store answers").is_some() {}
                assert_eq!(kind($run(held("other", 4))), Some(ErrorKind::QuotaExceeded));
            }

            #[concurrency(quota = 1, lease = "1h", throttler = $throttler, on_limit = wait("1m"))]
            $($async)? fn ends(how: &str) -> Result<u8, Error> {
                match how {
                    "early" => return Ok(1),
                    "error" => Err(premier_client::Keyspace::new("").expect_err("it is empty"))?,
                    "panic" => panic!("as asked"),
                    _ => {}
                }
                Ok(2)
            }

            #[test]
            fn a_call_gives_its_place_back_however_it_ends() {
                for _ in 0..2 {
                    assert_eq!($run(ends("early")).ok(), Some(1));
                    assert_eq!(kind($run(ends("error"))), Some(ErrorKind::Configuration));
                    assert!(catch_unwind(AssertUnwindSafe(|| $run(ends("panic")))).is_err());
                    assert_eq!($run(ends("")).ok(), Some(2));
                }
            }

            #[concurrency(quota = 0, lease = "1h", throttler = $throttler, on_limit = error.kind() == ErrorKind::QuotaExceeded)]
            $($async)? fn nobody() -> bool {
                false
            }

            #[concurrency(quota = quota, lease = LONG, keep = keep, throttler = $throttler)]
            $($async)? fn computed(quota: u64, keep: u64) -> Result<(), Error> {
                Ok(())
            }

            #[test]
            fn a_call_without_a_place_ends_as_it_says() {
                assert!($run(nobody()));
                assert_eq!(kind($run(computed(0, 0))), Some(ErrorKind::QuotaExceeded));
                assert_eq!(kind($run(computed(1, 1))), Some(ErrorKind::QuotaExceeded));
                assert_eq!(kind($run(computed(u64::MAX, 0))), Some(ErrorKind::Configuration));
                assert_eq!(kind($run(computed(9, 1))), None);
            }

            #[cache(ttl = "1h")]
            #[retry(max = 3, delay = "1us")]
            #[fixed_window(quota = 2, duration = "1h", throttler = $throttler)]
            #[concurrency(quota = 1, lease = "1h", throttler = $throttler, on_limit = wait("1m"))]
            $($async)? fn stacked(number: u32) -> Result<u32, Error> {
                static RUNS: AtomicU32 = AtomicU32::new(0);
                match RUNS.fetch_add(1, Ordering::SeqCst) {
                    0 => Err(premier_client::Keyspace::new("").expect_err("it is empty")),
                    _ => Ok(number),
                }
            }

            #[test]
            fn stacks_with_the_other_attributes() {
                // The second attempt succeeds and is remembered; the rate admits no third.
                assert_eq!([$run(stacked(7)).ok(), $run(stacked(7)).ok()], [Some(7), Some(7)]);
                assert_eq!(kind($run(stacked(8))), Some(ErrorKind::QuotaExceeded));
            }
        }
    };
}

each!(sync_in_memory: MEMORY, identity, []);
each!(sync_on_a_server: SERVER, identity, []);
each!(async_in_memory: ASYNC_MEMORY, block_on, [async]);
each!(async_on_a_server: ASYNC_SERVER, block_on, [async]);

#[concurrency(quota = 1, lease = "1h", throttler = ASYNC_SERVER)]
async fn begins(begun: &Notify, time: Duration) -> Result<(), Error> {
    begun.notify_one();
    tokio::time::sleep(time).await;
    Ok(())
}

#[test]
fn a_dropped_future_gives_its_place_back() {
    block_on(async {
        let begun = Notify::new();
        let mut first = Box::pin(begins(&begun, LONG));
        tokio::select! {
            _ = &mut first => panic!("it takes long"),
            () = begun.notified() => {}
        }
        assert_eq!(kind(begins(&begun, Duration::ZERO).await), Some(ErrorKind::QuotaExceeded));
        drop(first);
        // It is free a moment later.
        let start = Instant::now();
        while begins(&begun, Duration::ZERO).await.is_err() {
            assert!(start.elapsed() < LONG, "the place is not given back");
        }
    });
}

#[concurrency(quota = 1, lease = "1s", throttler = ASYNC_MEMORY, permit = permit)]
async fn longer_than_its_lease() -> Result<bool, Error> {
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    Ok(permit.is_lost())
}

#[timeout("1m")]
#[concurrency(quota = 1, lease = "1s", throttler = ASYNC_MEMORY, on_limit = wait("1h"))]
fn boxed() -> std::pin::Pin<Box<dyn Future<Output = Result<u8, Error>> + Send>> {
    Box::pin(async { Ok(1) })
}

#[test]
fn a_permit_is_renewed_while_the_body_runs() {
    assert_eq!(block_on(longer_than_its_lease()).ok(), Some(false));
    assert_eq!(block_on(boxed()).ok(), Some(1));
}

#[concurrency(quota = 1, lease = "500ms", throttler = MEMORY, permit = permit)]
fn renewed_by_hand(times: u32) -> Result<bool, Error> {
    for _ in 0..times {
        thread::sleep(Duration::from_millis(100));
        permit.renew()?;
    }
    thread::sleep(Duration::from_millis(if times == 0 { 600 } else { 0 }));
    Ok(permit.is_lost())
}

#[test]
fn a_sync_permit_is_renewed_by_hand() {
    assert_eq!(renewed_by_hand(10).ok(), Some(false));
    assert_eq!(renewed_by_hand(0).ok(), Some(true));
}

/// A limit by the same name under [`Throttler::hold`] shares the places.
#[test]
fn the_key_is_that_of_the_throttler() {
    const JOBS: Concurrency = Limit::concurrency(1, LONG);
    let key = Keyspace::default().key(&key!("jobs", 7), Hold);
    assert_eq!(key, "premier:jobs:hold:7");
    let permit = MEMORY.hold(&key!("jobs", 7), JOBS).expect("there is a place");
    assert_eq!(permit.key(), key);
}
