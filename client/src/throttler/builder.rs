use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use super::fallback::{Fallback, OnError};
use super::queue::Queues;
use super::watch::{Listener, StoreChange};
#[cfg(feature = "tokio")]
use crate::AsyncBackend;
use crate::connection::Confirmation;
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
    confirmation: Option<Confirmation>,
    on_error: OnError,
    listener: Listener,
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

    /// Moves the settings to another backend.
    #[cfg(feature = "macros")]
    pub(crate) fn on<C>(self, backend: impl FnOnce(B) -> C) -> Builder<C> {
        let Self { backend: old, keyspace, algorithm, deadline, confirmation, on_error, listener } = self;
        Builder { backend: backend(old), keyspace, algorithm, deadline, confirmation, on_error, listener }
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
