//! What `timeout` calls.

use std::time::Duration;

use crate::Error;

/// Makes the error of a call that took longer than this.
#[must_use]
pub fn timed_out(after: Duration) -> Error {
    Error::timed_out(after)
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
