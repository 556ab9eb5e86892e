//! Rate limiting with premier: fixed and sliding windows, token and leaky buckets, in
//! Redis, Valkey, a cluster of them, or memory; from sync and async code.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, Limit, Throttler, Token, key};
//!
//! const API: Limit<Token> = Limit::token_bucket(100, Duration::from_secs(60)).capacity(20);
//!
//! let throttler = Throttler::builder(Backend::memory()).build(); // or Backend::redis("redis://127.0.0.1/")?
//! let decision = throttler.check(&key!("api", "user 42"), API)?;
//! assert!(decision.is_admitted());
//! assert_eq!(decision.remaining(), 19);
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! # Which to use
//!
//! - A [`Throttler`], or for async code on tokio an [`AsyncThrottler`], has a [`Backend`] and a [`Keyspace`], keeps to a
//!   deadline, and knows what to do when the store does not answer ([`OnError`]). [`check`](Throttler::check) answers whether a
//!   call is admitted, [`acquire`](Throttler::acquire) waits until it is, [`check_all`](Throttler::check_all) asks several limits,
//!   [`peek`](Throttler::peek) charges nothing, and [`refund`](Throttler::refund) gives back.
//! - The attributes of [`decorate`] limit, try again, give up on and remember the calls of a function by one line above it.
//! - [`PremierCommands`], [`AsyncPremierCommands`] and [`PremierPipelineCommands`] are the bare commands, on any connection and
//!   pipeline of [`redis`]. Some are there only: [`premier_top`](PremierCommands::premier_top) answers which keys
//!   are limited most, and [`cl_throttle`](PremierCommands::cl_throttle) is the command of redis-cell.
//!
//! The server needs the premier module, but for the memory backend, which runs the same algorithms in this process.
//!
//! # Limits, decisions, errors
//!
//! A [`Limit`] comes with each call and may change at any call; the store keeps what was *used*. The answer is a [`Decision`]:
//! admitted or limited, what remains, when to come back. A limited call is no error of [`check`](Throttler::check), and an outage
//! is no limited call: each [`Error`] has a [`kind`](Error::kind).
//!
//! No call is charged twice. What may have reached the store is not sent again; if its reply is lost, the error says so
//! ([`ErrorKind::ReplyLost`]).
//!
//! # Features
//!
//! | feature | default | brings |
//! | --- | --- | --- |
//! | `macros` | yes | the attributes; implies `memory`, by which they limit unless told otherwise |
//! | `cache` | yes | [`MemoryCache`], [`RedisCache`], and with `macros` the attribute |
//! | `tokio` | yes | [`AsyncThrottler`], [`AsyncPremierCommands`] |
//! | `memory` | yes | [`MemoryBackend`], [`OnError::Local`] |
//! | `cluster` | no | `Backend::cluster`, `AsyncBackend::cluster`; implies `tokio` |
//! | `tls` | no | addresses like `rediss://…`, by rustls; implies `tokio` |

#![forbid(unsafe_code)]

mod backend;
#[cfg(feature = "cache")]
mod cache;
mod cell;
mod commands;
mod decision;
#[cfg(feature = "macros")]
pub mod decorate;
mod error;
mod joint;
mod key;
mod limit;
mod sealed;
mod throttler;
mod top;

#[cfg(feature = "tokio")]
pub use backend::AsyncBackend;
pub use backend::Backend;
#[cfg(feature = "memory")]
pub use backend::MemoryBackend;
#[cfg(all(feature = "cache", feature = "tokio"))]
pub use cache::{AsyncMemoryCache, AsyncRedisCache};
#[cfg(feature = "cache")]
pub use cache::{MemoryCache, RedisCache};
pub use cell::CellDecision;
#[cfg(feature = "tokio")]
pub use commands::AsyncPremierCommands;
pub use commands::{Pipe, PremierCommands, PremierPipelineCommands};
pub use decision::{DecidedBy, Decision, RetryAfter};
#[cfg(feature = "macros")]
pub use decorate::configure;
pub use error::{Error, ErrorKind};
pub use joint::JointDecision;
pub use key::{Key, Keyspace};
pub use limit::{Algorithm, AnyLimit, Limit, Limiter};
pub use premier_algorithms::{Fixed, InvalidArgument, Leaky, Sliding, Token};
#[cfg(all(feature = "cache", feature = "macros"))]
pub use premier_macros::cache;
#[doc(hidden)]
#[cfg(feature = "macros")]
pub use premier_macros::layer;
#[cfg(feature = "macros")]
pub use premier_macros::{fixed_window, leaky_bucket, retry, sliding_window, throttle, timeout, token_bucket};
/// redis-rs, in the version whose types stand in this crate's signatures.
pub use redis;
#[cfg(feature = "tokio")]
pub use throttler::AsyncThrottler;
pub use throttler::{Builder, OnError, Throttler};
pub use top::LimitedKey;
