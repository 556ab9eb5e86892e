//! What is in a bucket: it falls at the rate of the call that asks, from the last admitted call on, never below 0. Before that
//! it was as much higher as would have drained since.

use super::{Exact, Limits, MAX_USED, exact};

#[derive(Debug)]
pub(crate) struct Level {
    units: Exact,
    at: u64,
}

impl Default for Level {
    fn default() -> Self {
        Self { units: exact(0), at: 0 }
    }
}

impl Level {
    /// One that will be nothing after `rest`, if that is no more than is ever used.
    pub(crate) fn empty_after(rest: u64, now: u64, limits: &Limits) -> Self {
        Self { units: (exact(rest) * limits.rate()).min(exact(MAX_USED)), at: now }
    }

    pub(crate) fn units(&self, now: u64, limits: &Limits) -> Exact {
        let drained = (exact(now) - exact(self.at)) * limits.rate();
        (&self.units - drained).max(exact(0))
    }

    pub(crate) fn add(&mut self, now: u64, limits: &Limits, cost: u64) {
        self.units = self.units(now, limits) + exact(cost);
        self.at = now;
    }

    pub(crate) fn take(&mut self, now: u64, limits: &Limits, units: u64) {
        self.units = (self.units(now, limits) - exact(units)).max(exact(0));
        self.at = now;
    }
}
