//! A pool of sync connections.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Budget;
use super::confirmation::{Confirmation, Confirmed};
use super::request::Request;
use super::sentinel::Target;
use super::socket::{Failure, Socket};
use crate::Error;

/// How many connections a pool has at most by default.
const DEFAULT_SIZE: usize = 10;

/// A pool of connections to one server. Clones share it.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    target: Target,
    size: Arc<AtomicUsize>,
    state: Mutex<State>,
    /// A connection was returned, made, or lost.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Socket>,
    lent: usize,
    connecting: usize,
    /// The calls that wait for a connection.
    waiting: usize,
    /// When one connection breaks, its whole generation is replaced.
    generation: u64,
    /// The latest failure to connect, and their number.
    failure: Option<Error>,
    failures: u64,
    /// How long replies take at the moment, about.
    round_trip: Duration,
}

/// The right of a call to a connection of its own.
struct Lease<'a> {
    pool: &'a Shared,
    generation: u64,
    /// The connection, when it is as good as before, and how long the replies took.
    returned: Option<(Socket, Duration)>,
}

impl Pool {
    /// Makes no connection yet.
    pub(super) fn new(target: Target) -> Self {
        Self::sized(target, Arc::new(AtomicUsize::new(DEFAULT_SIZE)))
    }

    /// Returns a pool of connections to another server, which has the same size for ever.
    #[cfg(feature = "cluster")]
    pub(super) fn to(&self, target: Target) -> Self {
        Self::sized(target, Arc::clone(&self.0.size))
    }

    fn sized(target: Target, size: Arc<AtomicUsize>) -> Self {
        Self(Arc::new(Shared { target, size, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Returns whether the connections lead to the master that sentinels name.
    pub(super) fn has_sentinels(&self) -> bool {
        self.0.target.may_move()
    }

    /// Sets how many connections there may be.
    pub(super) fn resize(&self, size: NonZeroUsize) {
        self.0.size.store(size.get(), Ordering::Relaxed);
    }

    /// Sends a request, of which nothing is executed twice, waits for its replies, and for replicas
    /// if it is an admitted call that they are to confirm.
    pub(super) fn exchange(
        &self,
        request: Request<'_>,
        budget: Budget,
        confirmation: Option<Confirmation>,
    ) -> Result<Confirmed, Error> {
        let mut was_read_only = false;
        loop {
            let (mut socket, mut lease) = self.0.lend(budget)?;
            let start = Instant::now();
            match socket.exchange(request, budget.left()) {
                Ok(replies) if !replies.are_read_only() => {
                    let took = start.elapsed();
                    let confirmation = confirmation.and_then(|confirmation| confirmation.if_admitted(&replies));
                    let replicas = confirmation.map(|confirmation| confirm(&mut socket, confirmation, budget));
                    if replicas != Some(None) {
                        lease.returned = Some((socket, took));
                    }
                    return Ok((replies, replicas.map(|replicas| replicas.unwrap_or(0))));
                }
                // The address may lead to the new primary by now.
                Ok(replies) => {
                    lease.discard_all();
                    if was_read_only {
                        return Ok((replies, None));
                    }
                    was_read_only = true;
                }
                Err(Failure::NotSent(error)) => {
                    lease.discard_all();
                    if budget.is_over() {
                        return Err(Error::unavailable(error));
                    }
                }
                // The connection goes, as the next call would take a late reply for its own.
                Err(Failure::Lost(error)) if error.is_timeout() => {
                    self.0.state().learn(start.elapsed());
                    // There may be a new master.
                    if self.0.target.may_move() {
                        lease.discard_all();
                    }
                    return Err(Error::no_reply(budget.deadline));
                }
                Err(Failure::Lost(error)) => {
                    lease.discard_all();
                    return Err(Error::reply_lost(error));
                }
            }
        }
    }
}

/// Asks the replicas on the connection of an admitted call. Returns `None` if there is no reply.
fn confirm(socket: &mut Socket, confirmation: Confirmation, budget: Budget) -> Option<u32> {
    let replies = socket.exchange(Request::One(&confirmation.command()), confirmation.time(budget));
    replies.ok().map(Confirmation::read)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Waits for a connection, but only for as long as replies can still return in time.
    fn lend(self: &Arc<Self>, budget: Budget) -> Result<(Socket, Lease<'_>), Error> {
        let mut state = self.state();
        let failures = state.failures;
        let mut time = budget.left();
        let mut has_waited = false;
        loop {
            if time.is_zero() {
                // What woke this call may be of use to another one.
                self.changed.notify_one();
                return Err(state.unavailable_since(failures));
            }
            // Those who came first are served first.
            let is_next = has_waited || state.waiting == 0;
            if let Some(mut socket) = is_next.then(|| state.idle.pop()).flatten() {
                state.lent += 1;
                let lease = Lease { pool: self, generation: state.generation, returned: None };
                drop(state);
                if !socket.is_closed(time) {
                    return Ok((socket, lease));
                }
                drop(lease);
                state = self.state();
                time = budget.left();
                continue;
            }
            let has_failed = state.failures != failures;
            if has_failed && state.lent == 0 {
                self.changed.notify_one();
                return Err(state.unavailable_since(failures));
            }
            let open = state.lent + state.idle.len() + state.connecting;
            if !has_failed && open < self.size() && state.connecting <= state.waiting {
                state.connecting += 1;
                if let Err(error) = self.connect(state.generation) {
                    state.connecting -= 1;
                    state.fail(Error::unconnected(error.into()));
                    continue;
                }
            }
            time = state.time_to_wait(budget);
            state.waiting += 1;
            (state, _) = self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
            has_waited = true;
            time = state.time_to_wait(budget);
        }
    }

    /// Makes a connection on another thread, so that no call waits for longer than its deadline,
    /// and slow connecting still ends.
    fn connect(self: &Arc<Self>, generation: u64) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        let connect = move || {
            let connected = shared.target.connect();
            let mut state = shared.state();
            state.connecting -= 1;
            match connected {
                Ok(socket) if generation == state.generation => state.idle.push(socket),
                Ok(_) => {}
                Err(error) => state.fail(error),
            }
            drop(state);
            shared.changed.notify_all();
        };
        thread::Builder::new().spawn(connect)
    }
}

impl State {
    /// Learns how long replies take, the latest counting most.
    fn learn(&mut self, sample: Duration) {
        self.round_trip = if self.round_trip.is_zero() { sample } else { self.round_trip / 4 * 3 + sample / 4 };
    }

    /// Returns for how much longer a call may wait for a connection, so that its replies still
    /// return in time. After a stall, it may wait for a quarter of its deadline all the same.
    fn time_to_wait(&self, budget: Budget) -> Duration {
        budget.left().saturating_sub((self.round_trip.saturating_mul(2)).min(budget.deadline / 4 * 3))
    }

    fn fail(&mut self, error: Error) {
        self.failure = Some(error);
        self.failures += 1;
    }

    /// Returns why there is no connection for a call that began after so many failures.
    fn unavailable_since(&self, failures: u64) -> Error {
        match &self.failure {
            Some(failure) if self.failures != failures => failure.clone(),
            _ => Error::unavailable("no connection was free or made in time"),
        }
    }
}

impl Lease<'_> {
    /// Discards all connections that are as old as this one.
    fn discard_all(&self) {
        let mut state = self.pool.state();
        if state.generation == self.generation {
            state.generation += 1;
            state.idle.clear();
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.lent -= 1;
        if let Some((socket, took)) = self.returned.take() {
            state.learn(took);
            if self.generation == state.generation && state.lent + state.idle.len() < self.pool.size() {
                state.idle.push(socket);
            }
        }
        drop(state);
        self.pool.changed.notify_one();
    }
}
