//! Rate limiting with premier: fixed and sliding windows, token and leaky buckets, from sync and
//! async code.
//!
//! Limits are kept in Redis or Valkey with the premier module, in a cluster of such servers, in the
//! master that Sentinel names, or in the memory of this process, where the same algorithms run.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, Limit, Throttler, Token, key};
//!
//! const API: Limit<Token> = Limit::token_bucket(100, Duration::from_secs(60)).capacity(20);
//!
//! // Or Backend::redis("redis://127.0.0.1/")?
//! let throttler = Throttler::builder(Backend::memory()).build();
//! let decision = throttler.check(&key!("api", "user 42"), API)?;
//! assert!(decision.is_admitted());
//! assert_eq!(decision.remaining(), 19);
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! The guide below follows a [`Throttler`]. An [`AsyncThrottler`] has the same methods for async
//! code on tokio. There are two more ways to use this crate:
//!
//! - The attributes of [`decorate`] limit, retry, time out and cache the calls of a function, in
//!   one line above it.
//! - [`PremierCommands`], [`AsyncPremierCommands`] and [`PremierPipelineCommands`] are the bare
//!   commands, on any connection and pipeline of [`redis`]. Two are available only there:
//!   [`PremierCommands::premier_top`] lists the keys that are limited most, and
//!   [`PremierCommands::cl_throttle`] is the command of redis-cell.
//!
//! # Choose a limit
//!
//! | algorithm | admits | choose it for |
//! | --- | --- | --- |
//! | [`Limit::fixed_window`] | a quota per window, which the first call opens | daily quotas, the least memory |
//! | [`Limit::sliding_window`] | a quota in *any* span of the duration | logins, and wherever a burst across the edge of two windows hurts |
//! | [`Limit::token_bucket`] | bursts up to the capacity, and a steady rate after that | APIs |
//! | [`Limit::leaky_bucket`] | a queue: each admitted call waits for its turn | an even pace towards someone else |
//!
//! Limits are constants or values. A constant out of bounds does not compile; a value out of bounds
//! is an error.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Fixed, InvalidArgument, Limit, Token, Zone};
//!
//! const PER_MONTH: Limit<Fixed> = Limit::per_month(1_000).in_zone(Zone::offset(2 * 60));
//!
//! fn from_configuration(quota: u64, seconds: u64) -> Result<Limit<Token>, InvalidArgument> {
//!     Limit::try_token_bucket(quota, Duration::from_secs(seconds))
//! }
//! assert!(from_configuration(5, 0).is_err());
//! ```
//!
//! Text from a configuration is read by [`parse`](str::parse), and with the feature `serde` by
//! serde: `100/1m`, `token 100/1m capacity 20`, `fixed 100/1mo aligned zone +02:00`.
//!
//! A limit belongs to a call and may change at any call: the store keeps what was *used*, not the
//! limit.
//!
//! # Name a key
//!
//! Calls with the same key are counted together. [`key!`] takes a name and any number of custom
//! parts. The [`Keyspace`] of the throttler is the first part of each key, and the algorithm is a
//! part too. [`Key::exact`] is a key as it is in the store, to share it with other programs.
//!
//! ```
//! use premier_client::{Backend, Key, Keyspace, Throttler, key};
//!
//! let throttler = Throttler::builder(Backend::memory()).keyspace(Keyspace::new("shop")?).build();
//! let of_all_calls = key!("search");
//! let of_a_user = key!("search", "ada");
//! let of_a_user_and_a_country = key!("search", "ada", "gb"); // shop:search:token:ada:gb
//! let of_another_service = Key::exact("user:42"); // user:42
//! # let _ = (throttler, of_all_calls, of_a_user, of_a_user_and_a_country, of_another_service);
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! # Decide
//!
//! [`check`](Throttler::check) decides a call at once. Being limited is a [`Decision`], not an
//! error.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, Limit, RetryAfter, Throttler, key};
//!
//! # let throttler = Throttler::builder(Backend::memory()).build();
//! let limit = Limit::sliding_window(2, Duration::from_secs(60));
//! for _ in 0..3 {
//!     let decision = throttler.check(&key!("login", "ada"), limit)?;
//!     match decision.retry_after() {
//!         None => println!("welcome; {} tries left", decision.remaining()),
//!         Some(RetryAfter::After(wait)) => println!("come back in {wait:?}"),
//!         Some(RetryAfter::Never) => println!("this costs more than the limit"),
//!     }
//! }
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! [`check_n`](Throttler::check_n) charges more than one unit, [`check_all`](Throttler::check_all)
//! charges several limits or none, and [`peek`](Throttler::peek) only looks.
//!
//! # Wait
//!
//! [`acquire`](Throttler::acquire) waits until the call is admitted and it is its turn, for a
//! maximum time. As soon as it is known that this is not enough, it returns an error that says when
//! to come back, and charges nothing.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, ErrorKind, Leaky, Limit, Throttler, key};
//!
//! const PACE: Limit<Leaky> = Limit::leaky_bucket(100, Duration::from_secs(1));
//!
//! # let throttler = Throttler::builder(Backend::memory()).build();
//! for _ in 0..3 {
//!     throttler.acquire(&key!("send"), PACE, Duration::from_secs(5))?; // returns every 10 ms
//! }
//!
//! let once_an_hour = Limit::fixed_window(1, Duration::from_secs(60 * 60));
//! throttler.acquire(&key!("report"), once_an_hour, Duration::from_secs(5))?;
//! let again = throttler.acquire(&key!("report"), once_an_hour, Duration::from_secs(5));
//! assert_eq!(again.unwrap_err().kind(), ErrorKind::QuotaExceeded);
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! # Give back
//!
//! [`refund`](Throttler::refund) gives back what a call was charged, and
//! [`refund_n`](Throttler::refund_n) a part of it. The [`Receipt`] of the call knows where it was
//! charged. For the opposite, a cost that turns out higher afterwards, [`forced`](Limit::forced)
//! charges whatever is left.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, Limit, Throttler, key};
//!
//! # let throttler = Throttler::builder(Backend::memory()).build();
//! let limit = Limit::token_bucket(10, Duration::from_secs(60));
//! let receipt = throttler.check_n(&key!("export", "ada"), limit, 10)?;
//! // Six were enough.
//! assert_eq!(throttler.refund_n(receipt, 4)?, 4);
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! # Survive an outage
//!
//! A call to the store has a [deadline](Builder::deadline), 500 ms by default. [`OnError`] chooses
//! what happens while the store does not answer: an error, admit, limit, or decide in the memory of
//! this process, by a [`Share`] of the limits. [`Decision::decided_by`] shows who decided,
//! [`Throttler::last_error`] why, and [`Builder::on_store_change`] sees each change. In a cluster,
//! the keys of one node may be in an outage while those of all others are not.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, DecidedBy, Limit, OnError, Share, Throttler, key};
//!
//! // Nothing listens there.
//! let throttler = Throttler::builder(Backend::redis("redis://127.0.0.1:1/")?)
//!     .deadline(Duration::from_millis(100))
//!     .on_error(OnError::Local { share: Share::one_in(10) }) // this is one of ten processes
//!     .build();
//! let decision = throttler.check(&key!("api"), Limit::fixed_window(50, Duration::from_secs(1)))?;
//! assert!(decision.is_admitted());
//! assert_eq!((decision.limit(), decision.remaining()), (5, 4));
//! assert_eq!(decision.decided_by(), DecidedBy::Local { share: Share::one_in(10) });
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! A failover forgets what the old server was charged in its last moments, unless replicas
//! [confirm](Builder::confirmed_by) each call.
//!
//! No call is charged twice: a command that may have reached the store is not sent again. If its
//! reply is lost, the error says so ([`ErrorKind::ReplyLost`]). Each [`Error`] has a
//! [`kind`](Error::kind).
//!
//! # Features
//!
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `macros` | yes | the attributes; implies `memory`, where they limit by default |
//! | `cache` | yes | [`MemoryCache`], [`RedisCache`], and with `macros` the attribute `cache` |
//! | `tokio` | yes | [`AsyncThrottler`], [`AsyncPremierCommands`] |
//! | `memory` | yes | [`MemoryBackend`], [`OnError::Local`] |
//! | `serde` | no | limits as text for serde |
//! | `jiff` | no | [`Zone::named`]: time zones by name, by the crate `jiff` |
//! | `cluster` | no | `Backend::cluster`, `AsyncBackend::cluster`; implies `tokio` |
//! | `tls` | no | addresses like `rediss://…`, by rustls; implies `tokio` |

#![forbid(unsafe_code)]

mod backend;
#[cfg(feature = "cache")]
mod cache;
mod commands;
mod connection;
mod decision;
#[cfg(feature = "macros")]
pub mod decorate;
mod error;
mod key;
mod limit;
mod limiters;
#[cfg(feature = "memory")]
mod memory;
mod receipt;
#[cfg(feature = "memory")]
mod share;
mod text;
mod throttler;
mod time;
mod top;
mod usage;
mod wire;
mod zone;

#[cfg(feature = "tokio")]
pub use backend::AsyncBackend;
pub use backend::Backend;
#[cfg(all(feature = "cache", feature = "tokio"))]
pub use cache::{AsyncMemoryCache, AsyncRedisCache};
#[cfg(feature = "cache")]
pub use cache::{MemoryCache, RedisCache};
#[cfg(feature = "tokio")]
pub use commands::AsyncPremierCommands;
pub use commands::{Pipe, PremierCommands, PremierPipelineCommands};
pub use decision::{CellDecision, DecidedBy, Decision, JointDecision, RetryAfter};
#[cfg(feature = "macros")]
pub use decorate::configure;
pub use error::{Error, ErrorKind, InvalidArgument};
pub use key::{Key, Keyspace};
pub use limit::{Limit, Terms};
pub use limiters::{Algorithm, AnyLimit, Fixed, Leaky, Limiter, Sliding, Token};
#[cfg(feature = "memory")]
pub use memory::MemoryBackend;
#[cfg(all(feature = "cache", feature = "macros"))]
pub use premier_macros::cache;
#[cfg(feature = "macros")]
pub use premier_macros::{fixed_window, leaky_bucket, retry, sliding_window, throttle, timeout, token_bucket};
pub use receipt::{Admission, Charge, Receipt};
/// redis-rs, in the version whose types are in this crate's signatures.
pub use redis;
#[cfg(feature = "memory")]
pub use share::Share;
pub use text::InvalidLimit;
#[cfg(feature = "tokio")]
pub use throttler::AsyncThrottler;
pub use throttler::{Builder, OnError, StoreChange, Throttler};
pub use top::LimitedKey;
pub use usage::Usage;
pub use zone::{InvalidZone, Zone};
