//! TOKEN: a bucket of tokens, full at first. The level is the number of tokens that are missing.

use super::{Exact, Level, Limits, Model, Outcome, Reply, exact, rounded_down, rounded_up};

/// The most tokens that are owed, whatever the `max_wait`.
const MAX_OWED: u64 = 1_000_000_000_000;

#[derive(Debug, Default)]
pub struct TokenBucket {
    pub missing: Level,
}

/// Returns the reply when this many tokens are missing.
pub fn reply(missing: &Exact, limits: &Limits, cost: u64) -> Reply {
    if limits.quota == 0 {
        return Reply::blocked();
    }
    let capacity = limits.bucket();
    let time_to_refill = |tokens: &Exact| tokens / limits.rate();

    let after = missing + exact(cost);
    let turn = time_to_refill(&(&after - exact(capacity)));
    let until_turn_is_near = rounded_up(&(&turn - exact(limits.max_wait.unwrap_or(0))));
    let until_owing_less = rounded_up(&time_to_refill(&(&after - exact(capacity + MAX_OWED))));

    let retry = until_turn_is_near.max(until_owing_less);
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

/// Returns the reply to a call that is charged this many tokens, even if they are not there. With a
/// `max_wait`, the reply says when nothing will be owed any more.
pub fn reply_to_charge(missing: &Exact, limits: &Limits, tokens: u64) -> Reply {
    let after = missing + exact(tokens);
    let owed = &after - exact(limits.bucket());
    let wait = limits.max_wait.map_or(0, |_| rounded_up(&(owed / limits.rate())));
    Reply {
        outcome: Outcome::Admitted { wait },
        limit: limits.bucket(),
        remaining: rounded_down(&(exact(limits.bucket()) - &after)),
        reset: rounded_up(&(after / limits.rate())),
    }
}

/// Returns the reply to a call of cost 0.
pub fn reply_to_look(missing: &Exact, limits: &Limits) -> Reply {
    if limits.quota == 0 {
        return Reply::blocked();
    }
    let too_much = missing - exact(limits.bucket());
    let outcome = if too_much > exact(0) {
        Outcome::Limited { retry: Some(rounded_up(&(&too_much / limits.rate()))) }
    } else {
        Outcome::Admitted { wait: 0 }
    };
    Reply {
        outcome,
        limit: limits.bucket(),
        remaining: rounded_down(&-too_much),
        reset: rounded_up(&(missing / limits.rate())),
    }
}

impl Model for TokenBucket {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        reply(&self.missing.units(now, limits), limits, cost)
    }

    fn reply_to_charge(&self, now: u64, limits: &Limits, units: u64) -> Reply {
        reply_to_charge(&self.missing.units(now, limits), limits, units)
    }

    fn admit(&mut self, now: u64, limits: &Limits, cost: u64) {
        self.missing.add(now, limits, cost);
    }

    fn used(&self, now: u64, limits: &Limits) -> Exact {
        self.missing.units(now, limits)
    }

    fn refund(&mut self, now: u64, limits: &Limits, units: u64) {
        self.missing.take(now, limits, units);
    }
}
