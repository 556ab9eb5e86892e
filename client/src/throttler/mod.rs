//! Throttlers: a backend, a keyspace, and what to do while the store does not answer.

mod abandoned;
mod across;
mod builder;
#[cfg(feature = "policies")]
mod by_policy;
mod deadline;
#[cfg(feature = "cache")]
mod denials;
mod fallback;
mod hold;
mod holder;
mod lease;
mod leases;
mod observe;
mod permit;
mod queue;
mod turn;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use premier_algorithms::{Timestamp, Units};
use premier_blocking::also_blocking;

use self::builder::Settings;
use self::deadline::{Deadline, Step};
#[cfg(feature = "cache")]
use self::denials::Denials;
#[cfg(feature = "tokio")]
use self::leases::AsyncLeases;
use self::leases::Leases;
use self::observe::Asked;
use self::queue::Turn;
#[cfg(feature = "tokio")]
use crate::AsyncBackend;
use crate::backend::{All, Check, Inspect, Peek, Query, Refund, Request, Reset};
use crate::connection::{Budget, Confirmation, Node};
use crate::decision::JointLimits;
use crate::key::KeyText;
use crate::lease::StoreLimit;
use crate::receipt::Ledger;
#[cfg(feature = "tokio")]
use crate::time::{async_clock, async_wait};
use crate::time::{clock, wait};
use crate::{
    Admission, AnyAlgorithm, AnyLimit, Backend, Charge, Decision, Error, InvalidArgument, JointDecision, Key, Keyspace,
    Receipt, Usage,
};

pub use self::builder::Builder;
#[cfg(feature = "cache")]
pub(crate) use self::builder::DEFAULT_DEADLINE;
pub use self::fallback::OnError;
#[cfg(feature = "tokio")]
pub use self::permit::AsyncPermit;
pub use self::permit::Permit;
pub use self::watch::StoreChange;

/// Limits calls of sync code. Cheap to clone; clones share what was used.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{Backend, Limit, Throttler, key};
///
/// let throttler = Throttler::builder(Backend::memory()).build();
/// let limit = Limit::fixed_window(1, Duration::from_secs(60));
///
/// assert!(throttler.check(&key!("login", "ada"), limit)?.is_admitted());
/// assert!(!throttler.check(&key!("login", "ada"), limit)?.is_admitted());
/// assert!(throttler.check(&key!("login", "bob"), limit)?.is_admitted());
/// # Ok::<(), premier_client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Throttler {
    backend: Backend,
    settings: Arc<Settings>,
    leases: Option<Arc<Leases>>,
}

/// Limits calls of async code. Cheap to clone; clones share what was used.
///
/// A server and a cluster are reached on tokio. Limits in memory work on any runtime, waiting
/// included.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), premier_client::Error> {
/// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
/// let limit = Limit::fixed_window(1, Duration::from_secs(60));
///
/// assert!(throttler.check(&key!("login", "ada"), limit).await?.is_admitted());
/// assert!(!throttler.check(&key!("login", "ada"), limit).await?.is_admitted());
/// assert!(throttler.check(&key!("login", "bob"), limit).await?.is_admitted());
/// # Ok(())
/// # }
/// ```
///
/// A call that is dropped before it returns may have been charged, or not. A call that is dropped
/// while it waits for its turn in a leaky bucket, or for borrowed tokens, gives its place back, by
/// a task of its own: the store gets the units, but the turns of others do not change.
///
/// Pausing tokio's clock in a test does not pause the limits: they follow the clock of their store.
/// For such tests, use a memory whose clock you control:
/// [`MemoryBackend::with_clock`](crate::MemoryBackend::with_clock).
#[cfg(feature = "tokio")]
#[derive(Debug, Clone)]
pub struct AsyncThrottler {
    backend: AsyncBackend,
    settings: Arc<Settings>,
    leases: Option<Arc<AsyncLeases>>,
}

/// A call that is decided, when, and by which lease, if by any.
struct Decided {
    decision: Decision,
    lease: Option<u64>,
    /// When it came. It was charged no earlier.
    at: Instant,
}

#[also_blocking]
impl AsyncThrottler {
    /// Begins to build a throttler on this backend.
    pub fn builder(backend: impl Into<AsyncBackend>) -> Builder<AsyncBackend> {
        Builder::new(backend.into())
    }

    /// Decides a call at once, and charges it if it is admitted.
    ///
    /// # Errors
    /// If the store does not decide: see [`ErrorKind`](crate::ErrorKind). Being limited is not an
    /// error.
    pub async fn check(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Receipt, Error> {
        let (named, limit) = (key, limit.into());
        // Written where it stays: a copy made at once would wait for the writes.
        let mut key = KeyText::default();
        self.settings.keyspace.write_name(named, limit.algorithm().name(), &mut key);
        let decided = self.decide(&key, &limit).await;
        self.conclude(named, key, &limit, decided)
    }

    /// [`check`](Self::check) for a call that takes `cost` units, 1 to 10¹², whatever the cost of
    /// the limit.
    ///
    /// # Errors
    /// If the cost is out of bounds, and as for [`check`](Self::check).
    pub async fn check_n(&self, key: &Key<'_>, limit: impl Into<AnyLimit>, cost: u64) -> Result<Receipt, Error> {
        self.check(key, limit.into().try_cost(cost)?).await
    }

    /// Decides a call that takes as many units as fit, `at_most` 1 to 10¹², and charges it those:
    /// [`Decision::granted`]. It is limited only if not a single unit fits. A forced limit is not
    /// forced here.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let limit = Limit::sliding_window(100, Duration::from_secs(60));
    /// let first = throttler.check_at_most(&key!("pages"), limit, 70).await?;
    /// let second = throttler.check_at_most(&key!("pages"), limit, 70).await?;
    /// assert_eq!((first.granted(), second.granted()), (Some(70), Some(30)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If `at_most` is out of bounds, and as for [`check`](Self::check).
    pub async fn check_at_most(
        &self,
        key: &Key<'_>,
        limit: impl Into<AnyLimit>,
        at_most: u64,
    ) -> Result<Receipt, Error> {
        self.check(key, limit.into().try_at_most(at_most)?).await
    }

    /// Decides a call by 1 to 16 limits at once, and charges it to all of them or to none,
    /// atomically.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AnyLimit, AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let a_user: AnyLimit = Limit::token_bucket(5, Duration::from_secs(1)).into();
    /// let all_users: AnyLimit = Limit::sliding_window(1_000, Duration::from_secs(60)).into();
    ///
    /// let limits = [(key!("api", "ada"), a_user), (key!("api"), all_users)];
    /// let answer = throttler.check_all(&limits).await?;
    /// assert!(answer.decision().is_admitted());
    /// // The first limit leaves less.
    /// assert_eq!((answer.binding(), answer.decision().remaining()), (0, 4));
    /// assert_eq!(answer.each()[1].remaining(), 999);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// No two limits may have the same key. The algorithm is a part of a key's name, so limits by
    /// different algorithms may share a key; limits by the same algorithm need keys of their own:
    /// `key!("api per second", user)` and `key!("api per day", user)`.
    ///
    /// In a cluster all keys must be in one slot, which is that of the text between the first
    /// braces in their [names](Key). A keyspace like `{shop}` puts all its keys on one node. A
    /// custom part in braces, as in `key!("api", format_args!("{{{user}}}"))`, puts the keys of
    /// each user on one node.
    ///
    /// # Errors
    /// If there is no limit, or more than 16, or two have the same key
    /// ([`Configuration`](crate::ErrorKind::Configuration)); if the keys are in several slots of a
    /// cluster ([`Refused`](crate::ErrorKind::Refused)); and as for [`check`](Self::check).
    pub async fn check_all(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<Receipt<JointDecision>, Error> {
        let (named, limits) = (limits, self.settings.stored(limits)?);
        let decision = self.ask(&All(JointLimits::new(&limits)?)).await;
        let asked = named.iter().zip(&limits).map(|((named, _), (key, limit))| Asked::rate(named, key, limit));
        let decision = self.settings.conclude_together(asked, decision)?;
        Ok(Receipt::joint(self.settings.number, decision, limits))
    }

    /// Returns what [`check`](Self::check) would decide now, including what would
    /// [remain](Decision::remaining) after the call. Charges nothing. It asks the store even where
    /// a denial is [remembered](Builder::remember_denials).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let limit = Limit::fixed_window(2, Duration::from_secs(60));
    /// for _ in 0..3 {
    ///     assert_eq!(throttler.peek(&key!("login"), limit).await?.remaining(), 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the store does not decide, as for [`check`](Self::check).
    pub async fn peek(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        let limit = limit.into();
        let StoreLimit { limit: asked, .. } = self.settings.asked(limit)?;
        let key = self.settings.keyspace.stored(key, limit.algorithm());
        if let Some(decision) = self.leases.as_ref().and_then(|leases| leases.peek(&key, &limit)) {
            return Ok(decision);
        }
        self.ask(&Peek(Check { key: &key, limit: &asked })).await
    }

    /// Gives back what a call was charged, to whoever charged it: the store, or with
    /// [`OnError::Local`](crate::OnError) the memory of this throttler. Returns the number of units
    /// given back, of all limits of the call.
    ///
    /// A call that was limited, or admitted by [`OnError::Admit`](crate::OnError), was charged
    /// nothing, and units that have expired are not given back. After the key was
    /// [reset](Self::reset), by this program or another, a refund takes units of later calls, so do
    /// not refund what was charged before. A sliding window gives back its
    /// newest units first. A bucket does not know whose units have drained: while others use it, a
    /// refund also gives back those of the call that have drained since, which then count twice.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let limit = Limit::sliding_window(5, Duration::from_secs(60)).cost(3);
    /// let receipt = throttler.check(&key!("export", "ada"), limit).await?;
    /// assert!(receipt.is_admitted());
    /// // There was nothing to export.
    /// assert_eq!(throttler.refund(receipt).await?, 3);
    /// assert!(throttler.check(&key!("export", "ada"), limit).await?.is_admitted());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// While the store does not answer, what it was charged is not given back: that is an error
    /// with [`OnError::Fail`](crate::OnError), and 0 units with the other policies.
    ///
    /// # Errors
    /// If another throttler charged it ([`Configuration`](crate::ErrorKind::Configuration)), or if
    /// the store does not answer, as for [`check`](Self::check).
    pub async fn refund(&self, charge: impl Into<Charge>) -> Result<u64, Error> {
        self.give_back(charge.into(), None).await
    }

    /// [`refund`](Self::refund) for a call that needed only some of its units: gives back 1 to 10¹²
    /// units, at most those that it was charged. Of a call with several limits it gives back that
    /// many to each.
    ///
    /// # Errors
    /// If the units are out of bounds, and as for [`refund`](Self::refund).
    pub async fn refund_n(&self, charge: impl Into<Charge>, units: u64) -> Result<u64, Error> {
        self.give_back(charge.into(), Some(Units::new(units).map_err(|_| InvalidArgument::refund(units))?)).await
    }

    /// Gives back 1 to 10¹² units of a key, at most those that are used now, for calls whose
    /// [`Receipt`] is not at hand: those of another process. Returns the number of units given
    /// back. As with [`refund`](Self::refund), units of a bucket that have drained may count twice.
    ///
    /// Only the algorithm of the limit matters, which is a part of the key's name. Always gives
    /// back to the store, never to the memory of [`OnError::Local`](crate::OnError).
    ///
    /// # Errors
    /// If the units are out of bounds, and as for [`refund`](Self::refund).
    pub async fn refund_key(&self, key: &Key<'_>, limit: impl Into<AnyLimit>, units: u64) -> Result<u64, Error> {
        let units = Units::new(units).map_err(|_| InvalidArgument::refund(units))?;
        let key = self.settings.keyspace.stored(key, limit.into().algorithm());
        self.ask_for_refund(&key, units).await
    }

    /// Decides a call, charges it if it is admitted, and waits for its turn, however long that is.
    /// When this returns an admission, the call goes ahead.
    ///
    /// # Errors
    /// If the call is limited ([`QuotaExceeded`](crate::ErrorKind::QuotaExceeded)), and as for
    /// [`check`](Self::check).
    pub async fn admit(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Admission, Error> {
        let (named, limit) = (key, limit.into());
        let key = self.settings.keyspace.stored(key, limit.algorithm());
        let decided = self.decide(&key, &limit).await;
        let receipt = self.conclude(named, key.clone(), &limit, decided)?;
        self.enter(receipt, key).await
    }

    /// Waits for at most this time until the call is admitted and it is its turn.
    ///
    /// A bucket is asked with this [maximum wait](crate::Limit::max_wait), so one command is
    /// enough, unless the limit has a shorter one. Otherwise a limited call sleeps for the
    /// retry-after and asks again. A call that is not admitted is charged nothing. It returns as
    /// soon as it is known that it would have to wait longer than this time: at once if nobody
    /// waits before it.
    ///
    /// Calls of this throttler and its clones that are limited by the same key queue up: they ask
    /// again in the order in which they came, and later calls wait behind them. A call behind
    /// others may return the error only after all of this time, as it is not known before when the
    /// others will be admitted. A call behind one that costs more waits too, or returns the error,
    /// even if its own units are free: otherwise cheap calls could keep the costly one waiting
    /// forever. Use [`check`](Self::check) for a call that should not wait its turn.
    ///
    /// While few units remain, the calls of a queue ask one after the other; while many remain,
    /// several at a time. Dropping a call that waits lets the next one ask. Other processes, and
    /// `check`, do not wait for this queue.
    ///
    /// # Errors
    /// If the call would have to wait longer ([`QuotaExceeded`](crate::ErrorKind::QuotaExceeded)),
    /// and as for [`check`](Self::check).
    pub async fn acquire(
        &self,
        key: &Key<'_>,
        limit: impl Into<AnyLimit>,
        at_most: Duration,
    ) -> Result<Admission, Error> {
        let (named, of_calls) = (key, limit.into());
        let StoreLimit { limit, .. } = self.settings.asked(of_calls)?;
        let key = self.settings.keyspace.stored(key, limit.algorithm());
        let deadline = Deadline::after(async_clock(), at_most);
        let mut caller = self.settings.queues.caller(&key, deadline);
        // Other calls are admitted or refused for good, so they overtake nobody.
        if limit.may_be_admitted_later() {
            caller.join();
        }
        let answer = loop {
            match caller.turn(async_clock()) {
                Turn::Ask => {}
                Turn::Wait(event, until) => {
                    async_wait(event, until).await;
                    continue;
                }
                Turn::GiveUp(decision) => break Ok(Decided { decision, lease: None, at: async_clock() }),
            }
            let limit = limit.waiting_at_most(deadline.left(async_clock()));
            let of_call = of_calls.waiting_at_most(deadline.left(async_clock()));
            let decided = match self.decide(&key, &of_call).await {
                Ok(decided) => decided,
                Err(error) => {
                    caller.failed(async_clock());
                    break Err(error);
                }
            };
            let (now, decision) = (async_clock(), decided.decision);
            match deadline.step(now, &decision, &limit) {
                Step::Go => {
                    caller.admitted(now, decision.remaining() / limit.cost());
                    break Ok(decided);
                }
                Step::AskAt(at) if !self.settings.is_shadow => caller.limited(now, decision, at),
                Step::AskAt(_) | Step::GiveUp => break Ok(decided),
            }
        };
        drop(caller);
        let receipt = self.conclude(named, key.clone(), &limit, answer)?;
        self.enter(receipt, key).await
    }

    /// Returns what is known of a key that this algorithm uses, whatever its limits are; `None` if
    /// nothing of it is used. Charges nothing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Algorithm, AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let key = key!("login", "ada");
    /// assert!(throttler.check(&key, Limit::fixed_window(3, Duration::from_secs(60))).await?.is_admitted());
    /// let usage = throttler.inspect(&key, Algorithm::FixedWindow).await?.expect("it was used");
    /// assert_eq!(usage.used(), 1);
    /// assert!(usage.reset_after() <= Duration::from_secs(60));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It always asks the store, never the memory of [`OnError::Local`](crate::OnError).
    ///
    /// # Errors
    /// If the store does not answer, whatever [`OnError`] says.
    pub async fn inspect(&self, key: &Key<'_>, algorithm: impl Into<AnyAlgorithm>) -> Result<Option<Usage>, Error> {
        let algorithm = algorithm.into();
        let key = self.settings.keyspace.key(key, algorithm);
        self.query(&Inspect { key: &key }).await
    }

    /// Deletes a key that this algorithm uses, as if it had never been used. Returns whether there
    /// was one. A [`Key::exact`] is deleted whatever it holds.
    ///
    /// # Errors
    /// If the store does not answer, whatever [`OnError`] says.
    pub async fn reset(&self, key: &Key<'_>, algorithm: impl Into<AnyAlgorithm>) -> Result<bool, Error> {
        let algorithm = algorithm.into();
        let key = self.settings.keyspace.key(key, algorithm);
        let reset = Reset { key: &key };
        let forget = || {
            #[cfg(feature = "memory")]
            let _ = self.settings.fallback.ask_memory(&reset);
            #[cfg(feature = "cache")]
            self.settings.forget_denials(|denials| denials.forget(&key));
            if let Some(leases) = &self.leases {
                leases.reset(&key);
            }
        };
        forget();
        let answer = self.query(&reset).await;
        // What calls have learned meanwhile.
        forget();
        answer
    }

    /// Deletes all keys of a keyspace, and no others. Returns their number.
    ///
    /// It scans all keys of the server, or of every master of the cluster, in steps of about a
    /// thousand. Keys that are created during the scan may stay.
    ///
    /// # Errors
    /// If the server is one of several nodes of a cluster, whose keys only
    /// `AsyncBackend::cluster` reaches ([`Configuration`](crate::ErrorKind::Configuration)); or if
    /// the store does not answer, in which case some keys may have been deleted.
    pub async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        let forget = || {
            #[cfg(feature = "memory")]
            self.settings.fallback.clear(keyspace);
            #[cfg(feature = "cache")]
            self.settings.forget_denials(Denials::forget_all);
            if let Some(leases) = &self.leases {
                leases.clear(keyspace);
            }
        };
        forget();
        let answer = self.backend.clear(keyspace).await;
        // What calls have learned meanwhile.
        forget();
        answer
    }

    /// Gives back all units that are [leased](Builder::leases), and returns when the store has
    /// them. Call it after the last call of a process: a throttler that is dropped may give them
    /// back in the background, and the process may end before. Without leases, there is nothing to
    /// give back.
    ///
    /// # Errors
    /// If the store does not answer, whatever [`OnError`] says. Units that were not given back
    /// count as used.
    pub async fn give_back_leases(&self) -> Result<(), Error> {
        match &self.leases {
            Some(leases) => leases.give_back().await,
            None => Ok(()),
        }
    }

    /// Makes a limit of `quota` units per `duration` by this throttler's
    /// [`algorithm`](Builder::algorithm).
    ///
    /// # Errors
    /// If the quota is more than 10¹², or the duration not from 1 ms to 3650 days.
    pub fn limit(&self, quota: u64, duration: Duration) -> Result<AnyLimit, Error> {
        Ok(self.settings.algorithm.limit(quota, duration)?)
    }

    /// Returns why the store did not answer the last time that it failed to: the reason of an
    /// outage that [`OnError`] hides. The error is kept when the store answers again.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        self.settings.fallback.last_error()
    }

    /// Returns whether limits are kept in the memory of this process. Calls that do not wait are
    /// then decided immediately: async ones when they are first polled.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.backend.is_memory()
    }

    /// Returns the keyspace of the throttler's keys.
    #[must_use]
    pub fn keyspace(&self) -> &Keyspace {
        &self.settings.keyspace
    }

    /// Waits for the turn of an admitted call.
    async fn enter(&self, receipt: Receipt, key: KeyText) -> Result<Admission, Error> {
        let Some(wait) = receipt.wait() else {
            return Err(Error::quota_exceeded(key.into(), *receipt));
        };
        Ok(self.take_turn(Admission::new(receipt), wait).await)
    }

    /// Reports a decided call, and makes its receipt.
    #[inline]
    fn conclude(
        &self,
        named: &Key<'_>,
        key: KeyText,
        limit: &AnyLimit,
        decided: Result<Decided, Error>,
    ) -> Result<Receipt, Error> {
        let answer = decided.as_ref().map(|decided| &decided.decision);
        self.settings.report(Asked::rate(named, &key, limit), answer);
        let Decided { decision, lease, at } = decided?;
        let decision = self.settings.in_shadow(decision, limit.terms().demand);
        Ok(Receipt::new(self.settings.number, decision, lease, at, key, limit))
    }

    async fn give_back(&self, charge: Charge, at_most: Option<Units>) -> Result<u64, Error> {
        if charge.throttler != self.settings.number {
            return Err(Error::foreign_receipt());
        }
        let (mut refunded, mut failed) = (0, None);
        for entry in charge.into_entries() {
            let units = at_most.map_or(entry.units, |at_most| at_most.min(entry.units));
            let is_put_back =
                |lease| self.leases.as_ref().is_some_and(|leases| leases.put_back(&entry.key, lease, units));
            let answer = match entry.ledger {
                Ledger::Store if entry.lease.is_some_and(is_put_back) => Ok(units.get()),
                Ledger::Store => self.ask_for_refund(&entry.key, units).await,
                #[cfg(feature = "memory")]
                Ledger::Local => {
                    let refund = Refund { key: &entry.key, units };
                    self.settings.fallback.ask_memory(&refund).unwrap_or(Ok(0))
                }
            };
            match answer {
                Ok(units) => refunded += units,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(refunded), Err)
    }

    /// Asks the store, even while it is down.
    async fn query<Q: Query>(&self, query: &Q) -> Result<Q::Answer, Error> {
        let (_, answer) = self.reach(query, &Budget::new(self.settings.deadline), None).await;
        answer
    }

    /// Asks the store, and reports how long that took.
    #[inline]
    pub(super) async fn reach<Q: Query>(
        &self,
        query: &Q,
        budget: &Budget,
        confirmation: Option<&Confirmation>,
    ) -> (Node, Result<Q::Answer, Error>) {
        let answer = self.backend.ask(query, budget, confirmation).await;
        if !self.backend.is_memory() {
            self.settings.observer.asked(budget.start);
        }
        answer
    }

    /// Decides a call by leased units, by what is remembered, or by asking the store.
    #[inline]
    async fn decide(&self, key: &str, limit: &AnyLimit) -> Result<Decided, Error> {
        let mut asked = None;
        if let Some(leases) = &self.leases {
            if let Some(decided) = leases.take(key, limit)? {
                return Ok(decided);
            }
            asked = Some(self.settings.asked(*limit)?.limit);
        }
        let (at, limit) = (clock(), asked.as_ref().unwrap_or(limit));
        #[cfg(feature = "cache")]
        let denials = self.settings.denials.as_ref().map(|denials| (denials, self.now()));
        #[cfg(feature = "cache")]
        if let Some(decision) = denials.and_then(|(denials, now)| denials.recall(key, limit, now)) {
            return Ok(Decided { decision, lease: None, at });
        }
        let decision = self.ask_at(at, &Check { key, limit }).await?;
        #[cfg(feature = "cache")]
        if let Some((denials, sent)) = denials {
            denials.learn(key, limit, decision, sent, self.now());
        }
        Ok(Decided { decision, lease: None, at })
    }

    /// Gives units back to the store.
    async fn ask_for_refund(&self, key: &str, units: Units) -> Result<u64, Error> {
        let refunded = self.ask(&Refund { key, units }).await;
        #[cfg(feature = "cache")]
        self.settings.forget_denials(|denials| denials.forget(key));
        refunded
    }

    /// Returns the time: that of the store if it is in memory, or else that of this process.
    fn now(&self) -> Timestamp {
        self.time_of(async_clock())
    }

    /// Returns [`now`](Self::now) for this moment of the process.
    #[inline]
    fn time_of(&self, now: Instant) -> Timestamp {
        self.backend.memory_now().unwrap_or_else(|| self.settings.time_of(now))
    }

    async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, Error> {
        self.ask_at(clock(), request).await
    }

    /// Asks the store, or the fallback while it is down, for a call that came at this moment.
    #[inline]
    async fn ask_at<R: Request>(&self, at: Instant, request: &R) -> Result<R::Answer, Error> {
        #[cfg(feature = "memory")]
        if let Some(memory) = self.backend.as_memory() {
            // It is never down.
            return request.ask_memory(memory, at);
        }
        let Settings { fallback, deadline, confirmation, observer, .. } = &*self.settings;
        if let Some(answer) = fallback.answer_while_down(|| self.backend.node(request), request) {
            return answer;
        }
        let budget = Budget::since(at, *deadline);
        // Not by `reach`: each function on the way adds to the future of every call.
        let (node, answer) = self.backend.ask(request, &budget, confirmation.as_ref()).await;
        observer.asked(budget.start);
        fallback.settle(&node, answer, request)
    }
}
