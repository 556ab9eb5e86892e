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

use std::marker::PhantomData;
use std::sync::OnceLock;

#[cfg(feature = "tokio")]
use crate::{AsyncBackend, AsyncThrottler};
use crate::{Backend, Error, Throttler};

static THROTTLER: OnceLock<Throttler> = OnceLock::new();

#[cfg(feature = "tokio")]
static ASYNC_THROTTLER: OnceLock<AsyncThrottler> = OnceLock::new();

/// Decides by which throttler the sync functions are limited that name none. If nobody does: one in memory.
///
/// # Errors
/// When it was decided before, by an earlier call or by a function that has been called already.
pub fn configure(throttler: Throttler) -> Result<(), Error> {
    THROTTLER.set(throttler).map_err(|_| Error::configured_already())
}

/// Decides by which throttler the async functions are limited that name none. If nobody does: one in memory.
///
/// # Errors
/// When it was decided before, by an earlier call or by a function that has been called already.
#[cfg(feature = "tokio")]
pub fn configure_async(throttler: AsyncThrottler) -> Result<(), Error> {
    ASYNC_THROTTLER.set(throttler).map_err(|_| Error::configured_already())
}

/// The throttler of the sync functions that name none.
pub fn throttler() -> &'static Throttler {
    THROTTLER.get_or_init(|| Throttler::builder(Backend::memory()).build())
}

/// The throttler of the async functions that name none.
#[cfg(feature = "tokio")]
pub fn async_throttler() -> &'static AsyncThrottler {
    ASYNC_THROTTLER.get_or_init(|| AsyncThrottler::builder(AsyncBackend::memory()).build())
}

/// What a function can return when a call of it is not admitted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be made of the error of a call that is not admitted",
    label = "a `Result` whose error is `From<premier_client::Error>` can; otherwise add `on_limit = wait(\"10s\")`, which \
             panics when that is not long enough, or `on_limit = …` with what the function shall return"
)]
pub trait NotAdmitted {
    /// The error, as the function returns it.
    fn not_admitted(error: Error) -> Self;
}

impl<T, E: From<Error>> NotAdmitted for Result<T, E> {
    fn not_admitted(error: Error) -> Self {
        Err(error.into())
    }
}

/// How a call ends that has waited in vain, if its function returns a `Result`. Found before [`OrPanic`].
#[doc(hidden)]
pub trait OrError<R> {
    fn give_up(&self, error: Error) -> R;
}

#[doc(hidden)]
impl<T, E: From<Error>> OrError<Result<T, E>> for PhantomData<Result<T, E>> {
    fn give_up(&self, error: Error) -> Result<T, E> {
        Err(error.into())
    }
}

/// How a call ends that has waited in vain, if its function returns anything else.
#[doc(hidden)]
pub trait OrPanic<R> {
    fn give_up(&self, error: Error) -> R;
}

#[doc(hidden)]
impl<R> OrPanic<R> for &PhantomData<R> {
    fn give_up(&self, error: Error) -> R {
        panic!("{error}")
    }
}

/// The function in which this stands, with the type of which it is a method.
#[doc(hidden)]
#[macro_export]
macro_rules! function_name {
    () => {{
        struct Here;
        $crate::decorate::function_of(::core::any::type_name::<Here>(), ::core::module_path!())
    }};
}

/// `module::Type::method::{{closure}}::Here` without what does not belong to the function.
#[doc(hidden)]
#[must_use]
pub fn function_of(here: &'static str, module: &str) -> &'static str {
    let path = here.strip_suffix("::Here").unwrap_or(here);
    let path = path.find("::{{").map_or(path, |end| &path[..end]);
    path.strip_prefix(module).and_then(|path| path.strip_prefix("::")).unwrap_or(path)
}
