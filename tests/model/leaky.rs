//! LEAKY: a queue that units leave one by one. The level is the number of units in it.

use super::{Exact, Level, Limits, Model, Outcome, Reply, exact, rounded_down, rounded_up};

#[derive(Debug, Default)]
pub struct LeakyQueue {
    pub queue: Level,
}

/// Returns the reply when this much is in the queue.
pub fn reply(queue: &Exact, limits: &Limits, cost: u64) -> Reply {
    if limits.quota == 0 {
        return Reply::blocked();
    }
    let capacity = limits.bucket();
    let time_to_leave = |units: &Exact| units / limits.rate();
    // The time until the turn of a call behind this queue is near enough.
    let until_turn_is_near = |queue: &Exact| {
        let too_long = |max_wait| rounded_up(&(time_to_leave(queue) - exact(max_wait)));
        limits.max_wait.map_or(0, too_long)
    };

    let after = queue + exact(cost);
    let until_it_fits = rounded_up(&time_to_leave(&(&after - exact(capacity))));

    let retry = until_it_fits.max(until_turn_is_near(queue));
    let admitted = retry == 0;
    let outcome = if admitted {
        Outcome::Admitted { wait: rounded_up(&time_to_leave(queue)) }
    } else if cost > capacity {
        Outcome::Limited { retry: None }
    } else {
        Outcome::Limited { retry: Some(retry) }
    };
    let queue = if admitted { &after } else { queue };
    Reply {
        outcome,
        limit: capacity,
        remaining: if until_turn_is_near(queue) > 0 { 0 } else { rounded_down(&(exact(capacity) - queue)) },
        reset: rounded_up(&time_to_leave(queue)),
    }
}

/// Returns the reply to a call that is charged this many units even if there is no room: it waits
/// until all units before it have left.
pub fn reply_to_charge(queue: &Exact, limits: &Limits, units: u64) -> Reply {
    let after = queue + exact(units);
    let next_turn = rounded_up(&(&after / limits.rate()));
    let is_too_late = limits.max_wait.is_some_and(|max_wait| next_turn > max_wait);
    Reply {
        outcome: Outcome::Admitted { wait: rounded_up(&(queue / limits.rate())) },
        limit: limits.bucket(),
        remaining: if is_too_late { 0 } else { rounded_down(&(exact(limits.bucket()) - &after)) },
        reset: next_turn,
    }
}

impl Model for LeakyQueue {
    fn reply(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        reply(&self.queue.units(now, limits), limits, cost)
    }

    fn reply_to_charge(&self, now: u64, limits: &Limits, units: u64) -> Reply {
        reply_to_charge(&self.queue.units(now, limits), limits, units)
    }

    fn admit(&mut self, now: u64, limits: &Limits, cost: u64) {
        self.queue.add(now, limits, cost);
    }

    fn used(&self, now: u64, limits: &Limits) -> Exact {
        self.queue.units(now, limits)
    }

    fn refund(&mut self, now: u64, limits: &Limits, units: u64) {
        self.queue.take(now, limits, units);
    }
}
