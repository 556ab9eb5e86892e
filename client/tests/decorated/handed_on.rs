//! Arguments that `macro_rules!` hand on, which arrive in invisible parentheses.

use std::time::Duration;

use premier_client::{Error, ErrorKind, cache, fixed_window, retry, throttle, timeout, token_bucket};

macro_rules! decorated {
    (
        quota $quota:literal, duration $duration:literal, wait $wait:literal, delay $delay:expr, on $kind:path,
        strategy $strategy:literal, jitter $jitter:expr, keyspace $keyspace:literal, key $key:expr, value $value:expr,
        max $max:expr, returned $returned:ty
    ) => {
        #[cache(ttl = $duration, key = $key, keyspace = $keyspace)]
        #[retry(max = $max, delay = $delay, max_delay = ($duration), strategy = $strategy, jitter = $jitter, on = [$kind])]
        #[timeout($duration)]
        #[fixed_window(quota = $quota, duration = $duration, key = $key, keyspace = $keyspace, on_limit = wait($wait))]
        #[token_bucket(quota = ($quota), duration = ($duration), capacity = $quota, max_wait = $wait, cost = $max)]
        #[throttle(quota = $quota, duration = (($duration)), cost = ($max), keyspace = "another", on_limit = $value)]
        async fn everything(user: u8) -> $returned {
            Ok(user)
        }
    };
}

decorated! {
    quota 3, duration "1h", wait "1ms", delay "1ms", on QuotaExceeded, strategy "fixed", jitter false,
    keyspace "handed-on", key |user| *user, value error, max 1, returned Result<u8, Error>
}

#[tokio::test]
async fn arguments_of_macro_rules_work() {
    for user in 0..3 {
        assert_eq!(everything(user).await.ok(), Some(user));
    }
    assert_eq!(everything(3).await.map_err(|error| error.kind()), Err(ErrorKind::QuotaExceeded));
}

macro_rules! returns_a_future {
    ($function:item, $returned:ty, $body:expr) => {
        #[fixed_window(quota = 1, duration = "1h")]
        $function

        #[fixed_window(quota = 1, duration = "1h", on_limit = 0)]
        fn by_type() -> $returned {
            $body
        }
    };
}

returns_a_future!(
    fn by_item() -> Result<u8, Error> {
        Ok(1)
    },
    impl Future<Output = u8>,
    async { 1 }
);

#[tokio::test]
async fn functions_of_macro_rules_are_limited() {
    assert_eq!(by_item().ok(), Some(1));
    assert!(by_item().is_err());
    assert_eq!((by_type().await, by_type().await), (1, 0));
}

#[timeout(("1s"))]
async fn in_parentheses() -> Result<(), Error> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn parentheses_around_an_argument_mean_nothing() {
    assert_eq!(in_parentheses().await.map_err(|error| error.kind()), Err(ErrorKind::Timeout));
}
