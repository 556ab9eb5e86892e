//! Leases of units: what a throttler asks the store for, so that units may be used some time after
//! they were charged, and never too many.

use std::time::Duration;

use premier_algorithms::{Capacity, Cost, LimitDuration, Span, Timestamp, Units};

use crate::limit::{Terms, Window, valid};
use crate::{AnyLimit, Decision, Error, InvalidArgument};

/// How a throttler leases units: it charges several ahead in the store, and then decides calls by
/// them without asking the store. See [`Builder::leases`](crate::Builder::leases).
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::Lease;
///
/// const LEASE: Lease = Lease::of(1_000).held_for(Duration::from_millis(500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    units: Units,
    held_for: Span,
}

/// How the units of an algorithm are leased.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leasing {
    /// Units that are left are dropped when the window ends.
    UntilTheWindowEnds,
    /// The store is asked for the quota in a duration that is longer by the time for which units
    /// are held.
    OverALongerDuration,
    /// The store is asked for a bucket whose capacity is smaller by what refills while units are
    /// held.
    FromASmallerBucket,
    /// The algorithm gives turns, which cannot be kept for later.
    Never,
}

/// A limit as the store is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreLimit {
    pub(crate) limit: AnyLimit,
    /// The most units of a lease; fewer than [`FEWEST`] if each call asks the store.
    pub(crate) at_most: u64,
}

impl StoreLimit {
    /// Makes a limit by which each call asks the store, as it is.
    pub(crate) const fn each_call(limit: AnyLimit) -> Self {
        Self { limit, at_most: 0 }
    }

    pub(crate) const fn is_leased(&self) -> bool {
        self.at_most >= FEWEST
    }
}

/// A lease is at most a sixteenth of its limit, so that one process does not hold what all others
/// wait for.
const PART_OF_LIMIT: u64 = 16;

/// The fewest units that are worth a lease. If they are more than a sixteenth of a limit, each call
/// asks the store, by the limit as it is.
pub(crate) const FEWEST: u64 = 2;

/// The clock of a process may be slower than the store's by a thousandth.
const DRIFT: u64 = 1_000;

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl Lease {
    /// Leases at most this many units at a time, 1 to 10¹², and holds them for a second. The size
    /// of each lease depends on how many units were used recently. With 1, every call asks the
    /// store.
    ///
    /// # Panics
    /// If the units are out of bounds.
    #[must_use]
    #[track_caller]
    pub const fn of(units: u64) -> Self {
        valid!(Self::try_of(units))
    }

    /// [`Lease::of`] for a number that may be out of bounds.
    ///
    /// # Errors
    /// If the units are not 1 to 10¹².
    pub const fn try_of(units: u64) -> Result<Self, InvalidArgument> {
        match Units::new(units) {
            Ok(units) => Ok(Self { units, held_for: Span::from_secs(1) }),
            Err(_) => Err(InvalidArgument::leased(units)),
        }
    }

    /// Sets for how long units may be used after they were charged: 10 ms to an hour, in whole
    /// microseconds.
    ///
    /// # Panics
    /// If the time is out of bounds.
    #[must_use]
    #[track_caller]
    pub const fn held_for(self, time: Duration) -> Self {
        valid!(self.try_held_for(time))
    }

    /// [`Lease::held_for`] for a time that may be out of bounds.
    ///
    /// # Errors
    /// If the time is not 10 ms to an hour.
    pub const fn try_held_for(self, time: Duration) -> Result<Self, InvalidArgument> {
        let micros = time.as_micros();
        if micros < SHORTEST.as_micros() || micros > LONGEST.as_micros() {
            return Err(InvalidArgument::held_for(time));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is at most an hour")]
        let held_for = Span::from_micros(micros as u64);
        Ok(Self { held_for, ..self })
    }

    /// Returns the limit by which the store is asked for leases. Units may then be used for
    /// [`usable_for`](Self::usable_for) after they were charged, and never more than the limit
    /// admits. DESIGN.md has the proof.
    pub(crate) fn asked(self, limit: AnyLimit) -> Result<StoreLimit, Error> {
        let terms = *limit.terms();
        let terms = match limit.algorithm().leases() {
            Leasing::UntilTheWindowEnds => Some(terms),
            Leasing::OverALongerDuration => self.with_longer_duration(terms),
            Leasing::FromASmallerBucket => self.with_smaller_bucket(terms),
            Leasing::Never => {
                return Err(Error::invalid_limits(
                    "a leaky bucket cannot be leased, as it gives each call a turn of its own: use a throttler \
                     without leases",
                ));
            }
        };
        // All processes that hold units for the same time ask by the same limit, however many units
        // they lease.
        let Some((terms, part)) =
            terms.map(|terms| (terms, terms.limit() / PART_OF_LIMIT)).filter(|(_, part)| *part >= FEWEST)
        else {
            return Ok(StoreLimit::each_call(limit));
        };
        Ok(StoreLimit { limit: limit.with_terms(terms), at_most: self.units.get().min(part) })
    }

    fn with_longer_duration(self, terms: Terms) -> Option<Terms> {
        let duration = terms.window.duration().get().as_micros() + self.held_for.as_micros();
        let duration = LimitDuration::new(Span::from_micros(duration)).ok()?;
        Some(Terms { window: Window::FromFirstCall(duration), ..terms })
    }

    fn with_smaller_bucket(self, terms: Terms) -> Option<Terms> {
        let refilled = units_in(&terms, self.held_for);
        let capacity = Capacity::new(terms.limit().saturating_sub(refilled)).ok()?;
        Some(Terms { capacity: Some(capacity), ..terms })
    }

    /// Returns for how long a throttler uses units after it has asked for them. This is a little
    /// less than the time for which they are held, as its clock may be slower than the store's.
    pub(crate) fn usable_for(self) -> Span {
        less_drift(self.held_for)
    }

    /// Returns until when units may be used that were asked for at `sent`.
    pub(crate) fn usable_until(self, limit: &AnyLimit, sent: Timestamp, decision: &Decision) -> Timestamp {
        let end = sent.plus(self.usable_for());
        match limit.algorithm().leases() {
            Leasing::UntilTheWindowEnds => end.min(window_ends_at(sent, decision)),
            _ => end,
        }
    }

    /// Returns how many of the units that are left of a lease may be given back, so that the store
    /// never counts fewer units as used than if these had never been charged. The refund arrives
    /// within `delay`.
    pub(crate) fn returnable(
        limit: &AnyLimit,
        left: u64,
        sent: Timestamp,
        decision: &Decision,
        now: Timestamp,
        delay: Span,
    ) -> u64 {
        let arrival = now.plus(delay);
        match limit.algorithm().leases() {
            Leasing::UntilTheWindowEnds if arrival < window_ends_at(sent, decision) => left,
            // Without these units the bucket may have been empty, so all that has drained since was
            // theirs.
            Leasing::FromASmallerBucket => left.saturating_sub(units_in(limit.terms(), arrival.since(sent))),
            // A refund takes the newest units of a sliding window, and others may be newer.
            _ => 0,
        }
    }
}

/// Returns a moment before which a fixed window has surely not ended. `decision` is the answer to a
/// call that was sent at `sent`. The store rounds up to whole milliseconds.
fn window_ends_at(sent: Timestamp, decision: &Decision) -> Timestamp {
    let rest = decision.reset_after.saturating_sub(Duration::from_millis(1));
    let rest = Span::from_micros(u64::try_from(rest.as_micros()).unwrap_or(u64::MAX));
    sent.plus(less_drift(rest))
}

/// Returns a time on this clock that is no longer than the given one on the store's clock.
fn less_drift(time: Span) -> Span {
    time.saturating_sub(Span::from_micros(time.as_micros() / DRIFT))
}

/// Returns how many units a bucket refills in this time, rounded up.
fn units_in(terms: &Terms, time: Span) -> u64 {
    let (quota, micros, duration) = (terms.quota(), time.as_micros(), terms.window.duration().get().as_micros());
    // Dividing 128 bits takes several times as long, and is rarely needed.
    if let Some(parts) = quota.checked_mul(micros) {
        return parts.div_ceil(duration);
    }
    let units = (u128::from(quota) * u128::from(micros)).div_ceil(u128::from(duration));
    u64::try_from(units).unwrap_or(u64::MAX)
}

impl AnyLimit {
    /// Returns the limit by which a lease is asked for, without the cost and the maximum wait of a
    /// call.
    pub(crate) fn of_lease(self) -> Self {
        let terms = *self.terms();
        self.with_terms(Terms { max_wait: None, ..terms }.asking(Cost::ONE))
    }

    /// Returns whether calls by this limit may use units that were leased for calls by the other.
    #[inline]
    pub(crate) fn shares_leases(&self, other: &Self) -> bool {
        let (one, of_other) = (self.terms(), other.terms());
        self.algorithm() == other.algorithm()
            && one.quota == of_other.quota
            && one.window == of_other.window
            && one.capacity == of_other.capacity
            && one.reserve() == of_other.reserve()
    }
}
