//! FIXED: the first admitted call opens a window; at most a quota is admitted in it.

use super::{Limits, Model, Outcome, Reply};

#[derive(Debug, Default)]
pub(crate) struct FixedWindow {
    /// When it opened and what was used in it.
    window: Option<(u64, u64)>,
}

impl FixedWindow {
    /// What was used in the open window, and when that ends.
    fn open(&self, now: u64, limits: &Limits) -> Option<(u64, u64)> {
        let (opened, used) = self.window?;
        let end = opened + limits.period;
        (now < end).then_some((used, end))
    }
}

impl Model for FixedWindow {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        let open = self.open(now, limits);
        let used = open.map_or(0, |(used, _)| used);
        let rest = open.map_or(0, |(_, end)| end - now);
        let admitted = used + cost <= limits.quota;
        Reply {
            outcome: if admitted {
                Outcome::Admitted { wait: 0 }
            } else {
                let retry = (cost <= limits.quota).then_some(rest);
                Outcome::Limited { retry }
            },
            limit: limits.quota,
            remaining: limits.quota.saturating_sub(used + if admitted { cost } else { 0 }),
            reset: if admitted && open.is_none() { limits.period } else { rest },
        }
    }

    fn admit(&mut self, now: u64, limits: &Limits, cost: u64) {
        let open = self.open(now, limits).and(self.window);
        let (opened, used) = open.unwrap_or((now, 0));
        self.window = Some((opened, used + cost));
    }
}
