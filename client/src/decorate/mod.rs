//! Attributes that limit the calls of a function: [`fixed_window`](crate::fixed_window),
//! [`sliding_window`](crate::sliding_window), [`token_bucket`](crate::token_bucket), [`leaky_bucket`](crate::leaky_bucket).
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
//! # Arguments
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `quota` | units admitted per duration, a constant | |
//! | `duration` | a string with a unit (`us`, `ms`, `s`, `m`, `h`, `d`), or a constant `Duration` | |
//! | `capacity` | units that a bucket holds, a constant | the quota |
//! | `cost` | units that a call takes, a constant | 1 |
//! | `max_wait` | how long a call waits for its turn, as `duration` | see [`Limit::max_wait`](crate::Limit::max_wait) |
//! | `key` | a closure over the arguments beside `self`, to count apart what differs in it | all calls count together |
//! | `keyspace` | a string | that of the throttler |
//! | `throttler` | a [`Throttler`], or for an async function an [`AsyncThrottler`] | the one that was [configured](configure) |
//! | `on_limit` | `error`, `wait("10s")`, or any expression | `error` |
//!
//! What is out of bounds does not compile.
//!
//! # What happens to a call that is not admitted
//!
//! With `error` the function returns the [`Error`], converted by `From`: it has to return a `Result`, or an alias of one. With
//! `wait("10s")` the call waits to be admitted for so long at most, and then returns the error, or, where the function returns no
//! `Result`, panics with it. With an expression the function returns that; the expression may look at the `error`.
//!
//! A call that is admitted by a leaky bucket waits for its turn. A sync function sleeps, an async one does so on tokio.
//!
//! # Keys
//!
//! `{keyspace}:{module}:{function}:{algorithm}`, with `:{custom}` behind where there is a key. The function of a method has
//! its type in it, as [`type_name`](std::any::type_name) writes it.

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
