use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use super::abandoned::Abandoned;
use super::fallback::{Fallback, OnError};
use super::observe::Observer;
use super::queue::Queues;
use super::watch::{Listener, StoreChange};
#[cfg(feature = "tokio")]
use crate::AsyncBackend;
#[cfg(feature = "policies")]
use crate::Policies;
use crate::connection::Confirmation;
use crate::{Algorithm, AnyLimit, Backend, Decision, Error, JointDecision, Key, Keyspace};

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
            observer: Observer::default(),
            #[cfg(feature = "policies")]
            policies: None,
        }
    }

    /// Sets the keyspace of its keys; `premier` by default.
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
    /// [`Decision::confirmed_by`](crate::Decision::confirmed_by) is the number that had.
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
    /// if receipt.is_admitted() && receipt.confirmed_by() < Some(1) {
    ///     // It was charged, and a failover may forget it. Go ahead, or give it back:
    ///     throttler.refund(receipt)?;
    /// }
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// A call that too few replicas confirm is not an error: it was charged, and whether it goes
    /// ahead is the caller's choice. So is one whose confirmation is lost, or to which the server
    /// refuses the command WAIT: none has confirmed it. Limited calls wait for no replica, as
    /// they change nothing.
    ///
    /// A user of the server needs the right to `+wait`.
    ///
    /// A confirmed call costs one more round trip, and the way from the server to the replica and
    /// back. The server answers nothing else on its connection meanwhile. So async calls do not
    /// share one: each has a connection to itself, of at most 100 to each server. Sync calls need
    /// as many connections as calls wait at a time
    /// ([`max_connections`](crate::Backend::max_connections)). While replicas do not answer, each
    /// admitted call takes this timeout and its connection with it, so it should be short.
    ///
    /// Of given connections, those of a pool confirm calls, and a `MultiplexedConnection`, on which
    /// all others wait, if their own timeouts are longer than this one. A `ConnectionManager` and a
    /// `ClusterConnection` connect anew on their own, and cannot say who has confirmed what: their
    /// calls are errors ([`Configuration`](crate::ErrorKind::Configuration)). A backend in memory,
    /// and what [`OnError`] decides, has no replicas, and ignores this.
    pub fn confirmed_by(self, replicas: u32, timeout: Duration) -> Self {
        Self { confirmation: Some(Confirmation::by(replicas, timeout)), ..self }
    }

    /// Sets what happens to calls while the store does not answer; [`OnError::Fail`] by default.
    pub fn on_error(self, on_error: OnError) -> Self {
        Self { on_error, ..self }
    }

    /// Calls this when the store stops answering, with the reason, and when it answers again. Most
    /// outages are noticed only by a call that fails.
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

    /// Sets whether the events of a limited call have its key as a field; by default they have. A
    /// key may contain what should not be logged, like the address of a user.
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

    /// Charges calls as ever, but admits all that are decided, at once, to try limits on real
    /// traffic. A call that is limited only in shadow is decided by
    /// [`DecidedBy::Shadow`](crate::DecidedBy), and is shown by
    /// [metrics and events](crate#see-it-from-outside).
    ///
    /// A limited call changes nothing in the store, so a shadow sees what the limits would do if
    /// limited calls did not come back. [`acquire`](Throttler::acquire) does not wait, and a call
    /// that would have to ask again counts as limited. [`peek`](Throttler::peek) shows the decision
    /// of the limit. With [`OnError::Fail`], an outage is an error in shadow, too; with
    /// [`OnError::Admit`] nothing stops a call. Concurrency limits are never in shadow.
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
            observer: self.observer,
            #[cfg(feature = "policies")]
            policies: self.policies,
        };
        (self.backend, Arc::new(settings))
    }
}

impl Settings {
    /// Reports the answer to a call, and admits the call at once in shadow. `key` is the key in the
    /// store.
    pub(super) fn conclude(
        &self,
        named: &Key<'_>,
        key: &str,
        limit: &AnyLimit,
        answer: Result<Decision, Error>,
    ) -> Result<Decision, Error> {
        self.observer.decided(named, key, limit, self.is_shadow, answer.as_ref());
        answer.map(|decision| if self.is_shadow { decision.shadowed(limit) } else { decision })
    }

    /// [`conclude`](Self::conclude) for a call with several limits, which are both named and as in
    /// the store.
    pub(super) fn conclude_together(
        &self,
        named: &[(Key<'_>, AnyLimit)],
        stored: &[(String, AnyLimit)],
        answer: Result<JointDecision, Error>,
    ) -> Result<JointDecision, Error> {
        self.observer.decided_together(named, stored, self.is_shadow, answer.as_ref());
        answer.map(|joint| if self.is_shadow { joint.shadowed(stored) } else { joint })
    }
}

#[also_blocking]
impl Builder<AsyncBackend> {
    /// Builds the throttler. It connects at the first call.
    #[must_use]
    pub fn build(self) -> AsyncThrottler {
        let (backend, settings) = self.settings();
        AsyncThrottler { backend, settings }
    }
}
