//! Functions that return futures: each future is limited.

use std::pin::Pin;
use std::time::Duration;

use premier_client::{Error, ErrorKind, fixed_window, retry, timeout};
use tokio::time::sleep;

type Returned<T> = Result<T, Error>;
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// They stand for those of tracing.
macro_rules! info {
    ($($part:tt)*) => { drop(format!($($part)*)) };
}
use info as warn;

#[fixed_window(quota = 1, duration = "1h", key = |user, _| user)]
fn early(user: &'static str, is_early: bool) -> Pin<Box<dyn Future<Output = Returned<u8>> + Send>> {
    if is_early {
        return Box::pin(async { Ok(1) });
    }
    println!("not early");
    assert!(!user.is_empty(), "{}", stringify!(user));
    match user {
        "root" => warn!("not early: {user}"),
        _ => info!("not early"),
    }
    Box::pin(async move { Ok(2) })
}

struct This(&'static str);

impl This {
    #[fixed_window(quota = 1, duration = "1h", key = |number| format!("{}{number}", self.0))]
    fn by_number(&self, number: u8) -> BoxFuture<'_, Returned<usize>> {
        let next = number + 1;
        match next {
            1 => Box::pin(async { Ok(1) }),
            2 if self.0.is_empty() => Box::pin(async { Ok(2) }),
            2 => {
                let name = self.0;
                Box::pin(async move { Ok(name.len()) })
            }
            _ if next > 200 => unreachable!("it is not used"),
            _ => {
                let Some(left) = number.checked_sub(3) else { return Box::pin(async { Ok(3) }) };
                if left > 0 { Box::pin(async move { Ok(left.into()) }) } else { Box::pin(async { Returned::Ok(0) }) }
            }
        }
    }
}

#[tokio::test]
async fn each_returned_future_is_limited() {
    let kind = |result: Returned<u8>| result.map_err(|error| error.kind());
    assert_eq!(kind(early("ada", true).await), Ok(1));
    assert_eq!(kind(early("ada", true).await), Err(ErrorKind::QuotaExceeded));
    assert_eq!(kind(early("ada", false).await), Err(ErrorKind::QuotaExceeded));
    assert_eq!(kind(early("bob", false).await), Ok(2));
    assert_eq!(kind(early("bob", true).await), Err(ErrorKind::QuotaExceeded));

    let this = This("name");
    for (number, expected) in [(0, 1), (1, 4), (2, 3), (3, 0), (5, 2)] {
        assert_eq!(this.by_number(number).await.ok(), Some(expected));
        assert!(this.by_number(number).await.is_err(), "{number}");
    }
    assert_eq!(This("").by_number(1).await.ok(), Some(2));
    assert!(This("").by_number(1).await.is_err());
}

#[retry(max = 2, delay = "1ms", on = [Timeout])]
#[timeout("1s")]
fn slow(is_early: bool, runs: &mut u8) -> impl Future<Output = Returned<()>> {
    let first = *runs;
    async move {
        *runs = first.max(*runs) + 1;
        sleep(Duration::from_secs(if is_early { 2 } else { 0 })).await;
        Ok(())
    }
}

#[timeout("1s")]
fn slow_early(is_early: bool) -> BoxFuture<'static, Returned<()>> {
    if is_early {
        return Box::pin(async {
            sleep(Duration::from_secs(2)).await;
            Ok(())
        });
    }
    Box::pin(async { Ok(()) })
}

#[tokio::test(start_paused = true)]
async fn each_returned_future_can_time_out() {
    let mut runs = 0;
    assert!(slow(true, &mut runs).await.is_err());
    assert!(slow(false, &mut runs).await.is_ok());
    assert_eq!(runs, 3);
    assert!(slow_early(true).await.is_err());
    assert!(slow_early(false).await.is_ok());
}
