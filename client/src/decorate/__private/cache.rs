//! What `cache` calls.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::convert::Infallible;
use std::marker::PhantomData;

/// Splits a `Result` into what is remembered and what is not. The compiler finds this before
/// [`OfValue`].
pub trait OfResult<T, E> {
    fn split(&self, returned: Result<T, E>) -> Result<T, E> {
        returned
    }

    fn join(&self, outcome: Result<T, E>) -> Result<T, E> {
        outcome
    }
}

impl<T, E> OfResult<T, E> for &PhantomData<Result<T, E>> {}

/// Remembers any other type as a whole.
pub trait OfValue<R> {
    fn split(&self, returned: R) -> Result<R, Infallible> {
        Ok(returned)
    }

    fn join(&self, outcome: Result<R, Infallible>) -> R {
        let Ok(returned) = outcome;
        returned
    }
}

impl<R> OfValue<R> for PhantomData<R> {}
