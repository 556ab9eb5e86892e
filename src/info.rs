//! The module's section of INFO.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use premier_algorithms::{Grant, Outcome};
use premier_server::{InfoSection, SectionWriter, is_propagation_needed};

use crate::limiters::{Limiter, by_algorithm};

/// The module's section of INFO.
#[derive(Debug)]
pub(crate) struct Info;

impl InfoSection for Info {
    fn write(section: &SectionWriter) {
        section.text(c"version", VERSION);
        section.text(c"replicating", if is_propagation_needed() { c"yes" } else { c"no" });
        by_algorithm!(each L => section.numbers(L::NAME_IN_INFO, L::counters().fields()));
    }
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no zero bytes"),
};

/// The calls of one limiter since the module was loaded.
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

    /// Counts the decision on a call.
    #[inline]
    pub(crate) fn count<Change>(&self, grant: &Grant<Change>) {
        match grant.decision.outcome {
            Outcome::Admitted { .. } => {
                self.admitted.add(1);
                self.units.add(grant.charge);
            }
            Outcome::Limited { .. } => self.limited.add(1),
        }
    }

    /// Counts a call that was refused with an error.
    pub(crate) fn count_refused(&self) {
        self.refused.add(1);
    }

    /// Returns the names and values of the counters.
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

    /// A load and a store: an atomic addition would cost many times as much, and only one thread
    /// writes.
    #[inline]
    fn add(&self, amount: u64) {
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
