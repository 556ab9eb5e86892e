//! What `timeout` calls.

use std::time::Duration;

use crate::Error;
use crate::time::within;

/// Runs a call, or drops it and returns an error if it takes longer than this.
///
/// # Errors
/// If the call takes longer.
pub async fn timeout<T>(after: Duration, call: impl Future<Output = T>) -> Result<T, Error> {
    within(after, call).await.ok_or_else(|| Error::timed_out(after))
}

/// What a function can return when its call takes too long.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be made of the error of a call that takes too long",
    label = "a `Result` whose error is `From<premier_client::Error>` can"
)]
pub trait TimedOut {
    /// Converts the error to what the function returns.
    fn timed_out(error: Error) -> Self;
}

impl<T, E: From<Error>> TimedOut for Result<T, E> {
    fn timed_out(error: Error) -> Self {
        Err(error.into())
    }
}
