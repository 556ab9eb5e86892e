//! The code that the attributes write causes no warning, and its names never clash with the user's.

#![deny(warnings)]

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use premier_client::Error;

use crate::compiler;

type Result<T> = std::result::Result<T, Error>;

const DURATION: Duration = Duration::from_secs(5);

#[premier_client::cache(ttl = DURATION, key = |key, throttler, _, _| format!("{key}{throttler}"))]
#[premier_client::retry(max = 2, on = [Timeout, |error| error.key().is_some()])]
#[premier_client::timeout("1s")]
#[premier_client::throttle(quota = 3, duration = "5s", key = |error, _, _, _| error)]
async fn everything(key: u8, throttler: &str, limit: u8, raised: u8) -> Result<usize> {
    let (result, error, retries, pause, outcome, after) = (key, limit, raised, 1, 2, 3);
    Ok(usize::from(result + error + retries + pause + outcome + after) + throttler.len())
}

#[premier_client::retry]
#[premier_client::leaky_bucket(quota = limit, duration = duration, capacity = limit, max_wait = duration, cost = 1)]
#[premier_client::retry]
fn nested<'a, T>(limit: u64, duration: Duration, value: &'a T) -> Result<&'a T>
where
    T: ?Sized,
{
    Ok(value)
}

#[premier_client::retry(strategy = "fixed", delay = "1ms", jitter = false)]
pub(crate) fn never_limited() -> std::result::Result<(), ()> {
    Err(())
}

#[premier_client::cache(ttl = "1s")]
fn one() -> u8 {
    1
}

#[premier_client::cache(ttl = "1s")]
fn text() -> Option<Cow<'static, str>> {
    Some("one".into())
}

#[premier_client::cache(ttl = "1s")]
fn trimming() -> (&'static str, fn(&str) -> &str) {
    ("trim", str::trim)
}

/// Nothing in it is borrowed from the call.
#[premier_client::cache(ttl = "1s")]
fn shared() -> Arc<dyn for<'a> Fn(&'a str) -> &'a str + Send + Sync> {
    Arc::new(|text: &str| -> &str { text })
}

#[premier_client::concurrency(quota = 1, lease = "1s")]
async fn held() -> Result<u8> {
    Ok(1)
}

#[premier_client::concurrency(quota = limit, lease = duration, cost = limit, keep = error, permit = key)]
fn held_with_options(limit: u64, duration: Duration, error: u64) -> Result<bool> {
    Ok(key.is_lost())
}

struct Service;

impl Service {
    #[premier_client::timeout("1s")]
    #[premier_client::sliding_window(quota = 3, duration = "1s", on_limit = Ok(self))]
    async fn itself(&mut self) -> Result<&mut Self> {
        Ok(self)
    }
}

/// A call panics if it waits too long.
#[premier_client::fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn never_returns() -> ! {
    panic!("it was admitted")
}

#[premier_client::token_bucket(quota = 1, duration = "1h", on_limit = panic!("too many"))]
async fn never_returns_async() -> ! {
    panic!("it was admitted")
}

#[premier_client::retry]
#[premier_client::fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn shown(number: u8) -> Result<impl std::fmt::Display> {
    Ok(number)
}

#[premier_client::fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
async fn numbers(count: u8) -> Option<impl Iterator<Item = u8>> {
    Some(0..count)
}

#[premier_client::cache(ttl = "1h")]
#[premier_client::fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn remembered(number: u8) -> Result<Vec<impl std::fmt::Display>> {
    Ok(vec![number])
}

#[tokio::test]
async fn results_whose_type_has_no_name_are_limited() {
    assert_eq!(shown(7).expect("the first").to_string(), "7");
    assert!(shown(7).is_err());
    assert_eq!(numbers(3).await.expect("the first").count(), 3);
    assert!(tokio::spawn(async { numbers(3).await.map(Iterator::count) }).await.is_err_and(|error| error.is_panic()));
    assert_eq!(remembered(7).expect("the first")[0].to_string(), "7");
    assert!(remembered(7).is_ok() && remembered(8).is_err());
}

#[tokio::test]
async fn functions_that_never_return_are_limited() {
    let panic =
        |call: fn() -> u8| *std::panic::catch_unwind(call).expect_err("a panic").downcast::<&str>().expect("text");
    assert_eq!(panic(|| never_returns()), "it was admitted");
    let too_long = std::panic::catch_unwind(|| -> u8 { never_returns() }).expect_err("a panic");
    let too_long = too_long.downcast::<String>().expect("a text");
    assert!(
        too_long.starts_with("the quota of premier:decorated::accepted:never_returns:fixed is exceeded"),
        "{too_long}"
    );
    assert_eq!(panic(|| futures_executor::block_on(async { never_returns_async().await })), "it was admitted");
    assert_eq!(panic(|| futures_executor::block_on(async { never_returns_async().await })), "too many");
}

#[premier_client::cache(ttl = "1h")]
fn sum(
    one: u8,
    #[cfg(any())] removed: Removed,
    #[cfg(not(any()))] kept: u8,
    #[cfg(not(any()))]
    #[cfg(not(any()))]
    also: u8,
) -> u8 {
    one + kept + also
}

#[premier_client::fixed_window(quota = 1, duration = "1h", key = |user| user)]
#[premier_client::timeout("1h")]
async fn of_a_user(user: u8, #[cfg(any())] removed: Removed) -> Result<u8> {
    Ok(user)
}

/// Whether it is a future is known only of a call.
#[premier_client::fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn of_any_type<T>(value: T) -> T {
    value
}

struct Counter;

impl Counter {
    #[premier_client::retry]
    #[premier_client::sliding_window(quota = 1, duration = "1h", key = |_, user| user)]
    fn of_a_user(&self, #[cfg(not(any()))] _number: u8, #[cfg(any())] removed: Removed, user: u8) -> Result<u8> {
        Ok(user)
    }
}

#[tokio::test]
async fn an_argument_that_is_removed_is_no_part_of_the_key() {
    assert_eq!(sum(1, 2, 3), 6);
    assert_eq!(sum(1, 2, 4), 7);
    assert_eq!(of_a_user(1).await.ok(), Some(1));
    assert!(of_a_user(1).await.is_err());
    assert_eq!(of_a_user(2).await.ok(), Some(2));
    assert_eq!(Counter.of_a_user(1, 1).ok(), Some(1));
    assert!(Counter.of_a_user(2, 1).is_err());
    assert_eq!(Counter.of_a_user(2, 2).ok(), Some(2));
}

#[tokio::test]
async fn names_in_the_users_code_keep_their_meaning() {
    assert_eq!(everything(1, "ab", 2, 3).await.ok(), Some(1 + 2 + 3 + 1 + 2 + 3 + 2));
    assert_eq!(nested(1, DURATION, "value").ok(), Some("value"));
    assert_eq!(never_limited(), Err(()));
    assert_eq!(one(), 1);
    assert_eq!(of_any_type(1), 1);
    assert_eq!(Some(trimming().1(shared()(" one "))), text().as_deref());
    assert!(Service.itself().await.is_ok());
    assert_eq!(held().await.ok(), Some(1));
    assert_eq!(held_with_options(1, DURATION, 0).ok(), Some(false));
}

/// Names that shadow those of the prelude, and names of statics and constants, which no variable
/// can shadow.
const SHADOWED: &str = r#"
#![allow(non_upper_case_globals, non_camel_case_types)]
use Outcome::*;
use premier_client::{Error, cache, concurrency, fixed_window, retry, throttle, timeout};

pub enum Outcome { Ok, Err, Some, None }
pub struct Option;
pub trait From {}
pub trait Into {}
macro_rules! panic { () => {} }

pub static error: u8 = 1;
pub static raised: u8 = 1;
pub static result: u8 = 1;
pub static limit: u8 = 1;
pub const decision: u8 = 1;
pub const permit: u8 = 1;
pub const value: u8 = 1;
pub const never: u8 = 1;
pub const invalid: u8 = 1;
pub const pause: u8 = 1;
pub struct key;
pub struct throttler;
pub struct outcome;
pub struct retries;
pub struct max_delay;
pub struct is_fallback;

#[cache(ttl = "1s")]
#[retry(max = 2, on = [Timeout, |failed| failed.key().is_some()])]
#[timeout("1s")]
#[throttle(quota = 3, duration = "5s")]
#[fixed_window(quota = count, duration = "5s", keyspace = "a", on_limit = wait("1s"))]
#[concurrency(quota = 3, lease = "5s")]
pub async fn everything(count: u64) -> Result<u64, Error> { Result::Ok(count) }

#[cache(ttl = "1s")]
#[retry]
#[throttle(quota = 3, duration = "5s", on_limit = Result::Ok(1))]
#[fixed_window(quota = count, duration = "5s", keyspace = "a")]
#[concurrency(quota = 3, lease = "5s", on_limit = wait("1s"))]
pub fn everything_sync(count: u64) -> Result<u64, Error> { Result::Ok(count) }

#[fixed_window(quota = 3, duration = "5s", on_limit = wait("1s"))]
pub fn nothing() {}
"#;

#[test]
fn names_around_the_function_do_not_clash() {
    let errors = compiler::errors(SHADOWED);
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn examples_of_the_attributes_compile() {
    let documentation =
        include_str!("../../macros/src/lib.rs").lines().filter_map(|line| line.trim().strip_prefix("///"));
    let documentation: Vec<_> = documentation.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let examples: Vec<_> = documentation.split(|line| *line == "```").skip(1).step_by(2).collect();
    assert_eq!(examples.len(), 12, "each attribute has an example");
    let mut source = String::new();
    for (number, example) in examples.iter().enumerate() {
        let lines = example.iter().map(|line| line.trim_start().strip_prefix("# ").unwrap_or(line));
        source.extend([format!("mod example_{number} {{\n"), lines.collect::<Vec<_>>().join("\n"), "}\n".to_owned()]);
    }
    assert!(compiler::errors(&source).is_empty(), "{:#?}", compiler::errors(&source));
}
