//! Units that are held while something is at work.

#[cfg(feature = "tokio")]
use std::convert::Infallible;
use std::fmt;
#[cfg(feature = "tokio")]
use std::pin::pin;
#[cfg(feature = "tokio")]
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Context, Waker};
use std::time::Instant;

use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use tokio::runtime::Handle;
#[cfg(feature = "tokio")]
use tokio::sync::oneshot;
#[cfg(feature = "tokio")]
use tokio::task::JoinHandle;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
#[cfg(feature = "tokio")]
use super::abandoned::AsyncBackground;
use super::abandoned::Background;
use super::holder::Holder;
use super::lease::Lease;
use crate::backend::{HoldUnits, Release};
use crate::receipt::Ledger;
use crate::time::clock;
#[cfg(feature = "tokio")]
use crate::time::{async_clock, async_wait, within};
use crate::{Concurrency, DecidedBy, Decision, Error};

/// Units that this process holds, until the permit is released or dropped, or its lease ends:
/// [`Throttler::hold`].
///
/// Nothing renews it but [`renew`](Self::renew): call that in work that takes longer than the
/// lease, every third of the lease or so.
///
/// Dropping it releases it, which takes the time of a call, the
/// [deadline](crate::Builder::deadline) at most. If the store does not answer then, a thread goes
/// on trying.
///
/// The lease counts from before the call that began it, so it ends here no later than in the store.
/// Yet it is not a lock for data that must never be written twice: a process that is stopped does
/// not notice that its lease has ended before it goes on, and one on a machine that was suspended
/// may not notice at all.
#[must_use = "a permit that is dropped is released"]
pub struct Permit {
    place: Place,
    decision: Decision,
    is_released: bool,
}

/// Units that this process holds, until the permit is released or dropped:
/// [`AsyncThrottler::hold`].
///
/// A task renews its lease every third of it, and tries again if that fails, until the lease has
/// ended. So a permit lives as long as its runtime can run that task: code that blocks a runtime of
/// one thread for a whole lease loses it. Outside tokio, where limits are in memory, nothing renews
/// it but [`renew`](Self::renew).
///
/// Dropping it releases it, by that task, in the background: the units are free a moment later, and
/// nobody learns if it fails. If the runtime ends before, as at the end of `main`, the units are
/// free when the lease ends. [`release`](Self::release) waits until they are. Units in memory are
/// free at once.
///
/// The lease counts from before the call that began it, so it ends here no later than in the store.
/// Yet it is not a lock for data that must never be written twice: a process that is stopped does
/// not notice that its lease has ended before it goes on, and one on a machine that was suspended
/// may not notice at all.
#[cfg(feature = "tokio")]
#[must_use = "a permit that is dropped is released"]
pub struct AsyncPermit {
    place: Arc<AsyncPlace>,
    keeper: Option<Keeper>,
    decision: Decision,
    is_released: bool,
}

/// The task that renews a permit, and releases it when the sender is dropped.
#[cfg(feature = "tokio")]
struct Keeper {
    stop: oneshot::Sender<Infallible>,
    task: JoinHandle<Result<u64, Error>>,
}

/// The units of a permit.
#[also_blocking]
pub(super) struct AsyncPlace {
    throttler: AsyncThrottler,
    /// As it is in the store.
    key: String,
    holder: Holder,
    /// The limit of renewals.
    concurrency: Concurrency,
    /// `None` if no store knows of the units.
    kept: Option<(Ledger, Lease)>,
    background: AsyncBackground,
}

#[also_blocking]
impl AsyncPlace {
    /// Makes the place of an admitted call that was sent at this moment.
    pub(super) fn new(
        throttler: &AsyncThrottler,
        key: String,
        holder: Holder,
        concurrency: Concurrency,
        decided_by: DecidedBy,
        sent: Instant,
    ) -> Self {
        let (ledger, concurrency) = match decided_by {
            DecidedBy::Store => (Some(Ledger::Store), concurrency),
            #[cfg(feature = "memory")]
            DecidedBy::Local { share } => (Some(Ledger::Local), share.of_concurrency(concurrency)),
            // A hold is never leased or remembered.
            DecidedBy::OnError | DecidedBy::Lease | DecidedBy::Remembered | DecidedBy::Shadow => (None, concurrency),
        };
        let kept = ledger.map(|ledger| (ledger, Lease::new(sent, async_clock(), concurrency.lease())));
        let (throttler, background) = (throttler.clone(), AsyncBackground::here());
        Self { throttler, key, holder, concurrency: concurrency.renewal(), kept, background }
    }

    fn is_lost(&self) -> bool {
        self.kept.as_ref().is_some_and(|(_, lease)| lease.left(async_clock()).is_none())
    }

    async fn renew(&self) -> Result<(), Error> {
        let Some((ledger, lease)) = &self.kept else { return Ok(()) };
        let lost = || Error::permit_lost(self.key.clone());
        let sent = async_clock();
        let left = lease.left(sent).ok_or_else(lost)?;
        let hold = HoldUnits { key: &self.key, id: self.holder.id(), concurrency: self.concurrency };
        let answer = match ledger {
            Ledger::Store => self.throttler.query_within(&hold, left).await,
            #[cfg(feature = "memory")]
            Ledger::Local => self.throttler.settings.fallback.ask_memory(&hold).unwrap_or_else(|| Err(lost())),
        };
        let now = async_clock();
        match answer {
            Ok(decision) if decision.is_admitted() => {
                if lease.renew(sent, now) {
                    Ok(())
                } else {
                    Err(lost())
                }
            }
            Ok(_) => {
                lease.refuse();
                Err(lost())
            }
            Err(error) => {
                lease.failed(now, error.may_have_been_sent());
                Err(error)
            }
        }
    }

    /// Frees the units. Returns their number; 0 if they were lost.
    async fn release(&self) -> Result<u64, Error> {
        let Some((ledger, lease)) = &self.kept else { return Ok(0) };
        if !lease.may_be_stored(async_clock()) {
            return Ok(0);
        }
        let release = Release { key: &self.key, id: self.holder.id() };
        let released = match ledger {
            Ledger::Store => self.throttler.query_within(&release, self.throttler.settings.deadline).await,
            #[cfg(feature = "memory")]
            Ledger::Local => self.throttler.settings.fallback.ask_memory(&release).unwrap_or(Ok(0)),
        };
        match &released {
            Ok(_) => self.throttler.settings.queues.freed(&self.key, async_clock()),
            Err(error) if error.is_outage() => {
                self.throttler.abandon(&self.key, &self.holder, self.concurrency.lease(), &self.background);
            }
            Err(_) => {}
        }
        released
    }
}

#[cfg(feature = "tokio")]
impl AsyncPlace {
    /// Returns whether the units are in the memory of this process.
    fn is_in_memory(&self) -> bool {
        self.throttler.backend.is_memory() || matches!(&self.kept, Some((ledger, _)) if *ledger != Ledger::Store)
    }
}

impl Permit {
    pub(super) fn new(place: Place, decision: Decision) -> Self {
        Self { place, decision, is_released: false }
    }

    /// Begins the lease anew. It is safe to repeat: the units are never counted twice.
    ///
    /// # Errors
    /// If the permit is lost ([`PermitLost`](crate::ErrorKind::PermitLost)): its lease has ended,
    /// or the store gave its units to others. If the store does not answer; the permit is not lost
    /// then, and may be renewed until its lease ends.
    pub fn renew(&self) -> Result<(), Error> {
        self.place.renew()
    }

    /// Gives the units back. Returns their number; 0 if they were lost before.
    ///
    /// # Errors
    /// If the store does not answer. A thread goes on trying, and the units are free when the lease
    /// ends at the latest.
    pub fn release(mut self) -> Result<u64, Error> {
        self.is_released = true;
        self.place.release()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_released {
            let _ = self.place.release();
        }
    }
}

#[cfg(feature = "tokio")]
impl AsyncPermit {
    pub(super) fn new(place: AsyncPlace, decision: Decision) -> Self {
        let place = Arc::new(place);
        let runtime = Handle::try_current().ok().filter(|_| place.kept.is_some());
        let keeper = runtime.map(|runtime| {
            let (stop, stopped) = oneshot::channel();
            Keeper { stop, task: runtime.spawn(keep(Arc::clone(&place), stopped)) }
        });
        Self { place, keeper, decision, is_released: false }
    }

    /// Begins the lease anew. On tokio a task does so in time. It is safe to repeat: the units are
    /// never counted twice.
    ///
    /// # Errors
    /// If the permit is lost ([`PermitLost`](crate::ErrorKind::PermitLost)): its lease has ended,
    /// or the store gave its units to others. If the store does not answer; the permit is not lost
    /// then, and may be renewed until its lease ends.
    pub async fn renew(&self) -> Result<(), Error> {
        self.place.renew().await
    }

    /// Gives the units back. Returns their number; 0 if they were lost before. If this is dropped
    /// before it returns, they are given back all the same.
    ///
    /// # Errors
    /// If the store does not answer. A task goes on trying, and the units are free when the lease
    /// ends at the latest.
    pub async fn release(mut self) -> Result<u64, Error> {
        if let Some(Keeper { stop, task }) = self.keeper.take() {
            drop(stop);
            self.is_released = true;
            if let Ok(released) = task.await {
                return released;
            }
            // Its runtime has ended.
        }
        self.is_released = true;
        self.place.release().await
    }

    /// Waits until the permit is lost: until its lease has ended, or the store gave its units to
    /// others. A permit that [`OnError::Admit`](crate::OnError) gave is never lost.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # async fn work() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let permit = throttler.hold(&key!("jobs"), Limit::concurrency(10, Duration::from_secs(30))).await?;
    /// tokio::select! {
    ///     () = work() => println!("done"),
    ///     () = permit.lost() => println!("stopped, as others may be at work"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lost(&self) {
        let Some((_, lease)) = &self.place.kept else {
            return std::future::pending().await;
        };
        while let Some((event, end)) = lease.end(async_clock()) {
            async_wait(event, end).await;
        }
    }
}

/// Renews a permit in time until it is stopped, and then releases it.
#[cfg(feature = "tokio")]
async fn keep(place: Arc<AsyncPlace>, stopped: oneshot::Receiver<Infallible>) -> Result<u64, Error> {
    let mut stopped = pin!(stopped);
    if let Some((_, lease)) = &place.kept {
        while let Some(pause) = lease.until_renewal(async_clock()) {
            if within(pause, &mut stopped).await.is_some() {
                return place.release().await;
            }
            // The lease knows how it went.
            let _ = place.renew().await;
        }
        place.throttler.settings.observer.permit_lost(&place.key);
    }
    let _ = stopped.await;
    place.release().await
}

#[cfg(feature = "tokio")]
impl Drop for AsyncPermit {
    fn drop(&mut self) {
        if self.is_released {
            return;
        }
        if let Some(Keeper { task, .. }) = &self.keeper {
            if !self.place.is_in_memory() {
                // The task sees that its permit is dropped.
                return;
            }
            task.abort();
        }
        // Only memory decides outside tokio, and that is ready at once.
        let _ = pin!(self.place.release()).poll(&mut Context::from_waker(Waker::noop()));
    }
}

#[also_blocking]
impl AsyncPermit {
    /// Returns whether the permit is lost: its lease has ended, or the store gave its units to
    /// others. What is at work should stop then, as others may be at work in its place. A permit
    /// that is lost stays lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.place.is_lost()
    }

    /// Returns the decision that gave the permit: what remained, and who decided.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns the id under which the permit holds its units.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.place.holder.id()
    }

    /// Returns the permit's key as it is in the store.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.place.key
    }
}

#[also_blocking]
impl fmt::Debug for AsyncPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(stringify!(AsyncPermit))
            .field("key", &self.place.key)
            .field("id", &String::from_utf8_lossy(self.place.holder.id()))
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}
