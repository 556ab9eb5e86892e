//! Waiting for the turn of an admitted call.

#[cfg(feature = "tokio")]
use std::pin::pin;
#[cfg(feature = "tokio")]
use std::task::{Context, Waker};
use std::time::Duration;

#[cfg(feature = "tokio")]
use tokio::runtime::Handle;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use crate::Admission;
#[cfg(feature = "tokio")]
use crate::Charge;
#[cfg(feature = "tokio")]
use crate::time::async_sleep;
use crate::time::sleep;

impl Throttler {
    #[expect(clippy::unused_self, reason = "the async method needs it")]
    pub(super) fn take_turn(&self, admission: Admission, wait: Duration) -> Admission {
        sleep(wait);
        admission
    }
}

#[cfg(feature = "tokio")]
impl AsyncThrottler {
    /// Gives back what a call was charged by a task of its own, and ignores whether that succeeds:
    /// for calls that are dropped. Outside tokio only memory is reached.
    pub fn refund_in_background(&self, charge: impl Into<Charge>) {
        self.refund_on(Handle::try_current().ok().as_ref(), charge.into());
    }

    fn refund_on(&self, runtime: Option<&Handle>, charge: Charge) {
        let throttler = self.clone();
        in_background(runtime, async move { drop(throttler.refund(charge).await) });
    }

    /// A call that is dropped while it waits gives its place back.
    pub(super) async fn take_turn(&self, admission: Admission, wait: Duration) -> Admission {
        if wait.is_zero() {
            return admission;
        }
        let mut place = Place { throttler: self, runtime: Handle::try_current().ok(), admission: Some(admission) };
        async_sleep(wait).await;
        place.admission.take().expect("only dropping the place takes it before")
    }
}

/// Runs a call to the store in a task.
#[cfg(feature = "tokio")]
pub(super) fn in_background(runtime: Option<&Handle>, call: impl Future<Output = ()> + Send + 'static) {
    match runtime {
        Some(runtime) => drop(runtime.spawn(call)),
        // Only memory decides outside tokio, and that is ready at once.
        None => drop(pin!(call).poll(&mut Context::from_waker(Waker::noop()))),
    }
}

/// The place of a call that waits for its turn.
#[cfg(feature = "tokio")]
struct Place<'a> {
    throttler: &'a AsyncThrottler,
    runtime: Option<Handle>,
    admission: Option<Admission>,
}

#[cfg(feature = "tokio")]
impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.throttler.refund_on(self.runtime.as_ref(), admission.into());
        }
    }
}
