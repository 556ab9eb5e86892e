//! Attributes that decorate functions, sync and async: limit how often they are called, try them again, give up on them, and
//! remember what they come to.
//!
//! ```
//! use premier_client::{Error, ErrorKind, fixed_window};
//!
//! #[fixed_window(quota = 3, duration = "5s", key = |user| user)]
//! fn greet(user: &str) -> Result<String, Error> {
//!     Ok(format!("hello, {user}"))
//! }
//!
//! assert_eq!(greet("ada")?, "hello, ada");
//! assert_eq!(greet("ada")?, "hello, ada");
//! assert_eq!(greet("ada")?, "hello, ada");
//! assert_eq!(greet("ada").unwrap_err().kind(), ErrorKind::QuotaExceeded);
//! assert_eq!(greet("bob")?, "hello, bob");
//! # Ok::<(), Error>(())
//! ```
//!
//! Free functions, methods, functions of traits' impls, those of `#[async_trait]`, and functions that return a future made by a
//! last `async` block. Durations are strings with a unit (`us`, `ms`, `s`, `m`, `h`, `d`), or expressions of type `Duration`.
//! Expressions are evaluated at each call and see the arguments; what is written as a number or a string is checked when it is
//! compiled.
//!
//! # Limits
//!
//! [`fixed_window`](crate::fixed_window), [`sliding_window`](crate::sliding_window), [`token_bucket`](crate::token_bucket),
//! [`leaky_bucket`](crate::leaky_bucket), and [`throttle`](crate::throttle), whose algorithm is given, or the one that is
//! configured.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `quota` | units admitted per duration | |
//! | `duration` | | |
//! | `capacity` | units that a bucket holds | the quota |
//! | `cost` | units that a call takes | 1 |
//! | `max_wait` | how long a call waits for its turn in a bucket | see [`Limit::max_wait`](crate::Limit::max_wait) |
//! | `algorithm` | of `throttle`: an [`Algorithm`](crate::Algorithm) | the one that is [configured](configure) |
//! | `key` | a closure over the arguments beside `self`, to count apart what differs in it | all calls count together |
//! | `keyspace` | a string | that of the throttler |
//! | `throttler` | a [`Throttler`](crate::Throttler), or for an async function an [`AsyncThrottler`](crate::AsyncThrottler) | the one that is [configured](configure) |
//! | `on_limit` | `error`, `wait("10s")`, or any expression | `error` |
//!
//! The bounds are those of [`Limit`](crate::Limit). An expression that is out of them is an error of each call.
//!
//! With `on_limit = error` a call that is not admitted returns the [`Error`](crate::Error), converted by `From`: the function has to return a
//! `Result`, or an alias of one. With `wait("10s")` the call waits to be admitted for so long at most, and then returns the error,
//! or, where the function returns no `Result`, panics with it. With an expression the function returns that; the expression may
//! look at the `error`.
//!
//! A call that is admitted by a leaky bucket waits for its turn. A sync function sleeps, an async one does so on tokio.
//!
//! # Retries
//!
//! [`retry`](crate::retry): a call that returns an error is made again, after a pause.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `max` | attempts in all, the first one included | 3 |
//! | `strategy` | `"expo"`: each pause twice as long, up to a minute; `"linear"`: longer by the delay; `"fixed"`; or any `Fn(u32) -> Duration` of how many attempts have failed | `"expo"` |
//! | `delay` | the first pause | `"100ms"` |
//! | `jitter` | whether to add up to as much again, by chance | `true` |
//! | `on` | a list of kinds of [`Error`](crate::Error) and of predicates over the function's error | any error |
//!
//! An attempt that is limited is not made again before the time it was told, and not at all where that is
//! [never](crate::RetryAfter::Never). The error is known whatever type the function's own error has, if it comes from a layer below
//! in the same function; if it comes from a call within, the function's error has to be it, or have it among its
//! [sources](std::error::Error::source), directly or in an `anyhow::Error` or a `Box`. A variant that thiserror makes `transparent`
//! hides it from there.
//!
//! The body may run several times, so it can't consume an argument: clone it there.
//!
//! # Timeouts
//!
//! [`timeout`](crate::timeout): an async call that takes longer is dropped where it waits, and returns an error of the kind
//! [`Timeout`](crate::ErrorKind::Timeout), converted by `From`.
//!
//! # Caches
//!
//! `cache`: what a call returns is remembered, errors excepted. One call computes, and others of the same key wait for it; when it
//! fails they compute on their own. Needs the feature `cache`.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `ttl` | how long it is remembered | |
//! | `key` | a closure over the arguments beside `self`, which tells calls apart | all arguments, by `Display`; a method or a generic function needs one |
//! | `keyspace` | a string | that of the cache |
//! | `cache` | a `MemoryCache` or `RedisCache`; for an async function an `AsyncMemoryCache` or `AsyncRedisCache` | 10,000 values in memory: [`cache()`], [`async_cache()`] |
//!
//! In memory values have to be `Clone`, in Redis `Serialize` and `DeserializeOwned`. `invalidate` of a cache forgets one by its key.
//!
//! # Order
//!
//! The top attribute is the outermost layer:
//!
//! ```
//! # use premier_client::{Error, cache, fixed_window, retry, timeout};
//! # struct User { id: u64 }
//! # #[derive(Clone)] struct Receipt;
//! # struct PaymentError(Error);
//! # impl From<Error> for PaymentError { fn from(error: Error) -> Self { Self(error) } }
//! #[cache(ttl = "30s", key = |user, cents| format!("{}/{cents}", user.id))]
//! #[retry(strategy = "expo", max = 3, on = [Timeout, QuotaExceeded])]
//! #[timeout("60s")]
//! #[fixed_window(quota = 3, duration = "5s", key = |user, _| user.id)]
//! async fn charge(user: &User, cents: u64) -> Result<Receipt, PaymentError> {
//!     # let _ = cents;
//!     // …
//!     # Ok(Receipt)
//! }
//! ```
//!
//! | above | below | |
//! | --- | --- | --- |
//! | cache | limit | what is remembered costs nothing |
//! | limit | cache | each call costs |
//! | retry | limit | each attempt costs, and a limited one comes back in time |
//! | limit | retry | a call costs once, however many attempts it takes |
//! | timeout | limit | waiting to be admitted counts |
//! | limit | timeout | it does not |
//! | cache | retry | the cache is asked once, and others wait for all attempts |
//! | retry | cache | each attempt asks the cache |
//! | timeout | retry | the time is that of all attempts and pauses |
//! | retry | timeout | each attempt has its time |
//! | cache | timeout | waiting for another call that computes does not count |
//! | timeout | cache | it does |
//!
//! Two limits are asked from the top; what the upper one has charged stays charged when the lower one limits. What macros of others
//! put around the body of a function, like `tracing::instrument`, is within all these layers, wherever they stand.
//!
//! # Keys
//!
//! `{keyspace}:{module}:{function}:{algorithm}`, or `cache` in the place of the algorithm, with `:{custom}` behind where there is a
//! key. The function of a method has its type in it, as [`type_name`](std::any::type_name) writes it. [`key!`](crate::key) makes
//! the same.

#[cfg(feature = "cache")]
mod cache;
mod configure;
mod retry;
mod throttle;
#[cfg(feature = "tokio")]
mod timeout;

#[cfg(all(feature = "cache", feature = "tokio"))]
pub use cache::async_cache;
#[cfg(feature = "cache")]
pub use cache::cache;
#[cfg(feature = "tokio")]
pub use configure::async_throttler;
pub use configure::{Backends, configure, throttler};

// What the attributes write into functions.
#[doc(hidden)]
#[cfg(feature = "cache")]
pub use cache::{OfResult, OfValue};
#[doc(hidden)]
pub use retry::{Fallible, InAsRef, InChain, InSyncAsRef, Nowhere, Raised, Retries, Within, delays, holds};
#[doc(hidden)]
pub use throttle::{NotAdmitted, OrError, OrPanic, function_of};
#[doc(hidden)]
#[cfg(feature = "tokio")]
pub use timeout::{TimedOut, timed_out};
#[doc(hidden)]
#[cfg(feature = "tokio")]
pub use tokio::time::{sleep, timeout};
