use std::sync::Arc;
use std::time::Duration;

use super::on_error::{Fallback, OnError};
use crate::{Algorithm, Backend, Keyspace, Throttler};
#[cfg(feature = "tokio")]
use crate::{AsyncBackend, AsyncThrottler};

/// How long a call to the store may take if not given otherwise.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_millis(500);

/// Builds a [`Throttler`] or an [`AsyncThrottler`](crate::AsyncThrottler).
#[derive(Debug, Clone)]
#[must_use = "it is a throttler only when it is built"]
pub struct Builder<B> {
    pub(crate) backend: B,
    keyspace: Keyspace,
    algorithm: Algorithm,
    deadline: Duration,
    on_error: OnError,
}

/// What all clones of a throttler share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) keyspace: Keyspace,
    pub(super) algorithm: Algorithm,
    pub(super) deadline: Duration,
    pub(super) fallback: Fallback,
}

impl<B> Builder<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self {
            backend,
            keyspace: Keyspace::default(),
            algorithm: Algorithm::default(),
            deadline: DEFAULT_DEADLINE,
            on_error: OnError::default(),
        }
    }

    /// The keyspace of its keys; `premier` if not given.
    pub fn keyspace(self, keyspace: Keyspace) -> Self {
        Self { keyspace, ..self }
    }

    /// The algorithm of limits that do not name one; a fixed window if not given.
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// How long a call to the store may take, connecting included; 500 ms if not given. A store that has not answered by then
    /// does not answer. A sync call that a cluster redirects to a node without a connection may take a second longer.
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// What happens when the store does not answer; [`OnError::Fail`] if not given.
    pub fn on_error(self, on_error: OnError) -> Self {
        Self { on_error, ..self }
    }

    /// The same on another backend.
    #[cfg(feature = "macros")]
    pub(crate) fn on<C>(self, backend: impl FnOnce(B) -> C) -> Builder<C> {
        let Self { backend: old, keyspace, algorithm, deadline, on_error } = self;
        Builder { backend: backend(old), keyspace, algorithm, deadline, on_error }
    }

    fn settings(self) -> (B, Arc<Settings>) {
        let settings = Settings {
            keyspace: self.keyspace,
            algorithm: self.algorithm,
            deadline: self.deadline,
            fallback: Fallback::new(self.on_error, self.deadline),
        };
        (self.backend, Arc::new(settings))
    }
}

impl Builder<Backend> {
    /// The throttler. Nothing is connected yet.
    #[must_use]
    pub fn build(self) -> Throttler {
        let (backend, settings) = self.settings();
        Throttler { backend, settings }
    }
}

#[cfg(feature = "tokio")]
impl Builder<AsyncBackend> {
    /// The throttler. Nothing is connected yet.
    #[must_use]
    pub fn build(self) -> AsyncThrottler {
        let (backend, settings) = self.settings();
        AsyncThrottler { backend, settings }
    }
}
