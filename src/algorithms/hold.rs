use core::error::Error;
use core::fmt;

use crate::holds::{HoldChange, Holds, MAX_HOLDERS, Slot};
use crate::{Algorithm, Change, Cost, Decision, HoldLimit, HolderId, Now, Outcome, Retry, Span};

/// Concurrency limit: at most `quota` units are held at the same time. A hold ends when its holder
/// releases it, or when its lease has passed.
///
/// The same id is the same holder: it is never counted twice. A call of a holder begins its lease
/// anew, and its units become the cost of that call. It is admitted if the cost and the units of
/// all other holders fit into the quota. If it is limited, the holder keeps what it had.
///
/// A lease belongs to its holder. If the lease of a limit changes, the leases that have begun end
/// as they would have.
#[derive(Debug, Clone, Copy)]
pub struct Hold;

/// The result of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release<'call> {
    /// The units that were held.
    pub units: u64,
    /// The change to the key's state.
    pub change: HoldChange<'call>,
    /// The time until the last lease of the others ends. Zero if nobody else holds anything; the
    /// key must then be deleted.
    pub reset: Span,
}

/// One more holder than a key can have: 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key has {MAX_HOLDERS} holders, the most that a key can have")
    }
}

impl Error for Full {}

impl Algorithm for Hold {
    type State = Holds;
    type Limit<'call> = HoldLimit<'call>;

    fn decide<'call>(state: &Holds, now: Now, limit: &Self::Limit<'call>, cost: Cost) -> Decision<Change<'call, Self>> {
        if state.is_ahead_of(now) {
            let mut decision = Self::decide(&state.dated(now), now, limit, cost);
            if let Outcome::Admitted { change, .. } = &mut decision.outcome {
                *change = change.dated(now);
            }
            return decision;
        }
        let quota = limit.quota.get();
        if quota == 0 {
            return Decision::blocked();
        }
        let current = Current::new(state, now, limit.holder);
        let used = current.others() + cost.get();
        if used <= quota {
            let change = HoldChange::put(now, limit.holder, limit.lease, cost);
            return Decision {
                outcome: Outcome::Admitted { wait: Span::ZERO, change },
                limit: quota,
                remaining: quota - used,
                reset: limit.lease.get().max(current.reset_beside(current.own)),
            };
        }
        let retry = if cost.get() > quota { Retry::Never } else { Retry::After(current.time_until_free(used - quota)) };
        Decision {
            outcome: Outcome::Limited { retry },
            limit: quota,
            remaining: quota.saturating_sub(current.held),
            reset: current.reset_beside(None),
        }
    }

    fn look(state: &Holds, now: Now, limit: &HoldLimit<'_>) -> Decision<()> {
        if state.is_ahead_of(now) {
            return Self::look(&state.dated(now), now, limit);
        }
        let quota = limit.quota.get();
        if quota == 0 {
            return Decision::blocked();
        }
        let current = Current::new(state, now, limit.holder);
        Decision {
            outcome: Outcome::Admitted { wait: Span::ZERO, change: () },
            limit: quota,
            remaining: quota.saturating_sub(current.others()),
            reset: current.reset_beside(None),
        }
    }
}

impl Hold {
    /// Checks that there is room for the holder of an admitted call.
    ///
    /// # Errors
    /// If it is not one of the 65,536 holders that the key has already.
    pub fn check_room(state: &Holds, now: Now, limit: &HoldLimit<'_>) -> Result<(), Full> {
        if state.len() < MAX_HOLDERS {
            return Ok(());
        }
        if state.is_ahead_of(now) {
            return Self::check_room(&state.dated(now), now, limit);
        }
        let current = Current::new(state, now, limit.holder);
        if current.own.is_some() || current.ended > 0 { Ok(()) } else { Err(Full) }
    }

    /// Frees what a holder holds. Returns `None` if it holds nothing: it is unknown, was released,
    /// or its lease has ended. This changes nothing: the caller applies the change.
    #[must_use]
    pub fn release<'call>(state: &Holds, now: Now, holder: HolderId<'call>) -> Option<Release<'call>> {
        if state.is_ahead_of(now) {
            let release = Self::release(&state.dated(now), now, holder)?;
            return Some(Release { change: release.change.dated(now), ..release });
        }
        let current = Current::new(state, now, Some(holder));
        Some(Release {
            units: state.units(current.own?),
            change: HoldChange::take(now, holder),
            reset: current.reset_beside(current.own),
        })
    }
}

/// The holders at the time of a decision. None of their leases began after that.
#[derive(Debug)]
struct Current<'state> {
    state: &'state Holds,
    /// The time since the Unix epoch.
    now: Span,
    /// The holder that makes the call, if its lease has not ended.
    own: Option<Slot>,
    /// The units of the leases that have ended.
    ended: u64,
    /// The units of all others.
    held: u64,
}

impl<'state> Current<'state> {
    fn new(state: &'state Holds, now: Now, holder: Option<HolderId<'_>>) -> Self {
        let now = now.at().since_epoch();
        let own = holder.and_then(|holder| state.find(holder.get())).filter(|own| state.end(*own) > now);
        let ended = state.units_ended_by(now);
        Self { state, now, own, ended, held: state.total() - ended }
    }

    fn own_units(&self) -> u64 {
        self.own.map_or(0, |own| self.state.units(own))
    }

    /// Returns the units that others hold.
    fn others(&self) -> u64 {
        self.held - self.own_units()
    }

    /// Returns the time until the leases of others with this many units have ended.
    fn time_until_free(&self, units: u64) -> Span {
        let last = self.state.reaching(self.ended + units);
        // The own units do not count, if their lease ends before that.
        let last = match (self.own, last) {
            (Some(own), Some(last)) if !self.state.is_before(last, own) => {
                self.state.reaching(self.ended + units + self.own_units())
            }
            _ => last,
        };
        self.rest(last)
    }

    /// Returns the time until the last lease ends, apart from this one.
    fn reset_beside(&self, own: Option<Slot>) -> Span {
        self.rest(self.state.last_beside(own))
    }

    fn rest(&self, slot: Option<Slot>) -> Span {
        slot.map_or(Span::ZERO, |slot| self.state.end(slot).saturating_sub(self.now))
    }
}
