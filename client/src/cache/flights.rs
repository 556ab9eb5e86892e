//! One computation for all who ask for the same at the same time.
//!
//! Caches that offer this hand an error to all who waited, for which it would have to be cloned, or wrapped. Here it goes to
//! the one whose computation failed, as it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whatever is being computed now, by name. `L` is the lock that the one holds who computes it.
#[derive(Default)]
pub(super) struct Flights<L> {
    by_name: Mutex<HashMap<String, Arc<Flight<L>>>>,
}

#[derive(Default)]
struct Flight<L> {
    lock: L,
    is_over: AtomicBool,
}

/// A caller's part in a flight.
pub(super) struct Seat<'a, L> {
    flights: &'a Flights<L>,
    name: &'a str,
    flight: Arc<Flight<L>>,
}

impl<L: Default> Flights<L> {
    /// In the flight of this name, or a new one.
    pub(super) fn board<'a>(&'a self, name: &'a str) -> Seat<'a, L> {
        let flight = Arc::clone(self.by_name().entry(name.to_owned()).or_default());
        Seat { flights: self, name, flight }
    }
}

impl<L> Flights<L> {
    fn by_name(&self) -> MutexGuard<'_, HashMap<String, Arc<Flight<L>>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Seat<'_, L> {
    /// To be held while computing. Whoever gets it when the flight [is over](Self::is_over) has waited for another one, and
    /// should let it go.
    pub(super) fn lock(&self) -> &L {
        &self.flight.lock
    }

    /// Whether somebody has computed it, or failed to. After a failure all go on by themselves at once: one after the other, the
    /// last would wait for the failures of all before.
    pub(super) fn is_over(&self) -> bool {
        self.flight.is_over.load(Ordering::Relaxed)
    }

    /// Who asks from now on is in another flight.
    pub(super) fn land(&self) {
        self.flight.is_over.store(true, Ordering::Relaxed);
        let mut by_name = self.flights.by_name();
        if by_name.get(self.name).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            by_name.remove(self.name);
        }
    }
}

/// The last one to leave a flight that has not landed takes it away.
impl<L> Drop for Seat<'_, L> {
    fn drop(&mut self) {
        let mut by_name = self.flights.by_name();
        let is_last = Arc::strong_count(&self.flight) == 2;
        if is_last && by_name.get(self.name).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            by_name.remove(self.name);
        }
    }
}
