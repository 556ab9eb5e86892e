//! Rate limiting with premier: fixed and sliding windows, token and leaky buckets, and concurrency
//! limits, from sync and async code.
//!
//! Limits are kept in Redis or Valkey with the premier module, in a cluster of such servers, on the
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
//! | [`Limit::fixed_window`] | a quota per window, which the first call opens | quotas that people understand: 100 a day |
//! | [`Limit::sliding_window`] | a quota in *any* span of the duration | logins, and wherever a burst across the edge of two windows hurts |
//! | [`Limit::token_bucket`] | bursts up to the capacity, and a steady rate after that | APIs |
//! | [`Limit::leaky_bucket`] | a queue: each admitted call waits for its turn | an even pace towards someone else |
//! | [`Limit::concurrency`] | a quota at the same time: see [Hold](#hold) | long calls |
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
//! maximum time. As soon as it is clear that this is not enough, it returns an error that says when
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
//! # Hold
//!
//! A concurrency limit says how much may be at work at the same time, in all processes together:
//! [`Limit::concurrency`]. [`hold`](Throttler::hold) takes a place at once and
//! [`hold_within`](Throttler::hold_within) waits for one, first come, first served. The [`Permit`]
//! gives the place back when it is dropped. The place of a process that died is free when its lease
//! ends.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{Backend, Concurrency, ErrorKind, Limit, Throttler, key};
//!
//! // Two at a time. The place of a process that dies is free 30 seconds later.
//! const IMPORTS: Concurrency = Limit::concurrency(2, Duration::from_secs(30));
//!
//! # let throttler = Throttler::builder(Backend::memory()).build();
//! let one = throttler.hold(&key!("imports"), IMPORTS)?;
//! let other = throttler.hold_within(&key!("imports"), IMPORTS, Duration::from_secs(5))?;
//! let third = throttler.hold(&key!("imports"), IMPORTS);
//! assert_eq!(third.unwrap_err().kind(), ErrorKind::QuotaExceeded);
//!
//! one.renew()?; // In work that takes longer than the lease. On tokio a task does that.
//! assert!(!one.is_lost());
//! assert_eq!(one.release()?, 1); // Dropping it does the same.
//! assert!(throttler.hold(&key!("imports"), IMPORTS).is_ok());
//! # drop(other);
//! # Ok::<(), premier_client::Error>(())
//! ```
//!
//! A permit that could not be renewed for a whole lease is lost: [`is_lost`](Permit::is_lost), and
//! for async code [`lost`](AsyncPermit::lost), a future. It counts its lease from before the call,
//! so it ends no later here than in the store, and what is at work can stop in time. That makes it
//! a limit, not a lock: a process that is stopped notices the end of its lease only when it goes
//! on. What must never be written twice needs a fencing token that the storage checks.
//!
//! [`hold_all`](Throttler::hold_all) takes a place and charges rate limits in one call, as a
//! gateway to a language model does. [`check_and_hold`](Throttler::check_and_hold) takes several
//! places. [`inspect`](Throttler::inspect) and [`reset`](Throttler::reset) take [`Hold`] for the
//! algorithm.
//!
//! # Where no module can be loaded
//!
//! With the feature `script`, `Backend::scripted` keeps the same limits with Lua scripts. The
//! answers are the same, but an admitted call takes the server eight to ten times the instructions.
//! `by_script` does so for clusters, sentinels and pools, and `Backend::prefer_module` uses the
//! module where it is loaded.
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
//! # Scale
//!
//! [`Builder::leases`] charges units ahead and decides calls by them: more than a million a second
//! on one key, and never more than the limit admits. [`Builder::remember_denials`] answers a flood
//! on a used-up key without asking the store. [`check_all_across`](Throttler::check_all_across)
//! charges limits in several slots of a cluster, one slot after the other.
//!
//! # See it from outside
//!
//! With the feature `metrics`, throttlers count what they decide for the recorder of the crate
//! `metrics`, and so do the attributes and the HTTP layer, which ask throttlers:
//!
//! | metric | labels | |
//! | --- | --- | --- |
//! | `premier_decisions_total` | `limit`, `answer`, `decided_by` | calls that were `admitted`, `limited`, limited only in [`shadow`](Builder::shadow), or not decided (`error`), by the `store`, a `lease`, a `remembered` denial, a `local` share, `on_error`, or `nobody` |
//! | `premier_near_limit_total` | `limit` | admitted calls that left less than 20% of the limit |
//! | `premier_permits_lost_total` | | permits of async code whose leases ended before they were released |
//! | `premier_store_duration_seconds` | | a histogram of how long a server or a cluster took for a command, or was waited for |
//!
//! With the feature `tracing`, there is an event for each limited call (`DEBUG`) with the fields
//! `limit`, `algorithm`, `retry_after_ms` (absent if it is [never](RetryAfter::Never)),
//! `decided_by` and `key`, for each permit of async code that is lost (`WARN`, with the `key`), and
//! for each outage, when it begins (`WARN`, with the `error`) and when it ends (`INFO`). The target
//! is `premier_client`. `Builder::trace_keys` leaves out the key.
//!
//! The `limit` is the name of the key (`api` for `key!("api", user)`), for a decorated function
//! `module::function`, and `exact` for a [`Key::exact`]. A call that waits ([`Throttler::acquire`],
//! [`Throttler::hold_within`]) is reported once, when it is admitted or gives up. Of a call with
//! several limits, all are counted if it is admitted, and those that limit it if it is not; the
//! event is that of the [binding](JointDecision::binding) limit. [`peek`](Throttler::peek),
//! renewals of permits and the bare commands are not reported, nor are calls that fail before the
//! store is asked, such as those by an unknown policy.
//!
//! # Change limits while it runs
//!
//! With the feature `policies`, limits have names in a file, with overrides for single keys, and
//! the file is read again when it changes: `Policies`.
//!
//! # Features
//!
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `macros` | yes | the attributes; implies `memory`, where they limit by default |
//! | `cache` | yes | [`MemoryCache`], [`RedisCache`], [`Builder::remember_denials`], and with `macros` the attribute `cache` |
//! | `tokio` | yes | [`AsyncThrottler`], [`AsyncPremierCommands`] |
//! | `memory` | yes | [`MemoryBackend`], [`OnError::Local`] |
//! | `serde` | no | limits as text for serde |
//! | `jiff` | no | [`Zone::named`]: time zones by name, by the crate `jiff` |
//! | `cluster` | no | `Backend::cluster`, `AsyncBackend::cluster`; implies `tokio` |
//! | `tls` | no | addresses like `rediss://…`, by rustls; implies `tokio` |
//! | `tracing` | no | events for limited calls and outages, for subscribers of the crate `tracing` |
//! | `metrics` | no | decisions and the store's latency, for recorders of the crate `metrics` |
//! | `script` | no | `Backend::scripted`: the same limits with Lua scripts, where no module can be loaded |
//! | `policies` | no | `Policies`: limits by name, from a file in TOML |

#![forbid(unsafe_code)]

/// The recipes of the documentation, whose code the tests run.
#[cfg(all(doctest, feature = "memory", feature = "tokio"))]
#[doc = include_str!("../../docs/recipes.md")]
struct Recipes;

/// The documentation of scripts, whose code the tests run.
#[cfg(all(doctest, feature = "script"))]
#[doc = include_str!("../../docs/managed.md")]
struct Managed;

/// The documentation of scale, whose code the tests run.
#[cfg(all(doctest, feature = "cache", feature = "memory"))]
#[doc = include_str!("../../docs/scale.md")]
struct Scale;

mod backend;
#[cfg(feature = "cache")]
mod cache;
mod commands;
mod concurrency;
mod connection;
mod decision;
#[cfg(feature = "macros")]
pub mod decorate;
mod error;
mod key;
mod lease;
mod limit;
mod limiters;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "policies")]
mod policies;
mod policy;
mod receipt;
#[cfg(feature = "script")]
mod script;
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
pub use concurrency::{AnyAlgorithm, Concurrency, Hold};
pub use decision::{CellDecision, DecidedBy, Decision, JointDecision, RetryAfter};
#[cfg(feature = "macros")]
pub use decorate::configure;
pub use error::{Error, ErrorKind, InvalidArgument};
pub use key::{__part, Key, Keyspace};
pub use lease::Lease;
pub use limit::{Limit, Terms};
pub use limiters::{Algorithm, AnyLimit, Fixed, Leaky, Limiter, Sliding, Token};
#[cfg(feature = "memory")]
pub use memory::MemoryBackend;
#[cfg(feature = "policies")]
pub use policies::Policies;
pub use policy::PolicyLimit;
#[cfg(all(feature = "cache", feature = "macros"))]
pub use premier_macros::cache;
#[cfg(feature = "macros")]
pub use premier_macros::{
    concurrency, fixed_window, leaky_bucket, retry, sliding_window, throttle, timeout, token_bucket,
};
pub use receipt::{Admission, Charge, Receipt};
/// redis-rs, in the version whose types are in this crate's signatures.
pub use redis;
#[cfg(feature = "script")]
pub use script::{__script, ScriptClock};
#[cfg(feature = "memory")]
pub use share::Share;
pub use text::InvalidLimit;
#[cfg(feature = "tokio")]
pub use throttler::{AsyncPermit, AsyncThrottler};
pub use throttler::{Builder, OnError, Permit, StoreChange, Throttler};
pub use top::LimitedKey;
pub use usage::Usage;
pub use zone::{InvalidZone, Zone};
