//! Limited calls that a throttler remembers, to answer calls like them without asking the store.

use std::time::Duration;

use moka::sync::Cache;
use premier_algorithms::{Cost, Demand, Span, Timestamp};

use crate::decision::Outcome;
use crate::{AnyLimit, DecidedBy, Decision, RetryAfter};

/// The last limited call of each key.
#[derive(Debug)]
pub(super) struct Denials {
    at_most: Duration,
    by_key: Cache<Box<str>, Denial>,
}

#[derive(Debug, Clone, Copy)]
struct Denial {
    /// The limit of the call, without its cost.
    limit: AnyLimit,
    /// The cost that did not fit.
    cost: u64,
    decision: Decision,
    answered: Timestamp,
    /// Until when the store would surely limit the call again.
    until: Timestamp,
}

/// How many keys are remembered: those that are limited most.
const MOST: u64 = 100_000;

/// No limit makes a call wait longer than these ten years.
const LONGEST: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);

impl Denials {
    pub(super) fn new(at_most: Duration) -> Self {
        let at_most = at_most.min(LONGEST);
        Self { at_most, by_key: Cache::builder().max_capacity(MOST).time_to_live(at_most).build() }
    }

    /// Remembers a call that was sent at `sent`, if the store has limited it. An admitted call has
    /// changed the answers to others, so its key is forgotten.
    pub(super) fn learn(&self, key: &str, limit: &AnyLimit, decision: Decision, sent: Timestamp, now: Timestamp) {
        if decision.decided_by != DecidedBy::Store {
            return;
        }
        let wait = match decision.retry_after() {
            Some(RetryAfter::After(wait)) => wait.min(self.at_most),
            Some(RetryAfter::Never) => self.at_most,
            None => return self.forget(key),
        };
        let Some((limit, cost)) = asked(limit) else { return };
        let until = sent.plus(Span::from_micros(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)));
        self.by_key.insert(key.into(), Denial { limit, cost, decision, answered: now, until });
    }

    /// Returns the answer to a call that the store would limit.
    pub(super) fn recall(&self, key: &str, limit: &AnyLimit, now: Timestamp) -> Option<Decision> {
        let denial = self.by_key.get(key)?;
        let (asked, cost) = asked(limit)?;
        let is_known = (denial.answered..denial.until).contains(&now) && denial.limit == asked && denial.cost <= cost;
        // A call that costs more may be one that is never admitted.
        let is_never = denial.decision.retry_after() == Some(RetryAfter::Never);
        let is_known = is_known && (is_never || limit.may_be_admitted_later());
        let passed = Duration::from_micros(now.since(denial.answered).as_micros());
        is_known.then(|| denial.decision.remembered(passed).granting(limit.terms().demand, 0))
    }

    pub(super) fn forget(&self, key: &str) {
        self.by_key.invalidate(key);
    }

    pub(super) fn forget_all(&self) {
        self.by_key.invalidate_all();
    }
}

/// Returns the limit of a call without its cost, and how many units must fit; `None` for a forced
/// call, which is never limited.
fn asked(limit: &AnyLimit) -> Option<(AnyLimit, u64)> {
    let terms = limit.terms();
    let cost = match terms.demand {
        Demand::Exactly(cost, _) => cost.get(),
        Demand::AtMost(..) => 1,
        Demand::Forced(_) => return None,
    };
    Some((limit.with_terms(terms.asking(Cost::ONE)), cost))
}

impl Decision {
    /// Returns the answer to a call like this limited one, which was answered `passed` ago.
    fn remembered(self, passed: Duration) -> Self {
        let decision = match self.outcome {
            Outcome::Limited { retry_after: RetryAfter::After(after) } => {
                self.limited_for(after.saturating_sub(passed), passed)
            }
            _ => self,
        };
        Self { decided_by: DecidedBy::Remembered, ..decision }
    }
}
