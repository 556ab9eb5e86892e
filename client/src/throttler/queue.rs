//! Queues of callers that wait to be admitted, one per key: callers that were limited ask the store
//! again in the order in which they came, and not all at the same time.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, mem};

use event_listener::{Event, EventListener};

use super::deadline::Deadline;
use crate::{Decision, RetryAfter};

/// The queues of a throttler. A key has one as long as somebody waits.
#[derive(Default)]
pub(super) struct Queues {
    inner: Mutex<Inner>,
    freed: Freed,
}

/// How often places were freed, each count that of some keys: a caller that was limited meanwhile
/// asks again.
#[derive(Default)]
struct Freed {
    hasher: RandomState,
    counts: [AtomicU64; 32],
}

impl Freed {
    fn count(&self, key: &str) -> &AtomicU64 {
        let counts = self.counts.len() as u64;
        &self.counts[usize::try_from(self.hasher.hash_one(key) % counts).expect("it is less than their number")]
    }
}

#[derive(Default)]
struct Inner {
    queues: HashMap<String, Queue>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Queue {
    /// The callers that wait for their turn to ask, by their tickets.
    waiting: BTreeMap<u64, Waiting>,
    /// The number of callers that were the first, and are asking.
    asking: u64,
    /// How many may ask at the same time.
    at_once: u64,
    /// When the first of them asks.
    ask_at: Instant,
    /// The last answer to a limited caller, and when it came.
    limited: (Decision, Instant),
}

#[derive(Debug)]
struct Waiting {
    turn: Arc<Event>,
    deadline: Deadline,
}

/// A caller that asks until it is admitted. Leaves its queue when dropped.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    queues: &'a Queues,
    key: &'a str,
    ticket: u64,
    deadline: Deadline,
    state: State,
    /// For a place, which another one may free before the retry-after: how often places had been
    /// freed before this caller asked.
    freed: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// In no queue: asks when it likes.
    Outside,
    Waiting(Arc<Event>),
    Asking,
}

/// What a caller does next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Asks the store.
    Ask,
    /// Waits for the event or the moment, whichever is first.
    Wait(EventListener, Instant),
    /// Gives up with this answer, as it would have to wait beyond its deadline.
    GiveUp(Decision),
}

/// Units beyond the next call's that allow one more caller to ask at the same time. Callers that
/// ask at the same time may be served in any order, so there is one at a time while units are few.
const UNITS_PER_CALLER: u64 = 32;

impl Queues {
    /// Makes a caller, which is in no queue yet.
    pub(super) fn caller<'a>(&'a self, key: &'a str, deadline: Deadline) -> Caller<'a> {
        let mut inner = self.lock();
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        Caller { queues: self, key, ticket, deadline, state: State::Outside, freed: None }
    }

    /// Makes a caller that waits for a place. It waits until its deadline: the retry-after of a
    /// limited call is only when a place is free at the latest.
    pub(super) fn caller_for_place<'a>(&'a self, key: &'a str, deadline: Deadline) -> Caller<'a> {
        let mut caller = self.caller(key, deadline);
        caller.freed = Some(0);
        caller
    }

    /// Lets the next caller for a place of this key ask at once.
    pub(super) fn freed(&self, key: &str, now: Instant) {
        self.freed.count(key).fetch_add(1, Ordering::SeqCst);
        if let Some(queue) = self.lock().queues.get_mut(key) {
            queue.ask_at = now;
            queue.wake_next();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints the queues by their keys.
impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().queues.fmt(f)
    }
}

impl Caller<'_> {
    /// Joins the queue of the key, if there is one.
    pub(super) fn join(&mut self) {
        let queues = self.queues;
        if let Some(queue) = queues.lock().queues.get_mut(self.key) {
            self.wait_in(queue);
        }
    }

    /// Returns what to do now, and begins to ask if it is this caller's turn.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let turn = self.take_turn(now);
        if let (Turn::Ask, Some(freed)) = (&turn, &mut self.freed) {
            *freed = self.queues.freed.count(self.key).load(Ordering::SeqCst);
        }
        turn
    }

    fn take_turn(&mut self, now: Instant) -> Turn {
        let State::Waiting(turn) = &self.state else {
            return Turn::Ask;
        };
        let mut inner = self.queues.lock();
        // Before looking, so that no change is missed.
        let listener = turn.listen();
        let queue = inner.queues.get_mut(self.key).expect("this caller is in it");
        let is_next = queue.is_next(self.ticket);
        if is_next && queue.ask_at <= now {
            queue.waiting.remove(&self.ticket);
            queue.asking += 1;
            self.state = State::Asking;
            queue.wake_next();
            return Turn::Ask;
        }
        let is_for_place = self.freed.is_some();
        if self.deadline.get() <= now || (!is_for_place && self.deadline.is_before(queue.ask_at)) {
            let (decision, at) = queue.limited;
            let until = match decision.retry_after() {
                Some(RetryAfter::After(after)) if is_for_place => at + after,
                _ => queue.ask_at,
            };
            return Turn::GiveUp(decision.limited_until(until, at, now));
        }
        let deadline = self.deadline.get();
        Turn::Wait(listener, if is_next { queue.ask_at.min(deadline) } else { deadline })
    }

    /// Leaves the queue with an admitted call. `left` is how many more calls like it would be
    /// admitted now.
    pub(super) fn admitted(&mut self, now: Instant, left: u64) {
        self.leave(|queue| {
            queue.ask_at = now;
            queue.at_once = 1 + left / UNITS_PER_CALLER;
        });
    }

    /// Leaves the queue, and lets all others ask at the same time: one by one, the last would wait
    /// until all others before it have failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.leave(|queue| {
            queue.ask_at = now;
            queue.at_once = u64::MAX;
        });
    }

    /// Goes back to the queue, to ask again at this moment if it is the first by then.
    pub(super) fn limited(&mut self, now: Instant, decision: Decision, ask_at: Instant) {
        let queues = self.queues;
        // A place that was freed since it asked may be free.
        let has_changed = self.freed.is_some_and(|freed| freed != queues.freed.count(self.key).load(Ordering::SeqCst));
        let ask_at = if has_changed { now } else { ask_at };
        let mut inner = queues.lock();
        if !inner.queues.contains_key(self.key) {
            inner.queues.insert(self.key.to_owned(), Queue::new(decision, now, ask_at));
        }
        let queue = inner.queues.get_mut(self.key).expect("it was inserted above");
        if let State::Asking = self.state {
            queue.asking -= 1;
        }
        self.wait_in(queue);
        queue.at_once = 1;
        if queue.is_next(self.ticket) {
            queue.ask_at = ask_at;
            queue.limited = (decision, now);
            queue.wake_hopeless();
        } else {
            queue.wake_next();
        }
    }

    fn wait_in(&mut self, queue: &mut Queue) {
        let turn = Arc::new(Event::new());
        queue.waiting.insert(self.ticket, Waiting { turn: Arc::clone(&turn), deadline: self.deadline });
        self.state = State::Waiting(turn);
    }

    /// Leaves the queue. If this caller was asking, the queue learns from its answer.
    fn leave(&mut self, learn: impl FnOnce(&mut Queue)) {
        let state = mem::replace(&mut self.state, State::Outside);
        if let State::Outside = state {
            return;
        }
        let mut inner = self.queues.lock();
        let queue = inner.queues.get_mut(self.key).expect("this caller is in it");
        if let State::Asking = state {
            queue.asking -= 1;
            learn(queue);
        } else {
            queue.waiting.remove(&self.ticket);
        }
        queue.wake_next();
        if queue.waiting.is_empty() && queue.asking == 0 {
            inner.queues.remove(self.key);
            if inner.queues.is_empty() {
                inner.queues.shrink_to_fit();
            }
        }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.leave(|_| ());
    }
}

impl Queue {
    fn new(decision: Decision, now: Instant, ask_at: Instant) -> Self {
        Self { waiting: BTreeMap::new(), asking: 0, at_once: 1, ask_at, limited: (decision, now) }
    }

    /// Returns whether this caller is the next to ask.
    fn is_next(&self, ticket: u64) -> bool {
        self.asking < self.at_once && self.waiting.first_key_value().is_some_and(|(first, _)| *first == ticket)
    }

    fn wake_next(&self) {
        if self.asking < self.at_once
            && let Some((_, first)) = self.waiting.first_key_value()
        {
            first.turn.notify(1);
        }
    }

    /// Wakes the callers that would have to wait beyond their deadlines.
    fn wake_hopeless(&self) {
        for waiting in self.waiting.values().filter(|waiting| waiting.deadline.is_before(self.ask_at)) {
            waiting.turn.notify(1);
        }
    }
}
