//! What a throttler asks about units that are held.

use std::time::Duration;

use redis::Cmd;

use super::{Query, Request};
use crate::decision::JointLimits;
use crate::{AnyLimit, Concurrency, Decision, JointDecision, wire};
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

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend) -> Result<Decision, Error> {
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

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend) -> Result<Decision, Error> {
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

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend) -> Result<u64, Error> {
        Ok(memory.release(self.key, self.id)?)
    }
}

/// Holds units and charges rate limits, or does neither. The concurrency limit is the first of the
/// joint decision.
pub(crate) struct HoldAll<'a> {
    pub(crate) hold: HoldUnits<'a>,
    pub(crate) limits: JointLimits<'a, String>,
}

impl HoldAll<'_> {
    fn rates(&self) -> &[(String, AnyLimit)] {
        self.limits.get()
    }

    fn fallback(&self, hold: Decision, answer: impl Fn(u64) -> Decision) -> JointDecision {
        let rates = self.rates().iter().map(|(_, limit)| answer(limit.units()));
        JointDecision::least([hold].into_iter().chain(rates).collect())
    }
}

impl Query for HoldAll<'_> {
    type Answer = JointDecision;

    fn key(&self) -> &str {
        self.hold.key
    }

    fn command(&self) -> Cmd {
        wire::hold_all(self.hold.key, self.hold.id, &self.hold.concurrency, self.rates())
    }

    #[cfg(feature = "memory")]
    fn ask_memory(&self, memory: &MemoryBackend) -> Result<JointDecision, Error> {
        memory.hold_together(self.hold.key, self.hold.id, self.hold.concurrency, self.limits)
    }
}

impl Request for HoldAll<'_> {
    #[cfg(feature = "memory")]
    fn decide_locally(&self, memory: &MemoryBackend, share: Share) -> Result<JointDecision, Error> {
        let HoldUnits { key, id, concurrency } = self.hold;
        let limits: Vec<_> = self.rates().iter().map(|(key, limit)| (key.as_str(), share.of(*limit))).collect();
        let limits = JointLimits::beside(key, &limits).expect("they have the same keys");
        Ok(memory.hold_together(key, id, share.of_concurrency(concurrency), limits)?.decided_locally(share))
    }

    fn admitted(&self) -> JointDecision {
        self.fallback(self.hold.admitted(), Decision::fallback_admitted)
    }

    fn limited(&self, retry_after: Duration) -> JointDecision {
        self.fallback(self.hold.limited(retry_after), |limit| Decision::fallback_limited(limit, retry_after))
    }
}
