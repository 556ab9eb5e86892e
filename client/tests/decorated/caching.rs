//! Results of calls are remembered: in memory and on a server, for sync and async functions.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{AsyncMemoryCache, AsyncRedisCache, Key, Keyspace, MemoryCache, RedisCache, cache, decorate, key};
use premier_test_server::Server;
use redis::Commands;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::server;
use crate::use_cases::{block_on, identity};

static MEMORY: LazyLock<MemoryCache> = LazyLock::new(|| MemoryCache::new(1_000));
static ASYNC_MEMORY: LazyLock<AsyncMemoryCache> = LazyLock::new(|| AsyncMemoryCache::new(1_000));
static SERVER: LazyLock<RedisCache> =
    LazyLock::new(|| RedisCache::redis(("127.0.0.1", server::port())).expect("a valid address").deadline(DEADLINE));
static ASYNC_SERVER: LazyLock<AsyncRedisCache> = LazyLock::new(|| {
    AsyncRedisCache::redis(("127.0.0.1", server::port())).expect("a valid address").deadline(DEADLINE)
});

const DEADLINE: Duration = Duration::from_secs(10);

/// The runs of a function's body.
type Runs = AtomicU32;

fn run(runs: &Runs) -> u32 {
    runs.fetch_add(1, Ordering::Relaxed) + 1
}

fn a_result_is_remembered_until_it_expires(ttl: Duration, call: impl Fn(&Runs) -> u32) {
    let runs = Runs::new(0);
    let start = Instant::now();
    assert_eq!(call(&runs), 1);
    let stored = Instant::now();
    loop {
        let asked = stored.elapsed();
        if call(&runs) != 1 {
            break;
        }
        assert!(asked < ttl + DEADLINE, "it does not expire");
        thread::sleep(ttl / 20);
    }
    assert!(start.elapsed() + Duration::from_millis(5) >= ttl, "it expires after {:?}", start.elapsed());
}

fn an_error_is_not_remembered(call: impl Fn(&Runs) -> Result<u32, u32>) {
    let runs = Runs::new(0);
    assert_eq!((call(&runs), call(&runs), call(&runs)), (Err(1), Ok(2), Ok(2)));
}

fn fifty_concurrent_calls_compute_once(call: impl Fn(&Runs) -> u32 + Sync) {
    let runs = Runs::new(0);
    thread::scope(|scope| {
        let calls: Vec<_> = (0..50).map(|_| scope.spawn(|| call(&runs))).collect();
        for call in calls {
            assert_eq!(call.join().expect("no panic"), 1);
        }
    });
    assert_eq!(runs.into_inner(), 1);
}

/// Computations that fail, and how many of them run at the same time.
#[derive(Default)]
struct Failures {
    runs: Runs,
    running: AtomicU32,
    most: AtomicU32,
}

impl Failures {
    fn begin(&self) {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
    }

    fn end(&self) -> Result<u32, u32> {
        self.running.fetch_sub(1, Ordering::Relaxed);
        Err(run(&self.runs))
    }
}

fn waiting_calls_compute_concurrently_after_a_failure(call: impl Fn(&Failures) -> Result<u32, u32> + Sync) {
    let failures = Failures::default();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| call(&failures))).collect();
        for call in calls {
            call.join().expect("no panic").expect_err("it always fails");
        }
    });
    assert_eq!(failures.runs.into_inner(), 20, "each gets an error of its own");
    assert!(failures.most.into_inner() > 1, "they went one after the other");
}

fn results_are_separate_for_each_key(call: impl Fn(&Runs, &str, &str) -> u32) {
    let runs = Runs::new(0);
    assert_eq!(call(&runs, "a:b", "c"), 1);
    assert_eq!(call(&runs, "a", "b:c"), 2);
    assert_eq!((call(&runs, "a:b", "c"), call(&runs, "a", "b:c")), (1, 2));
}

fn invalidating_a_key_forgets_its_result(call: impl Fn(&Runs, &str) -> u32, invalidate: impl Fn(&str)) {
    let runs = Runs::new(0);
    assert_eq!((call(&runs, "ada"), call(&runs, "bob")), (1, 2));
    invalidate("ada");
    assert_eq!((call(&runs, "ada"), call(&runs, "bob")), (3, 2));
}

const TTL: Duration = Duration::from_millis(300);
const TAKES: Duration = Duration::from_millis(200);

macro_rules! promises {
    ($name:ident: $cache:expr, $run:path, [$($async:tt)?], $sleep:expr) => {
        mod $name {
            use super::*;

            #[cache(ttl = TTL, key = |_| "the same", cache = $cache)]
            $($async)? fn for_some_time(runs: &Runs) -> u32 {
                run(runs)
            }

            #[test]
            fn remembers_until_the_ttl_ends() {
                a_result_is_remembered_until_it_expires(TTL, |runs| $run(for_some_time(runs)));
            }

            #[cache(ttl = "1h", key = |_| "the same", cache = $cache)]
            $($async)? fn fails_at_first(runs: &Runs) -> Result<u32, u32> {
                match run(runs) {
                    1 => Err(1),
                    run => Ok(run),
                }
            }

            #[test]
            fn never_remembers_errors() {
                an_error_is_not_remembered(|runs| $run(fails_at_first(runs)));
            }

            #[cache(ttl = "1h", key = |_| "the same", cache = $cache)]
            $($async)? fn takes_some_time(runs: &Runs) -> u32 {
                $sleep;
                run(runs)
            }

            #[test]
            fn computes_once_for_concurrent_calls() {
                fifty_concurrent_calls_compute_once(|runs| $run(takes_some_time(runs)));
            }

            #[cache(ttl = "1h", key = |_| "the same", cache = $cache)]
            $($async)? fn fails_after_some_time(failures: &Failures) -> Result<u32, u32> {
                failures.begin();
                $sleep;
                failures.end()
            }

            #[test]
            fn fails_for_each_concurrent_call() {
                waiting_calls_compute_concurrently_after_a_failure(|failures| $run(fails_after_some_time(failures)));
            }

            #[cache(ttl = "1h", key = |_, one, other| format!("{}/{one}{}/{other}", one.len(), other.len()), cache = $cache)]
            $($async)? fn by_a_key(runs: &Runs, one: &str, other: &str) -> u32 {
                let _ = (one, other);
                run(runs)
            }

            #[test]
            fn separates_keys() {
                results_are_separate_for_each_key(|runs, one, other| $run(by_a_key(runs, one, other)));
            }

            #[cache(ttl = "1h", key = |_, name| name, cache = $cache)]
            $($async)? fn by_name(runs: &Runs, name: &str) -> u32 {
                let _ = name;
                run(runs)
            }

            #[test]
            fn forgets_what_is_invalidated() {
                invalidating_a_key_forgets_its_result(
                    |runs, name| $run(by_name(runs, name)),
                    |name| _ = $run($cache.invalidate(&Key::new(module_path!(), "by_name").custom(name))),
                );
            }
        }
    };
}

promises!(sync_in_memory: MEMORY, identity, [], thread::sleep(TAKES));
promises!(sync_on_a_server: SERVER, identity, [], thread::sleep(TAKES));
promises!(async_in_memory: ASYNC_MEMORY, block_on, [async], tokio::time::sleep(TAKES).await);
promises!(async_on_a_server: ASYNC_SERVER, block_on, [async], tokio::time::sleep(TAKES).await);

static PRICED: Runs = Runs::new(0);

struct Product<'a>(&'a str);

#[cache(ttl = "1h")]
fn price(Product(name): Product<'_>, currency: String, amount: u64) -> u32 {
    let _ = (name, currency, amount);
    run(&PRICED)
}

#[test]
fn the_arguments_are_the_default_key() {
    let price = |name, currency: &str, amount| price(Product(name), currency.to_owned(), amount);
    assert_eq!(price("a:b", "EUR", 1), 1);
    assert_eq!(price("a", "b:EUR", 1), 2);
    assert_eq!(price("a", "b:EUR", 2), 3);
    assert_eq!((price("a:b", "EUR", 1), price("a", "b:EUR", 1), price("a", "b:EUR", 2)), (1, 2, 3));

    decorate::cache().invalidate(&Key::new(module_path!(), "price").custom_parts(&[&"a:b", &"EUR", &1]));
    assert_eq!((price("a:b", "EUR", 1), price("a", "b:EUR", 1)), (4, 2));
}

struct Shop {
    name: &'static str,
    opened: Runs,
}

impl Shop {
    #[cache(ttl = "1h", key = |day| format!("{} {day}", self.name))]
    async fn opening(&mut self, day: &str) -> Option<u32> {
        let _ = day;
        Some(run(&self.opened))
    }
}

#[tokio::test]
async fn methods_are_cached_by_their_key() {
    let mut shops = ["this", "that"].map(|name| Shop { name, opened: Runs::new(0) });
    for shop in &mut shops {
        assert_eq!((shop.opening("monday").await, shop.opening("monday").await), (Some(1), Some(1)));
        assert_eq!(shop.opening("tuesday").await, Some(2));
    }
    decorate::async_cache().invalidate(&Key::new(module_path!(), "Shop::opening").custom("this monday")).await;
    assert_eq!((shops[0].opening("monday").await, shops[1].opening("monday").await), (Some(3), Some(1)));
}

#[cache(ttl = "1h", key = |_| "the same")]
async fn slow_at_first(runs: &Runs) -> u32 {
    let run = run(runs);
    sleep(if run == 1 { Duration::from_secs(60 * 60) } else { TAKES }).await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_takes_over_a_dropped_computation() {
    let runs = Runs::new(0);
    let mut one = Box::pin(slow_at_first(&runs));
    let others = async {
        let waiting = || tokio::time::timeout(Duration::from_secs(60), slow_at_first(&runs));
        tokio::join!(waiting(), waiting(), waiting())
    };
    assert!(tokio::time::timeout(TAKES, one.as_mut()).await.is_err(), "the first run takes an hour");
    let (results, ()) = tokio::join!(others, async {
        sleep(TAKES).await;
        drop(one);
    });
    assert_eq!(results, (Ok(2), Ok(2), Ok(2)));
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[cache(ttl = "1h", key = |_| "the same")]
async fn fails_the_first_time(runs: &Runs) -> Result<u32, ()> {
    let run = run(runs);
    sleep(Duration::from_secs(10)).await;
    if run == 1 { Err(()) } else { Ok(run) }
}

#[tokio::test(start_paused = true)]
async fn a_call_after_a_failure_waits_for_the_next_computation() {
    let runs = Runs::new(0);
    let after = async |seconds| {
        sleep(Duration::from_secs(seconds)).await;
        fails_the_first_time(&runs).await
    };
    let results = tokio::join!(after(0), after(1), after(15), after(16));
    assert_eq!(results, (Err(()), Ok(2), Ok(3), Ok(3)), "the last call waits for the third");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiting_call_leaves_the_others_waiting() {
    let runs = Runs::new(0);
    let late = async {
        sleep(TAKES / 2).await;
        takes_its_time(&runs).await
    };
    let dropped = tokio::time::timeout(TAKES / 4, takes_its_time(&runs));
    let (one, dropped, late) = tokio::join!(takes_its_time(&runs), dropped, late);
    assert!(dropped.is_err());
    assert_eq!((one, late), (1, 1));
}

#[cache(ttl = "1h", key = |_| "the same")]
async fn takes_its_time(runs: &Runs) -> u32 {
    sleep(TAKES).await;
    run(runs)
}

#[cache(ttl = "1h", key = |_| "the same")]
fn panics_at_first(runs: &Runs) -> u32 {
    match run(runs) {
        1 => panic!("the first run panics"),
        run => run,
    }
}

#[test]
fn after_a_panic_the_next_call_computes() {
    let runs = Runs::new(0);
    thread::scope(|scope| scope.spawn(|| panics_at_first(&runs)).join().expect_err("it panics"));
    assert_eq!((panics_at_first(&runs), panics_at_first(&runs)), (2, 2));
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

#[test]
fn a_value_of_another_type_is_a_miss() {
    let cache = MemoryCache::new(1);
    let hour = Duration::from_secs(60 * 60);
    assert_eq!(infallible(cache.get_or_compute(&key!("any"), hour, || Ok(1_u8))), 1);
    assert_eq!(infallible(cache.get_or_compute(&key!("any"), hour, || Ok("two"))), "two");
    assert_eq!(infallible(cache.get_or_compute(&key!("any"), Duration::MAX, || Ok("three"))), "two");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

fn ada() -> User {
    User { id: 1, name: "Ada".to_owned() }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn values_on_a_server_expire_and_are_shared() {
    let cache = || RedisCache::redis(("127.0.0.1", server::port())).expect("a valid address").deadline(DEADLINE);
    let key = key!("user", 1);
    let start = Instant::now();
    assert_eq!(infallible(cache().get_or_compute(&key, MINUTE, || Ok(ada()))), ada());

    let mut connection = redis::Client::open(("127.0.0.1", server::port()))
        .and_then(|client| client.get_connection())
        .expect("the server answers");
    let name = "premier-cache:user:cache:1";
    let ttl = Duration::from_millis(connection.pttl(name).expect("it expires"));
    // The server rounds it down to a millisecond.
    let left = ttl + Duration::from_millis(1);
    assert!(ttl <= MINUTE && left + start.elapsed() >= MINUTE, "{ttl:?}");

    let by_another: Result<User, ()> = cache().get_or_compute(&key, MINUTE, || Err(()));
    assert_eq!(by_another, Ok(ada()), "another cache finds it");
    let elsewhere: Result<User, ()> =
        cache().keyspace(Keyspace::from_static("elsewhere")).get_or_compute(&key, MINUTE, || Err(()));
    assert_eq!(elsewhere, Err(()));

    let () = connection.set(name, r#"{"id":1}"#).expect("the server answers");
    let unreadable = User { id: 2, ..ada() };
    assert_eq!(infallible(cache().get_or_compute(&key, MINUTE, || Ok(User { id: 2, ..ada() }))), unreadable);
    assert_eq!(infallible(cache().get_or_compute(&key, MINUTE, || Ok(ada()))), unreadable, "it was replaced");

    let () = connection.del(name).expect("the server answers");
    let () = connection.rpush(name, "a list").expect("the server answers");
    assert_eq!(infallible(cache().get_or_compute(&key, MINUTE, || Ok(ada()))), ada());
    assert_eq!(infallible(cache().get_or_compute(&key, MINUTE, || Ok(User { id: 3, ..ada() }))).id, 3);
    cache().invalidate(&key).expect("the server answers");
    assert_eq!(infallible(cache().get_or_compute(&key, Duration::MAX, || Ok(ada()))), ada());
    assert_eq!(infallible(cache().get_or_compute(&key, Duration::MAX, || Ok(User { id: 4, ..ada() }))), ada());
}

#[tokio::test]
async fn without_the_server_each_call_computes() {
    let server = Server::start();
    let address = ("127.0.0.1", server.port());
    let cache = RedisCache::redis(address).expect("a valid address").deadline(TAKES);
    let async_cache = AsyncRedisCache::redis(address).expect("a valid address").deadline(TAKES);
    drop(server);
    for id in [1, 2] {
        let user = || Ok(User { id, ..ada() });
        assert_eq!(infallible(cache.get_or_compute(&key!("user"), MINUTE, user)).id, id);
        assert_eq!(infallible(async_cache.get_or_compute(&key!("user"), MINUTE, async || user()).await).id, id);
    }
    assert!(cache.invalidate(&key!("user")).is_err());
    assert!(async_cache.invalidate(&key!("user")).await.is_err());
}

#[tokio::test]
async fn caches_take_connections_that_exist() {
    let client = redis::Client::open(("127.0.0.1", server::port())).expect("a valid address");
    let manager = client.get_connection_manager().await.expect("the server answers");
    let (cache, async_cache) = (RedisCache::from(client).deadline(DEADLINE), AsyncRedisCache::from(manager.clone()));
    let key = key!("user", "of a client");
    assert_eq!(infallible(cache.get_or_compute(&key, MINUTE, || Ok(ada()))), ada());
    assert_eq!(async_cache.get_or_compute::<User, ()>(&key, MINUTE, async || Err(())).await, Ok(ada()));
    async_cache.invalidate(&key).await.expect("the server answers");
    assert_eq!(cache.get_or_compute::<User, _>(&key, MINUTE, || Err(())), Err(()));
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_caches_like_a_server() {
    let cluster = premier_test_server::Cluster::start(2);
    let cache = RedisCache::cluster(cluster.urls()).expect("valid addresses").deadline(DEADLINE);
    let async_cache = AsyncRedisCache::cluster(cluster.urls()).expect("valid addresses").deadline(DEADLINE);
    for id in 0..10 {
        let key = key!("user", id);
        let user = User { id, ..ada() };
        assert_eq!(infallible(cache.get_or_compute(&key, MINUTE, || Ok(User { id, ..ada() }))), user);
        let found: Result<User, ()> = async_cache.get_or_compute(&key, MINUTE, async || Err(())).await;
        assert_eq!(found, Ok(user));
        async_cache.invalidate(&key).await.expect("the cluster answers");
        assert_eq!(cache.get_or_compute::<User, _>(&key, MINUTE, || Err(())), Err(()));
    }
}

#[cache(ttl = "1h", key = |_| "the same")]
fn of_itself(depth: u32) -> u32 {
    if depth == 0 { 0 } else { of_itself(depth - 1) + 1 }
}

#[cache(ttl = "1h", key = |_| "the same", cache = ASYNC_SERVER)]
async fn of_itself_async(depth: u32) -> u32 {
    if depth == 0 { 0 } else { Box::pin(of_itself_async(depth - 1)).await + 1 }
}

#[cache(ttl = "1h", cache = SERVER)]
fn even(number: u32) -> bool {
    number == 0 || odd(number % 2)
}

#[cache(ttl = "1h")]
fn odd(number: u32) -> bool {
    even(number)
}

/// Every test that hangs fails: after this time.
const TOO_LONG: Duration = Duration::from_secs(60);

/// Returns what the panic of a call says.
fn panics_within_a_minute(call: impl FnOnce() + Send + 'static) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).expect_err("it cannot succeed");
        sender.send(panic.downcast_ref::<String>().cloned()).expect("the receiver waits");
    });
    receiver.recv_timeout(TOO_LONG).expect("it ends").expect("it says why")
}

#[test]
fn a_cached_call_that_needs_its_own_key_panics() {
    let of_itself: fn() = || _ = of_itself(3);
    let of_itself_async: fn() = || _ = block_on(of_itself_async(3));
    let of_each_other: fn() = || _ = even(1);
    for (call, key) in [
        (of_itself, "premier-cache:decorated::caching:of_itself:cache:the same"),
        (of_itself_async, "premier-cache:decorated::caching:of_itself_async:cache:the same"),
        (of_each_other, "premier-cache:decorated::caching:even:cache:1"),
    ] {
        let text = panics_within_a_minute(call);
        assert!(text.contains(key) && text.contains("needs itself"), "{text}");
    }
}

#[test]
fn threads_that_need_each_others_keys_panic() {
    let cache = MemoryCache::new(10);
    let text = panics_within_a_minute(move || {
        let both = std::sync::Barrier::new(2);
        let compute = |one: &'static str, other: &'static str| {
            let of_other = || infallible(cache.get_or_compute(&key!(other), TTL, || Ok(1)));
            let once_both_compute = || {
                both.wait();
                Ok(of_other())
            };
            infallible(cache.get_or_compute(&key!(one), TTL, once_both_compute))
        };
        thread::scope(|scope| {
            let threads = [scope.spawn(|| compute("one", "other")), scope.spawn(|| compute("other", "one"))];
            let panics: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().err()).collect();
            std::panic::resume_unwind(panics.into_iter().next().expect("one of them panics"));
        });
    });
    assert!(text.contains("needs itself"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn tasks_that_need_each_others_keys_panic() {
    let cache = AsyncMemoryCache::new(10);
    let compute = |one: &'static str, other: &'static str| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let of_other = async || infallible(cache.get_or_compute(&key!(other), MINUTE, async || Ok(1)).await);
            let after_a_moment = async || {
                sleep(TAKES).await;
                Ok(of_other().await)
            };
            infallible(cache.get_or_compute(&key!(one), MINUTE, after_a_moment).await)
        })
    };
    let both = async { tokio::join!(compute("one", "other"), compute("other", "one")) };
    let (one, other) = tokio::time::timeout(TOO_LONG, both).await.expect("they end");
    let panic = one.and(other).expect_err("one of them panics").into_panic();
    let text = panic.downcast_ref::<String>().expect("it says why");
    assert!(text.contains("needs itself"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_cached_call_may_need_other_keys_many_times() {
    let cache = AsyncMemoryCache::new(10);
    let inner = async || {
        let compute = async || {
            sleep(TAKES).await;
            Ok(1)
        };
        infallible(cache.get_or_compute(&key!("inner"), MINUTE, compute).await)
    };
    let outer = async || {
        let compute = async || {
            let (one, two, three) = tokio::join!(inner(), inner(), inner());
            Ok(one + two + three)
        };
        infallible(cache.get_or_compute(&key!("outer"), MINUTE, compute).await)
    };
    assert_eq!(tokio::join!(outer(), inner(), outer(), inner()), (3, 1, 3, 1));
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::option_option, reason = "which formats confuse")]
enum Untagged {
    Number(u8),
    Maybe(Option<Option<u8>>),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Empty,
    Full { of: Vec<Variant>, than: Option<i8> },
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::option_option, reason = "which formats confuse")]
enum Variant {
    Unit,
    New(Option<Option<()>>),
    Tuple(u8, char),
    Struct { number: u128 },
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    more: std::collections::HashMap<String, Option<u8>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    name: Option<String>,
}

/// Returns whether the value was remembered. If it is, it is the same.
fn is_remembered<T: Serialize + serde::de::DeserializeOwned + std::fmt::Debug>(value: impl Fn() -> T) -> bool {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let key = key!("any value", run(&NUMBER));
    let computed = infallible(SERVER.get_or_compute(&key, MINUTE, || Ok(value())));
    assert_eq!(format!("{computed:?}"), format!("{:?}", value()));
    match SERVER.get_or_compute::<T, ()>(&key, MINUTE, || Err(())) {
        Ok(remembered) => {
            assert_eq!(format!("{remembered:?}"), format!("{:?}", value()));
            true
        }
        Err(()) => false,
    }
}

#[test]
fn a_server_gives_back_what_it_was_given() {
    use std::collections::{BTreeMap, HashMap};

    assert!(is_remembered(|| None::<Option<u8>>));
    assert!(is_remembered(|| Some(None::<u8>)));
    assert!(is_remembered(|| Some(Some(None::<()>))));
    assert!(is_remembered(|| Some(())));
    assert!(is_remembered(|| (f64::NAN, f32::NEG_INFINITY, -0.0_f64)));
    assert!(is_remembered(|| (u128::MAX, i128::MIN, u64::MAX, 'é')));
    assert!(is_remembered(|| BTreeMap::from([((1, Some(None::<u8>)), "one"), ((2, None), "two")].map(owned))));
    assert!(is_remembered(|| vec![Variant::Unit, Variant::New(Some(None)), Variant::New(Some(Some(())))]));
    assert!(is_remembered(|| vec![Variant::Tuple(1, 'a'), Variant::Struct { number: u128::MAX }]));
    assert!(is_remembered(|| vec![Untagged::Maybe(Some(None)), Untagged::Maybe(None), Untagged::Maybe(None)]));
    assert!(is_remembered(|| vec![Untagged::Number(1), Untagged::Text("1".to_owned())]));
    assert!(is_remembered(|| Tagged::Empty));
    assert!(is_remembered(|| Tagged::Full { of: vec![Variant::Unit, Variant::New(None)], than: None }));
    assert!(is_remembered(|| Flat { id: 1, more: HashMap::from([("two".to_owned(), Some(2))]), name: None }));

    let lost = || Tagged::Full { of: vec![Variant::New(Some(None))], than: Some(-1) };
    assert!(!is_remembered(lost), "what cannot be read as it was is computed anew");
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Ambiguous {
    Maybe(Option<u8>),
    Float(f64),
    Whole(u64),
    Point { x: u8 },
    Vector { x: u8, y: u8 },
    Pair(u8, u8),
    List(Vec<u8>),
    Bytes(Bytes),
    Letter(char),
    Text(String),
    Nothing,
}

#[derive(Debug, Deserialize)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// Adds one each time it is read.
#[derive(Debug, Serialize)]
struct Growing(u8);

impl<'de> Deserialize<'de> for Growing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(|read| Self(read + 1))
    }
}

/// [`is_remembered`] fails if it comes back as another value.
#[test]
fn a_value_that_would_be_altered_is_not_stored() {
    use std::collections::{HashMap, HashSet};

    assert!(!is_remembered(|| Ambiguous::Whole(1)));
    assert!(!is_remembered(|| Ambiguous::Whole(300)));
    assert!(!is_remembered(|| Ambiguous::Vector { x: 1, y: 2 }));
    assert!(!is_remembered(|| Ambiguous::List(vec![1, 2])));
    assert!(!is_remembered(|| Ambiguous::Bytes(Bytes(vec![1, 2]))));
    assert!(!is_remembered(|| Ambiguous::Text("a".to_owned())));
    assert!(!is_remembered(|| Ambiguous::Nothing));
    assert!(!is_remembered(|| (1, Some(vec![Ambiguous::Float(1.5), Ambiguous::Whole(1)]))));
    assert!(!is_remembered(|| HashMap::from([("one", Ambiguous::Nothing)].map(owned_key))));
    assert!(!is_remembered(|| Growing(1)));

    assert!(is_remembered(|| Ambiguous::Maybe(Some(1))));
    assert!(is_remembered(|| Ambiguous::Float(1.5)));
    assert!(is_remembered(|| Ambiguous::Point { x: 1 }));
    assert!(is_remembered(|| Ambiguous::Text("ab".to_owned())));

    // The order differs each time.
    let set = || HashSet::from([Some("a".to_owned()), None, Some("b".to_owned()), Some("c".to_owned())]);
    let map = || (0..20).map(|number| (number, vec![number; 2])).collect::<HashMap<_, _>>();
    let key = key!("without order");
    let first = infallible(SERVER.get_or_compute(&key, MINUTE, || Ok((set(), map()))));
    assert_eq!(SERVER.get_or_compute(&key, MINUTE, || Err(())), Ok(first));
}

fn owned_key<V>((key, value): (&str, V)) -> (String, V) {
    (key.to_owned(), value)
}

fn owned<K>((key, value): (K, &str)) -> (K, String) {
    (key, value.to_owned())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Turned {
    name: String,
    id: u64,
}

#[test]
fn what_another_program_has_stored_is_computed_anew() {
    let key = key!("of another program");
    let mut connection = redis::Client::open(("127.0.0.1", server::port()))
        .and_then(|client| client.get_connection())
        .expect("the server answers");
    for foreign in [&b"{\"id\":7}"[..], b"7", b"null", b"", b"\x01", b"\x01\x07", b"\x02", b"\xff\xff", b"\x80"] {
        let () = connection.set("premier-cache:of another program:cache", foreign).expect("the server answers");
        let computed = infallible(SERVER.get_or_compute(&key, MINUTE, || Ok(Some(3_u64))));
        assert_eq!(computed, Some(3), "{foreign:?}");
    }
    assert_eq!(infallible(SERVER.get_or_compute(&key, MINUTE, || Ok(ada()))), ada());
    let turned =
        infallible(SERVER.get_or_compute::<Turned, _>(&key, MINUTE, || Ok(Turned { name: "Bob".to_owned(), id: 2 })));
    assert_eq!(turned, Turned { name: "Ada".to_owned(), id: 1 }, "fields are found by their names");
}
