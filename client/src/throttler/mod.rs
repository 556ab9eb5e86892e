//! Throttlers: a backend, a keyspace, and what to do when the store does not answer.

mod acquire;
#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
mod builder;
mod on_error;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncThrottler;
pub use blocking::Throttler;
pub use builder::Builder;
#[cfg(feature = "cache")]
pub(crate) use builder::DEFAULT_DEADLINE;
pub use on_error::OnError;
