//! Functions of each form: methods, generics, patterns, `impl Trait` and async traits.

use std::fmt::Display;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use premier_client::{
    Decision, Error, ErrorKind, cache, configure, fixed_window, leaky_bucket, retry, sliding_window, timeout,
    token_bucket,
};

/// The user's own error.
#[derive(Debug)]
enum PaymentError {
    Limited(Error),
    Declined,
}

impl From<Error> for PaymentError {
    fn from(error: Error) -> Self {
        Self::Limited(error)
    }
}

type Payment<T> = Result<T, PaymentError>;

struct User {
    id: u64,
}

/// Has documentation, which attributes keep.
#[token_bucket(quota = 1, duration = "1h", key = |user, _| user.id)]
async fn charge(user: &User, cents: u64) -> Payment<u64> {
    if cents == 0 { Err(PaymentError::Declined) } else { Ok(user.id + cents) }
}

#[tokio::test]
async fn the_error_converts_into_the_users_own() {
    assert!(matches!(charge(&User { id: 1 }, 41).await, Ok(42)));
    assert!(matches!(charge(&User { id: 2 }, 0).await, Err(PaymentError::Declined)));
    let Err(PaymentError::Limited(error)) = charge(&User { id: 1 }, 41).await else { panic!("it is limited") };
    assert_eq!(error.key(), Some("premier:decorated::forms:charge:token:1"));
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const ONE: u64 = 1;

#[sliding_window(quota = ONE, duration = HOUR, cost = ONE, on_limit = None)]
fn value_instead() -> Option<u8> {
    Some(1)
}

#[fixed_window(quota = 2, duration = "1h", keep = 1, on_limit = None)]
fn modest() -> Option<u8> {
    Some(1)
}

#[fixed_window(quota = 2, duration = HOUR, keep = ONE, on_limit = None)]
fn modest_by_a_constant() -> Option<u8> {
    Some(1)
}

#[test]
fn a_reserve_remains_after_a_call() {
    assert_eq!([modest(), modest()], [Some(1), None]);
    assert_eq!([modest_by_a_constant(), modest_by_a_constant()], [Some(1), None]);
}

#[sliding_window(quota = 1, duration = "1h", on_limit = format!("not now: {}", error.kind() == ErrorKind::QuotaExceeded))]
fn described_by_the_error() -> impl Display {
    "now".to_owned()
}

#[sliding_window(quota = 1, duration = "1h", key = |key| key, on_limit = key)]
fn echo(key: &'static str) -> &'static str {
    let _ = key;
    "admitted"
}

#[test]
fn an_on_limit_expression_sees_the_arguments() {
    assert_eq!(echo("ada"), "admitted");
    assert_eq!(echo("ada"), "ada");
}

#[test]
fn an_on_limit_expression_is_returned() {
    assert_eq!((value_instead(), value_instead()), (Some(1), None));
    assert_eq!(described_by_the_error().to_string(), "now");
    assert_eq!(described_by_the_error().to_string(), "not now: true");
}

#[fixed_window(quota = 1, duration = "300ms", on_limit = wait("10s"))]
fn waits() {}

#[fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn waits_too_briefly() -> Payment<()> {
    Ok(())
}

#[fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn waits_too_briefly_and_panics() -> u8 {
    1
}

#[test]
fn a_limited_call_can_wait() {
    let start = Instant::now();
    waits();
    waits();
    assert!(start.elapsed() >= Duration::from_millis(299));

    assert!(waits_too_briefly().is_ok());
    assert!(matches!(waits_too_briefly(), Err(PaymentError::Limited(_))));
}

#[test]
#[should_panic(expected = "the quota of premier:decorated::forms:waits_too_briefly_and_panics:fixed is exceeded")]
fn a_wait_that_is_too_short_panics_without_a_result() {
    waits_too_briefly_and_panics();
    waits_too_briefly_and_panics();
}

#[leaky_bucket(quota = 1, duration = "1h", capacity = 2, max_wait = "1ms")]
async fn impatient() -> Result<(), Error> {
    Ok(())
}

#[tokio::test]
async fn a_call_whose_turn_is_after_max_wait_is_limited() {
    assert!(impatient().await.is_ok());
    assert!(impatient().await.is_err());
}

#[token_bucket(quota = 3, duration = "1h", decision = hourly, key = |_, user| user)]
#[retry(max = 2, delay = "1us")]
#[fixed_window(quota = 5, duration = "1h", decision = decision)]
async fn seen(this: &mut u8, user: &str) -> Result<(u64, Decision), Error> {
    *this += 1;
    if *this == 1 { Err(impatient_error()) } else { Ok((hourly.remaining(), *decision)) }
}

fn impatient_error() -> Error {
    premier_client::Keyspace::new("").expect_err("a keyspace has a name")
}

#[leaky_bucket(quota = 1, duration = "20ms", capacity = 2, decision = turn, on_limit = wait("1s"))]
fn seen_in_a_queue() -> Option<Duration> {
    turn.wait()
}

#[tokio::test]
async fn the_body_sees_the_decision_that_admitted_it() {
    let mut calls = 0;
    let (hourly, decision) = seen(&mut calls, "ada").await.expect("the second attempt");
    assert_eq!((hourly, decision.remaining(), decision.limit()), (2, 3, 5), "each attempt is decided anew");
    assert_eq!(seen(&mut calls, "ada").await.map(|(hourly, _)| hourly).ok(), Some(1));
    assert_eq!(seen(&mut calls, "bob").await.map(|(hourly, _)| hourly).ok(), Some(2));
    assert_eq!(seen_in_a_queue(), Some(Duration::ZERO));
    assert!(seen_in_a_queue().is_some());
}

struct Ledger<T> {
    name: &'static str,
    entries: Vec<T>,
}

impl<T: Clone> Ledger<T> {
    #[fixed_window(quota = 2, duration = "1h", key = |_, note| format!("{}/{note}", self.name))]
    fn add<'a>(&mut self, entry: T, note: &'a str) -> Result<&'a str, Error>
    where
        T: Send,
    {
        self.entries.push(entry);
        Ok(note)
    }

    #[fixed_window(quota = 1, duration = "1h")]
    fn new() -> Result<Self, Error> {
        Ok(Self { name: "main", entries: Vec::new() })
    }

    #[fixed_window(quota = 1, duration = "1h")]
    fn both((one, other): (T, T), [first, ..]: [u8; 2], mut count: u8) -> Result<(Vec<T>, u8), Error> {
        count += first;
        Ok((vec![one, other], count))
    }
}

struct Other;

impl Other {
    #[fixed_window(quota = 1, duration = "1h")]
    fn new() -> Result<Self, Error> {
        Ok(Self)
    }
}

#[test]
fn methods_generics_and_patterns_are_limited() {
    let mut ledger = Ledger::new().expect("the first");
    assert_eq!(ledger.add(1, "note").expect("the first"), "note");
    assert_eq!(ledger.add(2, "note").expect("the second"), "note");
    assert!(ledger.add(3, "note").is_err());
    assert!(ledger.add(4, "other note").is_ok());
    assert_eq!(ledger.entries, [1, 2, 4]);
    assert_eq!(Ledger::both((1, 2), [3, 4], 5).expect("the first"), (vec![1, 2], 8));
}

#[premier_client::cache(ttl = "1h")]
fn doubled((Ok(number) | Err(number)): Result<u8, u8>) -> u8 {
    number * 2
}

#[premier_client::cache(ttl = "1h")]
fn sum((Ok(one) | Err(one), other): (Result<u8, u8>, u8), (None | Some(_)): Option<u8>) -> u8 {
    one + other
}

#[premier_client::retry]
#[fixed_window(quota = 1, duration = "1h", key = |number| number, on_limit = Err(number))]
fn once((Ok((number, _)) | Err((_, number))): Result<(u8, u8), (u8, u8)>) -> Result<u8, u8> {
    Ok(number)
}

#[test]
fn calls_are_distinguished_by_arguments_with_alternatives() {
    assert_eq!([doubled(Ok(1)), doubled(Err(2)), doubled(Err(1))], [2, 4, 2]);
    assert_eq!([sum((Ok(1), 2), None), sum((Err(2), 2), Some(1)), sum((Ok(1), 3), None)], [3, 4, 4]);
    assert_eq!([once(Ok((1, 2))), once(Err((1, 2))), once(Err((2, 1)))], [Ok(1), Ok(2), Err(1)]);
}

#[test]
fn methods_of_different_types_have_different_keys() {
    assert!(Other::new().is_ok(), "Ledger::new is another function");
    let error = Other::new().err().expect("the second of the same type");
    assert_eq!(error.key(), Some("premier:decorated::forms:Other::new:fixed"));
}

#[async_trait]
trait Notifier {
    async fn notify(&self, whom: &str) -> Result<usize, Error>;
    async fn remind(&self) -> Payment<()>;
    async fn forget(&self);
}

#[async_trait]
impl Notifier for Other {
    #[fixed_window(quota = 1, duration = "1h", key = |whom| whom, decision = decision)]
    async fn notify(&self, whom: &str) -> Result<usize, Error> {
        tokio::task::yield_now().await;
        assert_eq!(decision.remaining(), 0);
        Ok(whom.len())
    }

    #[fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
    async fn remind(&self) -> Payment<()> {
        Ok(())
    }

    #[fixed_window(quota = 1, duration = "200ms", on_limit = wait("10s"))]
    async fn forget(&self) {}
}

#[tokio::test]
async fn methods_of_async_traits_are_limited() {
    assert_eq!(Other.notify("ada").await.expect("the first"), 3);
    let error = Other.notify("ada").await.expect_err("the second");
    assert!(error.key().is_some_and(|key| key.ends_with("notify:fixed:ada")), "{error}");
    assert!(Other.notify("grace").await.is_ok());
    assert!(Other.remind().await.is_ok());
    assert!(matches!(Other.remind().await, Err(PaymentError::Limited(_))));
    let start = Instant::now();
    Other.forget().await;
    Other.forget().await;
    assert!(start.elapsed() >= Duration::from_millis(199));
}

#[async_trait]
trait Courier {
    async fn deliver(&mut self, parcel: String, to: &str) -> Payment<String>;
}

struct Unreliable {
    name: &'static str,
    attempts: u32,
}

#[async_trait]
impl Courier for Unreliable {
    #[cache(ttl = "1h", key = |_, to| to)]
    #[retry(max = 3, delay = "1ms", on = [QuotaExceeded, |error| matches!(error, PaymentError::Declined)])]
    #[timeout("1m")]
    #[sliding_window(quota = 3, duration = "1h", key = |_, to| format!("{}/{to}", self.name))]
    async fn deliver(&mut self, parcel: String, to: &str) -> Payment<String> {
        self.attempts += 1;
        if self.attempts < 3 {
            return Err(PaymentError::Declined);
        }
        Ok(format!("{parcel} to {to}"))
    }
}

#[tokio::test]
async fn methods_of_async_traits_can_have_all_layers() {
    let mut courier = Unreliable { name: "hermes", attempts: 0 };
    for _ in 0..2 {
        let delivered = courier.deliver("flowers".to_owned(), "ada").await;
        assert_eq!(delivered.expect("the third attempt, and then remembered"), "flowers to ada");
    }
    assert_eq!(courier.attempts, 3);
}

#[fixed_window(quota = 1, duration = "1h")]
fn settled() -> Result<(), Error> {
    Ok(())
}

#[test]
fn configuring_after_the_first_call_fails() {
    assert!(settled().is_ok());
    let error = configure().install().expect_err("it is too late");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("configure them only once"), "{error}");
}
