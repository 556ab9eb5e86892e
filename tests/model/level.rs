//! The level of a bucket. It falls from the last admitted call on, at the rate of the call that
//! asks, never below 0. Before that call it was higher, by what would have drained since.

use super::{Exact, Limits, MAX_USED, exact};

#[derive(Debug)]
pub struct Level {
    units: Exact,
    at: u64,
}

impl Default for Level {
    fn default() -> Self {
        Self { units: exact(0), at: 0 }
    }
}

impl Level {
    /// Returns the level that reaches 0 after `rest`, at most [`MAX_USED`].
    pub fn empty_after(rest: u64, now: u64, limits: &Limits) -> Self {
        Self { units: (exact(rest) * limits.rate()).min(exact(MAX_USED)), at: now }
    }

    pub fn units(&self, now: u64, limits: &Limits) -> Exact {
        let drained = (exact(now) - exact(self.at)) * limits.rate();
        (&self.units - drained).max(exact(0))
    }

    pub fn add(&mut self, now: u64, limits: &Limits, cost: u64) {
        self.units = self.units(now, limits) + exact(cost);
        self.at = now;
    }

    pub fn take(&mut self, now: u64, limits: &Limits, units: u64) {
        self.units = (self.units(now, limits) - exact(units)).max(exact(0));
        self.at = now;
    }
}
