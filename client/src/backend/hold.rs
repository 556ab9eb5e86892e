//! What a throttler asks about units that are held.

use std::time::Duration;
#[cfg(feature = "memory")]
use std::time::Instant;

use redis::Cmd;

use super::{Query, Request};
#[cfg(feature = "script")]
use crate::connection::Call;
use crate::decision::JointLimits;
#[cfg(feature = "script")]
use crate::script::{self, ScriptClock};
use crate::{Concurrency, Decision, JointDecision, wire};
#[cfg(feature = "memory")]
use crate::{Error, MemoryBackend, Share};

/// Holds units, or renews the lease of their holder.
pub(crate) struct HoldUnits<'a> {
    pub(crate) key: &'a str,
    pub(crate) id: &'a [u8],
    pub(crate) concurrency: Concurrency,
}

impl Query for HoldUnits<'_> {
    type Answer = Decision;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::hold(self.key, self.id, &self.concurrency)
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::hold(clock, self.key, self.id, &self.concurrency)
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<Decision, Error> {
        memory.hold(self.key, self.id, self.concurrency)
    }
}

impl Request for HoldUnits<'_> {
    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<Decision, Error> {
        let concurrency = share.of_concurrency(self.concurrency);
        Ok(memory.hold(self.key, self.id, concurrency)?.decided_locally(share))
    }

    fn admitted(&self) -> Decision {
        Decision::fallback_admitted(self.concurrency.quota())
    }

    fn limited(&self, retry_after: Duration) -> Decision {
        Decision::fallback_limited(self.concurrency.quota(), retry_after)
    }
}

/// Decides the call of a new holder, which then holds nothing.
pub(crate) struct PeekHold<'a> {
    pub(crate) key: &'a str,
    pub(crate) concurrency: Concurrency,
}

impl Query for PeekHold<'_> {
    type Answer = Decision;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::peek_hold(self.key, &self.concurrency)
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::peek_hold(clock, self.key, &self.concurrency)
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<Decision, Error> {
        memory.peek_hold(self.key, self.concurrency)
    }
}

impl Request for PeekHold<'_> {
    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<Decision, Error> {
        Ok(memory.peek_hold(self.key, share.of_concurrency(self.concurrency))?.decided_locally(share))
    }

    fn admitted(&self) -> Decision {
        Decision::fallback_admitted(self.concurrency.quota())
    }

    fn limited(&self, retry_after: Duration) -> Decision {
        Decision::fallback_limited(self.concurrency.quota(), retry_after)
    }
}

/// Frees what a holder holds. The answer is the number of its units.
pub(crate) struct Release<'a> {
    pub(crate) key: &'a str,
    pub(crate) id: &'a [u8],
}

impl Query for Release<'_> {
    type Answer = u64;

    fn key(&self) -> &str {
        self.key
    }

    fn command(&self) -> Cmd {
        wire::release(self.key, self.id)
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::release(clock, self.key, self.id)
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<u64, Error> {
        Ok(memory.release(self.key, self.id)?)
    }
}

/// Holds units of at least one concurrency limit and charges rate limits, all of them or none. The
/// concurrency limits are the first of the joint decision.
pub(crate) struct HoldAll<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) holds: &'a [(String, Concurrency)],
    pub(crate) rates: JointLimits<'a, String>,
}

impl HoldAll<'_> {
    fn fallback(&self, answer: impl Fn(u64) -> Decision) -> JointDecision {
        let holds = self.holds.iter().map(|(_, concurrency)| answer(concurrency.quota()));
        let rates = self.rates.get().iter().map(|(_, limit)| answer(limit.units()));
        JointDecision::least(holds.chain(rates).collect())
    }
}

impl Query for HoldAll<'_> {
    type Answer = JointDecision;

    fn key(&self) -> &str {
        self.holds.first().map_or("", |(key, _)| key)
    }

    fn command(&self) -> Cmd {
        wire::hold_all(self.id, self.holds, self.rates.get())
    }

    #[cfg(feature = "script")]
    fn script(&self, clock: ScriptClock) -> Call {
        script::hold_all(clock, self.id, self.holds, self.rates.get())
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend, _: Instant) -> Result<JointDecision, Error> {
        memory.hold_together(self.id, self.holds, self.rates)
    }
}

impl Request for HoldAll<'_> {
    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<JointDecision, Error> {
        let holds = self.holds.iter().map(|(key, concurrency)| (key.as_str(), share.of_concurrency(*concurrency)));
        let rates = self.rates.get().iter().map(|(key, limit)| (key.as_str(), share.of(*limit)));
        let (holds, rates): (Vec<_>, Vec<_>) = (holds.collect(), rates.collect());
        let rates = JointLimits::beside(&holds, &rates).expect("they have the same keys");
        Ok(memory.hold_together(self.id, &holds, rates)?.decided_locally(share))
    }

    fn admitted(&self) -> JointDecision {
        self.fallback(Decision::fallback_admitted)
    }

    fn limited(&self, retry_after: Duration) -> JointDecision {
        self.fallback(|limit| Decision::fallback_limited(limit, retry_after))
    }
}
