//! Singleflight: callers that ask for the same value at the same time share one computation.
//!
//! Other crates pass an error of the computation to all callers that wait, so it has to be cloned
//! or wrapped. Here only the caller whose computation failed gets the error, as it is.

use std::collections::HashMap;
#[cfg(feature = "tokio")]
use std::future::poll_fn;
#[cfg(feature = "tokio")]
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dependencies::{Computation, Cycle, Dependency};

/// The computations that are running, by name. `L` is the lock that the computing caller holds.
#[derive(Default)]
pub(super) struct Singleflight<L> {
    flights: Mutex<HashMap<String, Arc<Flight<L>>>>,
}

#[derive(Default)]
struct Flight<L> {
    lock: L,
    is_done: AtomicBool,
    computation: Computation,
}

/// A caller that has joined a flight.
pub(super) struct Caller<'a, L> {
    singleflight: &'a Singleflight<L>,
    name: &'a str,
    flight: Arc<Flight<L>>,
    /// What the computation around this call waits for, if there is one.
    _dependency: Option<Dependency>,
}

impl<L: Default> Singleflight<L> {
    /// Joins the flight of this name, or begins it.
    ///
    /// # Panics
    /// If the flight waits for the computation that makes this call, which could never end.
    #[track_caller]
    pub(super) fn join<'a>(&'a self, name: &'a str) -> Caller<'a, L> {
        let flight = Arc::clone(self.flights().entry(name.to_owned()).or_default());
        match flight.computation.needed_by_current() {
            Ok(dependency) => Caller { singleflight: self, name, flight, _dependency: dependency },
            Err(Cycle) => panic!(
                "the cached value of {name} needs itself while it is computed, directly or through other cached values, \
                 and would wait for itself forever: give the calls different keys, or call a function that is not cached"
            ),
        }
    }
}

impl<L> Singleflight<L> {
    fn flights(&self) -> MutexGuard<'_, HashMap<String, Arc<Flight<L>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Caller<'_, L> {
    /// Returns the lock to hold while computing. A caller that gets it when the flight [is
    /// done](Self::is_done) has waited for another caller, and should release it.
    pub(super) fn lock(&self) -> &L {
        &self.flight.lock
    }

    /// Returns whether a caller has computed the value, or failed to. After a failure all others
    /// compute at the same time: one by one, the last would wait for all failures before.
    pub(super) fn is_done(&self) -> bool {
        self.flight.is_done.load(Ordering::Relaxed)
    }

    /// Computes. Only the computation of a flight that is not done keeps other callers waiting.
    pub(super) fn compute<R>(&self, compute: impl FnOnce() -> R) -> R {
        let _current = (!self.is_done()).then(|| self.flight.computation.enter());
        compute()
    }

    /// Computes. Only the computation of a flight that is not done keeps other callers waiting.
    #[cfg(feature = "tokio")]
    pub(super) async fn async_compute<R>(&self, compute: impl AsyncFnOnce() -> R) -> R {
        let keeps_waiting = !self.is_done();
        let mut computing = pin!(compute());
        poll_fn(|context| {
            let _current = keeps_waiting.then(|| self.flight.computation.enter());
            computing.as_mut().poll(context)
        })
        .await
    }

    /// Ends the flight: later callers begin another one.
    pub(super) fn finish(&self) {
        self.flight.is_done.store(true, Ordering::Relaxed);
        self.remove_from(&mut self.singleflight.flights());
    }

    fn remove_from(&self, flights: &mut HashMap<String, Arc<Flight<L>>>) {
        if flights.get(self.name).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(self.name);
        }
    }
}

/// The last caller to leave an unfinished flight removes it.
impl<L> Drop for Caller<'_, L> {
    fn drop(&mut self) {
        let mut flights = self.singleflight.flights();
        // This caller and the map.
        if Arc::strong_count(&self.flight) == 2 {
            self.remove_from(&mut flights);
        }
    }
}
