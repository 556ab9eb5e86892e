//! What the attributes write into functions. No part of the public API.

#[cfg(feature = "cache")]
mod any_cache;
#[cfg(feature = "cache")]
mod cache;
mod future;
mod key;
mod retry;
mod throttle;
#[cfg(feature = "tokio")]
mod timeout;

#[cfg(feature = "cache")]
pub use any_cache::{AnyCache, AsyncCache, CacheOfFunctionMadeSync, SyncCache};
#[cfg(feature = "cache")]
pub use cache::{OfResult, OfValue};
pub use future::{NoFuture, NoFutureInResult, OfFuture, OfFutureInResult, OfOther};
pub use key::key_of;
pub use premier_macros::layer;
pub use retry::{Fallible, InAsRef, InChain, InSyncAsRef, Nowhere, Raised, Retries, Within, delays, holds};
#[cfg(feature = "tokio")]
pub use throttle::OfAsyncFunction;
pub use throttle::{AnyThrottler, NotAdmitted, OfFunctionMadeSync, OfSyncFunction, OrError, OrPanic};
#[cfg(feature = "tokio")]
pub use timeout::{TimedOut, timeout};

#[cfg(feature = "tokio")]
pub use crate::time::async_sleep;
