//! TODO
#![forbid(unsafe_code)]

mod backend;
mod commands;
mod decision;
mod error;
mod key;
mod limit;
mod sealed;
mod throttler;

#[cfg(feature = "tokio")]
pub use backend::AsyncBackend;
pub use backend::Backend;
#[cfg(feature = "memory")]
pub use backend::MemoryBackend;
#[cfg(feature = "tokio")]
pub use commands::AsyncPremierCommands;
pub use commands::{Pipe, PremierCommands, PremierPipelineCommands};
pub use decision::{DecidedBy, Decision, RetryAfter};
pub use error::{Error, ErrorKind};
pub use key::{Key, Keyspace};
pub use limit::{Algorithm, AnyLimit, Limit, Limiter};
pub use premier_algorithms::{Fixed, InvalidArgument, Leaky, Sliding, Token};
#[cfg(feature = "tokio")]
pub use throttler::AsyncThrottler;
pub use throttler::{Builder, OnError, Throttler};
