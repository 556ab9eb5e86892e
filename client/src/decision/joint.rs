//! Calls with several limits, charged to all of them or to none.

use premier_algorithms::Demand;

use super::Outcome;
use crate::{AnyLimit, Concurrency, Decision, Error};

/// The answer to a call with several limits, which is charged to all of them or to none.
///
/// The call is admitted if each limit admits it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a call that is limited must not go ahead"]
pub struct JointDecision {
    pub(crate) decision: Decision,
    pub(crate) binding: usize,
    pub(crate) each: Vec<Decision>,
}

impl JointDecision {
    /// Returns the answer to the call: that of the binding limit, with the longest wait of all.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns whether the call may go ahead, after the [`wait`](Decision::wait) of the
    /// [`decision`](Self::decision).
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.decision.is_admitted()
    }

    /// Returns the index of the binding limit.
    ///
    /// For an admitted call that is the limit that leaves the least, for a limited call the limit
    /// with the longest retry-after. Ties go to the first limit.
    #[must_use]
    pub const fn binding(&self) -> usize {
        self.binding
    }

    /// Returns what each limit would answer alone, in the order of the call. Some may admit what
    /// others limit; nothing is charged then.
    pub fn each(&self) -> &[Decision] {
        &self.each
    }

    /// Drops the answer of the first limit from that to an admitted call.
    pub(crate) fn without_first(self) -> Self {
        let Self { mut each, decision: Decision { decided_by, .. }, .. } = self;
        let _ = each.remove(0);
        let mut others = Self::admitted(each);
        others.decision.decided_by = decided_by;
        others
    }

    /// Makes the answer to an admitted call: that of the limit with the fewest units left, with the
    /// longest wait of all.
    pub(crate) fn admitted(each: Vec<Decision>) -> Self {
        let wait = each.iter().filter_map(Decision::wait).max().unwrap_or_default();
        let mut joint = Self::least(each);
        joint.decision.outcome = Outcome::Admitted { wait };
        joint
    }

    /// Returns the decision of the algorithms in this process.
    #[cfg(feature = "memory")]
    pub(crate) fn in_memory(joint: &premier_algorithms::Joint, alone: &[premier_algorithms::Decision<()>]) -> Self {
        Self {
            decision: Decision::in_memory(&joint.decision),
            binding: joint.binding,
            each: alone.iter().map(Decision::in_memory).collect(),
        }
    }

    #[cfg(feature = "memory")]
    pub(crate) fn decided_locally(self, share: crate::Share) -> Self {
        let Self { decision, binding, each } = self;
        let each = each.into_iter().map(|alone| alone.decided_locally(share)).collect();
        Self { decision: decision.decided_locally(share), binding, each }
    }

    pub(crate) fn confirmed(self, replicas: u32) -> Self {
        Self { decision: self.decision.confirmed(replicas), ..self }
    }

    /// Admits the call at once in shadow, and says so if it was limited. There is one demand for
    /// each limit.
    pub(crate) fn shadowed(self, demands: impl Iterator<Item = Demand>) -> Self {
        let Self { decision, binding, each } = self;
        let mut of_binding = None;
        let shadow = |(index, (alone, demand)): (usize, (Decision, Demand))| {
            of_binding = of_binding.or((index == binding).then(|| decision.shadowed(demand)));
            alone.shadowed(demand)
        };
        let each = each.into_iter().zip(demands).enumerate().map(shadow).collect();
        Self { decision: of_binding.expect("the binding limit is one of them"), binding, each }
    }

    /// Answers without asking a store, each limit in the same way.
    pub(crate) fn fallback<K>(limits: JointLimits<'_, K>, answer: impl Fn(u64) -> Decision) -> Self {
        Self::least(limits.get().iter().map(|(_, limit)| answer(limit.units())).collect())
    }

    /// Makes the answer of limits that all admit the call, or all limit it in the same way.
    pub(crate) fn least(each: Vec<Decision>) -> Self {
        let least = each.iter().enumerate().min_by_key(|(_, decision)| decision.remaining());
        let (binding, &decision) = least.expect("there is a limit");
        Self { decision, binding, each }
    }
}

/// How many limits a call may have, as in the module.
const MAX_LIMITS: usize = 16;

/// The limits of one call: 1 to 16 of them, each with a key of its own.
#[derive(Debug)]
pub(crate) struct JointLimits<'a, K>(&'a [(K, AnyLimit)]);

impl<K> Copy for JointLimits<'_, K> {}

impl<K> Clone for JointLimits<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, K> JointLimits<'a, K> {
    pub(crate) fn new(limits: &'a [(K, AnyLimit)]) -> Result<Self, Error>
    where
        K: AsRef<str>,
    {
        check_keys(|| limits.iter().map(|(key, _)| key.as_ref()))?;
        Ok(Self(limits))
    }

    /// [`new`](Self::new) for rate limits, which may be none, beside concurrency limits.
    pub(crate) fn beside(holds: &[(K, Concurrency)], limits: &'a [(K, AnyLimit)]) -> Result<Self, Error>
    where
        K: AsRef<str>,
    {
        let keys = || holds.iter().map(|(key, _)| key.as_ref()).chain(limits.iter().map(|(key, _)| key.as_ref()));
        check_keys(keys)?;
        Ok(Self(limits))
    }

    pub(crate) const fn get(self) -> &'a [(K, AnyLimit)] {
        self.0
    }
}

/// Checks that a call has 1 to 16 limits, each with a key of its own.
fn check_keys<'a, I: Iterator<Item = &'a str>>(keys: impl Fn() -> I) -> Result<(), Error> {
    match keys().count() {
        0 => return Err(Error::invalid_limits("a call must have a limit")),
        1..=MAX_LIMITS => {}
        _ => return Err(Error::invalid_limits("a call may have at most 16 limits")),
    }
    for (index, key) in keys().enumerate() {
        if keys().take(index).any(|other| other == key) {
            return Err(Error::invalid_limits("a key may be named only once"));
        }
    }
    Ok(())
}
