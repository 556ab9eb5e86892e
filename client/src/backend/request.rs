//! What a store is asked.

use std::time::Duration;

use premier_algorithms::Units;
use redis::{Cmd, FromRedisValue};

#[cfg(feature = "memory")]
use super::MemoryBackend;
use crate::joint::Limits;
use crate::{AnyLimit, Decision, JointDecision, commands};

/// What each kind of store is asked, and what stands in for the answer of one that does not answer.
pub(crate) trait Request {
    type Answer: Answer;

    /// To a server or a cluster, which get it once.
    fn command(&self) -> Cmd;

    #[cfg(feature = "memory")]
    fn ask(&self, memory: &MemoryBackend) -> Self::Answer;

    /// By [`OnError::Admit`](crate::OnError).
    fn admitted(&self) -> Self::Answer;

    /// By [`OnError::Limit`](crate::OnError), for so long.
    fn limited(&self, pause: Duration) -> Self::Answer;
}

pub(crate) trait Answer: FromRedisValue {
    /// The same from the throttler's own memory.
    #[cfg(feature = "memory")]
    fn locally(self) -> Self;
}

/// Whether a call is admitted. It is charged if so.
pub(crate) struct Check<'a> {
    pub(crate) key: &'a str,
    pub(crate) limit: &'a AnyLimit,
}

impl Request for Check<'_> {
    type Answer = Decision;

    fn command(&self) -> Cmd {
        commands::check(self.key, self.limit)
    }

    #[cfg(feature = "memory")]
    fn ask(&self, memory: &MemoryBackend) -> Decision {
        memory.decide(self.key, *self.limit)
    }

    fn admitted(&self) -> Decision {
        Decision::admitted_unasked(self.limit.units())
    }

    fn limited(&self, pause: Duration) -> Decision {
        Decision::limited_unasked(self.limit.units(), pause)
    }
}

/// What a call would be answered. Changes nothing.
pub(crate) struct Peek<'a>(pub(crate) Check<'a>);

impl Request for Peek<'_> {
    type Answer = Decision;

    fn command(&self) -> Cmd {
        commands::peek(self.0.key, self.0.limit)
    }

    #[cfg(feature = "memory")]
    fn ask(&self, memory: &MemoryBackend) -> Decision {
        memory.peek(self.0.key, *self.0.limit)
    }

    fn admitted(&self) -> Decision {
        self.0.admitted()
    }

    fn limited(&self, pause: Duration) -> Decision {
        self.0.limited(pause)
    }
}

/// Gives back units that were used. Answers how many there were.
pub(crate) struct Refund<'a> {
    pub(crate) key: &'a str,
    /// Which says by what algorithm they were used.
    #[cfg_attr(
        not(feature = "memory"),
        expect(dead_code, reason = "only the memory has not got it from the key's name")
    )]
    pub(crate) limit: &'a AnyLimit,
    pub(crate) units: Units,
}

impl Request for Refund<'_> {
    type Answer = u64;

    fn command(&self) -> Cmd {
        commands::refund(self.key, self.units.get())
    }

    #[cfg(feature = "memory")]
    fn ask(&self, memory: &MemoryBackend) -> u64 {
        memory.give_back(self.key, self.limit, self.units)
    }

    fn admitted(&self) -> u64 {
        0
    }

    fn limited(&self, _: Duration) -> u64 {
        0
    }
}

/// Whether a call is admitted by several limits. It is charged to all of them if so, and to none otherwise.
pub(crate) struct All<'a>(pub(crate) Limits<'a, String>);

impl Request for All<'_> {
    type Answer = JointDecision;

    fn command(&self) -> Cmd {
        commands::all(self.0.get())
    }

    #[cfg(feature = "memory")]
    fn ask(&self, memory: &MemoryBackend) -> JointDecision {
        memory.decide_together(self.0)
    }

    fn admitted(&self) -> JointDecision {
        JointDecision::unasked(self.0, Decision::admitted_unasked)
    }

    fn limited(&self, pause: Duration) -> JointDecision {
        JointDecision::unasked(self.0, |limit| Decision::limited_unasked(limit, pause))
    }
}

impl Answer for Decision {
    #[cfg(feature = "memory")]
    fn locally(self) -> Self {
        Self::locally(self)
    }
}

impl Answer for JointDecision {
    #[cfg(feature = "memory")]
    fn locally(self) -> Self {
        Self::locally(self)
    }
}

impl Answer for u64 {
    #[cfg(feature = "memory")]
    fn locally(self) -> Self {
        self
    }
}
