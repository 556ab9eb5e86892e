//! What calls of a throttler were charged.

use std::ops::Deref;
use std::time::{Duration, Instant};

use premier_algorithms::Units;

use crate::key::KeyText;
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
    pub(crate) key: KeyText,
    pub(crate) units: Units,
    pub(crate) ledger: Ledger,
    /// The number of the lease by which the store was charged ahead.
    pub(crate) lease: Option<u64>,
    /// When the call came.
    at: Instant,
    /// How long after that all of them have expired.
    reset_after: Duration,
}

impl Charge {
    /// Returns the units that have not expired. Those of others may be in use under the same key by
    /// now, and are not to be given back.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        let (one, several) = match self.entries {
            Entries::One(one) => (one, Vec::new()),
            Entries::Several(several) => (None, several),
        };
        let now = Instant::now();
        one.into_iter().chain(several).filter(move |entry| now.saturating_duration_since(entry.at) < entry.reset_after)
    }
}

impl Entry {
    /// Makes the entry of an admitted call; `None` if nobody has charged it.
    #[inline]
    fn new(key: KeyText, limit: &AnyLimit, decision: &Decision, lease: Option<u64>, at: Instant) -> Option<Self> {
        let ledger = match decision.decided_by() {
            DecidedBy::Store | DecidedBy::Lease => Ledger::Store,
            #[cfg(feature = "memory")]
            DecidedBy::Local { .. } => Ledger::Local,
            DecidedBy::Remembered | DecidedBy::OnError | DecidedBy::Shadow => return None,
        };
        let units = decision.granted().unwrap_or(limit.cost());
        let units = Units::new(units).expect("an admitted call is charged at least a unit, and its cost at most");
        Some(Self { key, units, ledger, lease, at, reset_after: decision.reset_after() })
    }
}

impl Receipt {
    /// Makes the receipt of a call that came at this moment, and was decided by the store or a
    /// lease.
    #[inline]
    pub(crate) fn new(
        throttler: u64,
        decision: Decision,
        lease: Option<u64>,
        at: Instant,
        key: KeyText,
        limit: &AnyLimit,
    ) -> Self {
        let entry = if decision.is_admitted() { Entry::new(key, limit, &decision, lease, at) } else { None };
        Self { decision, charge: Charge { throttler, entries: Entries::One(entry) } }
    }
}

impl Receipt<JointDecision> {
    /// Makes the receipt of a call with these rate limits. They are the last in the decision.
    pub(crate) fn joint(throttler: u64, decision: JointDecision, limits: Vec<(String, AnyLimit)>) -> Self {
        let at = Instant::now();
        let holds = decision.each().len() - limits.len();
        let entry = |((key, limit), alone): (_, &_)| Entry::new(KeyText::Long(key), &limit, alone, None, at);
        let entries = if decision.is_admitted() {
            Entries::Several(limits.into_iter().zip(&decision.each()[holds..]).filter_map(entry).collect())
        } else {
            Entries::One(None)
        };
        Self { decision, charge: Charge { throttler, entries } }
    }

    /// Drops the answer of the first limit, which is a concurrency limit, from an admitted call.
    pub(crate) fn without_first(self) -> Self {
        Self { decision: self.decision.without_first(), charge: self.charge }
    }
}

impl Admission {
    pub(crate) fn new(Receipt { decision, charge }: Receipt) -> Self {
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
