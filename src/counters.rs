//! What INFO counts of each algorithm.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use premier_algorithms::{Decision, Outcome};

/// The calls of one algorithm since the module was loaded.
#[derive(Debug)]
pub(crate) struct Counters {
    admitted: Count,
    limited: Count,
    refused: Count,
    units: Count,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self { admitted: Count::new(), limited: Count::new(), refused: Count::new(), units: Count::new() }
    }

    /// A call of so many units has been answered so.
    #[inline]
    pub(crate) fn count<Change>(&self, decision: &Decision<Change>, units: u64) {
        match decision.outcome {
            Outcome::Admitted { .. } => {
                self.admitted.add(1);
                self.units.add(units);
            }
            Outcome::Limited { .. } => self.limited.add(1),
        }
    }

    /// A call has been refused with an error.
    pub(crate) fn count_refused(&self) {
        self.refused.add(1);
    }

    /// What they are called, and their values.
    pub(crate) fn fields(&self) -> [(&'static CStr, u64); 4] {
        [
            (c"admitted", self.admitted.get()),
            (c"limited", self.limited.get()),
            (c"refused", self.refused.get()),
            (c"units", self.units.get()),
        ]
    }
}

/// A number that only the server's main thread changes.
#[derive(Debug)]
struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Reads and writes rather than adds atomically, which would cost many times as much and is not needed.
    #[inline]
    fn add(&self, amount: u64) {
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
