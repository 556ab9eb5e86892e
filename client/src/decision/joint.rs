//! Calls with several limits, charged to all of them or to none.

use super::Outcome;
use crate::{AnyLimit, Decision, Error};

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

    /// Splits the answer to an admitted call into that of its first limit, and that of all others.
    pub(crate) fn split_first(self) -> (Decision, Self) {
        let mut each = self.each;
        let first = each.remove(0);
        let wait = each.iter().filter_map(Decision::wait).max().unwrap_or_default();
        let mut others = Self::least(each);
        others.decision.outcome = Outcome::Admitted { wait };
        (first, others)
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

    /// Admits the call at once in shadow, and says so if it was limited.
    pub(crate) fn shadowed<K>(self, limits: &[(K, AnyLimit)]) -> Self {
        let Self { decision, binding, each } = self;
        let each = each.into_iter().zip(limits).map(|(alone, (_, limit))| alone.shadowed(limit)).collect();
        Self { decision: decision.shadowed(&limits[binding].1), binding, each }
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
        if limits.is_empty() {
            return Err(Error::invalid_limits("a call must have a limit"));
        }
        if limits.len() > MAX_LIMITS {
            return Err(Error::invalid_limits("a call may have at most 16 limits"));
        }
        for (index, (key, _)) in limits.iter().enumerate() {
            if limits[..index].iter().any(|(other, _)| other.as_ref() == key.as_ref()) {
                return Err(Error::invalid_limits("a key may be named only once"));
            }
        }
        Ok(Self(limits))
    }

    /// [`new`](Self::new) for rate limits beside a concurrency limit of this key.
    pub(crate) fn beside(key: &str, limits: &'a [(K, AnyLimit)]) -> Result<Self, Error>
    where
        K: AsRef<str>,
    {
        if limits.len() >= MAX_LIMITS {
            return Err(Error::invalid_limits("a call may have at most 16 limits"));
        }
        if limits.iter().any(|(other, _)| other.as_ref() == key) {
            return Err(Error::invalid_limits("a key may be named only once"));
        }
        Self::new(limits)
    }

    pub(crate) const fn get(self) -> &'a [(K, AnyLimit)] {
        self.0
    }
}
