//! What decorated functions use that name nothing of their own.

use std::sync::OnceLock;

#[cfg(feature = "tokio")]
use crate::{AsyncBackend, AsyncThrottler};
use crate::{Backend, Builder, Error, Throttler};

static THROTTLERS: OnceLock<Throttlers> = OnceLock::new();

#[derive(Debug)]
struct Throttlers {
    sync: Throttler,
    #[cfg(feature = "tokio")]
    asynchronous: AsyncThrottler,
}

/// Where the throttlers keep their limits that [`configure`] is about.
#[derive(Debug, Clone)]
pub struct Backends {
    sync: Backend,
    #[cfg(feature = "tokio")]
    asynchronous: AsyncBackend,
}

/// Decides, once and at start, by which throttlers those functions are limited that name none: one for sync and one for async
/// functions, in the memory of this process unless they are given backends.
///
/// ```standalone_crate
/// use premier_client::{Algorithm, AsyncBackend, Backend, Keyspace, OnError, configure};
///
/// configure()
///     .backend(Backend::redis("redis://127.0.0.1/")?)
///     .async_backend(AsyncBackend::redis("redis://127.0.0.1/")?)
///     .algorithm(Algorithm::TokenBucket)
///     .keyspace(Keyspace::new("shop")?)
///     .on_error(OnError::Local)
///     .install()?;
///
/// assert!(configure().install().is_err(), "it is decided");
/// # Ok::<(), premier_client::Error>(())
/// ```
pub fn configure() -> Builder<Backends> {
    Builder::new(Backends {
        sync: Backend::memory(),
        #[cfg(feature = "tokio")]
        asynchronous: AsyncBackend::memory(),
    })
}

impl Builder<Backends> {
    /// Where the limits of sync functions are kept; in memory if not given.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend.sync = backend.into();
        self
    }

    /// Where the limits of async functions are kept; in memory if not given.
    #[cfg(feature = "tokio")]
    pub fn async_backend(mut self, backend: impl Into<AsyncBackend>) -> Self {
        self.backend.asynchronous = backend.into();
        self
    }

    /// From now on the throttlers are these.
    ///
    /// # Errors
    /// When they were decided before: by an earlier call, or by a function that has been called already.
    pub fn install(self) -> Result<(), Error> {
        THROTTLERS.set(self.into()).map_err(|_| Error::configured_already())
    }
}

impl From<Builder<Backends>> for Throttlers {
    fn from(builder: Builder<Backends>) -> Self {
        Self {
            #[cfg(feature = "tokio")]
            asynchronous: builder.clone().on(|backends| backends.asynchronous).build(),
            sync: builder.on(|backends| backends.sync).build(),
        }
    }
}

fn throttlers() -> &'static Throttlers {
    THROTTLERS.get_or_init(|| configure().into())
}

/// The throttler of the sync functions that name none. From now on it can't be configured any more.
#[must_use]
pub fn throttler() -> &'static Throttler {
    &throttlers().sync
}

/// The throttler of the async functions that name none. From now on it can't be configured any more.
#[cfg(feature = "tokio")]
#[must_use]
pub fn async_throttler() -> &'static AsyncThrottler {
    &throttlers().asynchronous
}
