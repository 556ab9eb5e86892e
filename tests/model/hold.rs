//! HOLD: at most a quota is held at a time, by a list of holders.

use super::{Outcome, Reply};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lease {
    id: Vec<u8>,
    end: u64,
    units: u64,
}

#[derive(Debug, Clone, Default)]
pub struct HolderList(Vec<Lease>);

impl HolderList {
    fn live(&self, now: u64) -> impl Iterator<Item = &Lease> {
        self.0.iter().filter(move |lease| now < lease.end)
    }

    fn others(&self, now: u64, id: Option<&[u8]>) -> Vec<&Lease> {
        self.live(now).filter(|lease| id != Some(&lease.id)).collect()
    }

    /// Returns the units that are held.
    pub fn held(&self, now: u64) -> u64 {
        self.live(now).map(|lease| lease.units).sum()
    }

    /// Returns how many holders there are.
    pub fn count(&self, now: u64) -> usize {
        self.live(now).count()
    }

    /// Returns the time until the last lease ends.
    pub fn reset(&self, now: u64) -> u64 {
        self.live(now).map(|lease| lease.end - now).max().unwrap_or(0)
    }

    /// Returns the reply to a call of this holder, or of a new one. A call of cost 0 only looks.
    pub fn reply(&self, now: u64, quota: u64, lease: u64, id: Option<&[u8]>, cost: u64) -> Reply {
        if quota == 0 {
            return Reply::blocked();
        }
        let others = self.others(now, id);
        let units = others.iter().map(|lease| lease.units).sum::<u64>();
        let limited = |retry| Reply {
            outcome: Outcome::Limited { retry },
            limit: quota,
            remaining: quota.saturating_sub(self.held(now)),
            reset: self.reset(now),
        };
        if cost > quota {
            return limited(None);
        }
        if cost > 0 && units + cost > quota {
            let left = |end: u64| others.iter().filter(|lease| lease.end > end).map(|lease| lease.units).sum::<u64>();
            let ends = others.iter().map(|lease| lease.end).filter(|end| left(*end) + cost <= quota);
            return limited(ends.min().map(|end| end - now));
        }
        let reset = match cost {
            0 => self.reset(now),
            _ => others.iter().map(|lease| lease.end - now).fold(lease, u64::max),
        };
        Reply {
            outcome: Outcome::Admitted { wait: 0 },
            limit: quota,
            remaining: quota.saturating_sub(units + cost),
            reset,
        }
    }

    /// Records an admitted call.
    pub fn admit(&mut self, now: u64, lease: u64, id: &[u8], units: u64) {
        self.0.retain(|lease| lease.id != id);
        self.0.push(Lease { id: id.to_vec(), end: now + lease, units });
    }

    /// Releases what a holder holds, and returns how much that was.
    pub fn release(&mut self, now: u64, id: &[u8]) -> u64 {
        let units = self.live(now).find(|lease| lease.id == id).map_or(0, |lease| lease.units);
        self.0.retain(|lease| lease.id != id);
        units
    }
}
