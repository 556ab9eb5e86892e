use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use super::fallback::{Fallback, OnError};
use super::observe::Observer;
use super::queue::Queues;
use super::watch::{Listener, StoreChange};
#[cfg(feature = "tokio")]
use crate::AsyncBackend;
#[cfg(feature = "policies")]
use crate::Policies;
use crate::{Algorithm, Backend, Keyspace};

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
    on_error: OnError,
    listener: Listener,
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
    pub(super) fallback: Fallback,
    pub(super) queues: Queues,
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
            on_error: OnError::default(),
            listener: Listener::default(),
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
            on_error: self.on_error,
            listener: self.listener,
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
            fallback: Fallback::new(self.on_error, self.deadline, self.listener),
            queues: Queues::default(),
            observer: self.observer,
            #[cfg(feature = "policies")]
            policies: self.policies,
        };
        (self.backend, Arc::new(settings))
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
