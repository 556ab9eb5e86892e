use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
#[cfg(feature = "memory")]
use crate::backend::Answer as _;
use crate::backend::Request;
#[cfg(feature = "memory")]
use crate::{Keyspace, MemoryBackend};

/// What happens to a call when the store does not answer: when it can't be reached, can't decide now, or lets the deadline
/// pass.
///
/// A store that answers is never overruled: not when it limits, and not when it refuses a call. While it does not answer, only
/// one call per deadline asks it; all others are decided at once (with [`OnError::Fail`] each call asks). Such a decision says
/// so: [`Decision::decided_by`](crate::Decision::decided_by).
///
/// A call whose reply was lost may have been charged in the store all the same.
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
    /// The call is decided in the memory of this process, by the same limits. What was used in the store before, or in other
    /// processes, is not known there; what is used there is not told to the store.
    #[cfg(feature = "memory")]
    Local,
}

/// Goes on without the store.
#[derive(Debug)]
pub(super) struct Fallback {
    policy: Policy,
    outage: Outage,
}

/// [`OnError`], with what it takes.
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

    /// The answer to what the store is not to be asked.
    pub(super) fn instead<R: Request>(&self, request: &R) -> Option<R::Answer> {
        if self.outage.may_ask() { None } else { self.answer(request) }
    }

    /// Takes what came of asking the store.
    pub(super) fn settle<R: Request>(&self, answer: Result<R::Answer, Error>, request: &R) -> Result<R::Answer, Error> {
        match answer {
            Err(error) if error.is_outage() => {
                self.outage.goes_on();
                self.answer(request).ok_or(error)
            }
            answer => {
                self.outage.is_over();
                answer
            }
        }
    }

    /// Answers in the place of the store, if there is something to answer by.
    fn answer<R: Request>(&self, request: &R) -> Option<R::Answer> {
        match &self.policy {
            Policy::Fail => None,
            Policy::Admit => Some(request.admitted()),
            Policy::Limit => Some(request.limited(self.outage.pause)),
            #[cfg(feature = "memory")]
            Policy::Local(memory) => Some(request.ask(memory).locally()),
        }
    }

    #[cfg(feature = "memory")]
    pub(super) fn clear(&self, keyspace: &Keyspace) {
        if let Policy::Local(memory) = &self.policy {
            memory.clear(keyspace);
        }
    }
}

/// Whether the store answers, and when to ask it again if it does not.
#[derive(Debug)]
struct Outage {
    start: Instant,
    /// How long the store is left alone after it did not answer.
    pause: Duration,
    /// Microseconds after the start; [`ANSWERS`] while the store answers.
    ask_at: AtomicU64,
}

const ANSWERS: u64 = 0;

impl Outage {
    fn new(pause: Duration) -> Self {
        Self { start: Instant::now(), pause, ask_at: AtomicU64::new(ANSWERS) }
    }

    /// True for every call while the store answers, and for one call in each pause while it does not.
    fn may_ask(&self) -> bool {
        let ask_at = self.ask_at.load(Ordering::Relaxed);
        ask_at == ANSWERS
            || self.micros_after(Duration::ZERO) >= ask_at
                && self
                    .ask_at
                    .compare_exchange(ask_at, self.after_pause(), Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
    }

    fn goes_on(&self) {
        self.ask_at.store(self.after_pause(), Ordering::Relaxed);
    }

    fn is_over(&self) {
        self.ask_at.store(ANSWERS, Ordering::Relaxed);
    }

    fn after_pause(&self) -> u64 {
        self.micros_after(self.pause).max(ANSWERS + 1)
    }

    fn micros_after(&self, later: Duration) -> u64 {
        u64::try_from(self.start.elapsed().saturating_add(later).as_micros()).unwrap_or(u64::MAX)
    }
}
