//! Attributes that limit the calls of a function, retry them, time them out, and remember what they
//! return.
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
//! They decorate sync and async functions: free functions, methods, functions in the impl of a
//! trait, those of `#[async_trait]`, and functions that return futures, as `Pin<Box<dyn Future>>`,
//! `BoxFuture`, `LocalBoxFuture` or `impl Future`. Each future that such a function returns, also
//! by `return`, must be made by an `async` block there, whose body gets the layers; the compiler
//! refuses any other. It also refuses another name of such a type, like `Self::Future` or an alias
//! of your own, as attributes cannot see what it means: write the type itself. A future is not seen
//! within another type, like `Option<BoxFuture>`, nor as an `impl Trait` of your own trait: the
//! layers are then around the call that makes it.
//!
//! Before such a function returns its future, it may call only macros of the standard library,
//! `tracing` and `log`, because another one could return a future of its own. Attributes know them
//! by their names.
//!
//! The attributes find this crate by the package's Cargo.toml, also under another name. If another
//! crate exports it, each attribute takes its path: `crate = other::premier_client`.
//!
//! Durations are strings with a unit (`500ms`, `1m30s`, `2w`), or expressions of type
//! `Duration`. Expressions are evaluated at each call and see the arguments of the function.
//! Numbers and strings are checked at compile time.
//!
//! # Limits
//!
//! [`fixed_window`](crate::fixed_window), [`sliding_window`](crate::sliding_window),
//! [`token_bucket`](crate::token_bucket), [`leaky_bucket`](crate::leaky_bucket), and
//! [`throttle`](crate::throttle), whose algorithm is an argument or is configured.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `quota` | units admitted per duration | |
//! | `duration` | the time in which the quota is admitted | |
//! | `aligned`, `zone` | for `fixed_window`: windows follow the calendar, on the clock of the zone | the first call opens a window; UTC |
//! | `capacity` | units that a bucket holds | the quota |
//! | `cost` | units that a call takes | 1 |
//! | `keep` | units that must remain for more important calls | 0 |
//! | `max_wait` | how long a call waits for its turn in a bucket | see [`Limit::max_wait`](crate::Limit::max_wait) |
//! | `algorithm` | for `throttle`: an [`Algorithm`](crate::Algorithm) | the one that is [configured](configure) |
//! | `policy` | for `throttle`, with the feature `policies`: the name of a limit in the throttler's policies, in place of quota, duration and algorithm | |
//! | `key` | a closure over the arguments except `self`, whose results are counted apart | all calls are counted together |
//! | `keyspace` | a string | that of the throttler |
//! | `throttler` | a [`Throttler`](crate::Throttler), for an async function an [`AsyncThrottler`](crate::AsyncThrottler) | the one that is [configured](configure) |
//! | `on_limit` | `error`, `wait("10s")`, or any expression | `error` |
//! | `decision` | a name by which the body sees the [`Decision`](crate::Decision) that admitted it | |
//!
//! The bounds are those of [`Limit`](crate::Limit). If an expression is out of bounds, each call
//! returns an error.
//!
//! A limited call ends as `on_limit` says:
//!
//! - With `error` it returns the [`Error`](crate::Error), converted by `From`. The function must
//!   return a `Result` or an alias of it.
//! - With `wait("10s")` it waits up to that time to be admitted. After that it returns the error,
//!   or panics with it if the function does not return a `Result`.
//! - With an expression it returns the value of the expression, which may use the `error`.
//!
//! An admitted call sees its decision under the name that `decision` gives it, for what it reports
//! to its caller:
//!
//! ```
//! use premier_client::{Error, fixed_window};
//!
//! /// Returns the headers `RateLimit-Policy` and `RateLimit` of the IETF draft.
//! #[fixed_window(quota = 100, duration = "1m", decision = decision)]
//! fn headers() -> Result<[String; 2], Error> {
//!     let (left, reset) = (decision.remaining(), decision.reset_after().as_secs());
//!     Ok([format!("\"api\";q={};w=60", decision.limit()), format!("\"api\";r={left};t={reset}")])
//! }
//!
//! assert_eq!(headers()?[0], "\"api\";q=100;w=60");
//! assert!(headers()?[1].starts_with("\"api\";r=98;t="));
//! # Ok::<(), Error>(())
//! ```
//!
//! A call that a leaky bucket admits waits for its turn. A sync function blocks its thread, an
//! async function waits on any runtime: on tokio by its timer, elsewhere by a thread of
//! [futures-timer](https://docs.rs/futures-timer). A call that need not wait uses no timer.
//!
//! # Concurrency
//!
//! [`concurrency`](crate::concurrency) limits how many calls run at the same time, in all
//! processes together. A call holds a permit while its body runs, and gives it back when the body
//! returns or panics, and when its future is dropped.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `quota` | units held at the same time | |
//! | `lease` | how long a process that has died keeps its units | |
//! | `cost` | units that a call holds | 1 |
//! | `keep` | units that must remain for more important calls | 0 |
//! | `key`, `keyspace`, `throttler`, `on_limit` | as above; `wait("10s")` waits for a place | |
//! | `permit` | a name by which the body sees its [`Permit`](crate::Permit) or [`AsyncPermit`](crate::AsyncPermit) | |
//!
//! On tokio the permit of an async function is renewed in the background. A sync function that may
//! take longer than its lease, and an async one outside tokio, calls `permit.renew()`.
//!
//! # Retries
//!
//! [`retry`](crate::retry) repeats a call that returns an error, after a pause.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `max` | attempts in all, including the first | 3 |
//! | `strategy` | the backoff: `"expo"` doubles each delay, `"linear"` adds the first to each, both up to `max_delay`; `"fixed"` keeps it; or any `Fn(u32) -> Duration` of the number of failed attempts | `"expo"` |
//! | `delay` | the first delay | `"100ms"` |
//! | `max_delay` | the longest delay, and the longest wait for a limit | `"1m"`, or `delay` if that is longer; no bound for the delays of a function |
//! | `jitter` | whether to lengthen each pause by a random part of the delay | `true` |
//! | `on` | a list of kinds of [`Error`](crate::Error) and of predicates over the function's error | any error |
//!
//! A limited attempt is repeated after its retry-after at the earliest, plus the jitter, and not at
//! all if that is [never](crate::RetryAfter::Never) or after more than `max_delay`. If the last
//! attempt was limited by a layer below, the call returns the error of the last attempt whose body
//! ran: it says more than that the quota is exceeded. The error of a layer below in the same
//! function is known whatever the type of the function's own error. An error of a call within the
//! function is known if the function returns it, or has it among its
//! [sources](std::error::Error::source), directly or in an `anyhow::Error` or a `Box`. A variant
//! that thiserror makes `transparent` hides it.
//!
//! The body may run several times, so it cannot consume an argument: clone the argument there. For
//! the same reason the future of an async function is `Send` only if its arguments are `Sync`.
//!
//! # Timeouts
//!
//! [`timeout`](crate::timeout) drops an async call that takes longer, and returns an error of the
//! kind [`Timeout`](crate::ErrorKind::Timeout), converted by `From`.
//!
//! # Caches
//!
//! `cache` remembers what a call returns, except errors. Calls with the same key at the same time
//! share one computation (singleflight); if it fails, each of the others computes for itself. This
//! attribute needs the feature `cache`.
//!
//! | argument | | default |
//! | --- | --- | --- |
//! | `ttl` | how long a value is remembered | |
//! | `key` | a closure over the arguments except `self`, whose results are remembered apart | all arguments, by `Display`; a method, a generic function, and one with an `impl Trait` or `dyn Trait` argument need a key |
//! | `keyspace` | a string | that of the cache |
//! | `cache` | a `MemoryCache` or `RedisCache`, for an async function an `AsyncMemoryCache` or `AsyncRedisCache` | 10,000 values in memory: [`cache()`], [`async_cache()`] |
//!
//! Values in memory must be `Clone`, those in Redis `Serialize` and `DeserializeOwned`:
//! [`RedisCache`](crate::RedisCache) says which of them it does not remember, and that it does not
//! see fields with `#[serde(skip)]`.
//!
//! The value of `on_limit` is returned, but not remembered, if the limit is below the cache in the
//! same function. A call that needs its own result, as a recursive one with the same key does, or
//! two that need each other's, would wait for themselves forever: the call panics instead.
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
//! | cache | limit | a remembered call costs nothing |
//! | limit | cache | each call costs |
//! | retry | limit | each attempt costs, and a limited attempt waits for its retry-after |
//! | limit | retry | a call costs once, however many attempts it takes |
//! | timeout | limit | the timeout includes waiting to be admitted |
//! | limit | timeout | the timeout excludes waiting to be admitted |
//! | cache | retry | the cache is asked once, and other calls wait for all attempts |
//! | retry | cache | each attempt asks the cache |
//! | timeout | retry | the timeout is for all attempts and pauses together |
//! | retry | timeout | each attempt has its own timeout |
//! | retry | concurrency | each attempt takes a place of its own, which is free during the pauses |
//! | concurrency | retry | the place is held over all attempts and pauses |
//! | limit | concurrency | what the limit charged stays charged if there is no place |
//! | concurrency | limit | the place is held while the call waits for its turn |
//! | cache | timeout | the timeout excludes waiting for another call that computes |
//! | timeout | cache | the timeout includes waiting for another call that computes |
//!
//! Several limits are asked from top to bottom. What an upper limit has charged stays charged if a
//! lower one limits the call. Code that other macros put around the body of a function, like
//! `tracing::instrument`, is inside all these layers, wherever the attributes are.
//!
//! # Keys
//!
//! Keys in the store are `{keyspace}:{module}:{function}:{algorithm}`, followed by `:{custom}` if
//! there is a `key`. For a cache `cache` replaces the algorithm. [`Key::new`](crate::Key::new)
//! makes the same keys.
//!
//! - The function of a method includes the type, as [`type_name`](std::any::type_name) writes it,
//!   with its type parameters: `Shop<u8>::open`. So does that of a default method of a trait. Each
//!   of these types has its own limit.
//! - The type parameters of a function itself are not part of its key: it has one limit.
//! - A function in a block, like one within another function, adds its line and column, as there
//!   may be another of the same name in another block. Its key changes when it is moved.
//!
//! A function that cannot be distinguished from one in a block adds its line and column too:
//!
//! - A private associated function whose signature has neither `self` nor `Self`, unless the type
//!   has type parameters: Rust gives `fn open()` in `impl Shop` the path of a `fn open()` in a `fn
//!   Shop()`. `pub(crate)` or `where Self: Sized` distinguishes them.
//! - A method of a trait, for a type in a module within that of the trait, if the impl is in the
//!   module of the trait, or the method is the trait's default. Write the impl in the module of the
//!   type.
//!
//! | function | `Key::new(module_path!(), …)` |
//! | --- | --- |
//! | `fn price` | `"price"` |
//! | `fn open(&self)` or `pub fn open()` in `impl Shop` | `"Shop::open"` |
//! | `fn open` in `impl Shop<u8>` | `"Shop<u8>::open"` |
//! | `fn open(&self)` in `impl shop::Shop`, in another module than that of `Shop` | `"<impl shop::Shop>::open"`, with the full path |
//! | `fn rate` in `impl Rates for Bank`, or in `trait Rates` and called of a `Bank` | `"<shop::bank::Bank as shop::bank::Rates>::rate"`, with the full paths |
//!
//! The module is that of the function. Names are without `r#`. With
//! [`custom`](crate::Key::custom) and what the `key` returns, or for a cache without a `key` with
//! [`custom_parts`](crate::Key::custom_parts) and all arguments, this is a key to
//! [`peek`](crate::Throttler::peek) at, to [`refund`](crate::Throttler::refund_key) to, or to
//! [`invalidate`](crate::MemoryCache::invalidate). A key that has a line cannot be made: move the
//! function out of the block.
//!
//! Several limits of one algorithm on a function must have different keyspaces, unless one has a
//! `key` and the other has none. So must several caches, unless each has its own `cache`.
//!
//! Types and traits of the same full name cannot be distinguished: two closures of one function,
//! and types in two blocks of a function. Give what depends on them a `key`.

#[doc(hidden)]
pub mod __private;
#[cfg(feature = "cache")]
mod cache;
mod configure;

#[cfg(all(feature = "cache", feature = "tokio"))]
pub use cache::async_cache;
#[cfg(feature = "cache")]
pub use cache::cache;
#[cfg(feature = "tokio")]
pub use configure::async_throttler;
pub use configure::{Backends, configure, throttler};
