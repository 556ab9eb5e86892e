//! The commands of the module as methods of redis-rs connections and pipelines.

use std::time::Duration;

#[cfg(feature = "tokio")]
use redis::aio;
use redis::{Cmd, ConnectionLike, RedisResult, ToSingleRedisArg};

use crate::limiters::by_algorithm;
use crate::{AnyLimit, CellDecision, Concurrency, Decision, JointDecision, Limit, LimitedKey, Usage, wire};

/// Defines the traits for connections and pipelines. They have the same methods: one for each
/// algorithm, and those that are given.
macro_rules! commands {
    (
        methods: { $($methods:tt)+ }
        $($(#[$default:meta])? $variant:ident($limiter:ident) {
            summary: $summary:literal,
            details: $details:literal,
            name: $name:ident,
            word: $word:literal,
            command: $command:literal $method:ident,
            $($rest:tt)*
        })+
    ) => {
        traits! {
            $(
                #[doc = concat!("`", $command, "`: decides a call, and charges it if it is admitted.")]
                ///
                #[doc = $summary]
                fn $method(key: impl ToSingleRedisArg, limit: Limit<crate::$limiter>) -> Decision {
                    wire::check(key, &limit.into())
                }
            )+
            $($methods)+
        }
    };
}

macro_rules! traits {
    ($($(#[$doc:meta])* fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty $command:block)+) => {
        /// `PREMIER.*` and `CL.THROTTLE` on any sync connection of redis-rs, to a server or to a
        /// cluster.
        ///
        /// ```no_run
        /// use std::time::Duration;
        ///
        /// use premier_client::{Limit, PremierCommands};
        ///
        /// let mut connection = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
        /// let limit = Limit::token_bucket(5, Duration::from_secs(10));
        /// let decision = connection.premier_token("user:42", limit)?;
        /// if decision.is_admitted() { /* … */ }
        /// # Ok::<(), redis::RedisError>(())
        /// ```
        ///
        /// These calls are as safe as the connection. When a reply is lost, a cluster connection of
        /// redis-rs sends the command again, up to 16 times by default, and each may be charged.
        /// Build it with `retries(0)`, or use a [`Throttler`](crate::Throttler), which never sends
        /// a command twice.
        pub trait PremierCommands: ConnectionLike + Sized {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// If the connection fails, or the server refuses the call: `WRONGTYPE` for a key
                /// of another type, `ERR` for an invalid argument.
                fn $method(&mut self, $($argument: $kind),*) -> RedisResult<$answer> {
                    $command.query(self)
                }
            )+
        }

        /// `PREMIER.*` and `CL.THROTTLE` on any async connection of redis-rs, to a server or to a
        /// cluster.
        ///
        /// These calls are as safe as those of [`PremierCommands`].
        #[cfg(feature = "tokio")]
        pub trait AsyncPremierCommands: aio::ConnectionLike + Send + Sized {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// If the connection fails, or the server refuses the call: `WRONGTYPE` for a key
                /// of another type, `ERR` for an invalid argument.
                fn $method(
                    &mut self,
                    $($argument: $kind),*
                ) -> impl Future<Output = RedisResult<$answer>> + Send {
                    let command = $command;
                    async move { command.query_async(self).await }
                }
            )+
        }

        /// `PREMIER.*` and `CL.THROTTLE` in a pipeline of redis-rs.
        pub trait PremierPipelineCommands: Pipe {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("Replies with a [`", stringify!($answer), "`].")]
                fn $method(&mut self, $($argument: $kind),*) -> &mut Self {
                    self.push($command)
                }
            )+
        }
    };
}

by_algorithm! { commands! { methods: {
    /// `PREMIER.PEEK`: decides a call without charging it.
    fn premier_peek(key: impl ToSingleRedisArg, limit: impl Into<AnyLimit>) -> Decision {
        wire::peek(key, &limit.into())
    }

    /// `PREMIER.REFUND`: returns 1 to 10¹² used units, at most those that are used now. Replies
    /// with the number of units returned; 0 if there is no such key.
    fn premier_refund(key: impl ToSingleRedisArg, units: u64) -> u64 {
        wire::refund(key, units)
    }

    /// `PREMIER.HOLD`: holds units until they are released, or until the lease ends. The id, 1 to
    /// 128 bytes, names the holder: the same id again renews its lease, and is never counted twice.
    fn premier_hold(
        key: impl ToSingleRedisArg,
        id: impl ToSingleRedisArg,
        concurrency: Concurrency
    ) -> Decision {
        wire::hold(key, id, &concurrency)
    }

    /// `PREMIER.RELEASE`: frees what a holder holds. Replies with its units; 0 if it holds nothing.
    fn premier_release(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg) -> u64 {
        wire::release(key, id)
    }

    /// `PREMIER.PEEK` of a concurrency limit: decides the call of a new holder, which then holds
    /// nothing.
    fn premier_peek_hold(key: impl ToSingleRedisArg, concurrency: Concurrency) -> Decision {
        wire::peek_hold(key, &concurrency)
    }

    /// `PREMIER.INSPECT`: reports what is known of a key without its limit. Replies with `None` if
    /// there is no such key.
    ///
    /// [`Option<Usage>`]: Option
    fn premier_inspect(key: impl ToSingleRedisArg) -> Option<Usage> {
        wire::inspect(key)
    }

    /// `PREMIER.ALL`: decides a call by 1 to 16 limits, and charges it to all of them or to none.
    /// The keys must differ, and in a cluster all keys must be in one slot.
    fn premier_all(limits: &[(impl ToSingleRedisArg, AnyLimit)]) -> JointDecision {
        wire::all(limits)
    }

    /// `PREMIER.TOP`: lists the keys that the replying node has recently limited most often, the
    /// highest count first. Their number is the setting `premier.top-keys`, or `count`, 1 to 256,
    /// if that is less. In a cluster redis-rs takes `count` for a key: [`LimitedKey`] shows how to
    /// ask all nodes.
    ///
    /// Where the server has ACL categories for the commands of modules, this one is in `@admin` and
    /// `@dangerous`.
    fn premier_top(count: Option<u64>) -> Vec<LimitedKey> {
        wire::top(count)
    }

    /// `PREMIER.TOP RESET`: forgets which keys the replying node has limited. In a cluster that may
    /// be another node than the one that replies to [`premier_top`](Self::premier_top):
    /// [`LimitedKey`] shows how to reach all nodes.
    ///
    /// Where the server has ACL categories for the commands of modules, this one is in `@admin` and
    /// `@dangerous`.
    ///
    /// [`()`]: unit
    fn premier_top_reset() -> () {
        wire::top_reset()
    }

    /// `CL.THROTTLE`, for users of redis-cell: a bucket of `max_burst` + 1 tokens, refilled at
    /// `count` per `period`, of which the call takes `quantity`. In new code prefer
    /// [`premier_token`](Self::premier_token), which does the same on the same keys, except those
    /// that redis-cell left.
    ///
    /// `max_burst` is less than 10¹², `count` 1 to 10¹², `period` 1 second to 3650 days in whole
    /// seconds (a fraction of a second is rounded up), `quantity` up to 10¹² units; 0 only looks.
    /// The server knows the command only if it has loaded the module with `cell-compat yes`;
    /// otherwise it replies `ERR unknown command`.
    fn cl_throttle(
        key: impl ToSingleRedisArg,
        max_burst: u64,
        count: u64,
        period: Duration,
        quantity: u64
    ) -> CellDecision {
        wire::cl_throttle(key, max_burst, count, period, quantity)
    }
} } }

impl<C: ConnectionLike> PremierCommands for C {}

#[cfg(feature = "tokio")]
impl<C: aio::ConnectionLike + Send> AsyncPremierCommands for C {}

impl<P: Pipe> PremierPipelineCommands for P {}

/// A pipeline of redis-rs: [`redis::Pipeline`] or `redis::cluster::ClusterPipeline`.
pub trait Pipe: sealed::Sealed {
    /// Adds a command.
    fn push(&mut self, command: Cmd) -> &mut Self;
}

mod sealed {
    /// Seals the traits: no other crate can implement them.
    pub trait Sealed {}

    impl Sealed for redis::Pipeline {}

    #[cfg(feature = "cluster")]
    impl Sealed for redis::cluster::ClusterPipeline {}
}

impl Pipe for redis::Pipeline {
    fn push(&mut self, command: Cmd) -> &mut Self {
        self.add_command(command)
    }
}

#[cfg(feature = "cluster")]
impl Pipe for redis::cluster::ClusterPipeline {
    fn push(&mut self, command: Cmd) -> &mut Self {
        self.add_command(command)
    }
}
