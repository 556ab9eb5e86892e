//! The leased units of one key and limit: a state machine that takes the time as an argument.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use premier_algorithms::{Span, Timestamp};

use crate::decision::Outcome;
use crate::lease::{FEWEST, StoreLimit};
use crate::{AnyLimit, DecidedBy, Decision, Lease, RetryAfter};

/// Units that were charged in the store, and may be used without asking it.
#[derive(Debug)]
pub(super) struct Pool {
    /// Distinguishes this pool from later ones for the same calls.
    number: u64,
    lease: Lease,
    /// The limit of its calls.
    of_calls: AnyLimit,
    /// The limit by which leases are asked for.
    limit: AnyLimit,
    /// The most units of a lease.
    at_most: u64,
    /// Oldest first.
    grants: Vec<Grant>,
    /// How many units the last lease asked for.
    size: u64,
    /// The units that calls have wanted since `wanted_since`. That is when a lease could be asked
    /// for again, as limited calls before it come back less often.
    wanted: AtomicU64,
    wanted_since: Timestamp,
    /// In microseconds.
    last_wanted: AtomicU64,
    /// When the next lease may be asked for.
    next_at: Timestamp,
    /// Whether the keeper will look whether leases have ended.
    is_visited: bool,
}

/// A lease that the store has granted.
#[derive(Debug)]
struct Grant {
    number: u64,
    /// The units that are left.
    units: AtomicU64,
    /// When it was asked for, which is before it was charged.
    sent: Timestamp,
    usable_until: Timestamp,
    /// The answer of the store.
    decision: Decision,
}

/// How often a lease is asked for, at most, in the time for which one is usable, while the store
/// grants fewer units than were asked for.
const ASKED_PER_LEASE: u64 = 32;

/// When a pool has this many leases, those that are used up are forgotten. Refunds of their units
/// then go to the store.
const MANY: usize = 8;

impl Pool {
    pub(super) fn new(number: u64, lease: Lease, of_calls: AnyLimit, asked: &StoreLimit, now: Timestamp) -> Self {
        Self {
            number,
            lease,
            of_calls,
            limit: asked.limit.of_lease(),
            at_most: asked.at_most,
            grants: Vec::new(),
            size: 1,
            wanted: AtomicU64::new(0),
            wanted_since: now,
            last_wanted: AtomicU64::new(now.as_micros()),
            next_at: now,
            is_visited: false,
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns whether its units are for calls by this limit.
    #[inline]
    pub(super) fn is_for(&self, limit: &AnyLimit) -> bool {
        self.of_calls.shares_leases(limit)
    }

    /// Returns the limit by which leases are asked for.
    pub(super) const fn limit(&self) -> &AnyLimit {
        &self.limit
    }

    /// Takes units for a call, and returns the decision and the number of the lease to which a
    /// refund goes. `None` if there are too few units, so that the store has to be asked.
    pub(super) fn take(&mut self, now: Timestamp, units: u64) -> Option<(Decision, u64)> {
        if self.is_idle(now) {
            // A new spell of calls.
            (self.wanted, self.wanted_since, self.size) = (0.into(), now.max(self.next_at), 1);
        }
        self.want(now, units);
        let decision = self.peek(now, units)?;
        let mut lease = None;
        let mut missing = units;
        for grant in self.usable(now).filter(|grant| grant.units() > 0) {
            let part = missing.min(grant.units());
            grant.units.fetch_sub(part, Relaxed);
            missing -= part;
            // If they come from several leases, a refund goes to the first.
            lease = lease.or(Some(grant.number));
            if missing == 0 {
                break;
            }
        }
        Some((decision, lease?))
    }

    /// [`take`](Self::take) for many threads at a time. Returns `None`, and has taken nothing, if
    /// `take` has to decide: the oldest lease with units has too few, the next lease is due, or a
    /// new spell of calls begins.
    ///
    /// Each unit is taken once: one atomic operation takes all units of a call from one lease, and
    /// only if it still has them. What is read before that may be out of date when they are taken:
    /// then the next lease is asked for by the next call, and `remaining` is that of a moment ago.
    #[inline]
    pub(super) fn take_concurrently(&self, now: Timestamp, units: u64) -> Option<(Decision, u64)> {
        let left = self.left(now).checked_sub(units)?;
        if self.is_idle(now) || self.is_due(now, left, units) {
            return None;
        }
        let grant = self.usable(now).find(|grant| grant.units() > 0)?;
        grant.units.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(units)).ok()?;
        self.want(now, units);
        Some((self.decision(now, left)?, grant.number))
    }

    /// Notes a call of this many units.
    #[inline]
    fn want(&self, now: Timestamp, units: u64) {
        self.last_wanted.store(now.as_micros(), Relaxed);
        // No lease serves a call that costs more than one may have.
        if now >= self.wanted_since && units <= self.at_most {
            self.wanted.fetch_add(units, Relaxed);
        }
    }

    /// Returns what [`take`](Self::take) would answer.
    pub(super) fn peek(&self, now: Timestamp, units: u64) -> Option<Decision> {
        self.decision(now, self.left(now).checked_sub(units)?)
    }

    /// Returns the decision after which this many units are left.
    #[inline]
    fn decision(&self, now: Timestamp, left: u64) -> Option<Decision> {
        let newest = self.grants.last()?;
        let answer = newest.decision;
        let age = Duration::from_micros(now.since(newest.sent).as_micros());
        Some(Decision {
            outcome: Outcome::Admitted { wait: Duration::ZERO },
            remaining: answer.remaining.saturating_add(left).min(answer.limit),
            reset_after: answer.reset_after.saturating_sub(age),
            granted: None,
            confirmed_by: None,
            decided_by: DecidedBy::Lease,
            ..answer
        })
    }

    /// Puts refunded units back into their lease. Returns `false` if it has ended.
    pub(super) fn put_back(&mut self, now: Timestamp, number: u64, units: u64) -> bool {
        let lease = self.grants.iter_mut().find(|grant| grant.number == number && now < grant.usable_until);
        lease.is_some_and(|grant| {
            let left = grant.units.get_mut();
            *left = left.saturating_add(units);
            true
        })
    }

    /// Returns how many units to ask the store for now, after a call of this many: as many as calls
    /// will want in half the time for which a lease is usable. `None` if it is too early to ask.
    #[inline]
    pub(super) fn next_lease(&mut self, now: Timestamp, units: u64) -> Option<u64> {
        let left = self.left(now);
        if !self.is_due(now, left, units) {
            return None;
        }
        let wanted = *self.wanted.get_mut();
        let passed = now.since(self.wanted_since).as_micros().max(1);
        let expected = u128::from(wanted) * u128::from(self.half_a_lease().as_micros()) / u128::from(passed);
        let expected = u64::try_from(expected).unwrap_or(u64::MAX);
        let two_calls = units.saturating_mul(FEWEST);
        let size = expected.min(self.size.saturating_mul(2).max(two_calls)).min(self.at_most);
        if wanted < two_calls || size < FEWEST || left.saturating_add(size) < units {
            return None;
        }
        self.size = size;
        // While this lease is being asked for.
        self.next_at = now.plus(self.lease.usable_for());
        Some(size)
    }

    /// Returns whether to ask for a lease after a call of this many units that leaves `left`.
    #[inline]
    fn is_due(&self, now: Timestamp, left: u64, units: u64) -> bool {
        now >= self.next_at && (left <= self.size / 2 || left < units)
    }

    /// Learns the answer to a request for a lease, which was sent at `sent`.
    pub(super) fn answered(&mut self, asked: u64, sent: Timestamp, now: Timestamp, number: u64, decision: Decision) {
        let pause = self.pause();
        let units = decision.granted.unwrap_or(0);
        self.next_at = match decision.retry_after() {
            None if units == asked => now,
            None => now.plus(pause),
            // Others may give back before that.
            Some(RetryAfter::After(after)) => now.plus(pause.max(span(after)).min(self.lease.usable_for())),
            Some(RetryAfter::Never) => now.plus(self.lease.usable_for()),
        };
        if units > 0 {
            if self.grants.len() >= MANY {
                self.grants.retain(|grant| grant.units() > 0);
            }
            let usable_until = self.lease.usable_until(&self.limit, sent, &decision);
            self.grants.push(Grant { number, units: units.into(), sent, usable_until, decision });
        }
        // The next one is as large as what is wanted from then on.
        (self.wanted, self.wanted_since) = (0.into(), self.next_at);
    }

    /// Notes that the store has not answered, or was not asked.
    pub(super) fn failed(&mut self, now: Timestamp, deadline: Duration) {
        self.next_at = now.plus(self.pause().min(span(deadline)));
    }

    /// Forgets the leases that have ended, and all of them if no call has come recently. Returns
    /// how many of their units may be given back by a refund that arrives within `delay`.
    pub(super) fn let_go(&mut self, now: Timestamp, delay: Span) -> u64 {
        let is_idle = self.is_idle(now);
        self.forget(now, delay, |grant| is_idle || grant.units() == 0 || now >= grant.usable_until)
    }

    /// Forgets all leases, and returns how many units may be given back.
    pub(super) fn let_all_go(&mut self, now: Timestamp, delay: Span) -> u64 {
        self.forget(now, delay, |_| true)
    }

    fn forget(&mut self, now: Timestamp, delay: Span, is_over: impl Fn(&Grant) -> bool) -> u64 {
        let mut returnable = 0_u64;
        self.grants.retain(|grant| {
            if is_over(grant) {
                let Grant { sent, decision, .. } = grant;
                returnable += Lease::returnable(&self.limit, grant.units(), *sent, decision, now, delay);
            }
            !is_over(grant)
        });
        returnable
    }

    /// Returns whether there is nothing to remember.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.grants.is_empty() && self.is_idle(now)
    }

    /// Returns when the keeper should look for ended leases, unless it is going to anyway.
    pub(super) fn next_visit(&mut self, now: Timestamp) -> Option<Timestamp> {
        (!std::mem::replace(&mut self.is_visited, true)).then(|| now.plus(self.half_a_lease()))
    }

    /// Notes that the keeper has looked.
    pub(super) fn visited(&mut self) {
        self.is_visited = false;
    }

    /// Returns whether there are leases.
    pub(super) fn has_leases(&self) -> bool {
        !self.grants.is_empty()
    }

    /// Returns whether leases have ended, with units that are left.
    pub(super) fn has_ended_leases(&self, now: Timestamp) -> bool {
        self.grants.iter().any(|grant| now >= grant.usable_until)
    }

    /// Returns whether no call has come recently.
    #[inline]
    fn is_idle(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.last_wanted.load(Relaxed))) >= self.half_a_lease()
    }

    /// Returns the units that may be used.
    #[inline]
    fn left(&self, now: Timestamp) -> u64 {
        self.usable(now).map(Grant::units).sum()
    }

    fn usable(&self, now: Timestamp) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| now < grant.usable_until)
    }

    /// Returns how long to wait before a lease is asked for again.
    fn pause(&self) -> Span {
        Span::from_micros(self.lease.usable_for().as_micros() / ASKED_PER_LEASE)
    }

    fn half_a_lease(&self) -> Span {
        Span::from_micros(self.lease.usable_for().as_micros() / 2)
    }
}

impl Grant {
    #[inline]
    fn units(&self) -> u64 {
        self.units.load(Relaxed)
    }
}

fn span(time: Duration) -> Span {
    Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
