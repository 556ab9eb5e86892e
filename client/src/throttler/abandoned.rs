//! Units that nobody uses and the store may still count: those of calls whose replies were lost,
//! and of permits whose release failed. They are released in the background.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use tokio::runtime::Handle;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use super::builder::Settings;
use super::holder::Holder;
use crate::backend::Release;
#[cfg(feature = "tokio")]
use crate::time::{async_clock, async_sleep};
use crate::time::{clock, sleep};
use crate::{Concurrency, Error};

/// The units to release, oldest first.
#[derive(Debug, Default)]
pub(super) struct Abandoned(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    units: VecDeque<Units>,
    /// Whether a thread or a task is at work.
    is_releasing: bool,
}

#[derive(Debug)]
struct Units {
    key: String,
    holder: Holder,
    /// When their lease has ended at the latest, unless the call arrives later than that.
    until: Instant,
}

/// How many are remembered: in a long outage, the others end by their leases.
const MOST: usize = 10_000;

/// The pause after an attempt that the store did not answer.
const PAUSE: Duration = Duration::from_millis(250);

impl Abandoned {
    /// Adds units. Returns whether nobody releases them yet.
    fn add(&self, units: Units) -> bool {
        let mut inner = self.lock();
        if inner.units.len() == MOST {
            inner.units.pop_front();
        }
        inner.units.push_back(units);
        !std::mem::replace(&mut inner.is_releasing, true)
    }

    /// Takes out the next units whose lease may not have ended. If there are none, the work is
    /// done.
    fn next(&self, now: Instant) -> Option<Units> {
        let mut inner = self.lock();
        while let Some(units) = inner.units.pop_front() {
            if now < units.until {
                return Some(units);
            }
        }
        inner.units.shrink_to_fit();
        inner.is_releasing = false;
        None
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets another one begin when the work is done, or the runtime ends before.
struct Releasing(Arc<Settings>);

impl Drop for Releasing {
    fn drop(&mut self) {
        self.0.abandoned.lock().is_releasing = false;
    }
}

/// Where the work is done: on the runtime of the caller.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone)]
pub(super) struct AsyncBackground(Option<Handle>);

/// Where the work is done: in a thread.
#[derive(Debug, Clone)]
pub(super) struct Background;

#[cfg(feature = "tokio")]
impl AsyncBackground {
    pub(super) fn here() -> Self {
        Self(Handle::try_current().ok())
    }

    fn release_abandoned(&self, throttler: AsyncThrottler) {
        let releasing = Releasing(Arc::clone(&throttler.settings));
        match &self.0 {
            Some(runtime) => drop(runtime.spawn(async move { throttler.release_abandoned(releasing).await })),
            // Only memory decides outside tokio, and loses no reply.
            None => drop(releasing),
        }
    }
}

impl Background {
    pub(super) const fn here() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the async method needs it")]
    fn release_abandoned(&self, throttler: Throttler) {
        let releasing = Releasing(Arc::clone(&throttler.settings));
        let thread = thread::Builder::new().name("premier-release".to_owned());
        // Without a thread, the units end by their leases.
        let _ = thread.spawn(move || throttler.release_abandoned(releasing));
    }
}

#[also_blocking]
impl AsyncThrottler {
    /// Releases units in the background, until the store answers or their lease has ended. Units
    /// under an id that others know are left to their lease: by now they may be somebody's.
    pub(super) fn abandon(&self, key: &str, holder: &Holder, lease: Duration, background: &AsyncBackground) {
        let until = async_clock() + lease + self.settings.deadline;
        let units = Units { key: key.to_owned(), holder: holder.clone(), until };
        if holder.is_own && self.settings.abandoned.add(units) {
            background.release_abandoned(self.clone());
        }
    }

    async fn release_abandoned(&self, _releasing: Releasing) {
        while let Some(units) = self.settings.abandoned.next(async_clock()) {
            let released = self.query(&Release { key: &units.key, id: units.holder.id() }).await;
            match released {
                Err(error) if error.is_outage() => {
                    self.settings.abandoned.lock().units.push_back(units);
                    async_sleep(PAUSE).await;
                }
                _ => self.settings.queues.freed(&units.key, async_clock()),
            }
        }
    }
}

/// A call that may have been admitted without anybody knowing, until it is answered: one whose
/// reply is lost, or that is dropped.
#[also_blocking]
pub(super) struct AsyncAttempt<'a> {
    pub(super) throttler: &'a AsyncThrottler,
    pub(super) holds: &'a [(String, Concurrency)],
    pub(super) holder: &'a Holder,
    pub(super) background: AsyncBackground,
    pub(super) is_known: bool,
}

#[also_blocking]
impl AsyncAttempt<'_> {
    /// Learns from the answer. Its units are abandoned if that was lost.
    pub(super) fn answered<T>(mut self, answer: &Result<T, Error>) {
        self.is_known = !matches!(answer, Err(error) if error.may_have_been_sent());
    }
}

#[also_blocking]
impl Drop for AsyncAttempt<'_> {
    fn drop(&mut self) {
        if !self.is_known {
            for (key, concurrency) in self.holds {
                self.throttler.abandon(key, self.holder, concurrency.lease(), &self.background);
            }
        }
    }
}
