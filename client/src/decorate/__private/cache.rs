//! What `cache` calls.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::marker::PhantomData;

/// Splits a `Result` into what is remembered and what is only returned: an error, or the fallback
/// of a limit. The compiler finds this before [`OfValue`].
pub trait OfResult<T, E> {
    fn split(&self, returned: Result<T, E>, is_fallback: bool) -> Result<T, Result<T, E>> {
        match returned {
            Ok(value) if !is_fallback => Ok(value),
            returned => Err(returned),
        }
    }

    fn join(&self, outcome: Result<T, Result<T, E>>) -> Result<T, E> {
        outcome.map_or_else(|returned| returned, Ok)
    }
}

impl<T, E> OfResult<T, E> for &PhantomData<Result<T, E>> {}

/// Remembers any other type as a whole, unless it is the fallback of a limit.
pub trait OfValue<R> {
    fn split(&self, returned: R, is_fallback: bool) -> Result<R, R> {
        if is_fallback { Err(returned) } else { Ok(returned) }
    }

    fn join(&self, outcome: Result<R, R>) -> R {
        outcome.unwrap_or_else(|returned| returned)
    }
}

impl<R> OfValue<R> for PhantomData<R> {}
