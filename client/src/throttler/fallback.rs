use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
#[cfg(feature = "memory")]
use crate::backend::Answer as _;
use crate::backend::Request;
#[cfg(feature = "memory")]
use crate::{Keyspace, MemoryBackend};

/// What happens to calls while the store does not answer: while it cannot be reached, cannot
/// decide, or lets the deadline pass.
///
/// A store that answers is never overruled, whether it limits a call or refuses it. While it does
/// not answer, only one call per deadline asks it, and all others are decided at once (with
/// [`OnError::Fail`] every call asks it). [`Decision::decided_by`](crate::Decision::decided_by)
/// shows such a decision.
///
/// A call whose reply was lost may have been charged in the store as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnError {
    /// The call returns the error.
    #[default]
    Fail,
    /// The call is admitted.
    Admit,
    /// The call is limited, and may come back when the store is asked again.
    Limit,
    /// The call is decided in the memory of this process, by the same limits.
    ///
    /// That memory does not know what was used in the store or in other processes, and the store
    /// never learns what is used in that memory.
    #[cfg(feature = "memory")]
    Local,
}

/// Answers in place of a store that does not answer.
#[derive(Debug)]
pub(super) struct Fallback {
    policy: Policy,
    outage: Outage,
}

/// [`OnError`], with what it needs.
#[derive(Debug)]
enum Policy {
    Fail,
    Admit,
    Limit,
    #[cfg(feature = "memory")]
    Local(MemoryBackend),
}

impl Fallback {
    pub(super) fn new(on_error: OnError, deadline: Duration) -> Self {
        let policy = match on_error {
            OnError::Fail => Policy::Fail,
            OnError::Admit => Policy::Admit,
            OnError::Limit => Policy::Limit,
            #[cfg(feature = "memory")]
            OnError::Local => Policy::Local(MemoryBackend::new()),
        };
        Self { policy, outage: Outage::new(deadline) }
    }

    /// Returns the answer to a request that the store is not to be asked now.
    pub(super) fn answer_while_down<R: Request>(&self, request: &R) -> Option<R::Answer> {
        if self.outage.claim_attempt() { None } else { self.answer(request) }
    }

    /// Learns from the store's answer whether it is up, and replaces the error of an outage.
    pub(super) fn settle<R: Request>(&self, answer: Result<R::Answer, Error>, request: &R) -> Result<R::Answer, Error> {
        match answer {
            Err(error) if error.is_outage() => {
                self.outage.mark_down();
                self.answer(request).ok_or(error)
            }
            answer => {
                self.outage.mark_up();
                answer
            }
        }
    }

    fn answer<R: Request>(&self, request: &R) -> Option<R::Answer> {
        match &self.policy {
            Policy::Fail => None,
            Policy::Admit => Some(request.admitted()),
            Policy::Limit => Some(request.limited(self.outage.pause)),
            #[cfg(feature = "memory")]
            Policy::Local(memory) => Some(request.decide_in(memory).decided_locally()),
        }
    }

    #[cfg(feature = "memory")]
    pub(super) fn clear(&self, keyspace: &Keyspace) {
        if let Policy::Local(memory) = &self.policy {
            memory.clear(keyspace);
        }
    }
}

/// Whether the store is down, and when to ask it again.
#[derive(Debug)]
struct Outage {
    start: Instant,
    /// How long the store is not asked after it did not answer.
    pause: Duration,
    /// Microseconds after the start; [`UP`] while the store answers.
    ask_at: AtomicU64,
}

const UP: u64 = 0;

impl Outage {
    fn new(pause: Duration) -> Self {
        Self { start: Instant::now(), pause, ask_at: AtomicU64::new(UP) }
    }

    /// Returns whether a call is to ask the store: each call while the store is up, one call per
    /// pause while it is down.
    fn claim_attempt(&self) -> bool {
        let ask_at = self.ask_at.load(Ordering::Relaxed);
        ask_at == UP
            || self.micros_after(Duration::ZERO) >= ask_at
                && self
                    .ask_at
                    .compare_exchange(ask_at, self.after_pause(), Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
    }

    fn mark_down(&self) {
        self.ask_at.store(self.after_pause(), Ordering::Relaxed);
    }

    fn mark_up(&self) {
        self.ask_at.store(UP, Ordering::Relaxed);
    }

    fn after_pause(&self) -> u64 {
        self.micros_after(self.pause).max(UP + 1)
    }

    fn micros_after(&self, later: Duration) -> u64 {
        u64::try_from(self.start.elapsed().saturating_add(later).as_micros()).unwrap_or(u64::MAX)
    }
}
