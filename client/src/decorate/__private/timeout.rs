//! What `timeout` calls.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::Error;
use crate::pause::{async_sleep, is_on_tokio};

/// Runs a call, or drops it and returns an error if it takes longer than this.
///
/// # Errors
/// If the call takes longer.
pub async fn timeout<T>(after: Duration, call: impl Future<Output = T>) -> Result<T, Error> {
    if is_on_tokio() {
        return tokio::time::timeout(after, call).await.map_err(|_| Error::timed_out(after));
    }
    let (mut call, mut end) = (pin!(call), pin!(async_sleep(after)));
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(returned) => Poll::Ready(Ok(returned)),
        Poll::Pending => end.as_mut().poll(context).map(|()| Err(Error::timed_out(after))),
    })
    .await
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
