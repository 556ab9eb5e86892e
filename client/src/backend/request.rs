//! What a throttler asks its backend.

use std::time::Duration;

use premier_algorithms::Units;
use redis::{Cmd, FromRedisValue};

use crate::decision::JointLimits;
use crate::{AnyLimit, Decision, JointDecision, wire};
#[cfg(feature = "memory")]
use crate::{Error, MemoryBackend, Share};

/// A request to a backend, with the answers that replace those of a store that does not answer.
pub(crate) trait Request {
    type Answer: FromRedisValue;

    /// Returns the name of the first key, whose slot is that of all others.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a single server has all keys"))]
    fn key(&self) -> &str;

    /// Returns the command for a server or a cluster, which is sent once.
    fn command(&self) -> Cmd;

    #[cfg(feature = "memory")]
    fn decide_in(&self, memory: &MemoryBackend) -> Result<Self::Answer, Error>;

    /// Returns the answer of [`OnError::Local`](crate::OnError), by the memory of the throttler and
    /// this share of the limits.
    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<Self::Answer, Error>;

    /// Returns the answer of [`OnError::Admit`](crate::OnError).
    fn admitted(&self) -> Self::Answer;

    /// Returns the answer of [`OnError::Limit`](crate::OnError).
    fn limited(&self, retry_after: Duration) -> Self::Answer;
}

/// Decides a call, and charges it if it is admitted.
pub(crate) struct Check<'a> {
    pub(crate) key: &'a str,
    pub(crate) limit: &'a AnyLimit,
}

impl Request for Check<'_> {
    type Answer = Decision;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::check(self.key, self.limit)
    }

    #[cfg(feature = "memory")]
    fn decide_in(&self, memory: &MemoryBackend) -> Result<Decision, Error> {
        memory.decide(self.key, *self.limit)
    }

    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<Decision, Error> {
        Ok(memory.decide(self.key, share.of(*self.limit))?.decided_locally(share))
    }

    fn admitted(&self) -> Decision {
        Decision::fallback_admitted(self.limit.units())
    }

    fn limited(&self, retry_after: Duration) -> Decision {
        Decision::fallback_limited(self.limit.units(), retry_after)
    }
}

/// Decides a call without charging it.
pub(crate) struct Peek<'a>(pub(crate) Check<'a>);

impl Request for Peek<'_> {
    type Answer = Decision;

    fn key(&self) -> &str {
        self.0.key
    }

    fn command(&self) -> Cmd {
        wire::peek(self.0.key, self.0.limit)
    }

    #[cfg(feature = "memory")]
    fn decide_in(&self, memory: &MemoryBackend) -> Result<Decision, Error> {
        memory.peek(self.0.key, *self.0.limit)
    }

    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<Decision, Error> {
        Ok(memory.peek(self.0.key, share.of(*self.0.limit))?.decided_locally(share))
    }

    fn admitted(&self) -> Decision {
        self.0.admitted()
    }

    fn limited(&self, retry_after: Duration) -> Decision {
        self.0.limited(retry_after)
    }
}

/// Gives back used units. The answer is their number.
pub(crate) struct Refund<'a> {
    pub(crate) key: &'a str,
    pub(crate) units: Units,
}

impl Request for Refund<'_> {
    type Answer = u64;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::refund(self.key, self.units.get())
    }

    #[cfg(feature = "memory")]
    fn decide_in(&self, memory: &MemoryBackend) -> Result<u64, Error> {
        Ok(memory.refund_units(self.key, self.units))
    }

    /// Gives back nothing, as these units were used in the store.
    #[cfg(feature = "memory")]
    fn decide_locally(&self, _: &MemoryBackend, _: Share) -> Result<u64, Error> {
        Ok(0)
    }

    fn admitted(&self) -> u64 {
        0
    }

    fn limited(&self, _: Duration) -> u64 {
        0
    }
}

/// Decides a call by several limits, and charges it to all of them or to none.
pub(crate) struct All<'a>(pub(crate) JointLimits<'a, String>);

impl Request for All<'_> {
    type Answer = JointDecision;

    fn key(&self) -> &str {
        self.0.get().first().map_or("", |(key, _)| key)
    }

    fn command(&self) -> Cmd {
        wire::all(self.0.get())
    }

    #[cfg(feature = "memory")]
    fn decide_in(&self, memory: &MemoryBackend) -> Result<JointDecision, Error> {
        memory.decide_together(self.0)
    }

    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<JointDecision, Error> {
        let limits: Vec<_> = self.0.get().iter().map(|(key, limit)| (key.as_str(), share.of(*limit))).collect();
        let limits = JointLimits::new(&limits).expect("they have the same keys");
        Ok(memory.decide_together(limits)?.decided_locally(share))
    }

    fn admitted(&self) -> JointDecision {
        JointDecision::fallback(self.0, Decision::fallback_admitted)
    }

    fn limited(&self, retry_after: Duration) -> JointDecision {
        JointDecision::fallback(self.0, |limit| Decision::fallback_limited(limit, retry_after))
    }
}
