//! Waiting, on the runtime of the caller.

use std::time::Duration;

use futures_timer::Delay;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// Waits on tokio's timer, or outside tokio on that of `futures-timer`: a thread, which starts with
/// the first such wait. A wait of zero asks no timer and does not yield.
pub async fn async_sleep(time: Duration) {
    if time.is_zero() {
    } else if is_on_tokio() {
        sleep(time).await;
    } else {
        Delay::new(time).await;
    }
}

pub(crate) fn is_on_tokio() -> bool {
    Handle::try_current().is_ok()
}
