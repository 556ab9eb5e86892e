//! The throttlers of decorated functions that name none.

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

/// The backends of the throttlers that [`configure`] sets.
#[derive(Debug, Clone)]
pub struct Backends {
    sync: Backend,
    #[cfg(feature = "tokio")]
    asynchronous: AsyncBackend,
}

/// Configures the throttlers of decorated functions that name none, only once and before the first
/// call of such a function.
///
/// There is one throttler for sync functions and one for async functions. Both keep their limits in
/// the memory of this process unless they are given backends.
///
/// ```standalone_crate
/// use premier_client::{Algorithm, AsyncBackend, Backend, Keyspace, OnError, Share, configure};
///
/// configure()
///     .backend(Backend::redis("redis://127.0.0.1/")?)
///     .async_backend(AsyncBackend::redis("redis://127.0.0.1/")?)
///     .algorithm(Algorithm::TokenBucket)
///     .keyspace(Keyspace::new("shop")?)
///     .on_error(OnError::Local { share: Share::one_in(10) })
///     .install()?;
///
/// assert!(configure().install().is_err(), "a second time is an error");
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
    /// Sets where the limits of sync functions are kept; in memory by default.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend.sync = backend.into();
        self
    }

    /// Sets where the limits of async functions are kept; in memory by default.
    #[cfg(feature = "tokio")]
    pub fn async_backend(mut self, backend: impl Into<AsyncBackend>) -> Self {
        self.backend.asynchronous = backend.into();
        self
    }

    /// Makes these the throttlers of decorated functions that name none.
    ///
    /// # Errors
    /// If the throttlers are configured already, or a function has used them already.
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

/// Returns the throttler of the sync functions that name none. From then on it cannot be
/// configured.
#[must_use]
pub fn throttler() -> &'static Throttler {
    &throttlers().sync
}

/// Returns the throttler of the async functions that name none. From then on it cannot be
/// configured.
#[cfg(feature = "tokio")]
#[must_use]
pub fn async_throttler() -> &'static AsyncThrottler {
    &throttlers().asynchronous
}
