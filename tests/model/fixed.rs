//! FIXED: the first admitted call opens a window, in which at most a quota is admitted. An aligned
//! window begins at a multiple of its duration.

use super::{Exact, Limits, Model, Outcome, Reply, exact};

#[derive(Debug, Default)]
pub struct FixedWindow {
    /// When the window opened, and the units used in it.
    window: Option<(u64, u64)>,
}

impl FixedWindow {
    /// Returns the units used in the open window, and when it ends.
    fn open(&self, now: u64, limits: &Limits) -> Option<(u64, u64)> {
        let (opened, used) = self.window?;
        let end = end(opened, limits);
        (now < end).then_some((used, end))
    }
}

/// Returns where a window begins that is opened now.
fn beginning(now: u64, limits: &Limits) -> u64 {
    if limits.is_aligned { now / limits.duration * limits.duration } else { now }
}

const QUARTER_OF_AN_HOUR: u64 = 15 * 60 * 1_000_000;
const DAY: u64 = 96 * QUARTER_OF_AN_HOUR;

/// Returns when a window ends. An aligned window of whole days that began a few quarters of an hour
/// from a multiple, up to three hours, ends as the one that begins there.
fn end(opened: u64, limits: &Limits) -> u64 {
    let multiples = [opened / limits.duration, opened / limits.duration + 1].map(|index| index * limits.duration);
    let is_near = |multiple: &u64| {
        let distance = multiple.abs_diff(opened);
        distance.is_multiple_of(QUARTER_OF_AN_HOUR) && distance <= 12 * QUARTER_OF_AN_HOUR
    };
    let is_calendar = limits.is_aligned && limits.duration.is_multiple_of(DAY);
    let nearest = multiples.into_iter().filter(|_| is_calendar).find(is_near);
    nearest.unwrap_or(opened) + limits.duration
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
            reset: if admitted && open.is_none() { beginning(now, limits) + limits.duration - now } else { rest },
        }
    }

    fn reply_to_charge(&self, now: u64, limits: &Limits, units: u64) -> Reply {
        let (used, end) = self.open(now, limits).unwrap_or((0, beginning(now, limits) + limits.duration));
        Reply {
            outcome: Outcome::Admitted { wait: 0 },
            limit: limits.quota,
            remaining: limits.quota.saturating_sub(used + units),
            reset: end - now,
        }
    }

    fn admit(&mut self, now: u64, limits: &Limits, cost: u64) {
        let open = self.open(now, limits).and(self.window);
        let (opened, used) = open.unwrap_or((beginning(now, limits), 0));
        self.window = Some((opened, used + cost));
    }

    fn used(&self, now: u64, limits: &Limits) -> Exact {
        exact(self.open(now, limits).map_or(0, |(used, _)| used))
    }

    fn refund(&mut self, _now: u64, _limits: &Limits, units: u64) {
        self.window = self.window.filter(|(_, used)| *used > units).map(|(opened, used)| (opened, used - units));
    }
}
