use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use premier_algorithms::{Demand, Timestamp};
use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use super::abandoned::Abandoned;
#[cfg(feature = "cache")]
use super::denials::Denials;
use super::fallback::{Fallback, OnError};
#[cfg(feature = "tokio")]
use super::leases::AsyncLeases;
use super::leases::Leases;
use super::observe::{Asked, Observer};
use super::queue::Queues;
use super::watch::{Listener, StoreChange};
#[cfg(feature = "tokio")]
use crate::AsyncBackend;
#[cfg(feature = "policies")]
use crate::Policies;
use crate::connection::Confirmation;
use crate::lease::StoreLimit;
use crate::time::clock;
use crate::{Algorithm, AnyLimit, Backend, Decision, Error, JointDecision, Key, Keyspace, Lease};

/// How long a call to the store may take by default.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_millis(500);

/// Builds a [`Throttler`] or an [`AsyncThrottler`](crate::AsyncThrottler).
#[derive(Debug, Clone)]
#[must_use = "a builder limits nothing until it is built"]
pub struct Builder<B> {
    pub(crate) backend: B,
    keyspace: Keyspace,
    algorithm: Algorithm,
    deadline: Duration,
    confirmation: Option<Confirmation>,
    on_error: OnError,
    listener: Listener,
    is_shadow: bool,
    lease: Option<Lease>,
    #[cfg(feature = "cache")]
    remembered_for: Option<Duration>,
    observer: Observer,
    #[cfg(feature = "policies")]
    policies: Option<Policies>,
}

/// What all clones of a throttler share.
#[derive(Debug)]
pub(super) struct Settings {
    /// Counts the throttlers of this process, so that a receipt knows its own.
    pub(super) number: u64,
    pub(super) keyspace: Keyspace,
    pub(super) algorithm: Algorithm,
    pub(super) deadline: Duration,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) fallback: Fallback,
    pub(super) queues: Queues,
    pub(super) abandoned: Abandoned,
    /// Whether calls are admitted that the store limits.
    pub(super) is_shadow: bool,
    pub(super) lease: Option<Lease>,
    #[cfg(feature = "cache")]
    pub(super) denials: Option<Denials>,
    /// When the throttler was built, from which its time counts.
    start: Instant,
    pub(super) observer: Observer,
    #[cfg(feature = "policies")]
    pub(super) policies: Option<Policies>,
}

impl<B> Builder<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self {
            backend,
            keyspace: Keyspace::default(),
            algorithm: Algorithm::default(),
            deadline: DEFAULT_DEADLINE,
            confirmation: None,
            on_error: OnError::default(),
            listener: Listener::default(),
            is_shadow: false,
            lease: None,
            #[cfg(feature = "cache")]
            remembered_for: None,
            observer: Observer::default(),
            #[cfg(feature = "policies")]
            policies: None,
        }
    }

    /// Sets the keyspace of the throttler's keys; `premier` by default.
    pub fn keyspace(self, keyspace: Keyspace) -> Self {
        Self { keyspace, ..self }
    }

    /// Sets the algorithm of limits that do not name one; a token bucket by default.
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Sets how long a call to the store may take, connecting included; 500 ms by default.
    ///
    /// A store, or a node of a cluster, that has not replied by then counts as down.
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Waits, after a call was admitted, until this many replicas have received what it was
    /// charged, but no longer than this timeout.
    /// [`Decision::confirmed_by`](crate::Decision::confirmed_by) is the number of replicas that
    /// have received it by then.
    ///
    /// Replicas receive what was charged a moment after the reply, so a failover may forget the
    /// calls of that moment, and admit as many again. A replica that has confirmed a call knows it,
    /// and so does the store after a failover to that replica.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, Limit, Throttler, key};
    ///
    /// let throttler = Throttler::builder(Backend::redis("redis://127.0.0.1/")?)
    ///     .confirmed_by(1, Duration::from_millis(100))
    ///     .build();
    /// let limit = Limit::fixed_window(1, Duration::from_secs(24 * 60 * 60));
    /// let receipt = throttler.check(&key!("voucher", "ada"), limit)?;
    /// if receipt.confirmed_by() == Some(0) {
    ///     // It was charged, and a failover may forget it. Go ahead, or give it back:
    ///     throttler.refund(receipt)?;
    /// }
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// A call that too few replicas confirm is not an error: it was charged, and whether it goes
    /// ahead is the caller's choice. The same holds for a call whose confirmation is lost, or for
    /// which the server refuses the command WAIT: it counts as confirmed by none. Limited calls
    /// wait for no replica, as they change nothing.
    ///
    /// A user of the server needs the right to `+wait`.
    ///
    /// A confirmed call costs one more round trip, and the way from the server to the replica and
    /// back. The server answers nothing else on its connection meanwhile. So async calls do not
    /// share one: each has a connection to itself, of at most 100 to each server. Sync calls need
    /// as many connections as calls wait at a time
    /// ([`max_connections`](crate::Backend::max_connections)). While replicas do not answer, each
    /// admitted call takes this timeout and its connection with it, so it should be short. Servers
    /// check for timeouts ten times a second, so it may take 0.1 s longer.
    ///
    /// Of connections that you supply, those of a pool can confirm calls, and so can a
    /// `MultiplexedConnection`, on which all other calls wait meanwhile. Their own timeouts must be
    /// longer than this one. A `ConnectionManager` and a `ClusterConnection` connect anew on their
    /// own, and cannot say who has confirmed what: their calls are errors
    /// ([`Configuration`](crate::ErrorKind::Configuration)). A backend in memory has no replicas
    /// and ignores this, and nobody confirms what [`OnError`] or a [lease](Self::leases) decides:
    /// `confirmed_by` is then `None`.
    pub fn confirmed_by(self, replicas: u32, timeout: Duration) -> Self {
        Self { confirmation: Some(Confirmation::by(replicas, timeout)), ..self }
    }

    /// Sets what happens to calls while the store does not answer; [`OnError::Fail`] by default.
    pub fn on_error(self, on_error: OnError) -> Self {
        Self { on_error, ..self }
    }

    /// Calls this listener when the store stops answering, with the reason, and when it answers
    /// again. Most outages are noticed only by a call that fails.
    ///
    /// It runs in the call that noticed the change, so it should return soon.
    ///
    /// ```
    /// use premier_client::{AsyncBackend, AsyncThrottler, OnError, StoreChange};
    ///
    /// let throttler = AsyncThrottler::builder(AsyncBackend::redis("redis://127.0.0.1/")?)
    ///     .on_error(OnError::Admit)
    ///     .on_store_change(|change| match change {
    ///         StoreChange::Down(error) => eprintln!("no limits: {error:#}"),
    ///         _ => eprintln!("limits again"),
    ///     })
    ///     .build();
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    pub fn on_store_change(self, listener: impl Fn(StoreChange) + Send + Sync + 'static) -> Self {
        Self { listener: Listener::new(listener), ..self }
    }

    /// Sets whether the events of a limited call have its key as a field; they do by default. A key
    /// may contain what should not be logged, like the address of a user.
    ///
    /// ```
    /// use premier_client::{Backend, Throttler};
    ///
    /// let throttler = Throttler::builder(Backend::memory()).trace_keys(false).build();
    /// # let _ = throttler;
    /// ```
    #[cfg(feature = "tracing")]
    pub fn trace_keys(mut self, are_traced: bool) -> Self {
        self.observer.trace_keys(are_traced);
        self
    }

    /// Charges calls as usual, but admits at once every call that is decided, to try limits on real
    /// traffic. A call that is limited only in shadow is decided by
    /// [`DecidedBy::Shadow`](crate::DecidedBy), and is shown by [metrics and
    /// events](crate#see-it-from-outside).
    ///
    /// A limited call changes nothing in the store, so a shadow sees what the limits would do if
    /// limited calls did not come back. [`acquire`](Throttler::acquire) and
    /// [`hold_within`](Throttler::hold_within) do not wait: a call that would have to ask again
    /// counts as limited. A permit that is admitted only in shadow holds nothing.
    /// [`peek`](Throttler::peek) shows the decision of the limit. With [`OnError::Fail`], an outage
    /// is an error in shadow, too; with [`OnError::Admit`] nothing stops a call.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, DecidedBy, Limit, Throttler, key};
    ///
    /// let throttler = Throttler::builder(Backend::memory()).shadow().build();
    /// let limit = Limit::fixed_window(1, Duration::from_secs(60));
    /// for decided_by in [DecidedBy::Store, DecidedBy::Shadow] {
    ///     let decision = throttler.check(&key!("login", "ada"), limit)?;
    ///     assert!(decision.is_admitted());
    ///     assert_eq!(decision.decided_by(), decided_by);
    /// }
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    pub fn shadow(self) -> Self {
        Self { is_shadow: true, ..self }
    }

    /// Charges units ahead, a lease at a time, and decides calls by them instead of asking the
    /// store for each call: see [`Lease`].
    ///
    /// A limit that thousands of processes share is one key on one server, which decides half a
    /// million to a million calls a second. A process that leases a thousand units at a time asks
    /// the store once per thousand calls, and decides all others in less than a microsecond.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, DecidedBy, Lease, Limit, Throttler, key};
    ///
    /// let throttler = Throttler::builder(Backend::memory())
    ///     .leases(Lease::of(1_000).held_for(Duration::from_secs(1)))
    ///     .build();
    /// let everyone = Limit::sliding_window(1_000_000, Duration::from_secs(60));
    /// for _ in 0..100 {
    ///     assert!(throttler.check(&key!("everyone"), everyone)?.is_admitted());
    /// }
    /// assert_eq!(throttler.check(&key!("everyone"), everyone)?.decided_by(), DecidedBy::Lease);
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// # Never too much
    ///
    /// A unit is charged before it is used, so all processes together never use more units than the
    /// limit admits, even if processes die or replies are lost. As a unit may be used for up to
    /// [`held_for`](Lease::held_for) after it was charged, the store is asked for a little less:
    ///
    /// - A sliding window admits its quota in its duration plus `held_for`.
    /// - The capacity of a token bucket is smaller by what refills in `held_for`, and so is
    ///   [`Decision::limit`](crate::Decision::limit). A call that costs more is never admitted.
    /// - Units of a fixed window are dropped a moment before it ends.
    /// - A leaky bucket gives turns and a concurrency limit gives places, which can't be leased:
    ///   calls with them are errors ([`Configuration`](crate::ErrorKind::Configuration)).
    ///
    /// The limit travels with the call, so all throttlers that charge a key must hold units for the
    /// same time. Their limits must all be leased, or all be too small for that (less than 32
    /// units). Otherwise the store may forget units of a sliding window while others hold them. If
    /// the duration of a fixed window changes, units that are leased at that moment may be used in
    /// the window that this opens.
    ///
    /// A call gets all its units from leases, or all from the store. So a call of many units may be
    /// limited even if both have enough together.
    ///
    /// # How much is leased
    ///
    /// A lease has as many units as calls are expected to use in half of `held_for`, judged by the
    /// calls since the last lease: at most twice as many as the last one, at most the units of the
    /// [`Lease`], and at most a sixteenth of the limit. When half of a lease is used, the next one
    /// is asked for in the background: by a task, or for sync code by a thread. No call waits for
    /// that. Each call asks the store itself while there are too few units, where calls are rare,
    /// where the limit is less than 32 units, and where the bucket refills within `held_for`.
    ///
    /// Unused units are given back when a lease ends, when it was idle for half of `held_for`, when
    /// the last clone of the throttler is dropped, and by
    /// [`give_back_leases`](Throttler::give_back_leases), which a process calls before it ends. A
    /// token bucket gets back only what has certainly not drained since. A sliding window gets
    /// nothing back, as a refund would take its newest units, which may be those of others: what is
    /// unused counts as used. So do the units of a process that dies. In memory there is no task:
    /// the next call on a key gives back what was left of its leases.
    ///
    /// Calls with several limits ([`check_all`](Throttler::check_all)) always ask the store. A
    /// [forced](crate::Limit::forced) call asks it when too few units are leased. A refund puts
    /// units back into their lease, and after its end into the store.
    pub fn leases(self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// Remembers limited calls: until its retry-after, calls with the same key and limit that cost
    /// at least as much are limited without asking the store
    /// ([`DecidedBy::Remembered`](crate::DecidedBy)). A flood of calls on a used-up key then costs
    /// the store one call per retry-after.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, DecidedBy, Limit, Throttler, key};
    ///
    /// let throttler =
    ///     Throttler::builder(Backend::memory()).remember_denials(Duration::from_secs(10)).build();
    /// let limit = Limit::fixed_window(1, Duration::from_secs(60));
    /// assert!(throttler.check(&key!("login"), limit)?.is_admitted());
    /// assert_eq!(throttler.check(&key!("login"), limit)?.decided_by(), DecidedBy::Store);
    /// let limited = throttler.check(&key!("login"), limit)?;
    /// assert_eq!((limited.is_admitted(), limited.decided_by()), (false, DecidedBy::Remembered));
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// It never admits what the store would limit. It may limit what the store would admit: if
    /// another process has refunded units or deleted the key, if a failover has lost it, if a call
    /// with another limit has made the store forget units, or if leased units were given back. So
    /// `at_most` bounds how long a denial is remembered. This throttler's own refunds and resets
    /// are noticed. The 100,000 keys that are limited most are remembered.
    ///
    /// Calls with several limits ([`check_all`](Throttler::check_all)) are not remembered.
    #[cfg(feature = "cache")]
    pub fn remember_denials(self, at_most: Duration) -> Self {
        Self { remembered_for: Some(at_most), ..self }
    }

    /// Sets the policies, whose names calls may use in place of a limit:
    /// [`check_policy`](Throttler::check_policy). Several throttlers may share them.
    #[cfg(feature = "policies")]
    pub fn policies(self, policies: Policies) -> Self {
        Self { policies: Some(policies), ..self }
    }

    /// Moves the settings to another backend.
    #[cfg(feature = "macros")]
    pub(crate) fn on<C>(self, backend: impl FnOnce(B) -> C) -> Builder<C> {
        Builder {
            backend: backend(self.backend),
            keyspace: self.keyspace,
            algorithm: self.algorithm,
            deadline: self.deadline,
            confirmation: self.confirmation,
            on_error: self.on_error,
            listener: self.listener,
            is_shadow: self.is_shadow,
            lease: self.lease,
            #[cfg(feature = "cache")]
            remembered_for: self.remembered_for,
            observer: self.observer,
            #[cfg(feature = "policies")]
            policies: self.policies,
        }
    }

    fn settings(self) -> (B, Arc<Settings>) {
        static THROTTLERS: AtomicU64 = AtomicU64::new(0);
        let settings = Settings {
            number: THROTTLERS.fetch_add(1, Ordering::Relaxed),
            keyspace: self.keyspace,
            algorithm: self.algorithm,
            deadline: self.deadline,
            confirmation: self.confirmation,
            fallback: Fallback::new(self.on_error, self.deadline, self.listener),
            queues: Queues::default(),
            abandoned: Abandoned::default(),
            is_shadow: self.is_shadow,
            lease: self.lease,
            #[cfg(feature = "cache")]
            denials: self.remembered_for.map(Denials::new),
            start: clock(),
            observer: self.observer,
            #[cfg(feature = "policies")]
            policies: self.policies,
        };
        (self.backend, Arc::new(settings))
    }
}

impl Settings {
    /// Returns the limit by which the store is asked.
    pub(super) fn asked(&self, limit: AnyLimit) -> Result<StoreLimit, Error> {
        self.lease.map_or(Ok(StoreLimit::each_call(limit)), |lease| lease.asked(limit))
    }

    /// Refuses to hold places if units are leased.
    pub(super) fn refuse_to_lease_places(&self) -> Result<(), Error> {
        const RULE: &str = "a concurrency limit cannot be leased, as each holder keeps a place of its own: use a \
                            throttler without leases";
        if self.lease.is_some() { Err(Error::invalid_limits(RULE)) } else { Ok(()) }
    }

    /// Forgets limited calls that are remembered.
    #[cfg(feature = "cache")]
    pub(super) fn forget_denials(&self, forget: impl FnOnce(&Denials)) {
        self.denials.as_ref().map(forget);
    }

    /// Returns the limits by which the store is asked, with their keys there.
    pub(super) fn stored(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<Vec<(String, AnyLimit)>, Error> {
        let stored = |(key, limit): &(Key<'_>, AnyLimit)| {
            let StoreLimit { limit, .. } = self.asked(*limit)?;
            Ok((self.keyspace.key(key, limit.algorithm()), limit))
        };
        limits.iter().map(stored).collect()
    }

    /// Returns the time of this process as a timestamp, which counts from when the throttler was
    /// built.
    #[inline]
    pub(super) fn time_of(&self, now: Instant) -> Timestamp {
        let passed = now.saturating_duration_since(self.start).as_micros();
        Timestamp::from_micros(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Reports the answer to a call.
    #[inline]
    pub(super) fn report(&self, asked: Asked<'_>, answer: Result<&Decision, &Error>) {
        self.observer.decided(asked, self.is_shadow, answer);
    }

    /// Admits a call at once if this throttler limits none.
    pub(super) fn in_shadow(&self, decision: Decision, demand: Demand) -> Decision {
        if self.is_shadow { decision.shadowed(demand) } else { decision }
    }

    /// Reports the answer to a call with several limits, and admits the call at once in shadow.
    pub(super) fn conclude_together<'a>(
        &self,
        asked: impl Iterator<Item = Asked<'a>> + Clone,
        answer: Result<JointDecision, Error>,
    ) -> Result<JointDecision, Error> {
        self.observer.decided_together(asked.clone(), self.is_shadow, answer.as_ref());
        // The call has changed the answers to later calls with these limits.
        #[cfg(feature = "cache")]
        if answer.as_ref().is_ok_and(JointDecision::is_admitted) {
            self.forget_denials(|denials| asked.clone().for_each(|asked| denials.forget(asked.key)));
        }
        answer.map(|joint| if self.is_shadow { joint.shadowed(asked.map(|asked| asked.demand)) } else { joint })
    }
}

#[also_blocking]
impl Builder<AsyncBackend> {
    /// Builds the throttler. It connects at the first call.
    #[must_use]
    pub fn build(self) -> AsyncThrottler {
        let (backend, settings) = self.settings();
        let each_call = AsyncThrottler { backend, settings, leases: None };
        let leases = each_call.settings.lease.map(|lease| Arc::new(AsyncLeases::new(lease, each_call.clone())));
        AsyncThrottler { leases, ..each_call }
    }
}
