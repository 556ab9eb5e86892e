//! Callers that wait for the same key queue up: they are served in the order in which they came,
//! and by few commands.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use premier_client::{
    Algorithm, AnyLimit, AsyncBackend, AsyncThrottler, Backend, Error, ErrorKind, Limit, MemoryBackend, OnError,
    RetryAfter, Throttler, key,
};
use premier_test_server::{Server, patience};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::stores::{Setup, limits};

const WAITERS: usize = 100;
const QUOTA: u64 = 20;
const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// Returns how often the server has been called by each algorithm.
fn commands(server: &Server) -> Vec<u64> {
    ["FIXED", "SLIDING", "TOKEN", "LEAKY"].map(|name| server.calls_of(&format!("PREMIER.{name}"))).to_vec()
}

/// Returns how many pairs were served in another order than that in which they came.
fn inversions(order: &[usize]) -> usize {
    order.iter().enumerate().map(|(at, first)| order[at..].iter().filter(|later| *later < first).count()).sum()
}

/// The server counts the calls of all who came, and of those that it limited.
fn check_herd(commands: &[u64], order: &[Vec<usize>], allowed_inversions: usize) {
    let names = ["fixed", "sliding", "token", "leaky"];
    for ((name, commands), order) in names.iter().zip(commands).zip(order) {
        let inversions = inversions(order);
        eprintln!("{name}: {commands} commands, {inversions} inversions");
        assert_eq!(order.len(), WAITERS, "{name}");
        // One that used up the quota; one each that is limited at once, and one or two in its turn.
        let at_most = 1 + if *name == "token" { WAITERS } else { 3 * WAITERS } as u64;
        assert!((1..=at_most).contains(commands), "{name}: {commands} commands");
        assert!(inversions <= allowed_inversions, "{name}: {inversions} inversions in {order:?}");
    }
}

#[test]
fn a_herd_of_threads_sends_few_commands_in_order() {
    let server = Server::start();
    let order: Vec<_> = limits(QUOTA, SECOND).map(|limit| (limit, Mutex::new(Vec::new()))).into();
    thread::scope(|scope| {
        for (limit, order) in &order {
            let backend = Backend::redis(("127.0.0.1", server.port())).expect("a valid address");
            let throttler = Throttler::builder(backend).deadline(LONG).build();
            let used_up = throttler.check_n(&key!("herd"), *limit, QUOTA).expect("the store answers");
            assert!(used_up.is_admitted());
            scope.spawn(move || {
                thread::scope(|scope| {
                    for waiter in 0..WAITERS {
                        let throttler = throttler.clone();
                        scope.spawn(move || {
                            assert!(
                                throttler.acquire(&key!("herd"), *limit, LONG).expect("its turn comes").is_admitted()
                            );
                            order.lock().expect("no panic").push(waiter);
                        });
                        // So that they come in this order.
                        thread::sleep(Duration::from_millis(2));
                    }
                });
            });
        }
    });
    let order: Vec<_> = order.into_iter().map(|(_, order)| order.into_inner().expect("no panic")).collect();
    // Of 4,950 pairs, half of which a random order would invert: a busy machine may start threads,
    // or go on with them, in another order.
    check_herd(&commands(&server), &order, 250);
}

#[tokio::test]
async fn a_herd_of_tasks_sends_few_commands_in_order() {
    let server = Server::start();
    let mut herds = JoinSet::new();
    let order = limits(QUOTA, SECOND).map(|_| Arc::new(Mutex::new(Vec::new())));
    for (limit, order) in limits(QUOTA, SECOND).into_iter().zip(&order) {
        let backend = AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address");
        let throttler = AsyncThrottler::builder(backend).deadline(LONG).build();
        let used_up = throttler.check_n(&key!("herd"), limit, QUOTA).await.expect("the store answers");
        assert!(used_up.is_admitted());
        for waiter in 0..WAITERS {
            let (throttler, order) = (throttler.clone(), Arc::clone(order));
            herds.spawn(async move {
                let decision = throttler.acquire(&key!("herd"), limit, LONG).await.expect("its turn comes");
                assert!(decision.is_admitted());
                order.lock().expect("no panic").push(waiter);
            });
        }
    }
    while let Some(done) = herds.join_next().await {
        done.expect("no panic");
    }
    let order = order.map(|order| order.lock().expect("no panic").clone());
    // On a busy machine, a unit may become free between two that come.
    check_herd(&commands(&server), &order, 50);
}

/// Makes a throttler in memory on tokio's clock, which the tests below pause.
fn on_paused_clock() -> AsyncThrottler {
    let start = Instant::now();
    AsyncThrottler::builder(MemoryBackend::with_clock(move || start.elapsed())).build()
}

/// Begins to wait, as a task of its own.
async fn waiting<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    let waiting = tokio::spawn(call);
    yield_now().await;
    waiting
}

/// The first of them also wait for their connection.
#[tokio::test]
async fn calls_of_a_thread_reach_a_server_in_their_order() {
    let server = Server::start();
    let backend = AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).deadline(Duration::from_secs(10)).build();
    let limit = Limit::leaky_bucket(1_000, Duration::from_secs(60 * 60)).capacity(1_000);
    for _ in 0..2 {
        let call = |throttler: AsyncThrottler| async move { throttler.check(&key!("order"), limit).await };
        let calls: Vec<_> = (0..400).map(|_| tokio::spawn(call(throttler.clone()))).collect();
        let mut turns = Vec::new();
        for call in calls {
            turns.push(call.await.expect("no panic").expect("the server answers").wait().expect("there is a place"));
        }
        let inversions = turns.windows(2).filter(|turns| turns[0] > turns[1]).count();
        assert_eq!(inversions, 0, "{turns:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_of_all_algorithms_are_served_in_order() {
    for limit in limits(2, SECOND) {
        let throttler = on_paused_clock();
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for waiter in 0..20 {
            let (throttler, served) = (throttler.clone(), Arc::clone(&served));
            waiters.push(
                waiting(async move {
                    throttler.acquire(&key!("order"), limit, LONG).await.expect("its turn comes");
                    served.lock().expect("no panic").push(waiter);
                })
                .await,
            );
        }
        for waiter in waiters {
            waiter.await.expect("no panic");
        }
        let served = served.lock().expect("no panic").clone();
        assert_eq!(served, (0..20).collect::<Vec<_>>(), "{limit:?}");
    }
}

/// A later caller does not take the units that an earlier one waits for, even if it needs fewer.
#[tokio::test(start_paused = true)]
async fn an_expensive_waiter_is_not_overtaken() {
    for limit in limits(2, SECOND) {
        let (throttler, start) = (on_paused_clock(), Instant::now());
        assert!(throttler.check(&key!("expensive"), limit).await.expect("memory answers").is_admitted());
        let acquire = |limit: AnyLimit| {
            let throttler = throttler.clone();
            waiting(async move {
                throttler.acquire(&key!("expensive"), limit, LONG).await.expect("its turn comes");
                start.elapsed()
            })
        };
        let expensive = acquire(limit.try_cost(2).expect("a valid cost")).await;
        let cheap = acquire(limit).await;
        let (expensive, cheap) = (expensive.await.expect("no panic"), cheap.await.expect("no panic"));
        assert!(expensive <= cheap, "{limit:?}: {expensive:?}, {cheap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_lets_the_next_one_ask() {
    for limit in limits(1, SECOND) {
        let throttler = on_paused_clock();
        throttler.acquire(&key!("dropped"), limit, LONG).await.expect("the key is fresh");
        let acquire = || {
            let throttler = throttler.clone();
            waiting(async move { throttler.acquire(&key!("dropped"), limit, LONG).await.map(|_| ()) })
        };
        let [first, second, third] = [acquire().await, acquire().await, acquire().await];
        second.abort();
        first.abort();
        timeout(LONG, third).await.expect("it is not forgotten").expect("no panic").expect("its turn comes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_forgotten_when_nobody_waits() {
    let has_queue = |throttler: &AsyncThrottler| !format!("{throttler:?}").contains("queues: {}");
    let throttler = on_paused_clock();
    let limit = Limit::fixed_window(1, SECOND);
    throttler.acquire(&key!("forgotten"), limit, LONG).await.expect("the key is fresh");
    assert!(!has_queue(&throttler), "{throttler:?}");
    let acquire = |at_most| {
        let throttler = throttler.clone();
        waiting(async move { throttler.acquire(&key!("forgotten"), limit, at_most).await.map(|_| ()) })
    };
    let (served, late, dropped) = (acquire(LONG).await, acquire(SECOND).await, acquire(LONG).await);
    assert!(has_queue(&throttler), "{throttler:?}");
    dropped.abort();
    served.await.expect("no panic").expect("its turn comes");
    let error = late.await.expect("no panic").expect_err("its turn would come a second later");
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(!has_queue(&throttler), "{throttler:?}");
}

/// And is told when to come back.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_cannot_make_it_gives_up_at_once() {
    let (throttler, start) = (on_paused_clock(), Instant::now());
    let limit = Limit::fixed_window(1, LONG);
    throttler.acquire(&key!("hopeless"), limit, LONG).await.expect("the key is fresh");
    let first = {
        let throttler = throttler.clone();
        waiting(async move { throttler.acquire(&key!("hopeless"), limit, 2 * LONG).await.map(|_| ()) }).await
    };
    sleep(SECOND).await;
    let error: Error =
        throttler.acquire(&key!("hopeless"), limit, SECOND).await.expect_err("the first waits for longer");
    assert_eq!(start.elapsed(), SECOND, "it waited");
    let decision = error.decision().expect("the error contains the decision");
    let left = 59 * SECOND;
    assert_eq!((decision.retry_after(), decision.reset_after()), (Some(RetryAfter::After(left)), left));
    first.await.expect("no panic").expect("its turn comes");
}

/// A bucket is asked only once: its answer to a call that would have to wait for longer does not
/// begin another wait.
#[tokio::test(start_paused = true)]
async fn a_turn_after_the_deadline_is_not_waited_for() {
    for limit in [Limit::token_bucket(1, LONG).into(), AnyLimit::from(Limit::leaky_bucket(1, LONG).capacity(2))] {
        let (throttler, start) = (on_paused_clock(), Instant::now());
        assert!(throttler.check(&key!("late"), limit).await.expect("memory answers").is_admitted());
        let error = throttler.acquire(&key!("late"), limit, 45 * SECOND).await.expect_err("its turn comes in 60 s");
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::QuotaExceeded, Duration::ZERO), "{limit:?}");
    }
}

/// A full leaky bucket has a place in a second, and that place its turn a second later.
#[tokio::test(start_paused = true)]
async fn the_turn_behind_a_full_queue_counts_too() {
    let limit = Limit::leaky_bucket(1, SECOND).capacity(2);
    for (at_most, waits) in [(1_999, None), (2_000, Some(2 * SECOND))] {
        let (throttler, start) = (on_paused_clock(), Instant::now());
        for _ in 0..2 {
            assert!(throttler.check(&key!("full"), limit).await.expect("memory answers").is_admitted());
        }
        let result = throttler.acquire(&key!("full"), limit, Duration::from_millis(at_most)).await;
        assert_eq!(result.is_ok(), waits.is_some());
        assert_eq!(start.elapsed(), waits.unwrap_or_default());
    }
}

/// Neither an impatient caller nor its retries make the queue longer.
#[tokio::test(start_paused = true)]
async fn a_dropped_turn_is_given_back() {
    for limit in [Limit::leaky_bucket(1, SECOND).capacity(9).into(), AnyLimit::from(Limit::token_bucket(1, SECOND))] {
        let (throttler, start) = (on_paused_clock(), Instant::now());
        throttler.acquire(&key!("ghosts"), limit, LONG).await.expect("the key is fresh");
        for _ in 0..5 {
            let key = key!("ghosts");
            let impatient = throttler.acquire(&key, limit, LONG);
            timeout(Duration::from_millis(100), impatient).await.expect_err("its turn comes in a second");
            yield_now().await;
        }
        throttler.acquire(&key!("ghosts"), limit, LONG).await.expect("its turn comes");
        assert_eq!(start.elapsed(), SECOND, "{limit:?}");
        if limit.algorithm() == Algorithm::LeakyBucket {
            timeout(SECOND / 2, throttler.admit(&key!("ghosts"), limit)).await.expect_err("its turn comes in a second");
            yield_now().await;
            let next = throttler.peek(&key!("ghosts"), limit).await.expect("memory answers");
            assert_eq!(next.wait(), Some(SECOND / 2));
        }
    }
}

#[tokio::test]
async fn a_dropped_turn_is_given_back_to_the_store() {
    let server = Server::start();
    let backend = AsyncBackend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).deadline(LONG).build();
    let limit = Limit::leaky_bucket(1, LONG).capacity(9);
    let wait = async || throttler.peek(&key!("ghosts"), limit).await.expect("the store answers").wait();
    throttler.admit(&key!("ghosts"), limit).await.expect("the key is fresh");
    let impatient = waiting({
        let throttler = throttler.clone();
        async move { throttler.acquire(&key!("ghosts"), limit, 2 * LONG).await.map(|_| ()) }
    })
    .await;
    let start = Instant::now();
    while wait().await <= Some(LONG) {
        assert!(start.elapsed() < patience(), "it takes no place");
        sleep(Duration::from_millis(10)).await;
    }
    impatient.abort();
    while wait().await > Some(LONG) {
        assert!(start.elapsed() < patience(), "the place is not given back");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Nobody ahead can make a difference to them.
#[tokio::test(start_paused = true)]
async fn calls_that_nothing_can_delay_do_not_queue() {
    for limit in limits(2, SECOND) {
        let (throttler, start) = (on_paused_clock(), Instant::now());
        let key = key!("overtaking");
        assert!(throttler.check_n(&key, limit, 2).await.expect("memory answers").is_admitted());
        let first = waiting({
            let throttler = throttler.clone();
            async move { throttler.acquire(&key!("overtaking"), limit, LONG).await.map(|_| ()) }
        })
        .await;
        let never = limit.try_cost(3).expect("a valid cost");
        assert!(throttler.acquire(&key, never, LONG).await.is_err());
        if limit.algorithm() != Algorithm::LeakyBucket {
            throttler.acquire(&key, limit.forced(), LONG).await.expect("it is forced");
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "{limit:?}");
        first.await.expect("no panic").expect("its turn comes");
    }
}

/// And any number of them wait together for a store that is down.
#[test]
fn forced_calls_wait_for_the_store_together() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    let setup = Setup { deadline: Duration::from_millis(100), on_error: OnError::Limit, ..Setup::default() };
    for subject in setup.on_server(port) {
        let limit = Limit::fixed_window(1, LONG).forced();
        thread::scope(|scope| {
            for _ in 0..5 {
                scope
                    .spawn(|| subject.acquire(&key!("forced"), limit, SECOND / 2).map(|_| ()).expect_err("it is down"));
            }
        });
    }
}

/// One by one, the last of them would wait until the deadlines of all others have passed.
#[test]
fn waiters_of_a_store_that_dies_fail_together() {
    const DEADLINE: Duration = Duration::from_secs(1);
    let server = Server::start();
    let backend = Backend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = Throttler::builder(backend).deadline(DEADLINE).build();
    let limit = Limit::fixed_window(1, 2 * SECOND);
    throttler.acquire(&key!("dies"), limit, LONG).expect("the key is fresh");
    let start = std::time::Instant::now();
    thread::scope(|scope| {
        let wait = || throttler.acquire(&key!("dies"), limit, LONG).map(|_| ());
        let waiters: Vec<_> = (0..20).map(|_| scope.spawn(wait)).collect();
        // They are limited by now, and wait for the end of the window.
        thread::sleep(SECOND);
        redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut server.connection()).expect("it answers");
        for waiter in waiters {
            waiter.join().expect("no panic").expect_err("the server is paused");
        }
    });
    assert!(start.elapsed() < 12 * DEADLINE, "they failed one by one");
}

/// Where there is no timer a call goes ahead that has nothing to wait for.
#[test]
fn nothing_to_wait_for_needs_no_timer() {
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    let limit = Limit::fixed_window(2, LONG);
    let calls = async {
        throttler.admit(&key!("no timer"), limit).await.expect("the key is fresh");
        throttler.acquire(&key!("no timer"), limit, LONG).await.expect("there is another unit");
    };
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::pin!(calls).poll(&mut context).is_ready());
}
