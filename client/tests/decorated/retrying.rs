//! Calls that fail are repeated.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use premier_client::{Error, ErrorKind, fixed_window, leaky_bucket, retry};
use tokio::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    Transient,
    Final,
}

/// Counts attempts, and fails all before the one that is needed.
struct Attempts {
    made: AtomicU32,
    needed: u32,
}

impl Attempts {
    fn needing(needed: u32) -> Self {
        Self { made: AtomicU32::new(0), needed }
    }

    fn made(&self) -> u32 {
        self.made.load(Ordering::Relaxed)
    }

    fn make<E>(&self, error: E) -> Result<u32, E> {
        let made = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        if made < self.needed { Err(error) } else { Ok(made) }
    }
}

#[retry(delay = "1ms")]
fn sync_call(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry]
async fn async_call(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[test]
fn a_sync_call_has_three_attempts_by_default() {
    assert_eq!(sync_call(&Attempts::needing(1)), Ok(1));
    assert_eq!(sync_call(&Attempts::needing(3)), Ok(3));
    let attempts = Attempts::needing(4);
    assert_eq!(sync_call(&attempts), Err(Failure::Transient));
    assert_eq!(attempts.made(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_async_call_has_three_attempts_by_default() {
    assert_eq!(async_call(&Attempts::needing(3)).await, Ok(3));
    let attempts = Attempts::needing(4);
    assert_eq!(async_call(&attempts).await, Err(Failure::Transient));
    assert_eq!(attempts.made(), 3);
}

const SECOND: Duration = Duration::from_secs(1);

#[retry(delay = "1s", jitter = false, max = 5)]
async fn exponentially(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(strategy = "fixed", delay = SECOND, jitter = false, max = 5)]
async fn fixedly(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(strategy = "linear", delay = "1s", jitter = false, max = 5)]
async fn linearly(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(strategy = |failed| SECOND * failed * failed, jitter = false, max = attempts.needed)]
async fn by_squares(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(delay = "2m", jitter = false, max = 5)]
async fn exponentially_from_two_minutes(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(delay = "1s", max_delay = "3s", jitter = false, max = 5)]
async fn exponentially_up_to_three(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(strategy = "linear", delay = "1s", max_delay = 3 * SECOND, jitter = false, max = 5)]
async fn linearly_up_to_three(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

/// The first delay is 100 ms by default.
#[retry(max_delay = "10ms", jitter = false, max = 5)]
async fn for_ten_milliseconds_at_most(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(strategy = "fixed", delay = 2 * SECOND, max_delay = "1s", jitter = false, max = 5)]
async fn fixedly_for_a_second_at_most(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[retry(strategy = |failed| SECOND * failed * failed, max_delay = "5s", jitter = false, max = 5)]
async fn by_squares_up_to_five(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

async fn seconds(call: impl Future<Output = Result<u32, Failure>>) -> u128 {
    let start = Instant::now();
    assert_eq!(call.await, Ok(5));
    // tokio's clock ticks in milliseconds.
    (start.elapsed().as_millis() + 500) / 1_000
}

#[tokio::test(start_paused = true)]
async fn the_strategy_sets_the_delays() {
    assert_eq!(seconds(exponentially(&Attempts::needing(5))).await, 1 + 2 + 4 + 8);
    assert_eq!(seconds(fixedly(&Attempts::needing(5))).await, 4);
    assert_eq!(seconds(linearly(&Attempts::needing(5))).await, 1 + 2 + 3 + 4);
    assert_eq!(seconds(by_squares(&Attempts::needing(5))).await, 1 + 4 + 9 + 16);
}

#[tokio::test(start_paused = true)]
async fn delays_grow_up_to_the_maximum_and_never_shrink() {
    assert_eq!(seconds(exponentially_from_two_minutes(&Attempts::needing(5))).await, 4 * 120);
    assert_eq!(seconds(exponentially_up_to_three(&Attempts::needing(5))).await, 1 + 2 + 3 + 3);
    assert_eq!(seconds(linearly_up_to_three(&Attempts::needing(5))).await, 1 + 2 + 3 + 3);
    assert_eq!(seconds(by_squares_up_to_five(&Attempts::needing(5))).await, 1 + 4 + 5 + 5);
    assert_eq!(seconds(for_ten_milliseconds_at_most(&Attempts::needing(5))).await, 0);
    assert_eq!(seconds(fixedly_for_a_second_at_most(&Attempts::needing(5))).await, 4);
}

#[retry(strategy = "fixed", delay = "1s", max = 101)]
async fn with_jitter(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_delays() {
    let start = Instant::now();
    assert_eq!(with_jitter(&Attempts::needing(101)).await, Ok(101));
    let seconds = start.elapsed().as_secs();
    // A hundred delays of 1 to 2 seconds.
    assert!((120..180).contains(&seconds), "{seconds}");
}

#[retry(max = 5, delay = "1ms", on = [|error| *error == Failure::Transient])]
fn by_a_predicate(attempts: &Attempts, failure: Failure) -> Result<u32, Failure> {
    attempts.make(failure.clone())
}

#[retry(max = 5, delay = "1ms", on = [QuotaExceeded, is_transient])]
fn by_a_function(attempts: &Attempts, failure: Failure) -> Result<u32, Failure> {
    attempts.make(failure.clone())
}

fn is_transient(failure: &Failure) -> bool {
    *failure == Failure::Transient
}

#[retry(max = 5, delay = "1ms", on = [QuotaExceeded])]
fn by_a_kind(attempts: &Attempts, failure: Failure) -> Result<u32, Failure> {
    attempts.make(failure.clone())
}

#[test]
fn only_errors_that_match_are_retried() {
    assert_eq!(by_a_predicate(&Attempts::needing(5), Failure::Transient), Ok(5));
    assert_eq!(by_a_function(&Attempts::needing(5), Failure::Transient), Ok(5));
    for call in [by_a_predicate, by_a_function, by_a_kind] {
        let attempts = Attempts::needing(5);
        assert_eq!(call(&attempts, Failure::Final), Err(Failure::Final));
        assert_eq!(attempts.made(), 1);
    }
}

/// An error that hides its source.
#[derive(Debug)]
struct Opaque;

impl From<Error> for Opaque {
    fn from(_: Error) -> Self {
        Self
    }
}

#[retry(max = 2, delay = "1us", on = [QuotaExceeded])]
#[fixed_window(quota = 1, duration = "300ms")]
fn limited() -> Result<(), Opaque> {
    Ok(())
}

#[retry(max = 2, delay = "1us", on = [QuotaExceeded])]
#[fixed_window(quota = 1, duration = "300ms")]
async fn limited_async() -> Result<(), Opaque> {
    Ok(())
}

#[test]
fn a_retry_waits_for_the_retry_after() {
    let start = Instant::now();
    limited().expect("the first");
    limited().expect("the second is admitted after its wait");
    assert!(start.elapsed() >= Duration::from_millis(299));
}

#[tokio::test]
async fn an_async_retry_waits_for_the_retry_after() {
    let start = Instant::now();
    limited_async().await.expect("the first");
    limited_async().await.expect("the second is admitted after its wait");
    assert!(start.elapsed() >= Duration::from_millis(299));
}

#[retry(max = 2, delay = "10s")]
#[fixed_window(quota = 1, duration = "55s")]
async fn with_jitter_after_a_limit() -> Result<(), Error> {
    Ok(())
}

/// The clock of tokio is paused, that of the limits is not: the second attempt is limited too.
#[tokio::test(start_paused = true)]
async fn limited_calls_do_not_come_back_together() {
    with_jitter_after_a_limit().await.expect("the first");
    let mut waits = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        assert!(with_jitter_after_a_limit().await.is_err());
        waits.push(start.elapsed());
    }
    waits.sort();
    let [first, .., last] = &waits[..] else { panic!("there are twenty") };
    assert!(*last > *first + SECOND, "{waits:?}");
    assert!(*first > 50 * SECOND && *last < 66 * SECOND, "{waits:?}");
}

#[retry(max = 2, jitter = false)]
#[fixed_window(quota = 1, duration = "59s")]
async fn limited_for_less_than_a_minute() -> Result<(), Error> {
    Ok(())
}

#[retry(max = 2, jitter = false)]
#[fixed_window(quota = 1, duration = "1d")]
async fn limited_for_a_day() -> Result<(), Error> {
    Ok(())
}

#[retry(max = 2, max_delay = "1d", jitter = false)]
#[fixed_window(quota = 1, duration = "1d")]
async fn limited_for_a_day_which_it_waits() -> Result<(), Error> {
    Ok(())
}

#[retry(max = 2, strategy = |_| 90 * SECOND, jitter = false)]
#[fixed_window(quota = 1, duration = "80s")]
async fn limited_for_less_than_the_delay() -> Result<(), Error> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_retry_gives_up_on_a_longer_wait_than_max_delay() {
    macro_rules! seconds_of_the_second {
        ($call:ident) => {{
            $call().await.expect("the first");
            let start = Instant::now();
            assert_eq!($call().await.map_err(|error| error.kind()), Err(ErrorKind::QuotaExceeded));
            start.elapsed().as_secs()
        }};
    }
    assert!((50..=60).contains(&seconds_of_the_second!(limited_for_less_than_a_minute)));
    assert_eq!(seconds_of_the_second!(limited_for_a_day), 0);
    assert!((86_390..=86_401).contains(&seconds_of_the_second!(limited_for_a_day_which_it_waits)));
    assert!((90..=91).contains(&seconds_of_the_second!(limited_for_less_than_the_delay)));
}

#[derive(Debug, PartialEq)]
enum OwnError {
    Declined(u32),
    Limited,
}

impl From<Error> for OwnError {
    fn from(_: Error) -> Self {
        Self::Limited
    }
}

/// The third attempt is limited, for longer than a retry waits.
#[retry(max = 5, delay = "1us")]
#[fixed_window(quota = 2, duration = "1h")]
fn declined(attempts: &Attempts) -> Result<u32, OwnError> {
    attempts.make(()).map_err(|()| OwnError::Declined(attempts.made()))
}

/// Each attempt after the first is limited.
#[retry(max = 2, delay = "1us")]
#[retry(max = 2, delay = "1us")]
#[fixed_window(quota = 1, duration = "200ms")]
async fn declined_async(attempts: &Attempts) -> Result<u32, OwnError> {
    attempts.make(()).map_err(|()| OwnError::Declined(attempts.made()))
}

#[retry(max = 2, delay = "1us")]
#[fixed_window(quota = 1, duration = "1h", on_limit = Ok(0))]
fn declined_or_zero(attempts: &Attempts) -> Result<u32, OwnError> {
    attempts.make(OwnError::Declined(1))
}

#[tokio::test]
async fn a_limit_does_not_hide_the_bodys_own_last_error() {
    let attempts = Attempts::needing(5);
    assert_eq!(declined(&attempts), Err(OwnError::Declined(2)));
    assert_eq!(declined(&attempts), Err(OwnError::Limited), "the body did not run");
    let error = declined_async(&Attempts::needing(5)).await;
    assert!(matches!(error, Err(OwnError::Declined(_))), "{error:?}");
    assert_eq!(declined_or_zero(&attempts), Ok(0), "the value of on_limit is no error");
}

static ASKED: AtomicU32 = AtomicU32::new(0);

#[retry(max = 5, strategy = |failed| { ASKED.store(failed, Ordering::Relaxed); Duration::ZERO })]
#[fixed_window(quota = 0, duration = "1s")]
fn nobody() -> Result<(), Error> {
    Ok(())
}

#[retry(max = 2, strategy = "fixed", delay = "1ms")]
#[retry(max = 3, strategy = "fixed", delay = "1ms")]
fn twice_three_times(attempts: &Attempts) -> Result<u32, Failure> {
    attempts.make(Failure::Transient)
}

#[test]
fn a_call_that_is_never_admitted_is_not_retried() {
    let error = nobody().expect_err("nobody is admitted");
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(ASKED.load(Ordering::Relaxed) <= 1, "the call was retried");
}

#[test]
fn nested_retries_multiply_the_attempts() {
    assert_eq!(twice_three_times(&Attempts::needing(6)), Ok(6));
    assert_eq!(twice_three_times(&Attempts::needing(7)), Err(Failure::Transient));
}

/// The second call within 100 ms is limited.
#[leaky_bucket(quota = 1, duration = "100ms", capacity = 1, key = |caller| caller)]
fn inner(caller: &str) -> Result<(), Error> {
    let _ = caller;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the call failed")]
struct Wrapped(#[from] Error);

#[derive(Debug, thiserror::Error)]
#[error("the call failed")]
struct Shared(#[source] Arc<Error>);

impl From<Error> for Shared {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

macro_rules! outer {
    ($name:ident -> $error:ty) => {
        #[retry(max = 2, delay = "1us", on = [QuotaExceeded])]
        fn $name() -> Result<(), $error> {
            inner(stringify!($name))?;
            Ok(())
        }
    };
}

outer!(as_it_is -> Error);
outer!(as_a_source -> Wrapped);
outer!(in_anyhow -> anyhow::Error);
outer!(in_a_box -> Box<dyn StdError>);
outer!(in_a_box_to_send -> Box<dyn StdError + Send + Sync>);
outer!(in_a_box_of_its_type -> Box<Error>);
outer!(shared -> Arc<Error>);
outer!(shared_as_a_source -> Shared);

#[test]
fn a_limit_within_the_body_is_found_in_the_error() {
    for call in [
        || as_it_is().is_ok(),
        || as_a_source().is_ok(),
        || in_anyhow().is_ok(),
        || in_a_box().is_ok(),
        || in_a_box_to_send().is_ok(),
        || in_a_box_of_its_type().is_ok(),
        || shared().is_ok(),
        || shared_as_a_source().is_ok(),
    ] {
        let start = Instant::now();
        assert!(call(), "the first is admitted");
        assert!(call(), "the second is admitted after its wait");
        assert!(start.elapsed() >= Duration::from_millis(99));
    }
}

struct Machine {
    runs: Vec<String>,
}

impl Machine {
    #[retry(max = 3, delay = "1ms")]
    async fn run(&mut self, what: String) -> Result<usize, Failure> {
        self.runs.push(what.clone());
        if self.runs.len() < 3 { Err(Failure::Transient) } else { Ok(self.runs.len()) }
    }
}

#[tokio::test]
async fn a_method_can_change_self_in_each_attempt() {
    let mut machine = Machine { runs: Vec::new() };
    assert_eq!(machine.run("job".to_owned()).await, Ok(3));
    assert_eq!(machine.runs, ["job"; 3]);
}

#[retry(max = 3, delay = "1ms")]
fn into_something<T: Clone>(seen: &Mutex<Vec<T>>, item: T) -> Result<impl Fn() -> usize + use<T>, Failure> {
    let mut seen = seen.lock().expect("nobody panics");
    seen.push(item.clone());
    let count = seen.len();
    if count < 2 {
        return Err(Failure::Transient);
    }
    Ok(move || count)
}

#[test]
fn a_generic_function_can_return_an_impl_trait() {
    let count = into_something(&Mutex::default(), "item").map(|count| count());
    assert_eq!(count, Ok(2));
}
