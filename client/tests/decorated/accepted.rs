//! The code that the attributes write causes no warning, and its names never clash with the user's.

#![deny(warnings)]

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

#[tokio::test]
async fn names_in_the_users_code_keep_their_meaning() {
    assert_eq!(everything(1, "ab", 2, 3).await.ok(), Some(1 + 2 + 3 + 1 + 2 + 3 + 2));
    assert_eq!(nested(1, DURATION, "value").ok(), Some("value"));
    assert_eq!(never_limited(), Err(()));
    assert_eq!(one(), 1);
    assert!(Service.itself().await.is_ok());
    assert_eq!(held().await.ok(), Some(1));
    assert_eq!(held_with_options(1, DURATION, 0).ok(), Some(false));
}

#[test]
fn examples_of_the_attributes_compile() {
    let documentation =
        include_str!("../../macros/src/lib.rs").lines().filter_map(|line| line.trim().strip_prefix("///"));
    let documentation: Vec<_> = documentation.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let examples: Vec<_> = documentation.split(|line| *line == "```").skip(1).step_by(2).collect();
    assert_eq!(examples.len(), 11, "each attribute has an example");
    let mut source = String::new();
    for (number, example) in examples.iter().enumerate() {
        let lines = example.iter().map(|line| line.trim_start().strip_prefix("# ").unwrap_or(line));
        source.extend([format!("mod example_{number} {{\n"), lines.collect::<Vec<_>>().join("\n"), "}\n".to_owned()]);
    }
    assert!(compiler::errors(&source).is_empty(), "{:#?}", compiler::errors(&source));
}
