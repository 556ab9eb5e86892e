//! Calls of several limits, charged to all of them or to none.

use redis::{FromRedisValue, ParsingError, Value};

use crate::{AnyLimit, Decision, Error};

/// The answer to a call of several limits, which is charged to all of them or to none.
///
/// It is admitted if each of them admits it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a call that is limited must not go ahead"]
pub struct JointDecision {
    decision: Decision,
    binding: usize,
    each: Vec<Decision>,
}

impl JointDecision {
    /// The answer to the call: what the binding limit answers, with the longest wait of all.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Which limit binds, counted from 0: of an admitted call the one that leaves the least, of a limited one the one that limits it
    /// for longest. Of several the first one.
    #[must_use]
    pub const fn binding(&self) -> usize {
        self.binding
    }

    /// What each limit would answer alone, in the order of the call. One may admit what others limit; nothing is charged then.
    pub fn each(&self) -> &[Decision] {
        &self.each
    }

    #[cfg(feature = "memory")]
    pub(crate) fn new(joint: &premier_algorithms::Joint, alone: &[premier_algorithms::Decision<()>]) -> Self {
        Self {
            decision: Decision::from(&joint.decision),
            binding: joint.binding,
            each: alone.iter().map(Decision::from).collect(),
        }
    }

    #[cfg(feature = "memory")]
    pub(crate) fn locally(self) -> Self {
        let Self { decision, binding, each } = self;
        Self { decision: decision.locally(), binding, each: each.into_iter().map(Decision::locally).collect() }
    }

    /// What has not been decided, alike for each limit.
    pub(crate) fn unasked<K>(limits: Limits<'_, K>, unasked: impl Fn(u64) -> Decision) -> Self {
        let each: Vec<_> = limits.get().iter().map(|(_, limit)| unasked(limit.units())).collect();
        let least = each.iter().enumerate().min_by_key(|(_, decision)| decision.remaining());
        let (binding, &decision) = least.expect("there is a limit");
        Self { decision, binding, each }
    }
}

/// Reads the reply of `PREMIER.ALL`: the five fields of the binding limit, its index, and the five fields of each.
impl FromRedisValue for JointDecision {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (limited, limit, remaining, wait, reset, binding, each): (_, _, _, _, _, _, Vec<Decision>) =
            FromRedisValue::from_redis_value(value)?;
        if binding >= each.len() {
            return Err(format!("no reply of PREMIER.ALL: limit {binding} of {} binds", each.len()).into());
        }
        Ok(Self { decision: Decision::read([limited, limit, remaining, wait, reset])?, binding, each })
    }
}

/// How many limits a call may have, as the module has it.
const MAX_LIMITS: usize = 16;

/// Limits that a call can have together: one at least, not too many, each of its own key.
#[derive(Debug)]
pub(crate) struct Limits<'a, K>(&'a [(K, AnyLimit)]);

impl<K> Copy for Limits<'_, K> {}

impl<K> Clone for Limits<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, K> Limits<'a, K> {
    pub(crate) fn new(limits: &'a [(K, AnyLimit)]) -> Result<Self, Error>
    where
        K: AsRef<str>,
    {
        if limits.is_empty() {
            return Err(Error::invalid_limits("a call must have a limit"));
        }
        if limits.len() > MAX_LIMITS {
            return Err(Error::invalid_limits("one call may have up to 16 limits"));
        }
        for (index, (key, _)) in limits.iter().enumerate() {
            if limits[..index].iter().any(|(other, _)| other.as_ref() == key.as_ref()) {
                return Err(Error::invalid_limits("a key may be named once only"));
            }
        }
        Ok(Self(limits))
    }

    pub(crate) const fn get(self) -> &'a [(K, AnyLimit)] {
        self.0
    }
}
