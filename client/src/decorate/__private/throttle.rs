//! What the attributes that limit calls call.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::marker::PhantomData;

#[cfg(feature = "tokio")]
use crate::AsyncThrottler;
use crate::{Error, Throttler};

/// Checks that a throttler is one for its function. Any throttler has the methods, so that the
/// compiler says which one is needed.
pub trait AnyThrottler {
    fn of_sync_function(&self) -> &Throttler
    where
        Self: OfSyncFunction,
    {
        self.throttler()
    }

    fn of_function_made_sync(&self) -> &Throttler
    where
        Self: OfFunctionMadeSync,
    {
        self.throttler()
    }

    #[cfg(feature = "tokio")]
    fn of_async_function(&self) -> &AsyncThrottler
    where
        Self: OfAsyncFunction,
    {
        self.throttler()
    }
}

impl AnyThrottler for Throttler {}
#[cfg(feature = "tokio")]
impl AnyThrottler for AsyncThrottler {}

#[diagnostic::on_unimplemented(message = "a sync function needs a `Throttler`, this is an `AsyncThrottler`")]
pub trait OfSyncFunction {
    fn throttler(&self) -> &Throttler;
}

impl OfSyncFunction for Throttler {
    fn throttler(&self) -> &Throttler {
        self
    }
}

#[diagnostic::on_unimplemented(
    message = "an attribute above, like `#[tokio::main]`, has made this function sync: move it below this one"
)]
pub trait OfFunctionMadeSync: OfSyncFunction {}

impl OfFunctionMadeSync for Throttler {}

#[cfg(feature = "tokio")]
#[diagnostic::on_unimplemented(message = "an async function needs an `AsyncThrottler`, this is a `Throttler`")]
pub trait OfAsyncFunction {
    fn throttler(&self) -> &AsyncThrottler;
}

#[cfg(feature = "tokio")]
impl OfAsyncFunction for AsyncThrottler {
    fn throttler(&self) -> &AsyncThrottler {
        self
    }
}

/// What a function can return when its call is not admitted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be made of the error of a call that is not admitted",
    label = "a `Result` whose error is `From<premier_client::Error>` can; otherwise add `on_limit = wait(\"10s\")`, which \
             panics when that is not long enough, or `on_limit = …` with what the function shall return"
)]
pub trait NotAdmitted {
    /// Converts the error to what the function returns.
    fn not_admitted(error: Error) -> Self;
}

impl<T, E: From<Error>> NotAdmitted for Result<T, E> {
    fn not_admitted(error: Error) -> Self {
        Err(error.into())
    }
}

/// Ends a call that has waited too long, if its function returns a `Result`. The compiler finds
/// this before [`OrPanic`].
pub trait OrError<R> {
    fn give_up(&self, error: Error) -> R
    where
        R: NotAdmitted,
    {
        R::not_admitted(error)
    }
}

impl<T, E> OrError<Result<T, E>> for PhantomData<Result<T, E>> {}

/// Ends a call that has waited too long, if its function returns anything else.
pub trait OrPanic<R> {
    #[track_caller]
    fn give_up(&self, error: Error) -> R;
}

impl<R> OrPanic<R> for &PhantomData<R> {
    #[track_caller]
    fn give_up(&self, error: Error) -> R {
        panic!("{error:#}")
    }
}
