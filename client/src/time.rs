//! Waiting, in threads and on the runtime of an async caller.

#[cfg(feature = "tokio")]
use std::future::poll_fn;
#[cfg(feature = "tokio")]
use std::panic;
#[cfg(feature = "tokio")]
use std::pin::{Pin, pin};
#[cfg(feature = "tokio")]
use std::sync::{PoisonError, RwLock};
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::time::{Duration, Instant};

use event_listener::{EventListener, Listener as _};
#[cfg(feature = "tokio")]
use tokio::runtime::{Handle, Id};

/// Waits for the event until a moment.
pub(crate) fn wait(event: EventListener, until: Instant) {
    let _ = event.wait_deadline(until);
}

/// Waits for the event until a moment.
#[cfg(feature = "tokio")]
pub(crate) async fn async_wait(event: EventListener, until: Instant) {
    let _ = within(until.saturating_duration_since(async_clock()), event).await;
}

/// Returns the time of threads.
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Returns the time of tokio, which tests may pause.
#[cfg(feature = "tokio")]
pub(crate) fn async_clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits for this time, if there is any.
pub(crate) fn sleep(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// Waits on tokio's timer, or where there is none on that of `futures-timer`: a thread, which
/// starts with the first such wait. A wait of zero asks no timer and does not yield.
#[cfg(feature = "tokio")]
#[cfg_attr(not(feature = "macros"), expect(unreachable_pub, reason = "what the attributes write calls this"))]
pub async fn async_sleep(time: Duration) {
    if time.is_zero() {
        return;
    }
    // A `match` would keep the option in the future besides what it holds.
    let Some(sleep) = tokio_sleep(time) else {
        return futures_timer::Delay::new(time.min(FOREVER)).await;
    };
    // Also for a caller that has used up its share of tokio's time.
    tokio::task::unconstrained(sleep).await;
}

/// `futures-timer` adds this to the time of now.
#[cfg(feature = "tokio")]
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Begins a wait on tokio's timer. Returns `None` outside tokio, and in a runtime that was built
/// without timers. Of that tokio informs only by a panic, which is therefore provoked once.
#[cfg(feature = "tokio")]
fn tokio_sleep(time: Duration) -> Option<tokio::time::Sleep> {
    static WITHOUT_TIMERS: RwLock<Vec<Id>> = RwLock::new(Vec::new());
    let runtime = Handle::try_current().ok()?.id();
    if WITHOUT_TIMERS.read().unwrap_or_else(PoisonError::into_inner).contains(&runtime) {
        return None;
    }
    let sleep = panic::catch_unwind(|| tokio::time::sleep(time)).ok();
    if sleep.is_none() {
        WITHOUT_TIMERS.write().unwrap_or_else(PoisonError::into_inner).push(runtime);
    }
    sleep
}

/// Returns what a future returns, or drops it after this time and returns `None`.
#[cfg(feature = "tokio")]
pub(crate) async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    until(pin!(async_sleep(time)), pin!(future)).await
}

/// Returns what a future returns, or `None` if another future ends first.
#[cfg(feature = "tokio")]
pub(crate) fn until<T>(
    mut end: Pin<&mut impl Future<Output = ()>>,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = Option<T>> {
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(returned) => Poll::Ready(Some(returned)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
}

/// Begins a wait on the timer of the caller's runtime, which [`has_timers`].
#[cfg(feature = "tokio")]
pub(crate) fn timer(time: Duration) -> impl Future<Output = ()> {
    // Also for a caller that has used up its share of tokio's time.
    tokio::task::unconstrained(tokio::time::sleep(time))
}

/// Returns whether the caller is in a tokio runtime that has timers.
#[cfg(feature = "tokio")]
pub(crate) fn has_timers() -> bool {
    tokio_sleep(Duration::ZERO).is_some()
}
