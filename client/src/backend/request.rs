//! What a throttler asks its backend.
//!
//! A [`Query`] is answered by the store alone. A [`Request`] has answers for outages, too.

use std::time::Duration;
#[cfg(feature = "memory")]
use std::time::Instant;

use premier_algorithms::Units;
use redis::{Cmd, FromRedisValue};

#[cfg(feature = "script")]
use crate::connection::Call;
use crate::decision::JointLimits;
#[cfg(feature = "script")]
use crate::script::{self, ScriptClock};
use crate::{AnyLimit, Decision, JointDecision, Usage, wire};
#[cfg(feature = "memory")]
use crate::{Error, MemoryBackend, Share};

/// What a store is asked about keys.
pub(crate) trait Query {
    type Answer: FromRedisValue;

    /// Adds that number to an answer, if replicas may confirm it.
    const CONFIRMED: Option<Confirmed<Self::Answer>> = None;

    /// Returns the name of the first key, whose slot is that of all others.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a single server has all keys"))]
    fn key(&self) -> &str;

    /// Returns the command for a server or a cluster that has loaded the module. It is sent once.
    fn command(&self) -> Cmd;

    /// Returns the call for a server or a cluster without the module. It is executed once.
    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call;

    /// Returns the answer of a memory to a query that came at this moment.
    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, came_at: Instant) -> Result<Self::Answer, Error>;
}

/// Returns an answer with the number of replicas that have confirmed it.
pub(crate) type Confirmed<Answer> = fn(Answer, u32) -> Answer;

/// A query with the answers that replace those of a store that does not answer.
pub(crate) trait Request: Query {
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

impl Query for Check<'_> {
    type Answer = Decision;

    const CONFIRMED: Option<Confirmed<Decision>> = Some(Decision::confirmed);

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::check(self.key, self.limit)
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::check(clock, self.key, self.limit)
    }

    #[cfg(feature = "memory")]
    #[inline]
    fn ask_memory(&self, memory: &MemoryBackend, came_at: Instant) -> Result<Decision, Error> {
        memory.decide_at(came_at, self.key, self.limit)
    }
}

impl Request for Check<'_> {
    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<Decision, Error> {
        Ok(memory.decide(self.key, share.of(*self.limit))?.decided_locally(share))
    }

    fn admitted(&self) -> Decision {
        let demand = self.limit.terms().demand;
        Decision::fallback_admitted(self.limit.units()).granting(demand, demand.cost().get())
    }

    fn limited(&self, retry_after: Duration) -> Decision {
        Decision::fallback_limited(self.limit.units(), retry_after).granting(self.limit.terms().demand, 0)
    }
}

/// Decides a call without charging it.
pub(crate) struct Peek<'a>(pub(crate) Check<'a>);

impl Query for Peek<'_> {
    type Answer = Decision;

    fn key(&self) -> &str {
        self.0.key
    }

    fn command(&self) -> Cmd {
        wire::peek(self.0.key, self.0.limit)
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::peek(clock, self.0.key, self.0.limit)
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<Decision, Error> {
        memory.peek(self.0.key, *self.0.limit)
    }
}

impl Request for Peek<'_> {
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

impl Query for Refund<'_> {
    type Answer = u64;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::refund(self.key, self.units.get())
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::refund(clock, self.key, self.units)
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<u64, Error> {
        Ok(memory.refund_units(self.key, self.units))
    }
}

impl Request for Refund<'_> {
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

impl Query for All<'_> {
    type Answer = JointDecision;

    const CONFIRMED: Option<Confirmed<JointDecision>> = Some(JointDecision::confirmed);

    fn key(&self) -> &str {
        self.0.get().first().map_or("", |(key, _)| key)
    }

    fn command(&self) -> Cmd {
        wire::all(self.0.get())
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::all(clock, self.0.get())
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<JointDecision, Error> {
        memory.decide_together(self.0)
    }
}

impl Request for All<'_> {
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

/// Reports what is known of a key.
pub(crate) struct Inspect<'a> {
    pub(crate) key: &'a str,
}

impl Query for Inspect<'_> {
    type Answer = Option<Usage>;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::inspect(self.key)
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::inspect(clock, self.key)
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<Option<Usage>, Error> {
        Ok(memory.inspect(self.key))
    }
}

/// Deletes a key. The answer is whether there was one.
pub(crate) struct Reset<'a> {
    pub(crate) key: &'a str,
}

impl Query for Reset<'_> {
    type Answer = bool;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::reset(self.key)
    }

    #[cfg(feature = "script")]
    fn script(&self, _: ScriptClock) -> Call {
        self.command().into()
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<bool, Error> {
        Ok(memory.reset(self.key))
    }
}
