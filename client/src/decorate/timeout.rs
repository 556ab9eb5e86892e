//! What `timeout` stands on.

use std::time::Duration;

use crate::Error;

/// What happens to a call that takes longer than this.
#[must_use]
pub fn timed_out(after: Duration) -> Error {
    Error::timed_out(after)
}

/// What a function can return when a call of it takes too long.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be made of the error of a call that takes too long",
    label = "a `Result` whose error is `From<premier_client::Error>` can"
)]
pub trait TimedOut {
    /// The error, as the function returns it.
    fn timed_out(error: Error) -> Self;
}

impl<T, E: From<Error>> TimedOut for Result<T, E> {
    fn timed_out(error: Error) -> Self {
        Err(error.into())
    }
}
