use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::watch::{Listener, Watch};
use crate::Error;
#[cfg(feature = "memory")]
use crate::backend::Query;
use crate::backend::Request;
use crate::connection::Node;
#[cfg(feature = "memory")]
use crate::{Keyspace, MemoryBackend, Share};

/// What happens to calls while the store does not answer: while it cannot be reached, cannot
/// decide, or lets the deadline pass.
///
/// A store that answers is never overruled, whether it limits a call or refuses it: a wrong
/// password is an error under each policy. While it does not answer, only one call per deadline
/// asks it, and all others are decided at once (with [`OnError::Fail`] every call asks it). In a
/// cluster, each node has outages of its own: while one is down, the others decide on their keys.
/// [`Decision::decided_by`](crate::Decision::decided_by) shows a decision in place of the store's.
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
    /// The call is decided in the memory of this process, by a share of each limit.
    ///
    /// That memory does not know what was used in the store or in other processes, and the store
    /// never learns what is used in that memory. So in an outage n processes with [`Share::WHOLE`]
    /// admit up to n times the limit, in addition to what the store has admitted; with
    /// `Share::one_in(n)` they admit the limit once more.
    ///
    /// The share of a limit has the quota, or the capacity, divided by n and rounded down, and the
    /// rate divided by n. A share with no room for the cost of a call gets that room and a longer
    /// duration instead: a tenth of 3 per minute is 1 per 200 s.
    ///
    /// One lost connection is enough: all calls are then decided locally for one
    /// [deadline](crate::Builder::deadline), 500 ms by default. That memory is empty when the first
    /// outage begins.
    #[cfg(feature = "memory")]
    Local {
        /// The share of each limit.
        share: Share,
    },
}

/// Answers in place of a store that does not answer.
#[derive(Debug)]
pub(super) struct Fallback {
    policy: Policy,
    outages: Outages,
    watch: Watch,
}

/// [`OnError`], with what it needs.
#[derive(Debug)]
enum Policy {
    Fail,
    Admit,
    Limit,
    #[cfg(feature = "memory")]
    Local {
        memory: MemoryBackend,
        share: Share,
    },
}

impl Fallback {
    pub(super) fn new(on_error: OnError, deadline: Duration, listener: Listener) -> Self {
        let policy = match on_error {
            OnError::Fail => Policy::Fail,
            OnError::Admit => Policy::Admit,
            OnError::Limit => Policy::Limit,
            #[cfg(feature = "memory")]
            OnError::Local { share } => Policy::Local { memory: MemoryBackend::new(), share },
        };
        Self { policy, outages: Outages::new(deadline), watch: Watch::new(listener) }
    }

    /// Returns whether a node may be asked now. While it is down, one call per pause may ask it.
    pub(super) fn may_ask(&self, node: impl FnOnce() -> Node) -> bool {
        self.outages.claim_attempt(node)
    }

    /// Returns the answer to a request that the store is not to be asked now.
    #[inline]
    pub(super) fn answer_while_down<R: Request>(
        &self,
        node: impl FnOnce() -> Node,
        request: &R,
    ) -> Option<Result<R::Answer, Error>> {
        if self.outages.claim_attempt(node) { None } else { self.answer(request) }
    }

    /// Learns from a node's answer whether it is up, and replaces the error of an outage.
    #[inline]
    pub(super) fn settle<R: Request>(
        &self,
        node: &Node,
        answer: Result<R::Answer, Error>,
        request: &R,
    ) -> Result<R::Answer, Error> {
        self.learn(node, &answer);
        let is_outage = answer.as_ref().is_err_and(Error::is_outage);
        if is_outage { self.answer(request).unwrap_or(answer) } else { answer }
    }

    /// Learns from a node's answer whether it is up.
    #[inline]
    pub(super) fn learn<T>(&self, node: &Node, answer: &Result<T, Error>) {
        match answer {
            Err(error) if error.is_outage() => {
                let was_up = self.outages.mark_down(node);
                self.watch.failed(error, was_up);
            }
            _ => {
                if self.outages.mark_up(node) {
                    self.watch.is_back();
                }
            }
        }
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.watch.last_error()
    }

    #[cold]
    fn answer<R: Request>(&self, request: &R) -> Option<Result<R::Answer, Error>> {
        match &self.policy {
            Policy::Fail => None,
            Policy::Admit => Some(Ok(request.admitted())),
            Policy::Limit => Some(Ok(request.limited(self.outages.pause))),
            #[cfg(feature = "memory")]
            Policy::Local { memory, share } => Some(request.decide_locally(memory, *share)),
        }
    }

    /// Returns the answer of the memory that decides locally, if there is one.
    #[cfg(feature = "memory")]
    pub(super) fn ask_memory<Q: Query>(&self, query: &Q) -> Option<Result<Q::Answer, Error>> {
        match &self.policy {
            Policy::Local { memory, .. } => Some(query.ask_memory(memory, Instant::now())),
            _ => None,
        }
    }

    #[cfg(feature = "memory")]
    pub(super) fn clear(&self, keyspace: &Keyspace) {
        if let Policy::Local { memory, .. } = &self.policy {
            memory.clear(keyspace);
        }
    }
}

/// Which nodes are down, and when to ask them again.
#[derive(Debug)]
struct Outages {
    start: Instant,
    /// How long a node is not asked after it did not answer.
    pause: Duration,
    /// Whether a node is down, so that calls look no further while none is.
    is_any_down: AtomicBool,
    /// In microseconds after the start, when to ask a node that is down.
    down: RwLock<HashMap<Node, AtomicU64>>,
}

impl Outages {
    fn new(pause: Duration) -> Self {
        Self { start: Instant::now(), pause, is_any_down: AtomicBool::new(false), down: RwLock::default() }
    }

    /// Returns whether a call is to ask the node: each call while it is up, one call per pause
    /// while it is down.
    #[inline]
    fn claim_attempt(&self, node: impl FnOnce() -> Node) -> bool {
        if !self.is_any_down.load(Ordering::Relaxed) {
            return true;
        }
        let down = self.down.read().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = down.get(&node()) else {
            return true;
        };
        let ask_at = at.load(Ordering::Relaxed);
        self.micros_after(Duration::ZERO) >= ask_at
            && at.compare_exchange(ask_at, self.after_pause(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Returns whether the node was up.
    #[cold]
    fn mark_down(&self, node: &Node) -> bool {
        let mut down = self.down.write().unwrap_or_else(PoisonError::into_inner);
        self.is_any_down.store(true, Ordering::Relaxed);
        down.insert(node.clone(), self.after_pause().into()).is_none()
    }

    /// Returns whether the node was the last one that was down. Nodes that no call has asked for a
    /// while, as others have their keys by now, are forgotten.
    #[inline]
    fn mark_up(&self, node: &Node) -> bool {
        self.is_any_down.load(Ordering::Relaxed) && self.mark_up_in_outage(node)
    }

    #[cold]
    fn mark_up_in_outage(&self, node: &Node) -> bool {
        let now = self.micros_after(Duration::ZERO);
        let unasked = u64::try_from(self.pause.as_micros()).unwrap_or(u64::MAX).saturating_mul(2);
        let is_over = |other: &Node, ask_at: &AtomicU64| {
            other == node || ask_at.load(Ordering::Relaxed).saturating_add(unasked) < now
        };
        let down = self.down.read().unwrap_or_else(PoisonError::into_inner);
        if !down.iter().any(|(other, ask_at)| is_over(other, ask_at)) {
            return false;
        }
        drop(down);
        let mut down = self.down.write().unwrap_or_else(PoisonError::into_inner);
        let before = down.len();
        down.retain(|other, ask_at| !is_over(other, ask_at));
        self.is_any_down.store(!down.is_empty(), Ordering::Relaxed);
        before > 0 && down.is_empty()
    }

    fn after_pause(&self) -> u64 {
        self.micros_after(self.pause)
    }

    fn micros_after(&self, later: Duration) -> u64 {
        u64::try_from(self.start.elapsed().saturating_add(later).as_micros()).unwrap_or(u64::MAX)
    }
}
