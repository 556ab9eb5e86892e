//! What sync functions call.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::marker::PhantomData;

/// Refuses a function that returns a future by another name: the attributes take it for a sync one.
/// The compiler finds this before [`OfOther`].
pub trait OfFuture {
    fn check_is_no_future(&self)
    where
        Self: NoFuture,
    {
    }
}

impl<F: IntoFuture> OfFuture for PhantomData<F> {}

#[diagnostic::on_unimplemented(
    message = "attributes cannot see what this future returns: write the type as Pin<Box<dyn Future<Output = …>>>"
)]
pub trait NoFuture {}

/// Refuses a `Result` of a future, of a function that holds a permit while it runs. The compiler
/// finds this before [`OfOther`].
pub trait OfFutureInResult {
    fn check_holds_no_future(&self)
    where
        Self: NoFutureInResult,
    {
    }
}

impl<F: IntoFuture, E> OfFutureInResult for PhantomData<Result<F, E>> {}

#[diagnostic::on_unimplemented(
    message = "the permit would be given back before this future runs: make the function async, and await the future in it"
)]
pub trait NoFutureInResult {}

/// Allows any other type.
pub trait OfOther {
    fn check_is_no_future(&self) {}
    fn check_holds_no_future(&self) {}
}

impl<T> OfOther for &PhantomData<T> {}
