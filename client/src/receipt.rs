//! What calls of a throttler were charged.

use std::ops::Deref;
use std::time::Instant;

use premier_algorithms::Units;

use crate::{AnyLimit, DecidedBy, Decision, JointDecision};

/// The answer of a throttler to a call: the [`Decision`], or the [`JointDecision`] of several
/// limits, and what a [refund](crate::Throttler::refund) has to know.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{Backend, Limit, Throttler, key};
///
/// let throttler = Throttler::builder(Backend::memory()).build();
/// let limit = Limit::token_bucket(10, Duration::from_secs(60));
/// let receipt = throttler.check_n(&key!("export", "ada"), limit, 10)?;
/// assert!(receipt.is_admitted());
/// // There was nothing to export.
/// assert_eq!(throttler.refund(receipt)?, 10);
/// # Ok::<(), premier_client::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a call that is limited must not go ahead"]
pub struct Receipt<D = Decision> {
    decision: D,
    charge: Charge,
}

/// An admitted call, whose turn it is, and what a [refund](crate::Throttler::refund) has to know.
#[derive(Debug)]
pub struct Admission {
    decision: Decision,
    charge: Charge,
}

/// What a call was charged, and where: all that a [refund](crate::Throttler::refund) needs of a
/// [`Receipt`] or an [`Admission`].
///
/// It cannot be cloned, so that nothing is given back twice:
///
/// ```compile_fail,E0382
/// # use std::time::Duration;
/// # use premier_client::{Backend, Limit, Throttler, key};
/// # let throttler = Throttler::builder(Backend::memory()).build();
/// let receipt = throttler.check(&key!("export"), Limit::fixed_window(10, Duration::from_secs(60)))?;
/// throttler.refund(receipt)?;
/// throttler.refund(receipt)?;
/// # Ok::<(), premier_client::Error>(())
/// ```
#[derive(Debug)]
pub struct Charge {
    /// The number of the throttler that charged it.
    pub(crate) throttler: u64,
    pub(crate) ledger: Ledger,
    entries: Entries,
}

/// Who keeps what was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ledger {
    Store,
    /// The memory of the throttler.
    #[cfg(feature = "memory")]
    Local,
}

/// The units that were charged. One entry needs no allocation, as most calls have one limit.
#[derive(Debug)]
enum Entries {
    One(Option<Entry>),
    Several(Vec<Entry>),
}

/// The units of one key.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The key as it is in the store.
    pub(crate) key: String,
    pub(crate) units: Units,
    /// When all of them have expired; `None` if that is beyond the end of time.
    expires_at: Option<Instant>,
}

impl Charge {
    fn new(throttler: u64, by: DecidedBy, is_admitted: bool, entries: impl FnOnce() -> Entries) -> Self {
        let ledger = match by {
            DecidedBy::Store => Some(Ledger::Store),
            #[cfg(feature = "memory")]
            DecidedBy::Local { .. } => Some(Ledger::Local),
            _ => None,
        };
        match ledger.filter(|_| is_admitted) {
            Some(ledger) => Self { throttler, ledger, entries: entries() },
            None => Self { throttler, ledger: Ledger::Store, entries: Entries::One(None) },
        }
    }

    /// Returns the units that have not expired. Those of others may be in use under the same key by
    /// now, and are not to be given back.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        let (one, several) = match self.entries {
            Entries::One(one) => (one, Vec::new()),
            Entries::Several(several) => (None, several),
        };
        let now = Instant::now();
        one.into_iter().chain(several).filter(move |entry| entry.expires_at.is_none_or(|expires_at| now < expires_at))
    }
}

impl Entry {
    fn new(key: String, limit: &AnyLimit, decision: &Decision) -> Self {
        let units = decision.granted().unwrap_or(limit.cost());
        let units = Units::new(units).expect("an admitted call is charged at least a unit, and its cost at most");
        let expires_at = Instant::now().checked_add(decision.reset_after());
        Self { key, units, expires_at }
    }
}

impl Receipt {
    pub(crate) fn new(throttler: u64, decision: Decision, key: String, limit: &AnyLimit) -> Self {
        let entries = || Entries::One(Some(Entry::new(key, limit, &decision)));
        let charge = Charge::new(throttler, decision.decided_by(), decision.is_admitted(), entries);
        Self { decision, charge }
    }
}

impl Receipt<JointDecision> {
    pub(crate) fn joint(throttler: u64, decision: JointDecision, limits: Vec<(String, AnyLimit)>) -> Self {
        let of_all = decision.decision();
        let entries = || {
            let entries = limits.into_iter().zip(decision.each());
            Entries::Several(entries.map(|((key, limit), alone)| Entry::new(key, &limit, alone)).collect())
        };
        let charge = Charge::new(throttler, of_all.decided_by(), of_all.is_admitted(), entries);
        Self { decision, charge }
    }
}

impl Admission {
    pub(crate) fn new(throttler: u64, decision: Decision, key: String, limit: &AnyLimit) -> Self {
        let Receipt { decision, charge } = Receipt::new(throttler, decision, key, limit);
        Self { decision, charge }
    }
}

impl<D> Deref for Receipt<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.decision
    }
}

impl Deref for Admission {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.decision
    }
}

impl<D> From<Receipt<D>> for Charge {
    fn from(receipt: Receipt<D>) -> Self {
        receipt.charge
    }
}

impl From<Admission> for Charge {
    fn from(admission: Admission) -> Self {
        admission.charge
    }
}
