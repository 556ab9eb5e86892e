//! Decides calls by units that were charged ahead. A keeper (a task or a thread) asks for the next
//! lease before one is used up, and gives back what is left.

mod pool;
mod pools;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use event_listener::{Event, EventListener};
use premier_algorithms::{Clock, Span, Timestamp, Units};
use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use tokio::runtime::Handle;

use self::pool::Pool;
use self::pools::{Answer, Errand, Place, Pools};
#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::builder::Settings;
#[cfg(feature = "tokio")]
use super::turn::in_background;
use super::{Decided, Throttler};
use crate::backend::{Check, Refund};
use crate::connection::Budget;
#[cfg(feature = "tokio")]
use crate::time::{async_clock, async_wait};
use crate::time::{clock, wait};
use crate::{AnyLimit, Decision, Error, Keyspace, Lease};

/// The leased units of a throttler. Gives back what is left when it is dropped.
#[also_blocking]
pub(super) struct AsyncLeases {
    pools: Pools,
    work: Arc<Work>,
    /// Asks the store for each call.
    store: AsyncThrottler,
}

/// What the keeper has to do.
#[derive(Debug, Default)]
struct Work {
    list: Mutex<List>,
    has_changed: Event,
    /// The keeper has run its errands.
    rests: Event,
}

#[derive(Debug, Default)]
struct List {
    errands: VecDeque<Errand>,
    /// Where to look for idle leases, and when, earliest first.
    visits: VecDeque<(Timestamp, Place)>,
    has_keeper: bool,
    /// Whether the keeper runs an errand.
    is_running: bool,
}

/// What the keeper does next.
enum Step {
    Go(Box<Errand>),
    WaitFor(Duration),
    Stop,
}

impl Work {
    fn add(&self, errand: Errand) {
        self.lock().errands.push_back(errand);
        self.has_changed.notify(1);
    }

    /// Returns whether a keeper has to be started: there are errands, and the runtime of the last
    /// keeper has ended.
    fn needs_keeper(&self) -> bool {
        let mut list = self.lock();
        let needs_keeper = !list.has_keeper && !list.errands.is_empty();
        list.has_keeper |= needs_keeper;
        needs_keeper
    }

    fn visit(&self, at: Timestamp, place: Place) {
        self.lock().visits.push_back((at, place));
    }

    fn next(&self, now: Timestamp) -> Step {
        let mut list = self.lock();
        let step = match (list.errands.pop_front(), list.visits.front()) {
            (Some(errand), _) => Step::Go(Box::new(errand)),
            (None, Some((at, _))) if *at > now => Step::WaitFor(Duration::from_micros(at.since(now).as_micros())),
            (None, _) => {
                list.visits.pop_front().map_or(Step::Stop, |(_, place)| Step::Go(Box::new(Errand::LetGo(place))))
            }
        };
        match step {
            Step::Go(_) => list.is_running = true,
            Step::WaitFor(_) => self.rest(&mut list),
            Step::Stop => self.end(&mut list),
        }
        step
    }

    fn rest(&self, list: &mut List) {
        list.is_running = false;
        self.rests.notify(usize::MAX);
    }

    /// Lets another keeper begin.
    fn end(&self, list: &mut List) {
        list.has_keeper = false;
        self.rest(list);
    }

    /// Returns an event that comes when the keeper has run its errands; `None` if it has none.
    fn until_keeper_rests(&self) -> Option<EventListener> {
        // Before looking, so that no change is missed.
        let listener = self.rests.listen();
        let list = self.lock();
        (list.has_keeper && (list.is_running || !list.errands.is_empty())).then_some(listener)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets another keeper begin if the runtime ends before the work is done.
struct Keeping {
    work: Arc<Work>,
    is_done: bool,
}

impl Keeping {
    fn new(work: &Arc<Work>) -> Self {
        Self { work: Arc::clone(work), is_done: false }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if !self.is_done {
            self.work.end(&mut self.work.lock());
        }
    }
}

/// A request for a lease. A function learns its answer, or `None` if this is dropped before the
/// answer comes.
struct Asking<F: FnOnce(Option<Decision>)>(Option<F>);

impl<F: FnOnce(Option<Decision>)> Asking<F> {
    fn new(learn: F) -> Self {
        Self(Some(learn))
    }

    fn end(mut self, answer: Option<Decision>) {
        self.learn(answer);
    }

    fn learn(&mut self, answer: Option<Decision>) {
        if let Some(learn) = self.0.take() {
            learn(answer);
        }
    }
}

impl<F: FnOnce(Option<Decision>)> Drop for Asking<F> {
    fn drop(&mut self) {
        self.learn(None);
    }
}

#[also_blocking]
impl AsyncLeases {
    pub(super) fn new(lease: Lease, store: AsyncThrottler) -> Self {
        Self { pools: Pools::new(lease, !store.backend.is_memory()), work: Arc::default(), store }
    }

    /// Decides a call by leased units, if there are enough.
    ///
    /// # Errors
    /// If the limit is never leased.
    #[inline]
    pub(super) fn take(self: &Arc<Self>, key: &str, limit: &AnyLimit) -> Result<Option<Decided>, Error> {
        let mut at = None;
        let reading = || self.store.time_of(*at.insert(async_clock()));
        match self.pools.take_concurrently(key, limit, reading).zip(at) {
            Some(((decision, lease), at)) => Ok(Some(Decided { decision, lease: Some(lease), at })),
            None => self.take_alone(key, limit),
        }
    }

    /// [`take`](Self::take) where the keeper may have something to do.
    #[inline(never)]
    fn take_alone(self: &Arc<Self>, key: &str, limit: &AnyLimit) -> Result<Option<Decided>, Error> {
        let mut at = None;
        let reading = || self.store.time_of(*at.insert(async_clock()));
        let Answer { taken, errand } = self.pools.take(key, limit, reading, || self.store.settings.asked(*limit))?;
        let is_asked = errand.is_some();
        match errand {
            Some(errand) if self.store.backend.is_memory() => self.run_at_once(errand),
            Some(errand) => self.work.add(errand),
            None => {}
        }
        // An earlier keeper may have left errands.
        if (is_asked || taken.is_none()) && self.work.needs_keeper() {
            self.start_keeper();
        }
        Ok(taken.zip(at).map(|((decision, lease), at)| Decided { decision, lease: Some(lease), at }))
    }

    pub(super) fn peek(&self, key: &str, limit: &AnyLimit) -> Option<Decision> {
        self.pools.peek(key, limit, || self.store.now())
    }

    /// Puts units back into their lease. Returns `false` if it has ended.
    pub(super) fn put_back(&self, key: &str, number: u64, units: Units) -> bool {
        self.pools.put_back(key, number, units.get(), || self.store.now())
    }

    /// Forgets the units of a key that is reset.
    pub(super) fn reset(&self, key: &str) {
        self.pools.reset(key);
    }

    /// Forgets the units of a keyspace that is cleared.
    pub(super) fn clear(&self, keyspace: &Keyspace) {
        self.pools.clear(&keyspace.prefix());
    }

    /// Gives back all units, including those of a lease that is being asked for.
    pub(super) async fn give_back(&self) -> Result<(), Error> {
        if let Some(rest) = self.work.until_keeper_rests() {
            async_wait(rest, async_clock() + self.store.settings.deadline).await;
        }
        async_give_all_back(&self.store, self.pools.drain(), self.delay()).await
    }

    async fn run(&self, errand: Errand) {
        match errand {
            Errand::Lease(place, units) => self.ask_for(&place, units).await,
            Errand::LetGo(place) => self.let_go(place).await,
        }
    }

    async fn ask_for(&self, place: &Place, units: u64) {
        let limit = place.leased.try_at_most(units).expect("a lease is at most its limit");
        let check = Check { key: &place.key, limit: &limit };
        let sent = self.store.now();
        // The pool learns of it even if the runtime ends before the answer comes.
        let asking = Asking::new(|answer: Option<Decision>| {
            let visit_at = self.pools.with(
                place,
                || self.store.now(),
                |now, pool| {
                    match answer {
                        Some(decision) => pool.answered(units, sent, now, self.pools.number(), decision),
                        None => pool.failed(now, self.store.settings.deadline),
                    }
                    pool.next_visit(now)
                },
            );
            if let Some(Some(at)) = visit_at {
                self.visit(at, place.clone());
            }
        });
        let answer = self.charge(&check).await;
        asking.end(answer);
    }

    /// Asks the store. A node that does not answer is asked only by one call per deadline.
    async fn charge(&self, check: &Check<'_>) -> Option<Decision> {
        let Settings { fallback, deadline, confirmation, .. } = &*self.store.settings;
        if !fallback.may_ask(|| self.store.backend.node(check)) {
            return None;
        }
        let (node, answer) = self.store.reach(check, &Budget::new(*deadline), confirmation.as_ref()).await;
        fallback.learn(&node, &answer);
        answer.ok()
    }

    /// Makes the keeper look for idle leases. In memory, the next call does that.
    fn visit(&self, at: Timestamp, place: Place) {
        if !self.store.backend.is_memory() {
            self.work.visit(at, place);
        }
    }

    /// Drops the leases of a pool that have ended or are idle, and gives back their units. If
    /// leases are left, it looks again later.
    async fn let_go(&self, place: Place) {
        let delay = self.delay();
        let looked = self.pools.with(
            &place,
            || self.store.now(),
            |now, pool| {
                let units = pool.let_go(now, delay);
                pool.visited();
                (units, if pool.has_leases() { pool.next_visit(now) } else { None })
            },
        );
        let Some((units, look_again)) = looked else { return };
        // What does not arrive counts as used.
        let _ = async_give_back(&self.store, &place.key, units).await;
        if let Some(at) = look_again {
            self.visit(at, place);
        }
    }

    /// Returns how long a refund takes to arrive, at most: it begins no later than one deadline
    /// from now, and is given up one deadline after that.
    fn delay(&self) -> Span {
        if self.store.backend.is_memory() {
            return Span::ZERO;
        }
        let twice = self.store.settings.deadline.saturating_mul(2);
        Span::from_micros(u64::try_from(twice.as_micros()).unwrap_or(u64::MAX))
    }
}

#[also_blocking]
async fn async_give_back(store: &AsyncThrottler, key: &str, units: u64) -> Result<(), Error> {
    if let Ok(units) = Units::new(units) {
        store.query_within(&Refund { key, units }, store.settings.deadline).await?;
    }
    Ok(())
}

/// Gives back what is left of these pools, until the store does not answer.
#[also_blocking]
async fn async_give_all_back(
    store: &AsyncThrottler,
    pools: Vec<(Arc<str>, Pool, Clock)>,
    delay: Span,
) -> Result<(), Error> {
    for (key, mut pool, mut clock) in pools {
        let units = pool.let_all_go(clock.read(store.now()).at(), delay);
        async_give_back(store, &key, units).await?;
    }
    Ok(())
}

/// Does the keeper's work, until all leases have ended or the throttler is dropped.
#[also_blocking]
async fn async_keep(leases: &Weak<AsyncLeases>, mut keeping: Keeping) {
    while !keeping.is_done {
        let change = keeping.work.has_changed.listen();
        let Some(leases) = leases.upgrade() else { return };
        match leases.work.next(leases.store.now()) {
            Step::Go(errand) => leases.run(*errand).await,
            Step::WaitFor(time) => {
                drop(leases);
                async_wait(change, async_clock() + time).await;
            }
            Step::Stop => keeping.is_done = true,
        }
    }
}

#[cfg(feature = "tokio")]
impl AsyncLeases {
    /// Runs an errand at once, as the memory of this process answers immediately.
    fn run_at_once(self: &Arc<Self>, errand: Errand) {
        let leases = Arc::clone(self);
        in_background(None, async move { leases.run(errand).await });
    }

    fn start_keeper(self: &Arc<Self>) {
        let keeping = Keeping::new(&self.work);
        // Outside tokio no server is reached either.
        if let Ok(runtime) = Handle::try_current() {
            let leases = Arc::downgrade(self);
            drop(runtime.spawn(async move { async_keep(&leases, keeping).await }));
        }
    }
}

impl Leases {
    fn run_at_once(&self, errand: Errand) {
        self.run(errand);
    }

    fn start_keeper(self: &Arc<Self>) {
        let (leases, keeping) = (Arc::downgrade(self), Keeping::new(&self.work));
        let thread = thread::Builder::new().name("premier-leases".to_owned());
        // Without a thread, each call asks the store.
        let _ = thread.spawn(move || keep(&leases, keeping));
    }
}

#[cfg(feature = "tokio")]
impl Drop for AsyncLeases {
    fn drop(&mut self) {
        self.work.has_changed.notify(1);
        let pools = self.pools.drain();
        if !pools.is_empty() {
            let runtime = Handle::try_current().ok();
            let (store, delay) = (self.store.clone(), self.delay());
            in_background(runtime.as_ref(), async move {
                let _ = async_give_all_back(&store, pools, delay).await;
            });
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.work.has_changed.notify(1);
        let _ = give_all_back(&self.store, self.pools.drain(), self.delay());
    }
}

#[also_blocking]
impl fmt::Debug for AsyncLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(stringify!(AsyncLeases)).field("pools", &self.pools).finish_non_exhaustive()
    }
}
