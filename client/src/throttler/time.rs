//! Waiting, in threads and on tokio.

use std::time::{Duration, Instant};

use event_listener::{EventListener, Listener as _};

/// Waits for the event until a moment.
pub(super) fn wait(event: EventListener, until: Instant) {
    let _ = event.wait_deadline(until);
}

/// Waits for the event until a moment.
#[cfg(feature = "tokio")]
pub(super) async fn async_wait(event: EventListener, until: Instant) {
    let _ = tokio::time::timeout_at(until.into(), event).await;
}

/// Returns the time of threads.
pub(super) fn clock() -> Instant {
    Instant::now()
}

/// Returns the time of tokio, which tests may pause.
#[cfg(feature = "tokio")]
pub(super) fn async_clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits for this time, if there is any.
pub(super) fn sleep(time: Duration) {
    if time > Duration::ZERO {
        std::thread::sleep(time);
    }
}

/// Waits for this time, if there is any: without a timer nothing has to be tokio.
#[cfg(feature = "tokio")]
pub(super) async fn async_sleep(time: Duration) {
    if time > Duration::ZERO {
        tokio::time::sleep(time).await;
    }
}
