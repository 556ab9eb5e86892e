//! TOKEN: a bucket of tokens, full at first. The level is that of the tokens that are missing.

use super::{Exact, Level, Limits, Model, Outcome, Reply, exact, rounded_down, rounded_up};

/// No more tokens are owed, however long the caller is ready to wait.
const MAX_OWED: u64 = 1_000_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct TokenBucket {
    pub(crate) missing: Level,
}

/// The answer when so many tokens are missing.
pub(crate) fn reply(missing: &Exact, limits: &Limits, cost: u64) -> Reply {
    if limits.quota == 0 {
        return Reply::blocked();
    }
    let capacity = limits.bucket();
    let time_to_refill = |tokens: &Exact| tokens / limits.rate();

    let after = missing + exact(cost);
    let turn = time_to_refill(&(&after - exact(capacity)));
    let until_turn_is_near = rounded_up(&(&turn - exact(limits.max_wait.unwrap_or(0))));
    let until_bearable = rounded_up(&time_to_refill(&(&after - exact(capacity + MAX_OWED))));

    let retry = until_turn_is_near.max(until_bearable);
    let admitted = cost <= capacity && retry == 0;
    let outcome = if admitted {
        Outcome::Admitted { wait: rounded_up(&turn) }
    } else if cost > capacity {
        Outcome::Limited { retry: None }
    } else {
        Outcome::Limited { retry: Some(retry) }
    };
    let missing = if admitted { &after } else { missing };
    Reply {
        outcome,
        limit: capacity,
        remaining: rounded_down(&(exact(capacity) - missing)),
        reset: rounded_up(&time_to_refill(missing)),
    }
}

impl Model for TokenBucket {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        reply(&self.missing.units(now, limits), limits, cost)
    }

    fn admit(&mut self, now: u64, limits: &Limits, cost: u64) {
        self.missing.add(now, limits, cost);
    }
}
