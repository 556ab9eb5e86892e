//! SLIDING: at most a quota in any span of the duration, by a log of every call.

use super::{Exact, Limits, Model, Outcome, Reply, exact};

#[derive(Debug, Default)]
pub struct SlidingLog {
    /// The moment and the units of each admitted call, oldest first.
    calls: Vec<(u64, u64)>,
}

impl SlidingLog {
    /// Returns the reply if each unit counted `longer` 64ths of a microsecond longer than it
    /// should. The key is fully reset when its latest call expires, which is never counted longer.
    pub fn reply_when_counting_longer(&self, longer: u64, now: u64, limits: &Limits, cost: u64) -> Reply {
        // How long each call counts from now on, in 64ths of a microsecond.
        let rest = |at: u64, longer: u64| (64 * (at + limits.duration) + longer).saturating_sub(64 * now);
        let counted = |later: u64| -> u64 {
            let calls = self.calls.iter().filter(|(at, _)| rest(*at, longer) > later);
            calls.map(|(_, units)| units).sum()
        };
        let used = counted(0);
        let admitted = used + cost <= limits.quota;
        let remaining = limits.quota.saturating_sub(used + if admitted { cost } else { 0 });
        let outcome = if admitted {
            Outcome::Admitted { wait: 0 }
        } else if cost > limits.quota {
            Outcome::Limited { retry: None }
        } else {
            let moments = self.calls.iter().map(|(at, _)| rest(*at, longer));
            let fits = moments.filter(|later| counted(*later) + cost <= limits.quota);
            let retry = fits.min().map(|later| later.div_ceil(64));
            Outcome::Limited { retry }
        };
        Reply {
            outcome,
            limit: limits.quota,
            remaining,
            reset: match self.calls.last() {
                _ if admitted => limits.duration,
                Some((at, _)) => rest(*at, 0) / 64,
                None => 0,
            },
        }
    }

    fn counted(&self, now: u64, limits: &Limits) -> u64 {
        self.calls.iter().filter(|(at, _)| now < at + limits.duration).map(|(_, units)| units).sum()
    }

    /// Forgets what has expired.
    pub fn forget(&mut self, now: u64, limits: &Limits) {
        self.calls.retain(|(at, _)| at + limits.duration > now);
    }
}

impl Model for SlidingLog {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        self.reply_when_counting_longer(0, now, limits, cost)
    }

    fn reply_to_charge(&self, now: u64, limits: &Limits, units: u64) -> Reply {
        let newest = if units > 0 { Some(now) } else { self.calls.last().map(|(at, _)| *at) };
        Reply {
            outcome: Outcome::Admitted { wait: 0 },
            limit: limits.quota,
            remaining: limits.quota.saturating_sub(self.counted(now, limits) + units),
            reset: newest.map_or(0, |at| (at + limits.duration).saturating_sub(now)),
        }
    }

    fn admit(&mut self, now: u64, _limits: &Limits, cost: u64) {
        if cost > 0 {
            self.calls.push((now, cost));
        }
    }

    fn used(&self, now: u64, limits: &Limits) -> Exact {
        exact(self.counted(now, limits))
    }

    /// Gives back the newest units first.
    fn refund(&mut self, _now: u64, _limits: &Limits, units: u64) {
        let mut left = units;
        for (_, units) in self.calls.iter_mut().rev() {
            let taken = left.min(*units);
            *units -= taken;
            left -= taken;
        }
        self.calls.retain(|(_, units)| *units > 0);
    }
}
