//! The commands of the module as methods of redis-rs connections and pipelines.

use std::time::Duration;

use premier_algorithms::{Cost, Fixed, Leaky, Sliding, Token};
#[cfg(feature = "tokio")]
use redis::aio;
use redis::{Cmd, ConnectionLike, RedisResult, ToSingleRedisArg};

use crate::limit::with_limit;
use crate::sealed::Arguments as _;
use crate::{AnyLimit, CellDecision, Decision, JointDecision, Limit, LimitedKey, Limiter};

/// The command that decides a call on `key`, and charges it.
pub(crate) fn check(key: impl ToSingleRedisArg, limit: &AnyLimit) -> Cmd {
    with_limit!(limit, limit => check_by(key, limit))
}

fn check_by<A: Limiter>(key: impl ToSingleRedisArg, limit: &Limit<A>) -> Cmd {
    let mut command = redis::cmd(A::COMMAND);
    command.arg(key);
    limit.write_to(&mut command);
    command
}

/// The command that answers what the call would be answered.
pub(crate) fn peek(key: impl ToSingleRedisArg, limit: &AnyLimit) -> Cmd {
    let mut command = redis::cmd("PREMIER.PEEK");
    command.arg(key);
    limit.write_to(&mut command);
    command
}

/// The command that gives back units that were used.
pub(crate) fn refund(key: impl ToSingleRedisArg, units: u64) -> Cmd {
    let mut command = redis::cmd("PREMIER.REFUND");
    command.arg(key).arg(units);
    command
}

/// The command that decides a call of several limits, and charges it to all of them or to none.
pub(crate) fn all(limits: &[(impl ToSingleRedisArg, AnyLimit)]) -> Cmd {
    let mut command = redis::cmd("PREMIER.ALL");
    for (index, (key, limit)) in limits.iter().enumerate() {
        if index > 0 {
            command.arg("AND");
        }
        command.arg(key);
        limit.write_to(&mut command);
    }
    command
}

/// The command that answers which keys were limited most of late.
fn top(count: Option<u64>) -> Cmd {
    let mut command = redis::cmd("PREMIER.TOP");
    command.arg(count);
    command
}

/// The command that forgets them.
fn top_reset() -> Cmd {
    let mut command = redis::cmd("PREMIER.TOP");
    command.arg("RESET");
    command
}

/// The command of redis-cell.
fn cl_throttle(key: impl ToSingleRedisArg, max_burst: u64, count: u64, period: Duration, quantity: u64) -> Cmd {
    const NANOS_PER_SECOND: u128 = 1_000_000_000;
    let period = period.as_nanos().div_ceil(NANOS_PER_SECOND);
    let mut command = redis::cmd("CL.THROTTLE");
    command.arg(key).arg(max_burst).arg(count).arg(period).arg(quantity);
    command
}

impl AnyLimit {
    /// The algorithm and its arguments.
    fn write_to(&self, command: &mut Cmd) {
        with_limit!(self, limit => limit.write_with_algorithm_to(command));
    }
}

impl<A: Limiter> Limit<A> {
    fn write_with_algorithm_to(&self, command: &mut Cmd) {
        command.arg(A::WORD);
        self.write_to(command);
    }

    /// The arguments of its algorithm.
    fn write_to(&self, command: &mut Cmd) {
        self.bounds.write_to(command);
        if self.cost != Cost::ONE {
            command.arg(premier_algorithms::COST.name).arg(self.cost.get());
        }
        if self.is_forced {
            command.arg(premier_algorithms::FORCE.name);
        }
    }
}

/// The traits for connections and pipelines, which have the same methods.
macro_rules! commands {
    ($($(#[$doc:meta])* fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty $command:block)+) => {
        /// `PREMIER.*` and `CL.THROTTLE` on any sync connection of redis-rs, to a server or to a cluster.
        ///
        /// ```no_run
        /// use std::time::Duration;
        ///
        /// use premier_client::{Limit, PremierCommands};
        ///
        /// let mut connection = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
        /// let decision = connection.premier_token("user:42", Limit::token_bucket(5, Duration::from_secs(10)))?;
        /// if decision.is_admitted() { /* … */ }
        /// # Ok::<(), redis::RedisError>(())
        /// ```
        ///
        /// These calls are as safe as the connection: a cluster connection of redis-rs sends a command again when the reply
        /// was lost, up to 16 times by default, and each may be charged. Build it with `retries(0)`, or take a
        /// [`Throttler`](crate::Throttler), which never does.
        pub trait PremierCommands: ConnectionLike + Sized {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Those of the connection, and those of the server: `WRONGTYPE` when a key holds something else, `ERR` when an
                /// argument can't be.
                fn $method(&mut self, $($argument: $kind),*) -> RedisResult<$answer> {
                    $command.query(self)
                }
            )+
        }

        /// `PREMIER.*` and `CL.THROTTLE` on any async connection of redis-rs, to a server or to a cluster.
        ///
        /// What [`PremierCommands`] says of sync connections holds for these too.
        #[cfg(feature = "tokio")]
        pub trait AsyncPremierCommands: aio::ConnectionLike + Send + Sized {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Those of the connection, and those of the server: `WRONGTYPE` when a key holds something else, `ERR` when an
                /// argument can't be.
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
                #[doc = concat!("Answers a [`", stringify!($answer), "`].")]
                fn $method(&mut self, $($argument: $kind),*) -> &mut Self {
                    self.push($command)
                }
            )+
        }
    };
}

commands! {
    /// `PREMIER.FIXED`: at most a quota of units in a window, which the first admitted call opens.
    fn premier_fixed(key: impl ToSingleRedisArg, limit: Limit<Fixed>) -> Decision {
        check_by(key, &limit)
    }

    /// `PREMIER.SLIDING`: at most a quota of units in any span of the duration.
    fn premier_sliding(key: impl ToSingleRedisArg, limit: Limit<Sliding>) -> Decision {
        check_by(key, &limit)
    }

    /// `PREMIER.TOKEN`: a bucket of tokens, refilled continuously.
    fn premier_token(key: impl ToSingleRedisArg, limit: Limit<Token>) -> Decision {
        check_by(key, &limit)
    }

    /// `PREMIER.LEAKY`: a queue that drains continuously.
    fn premier_leaky(key: impl ToSingleRedisArg, limit: Limit<Leaky>) -> Decision {
        check_by(key, &limit)
    }

    /// `PREMIER.PEEK`: what the call would be answered now. Changes nothing.
    fn premier_peek(key: impl ToSingleRedisArg, limit: impl Into<AnyLimit>) -> Decision {
        peek(key, &limit.into())
    }

    /// `PREMIER.REFUND`: gives back 1 to 10¹² units that were used, no more than are used now. The answer is how many were given
    /// back; 0 if there is no such key.
    fn premier_refund(key: impl ToSingleRedisArg, units: u64) -> u64 {
        refund(key, units)
    }

    /// `PREMIER.ALL`: a call of 1 to 16 limits, charged to all of them or to none. No key may be named twice, and in a cluster all
    /// keys have to be in one slot.
    fn premier_all(limits: &[(impl ToSingleRedisArg, AnyLimit)]) -> JointDecision {
        all(limits)
    }

    /// `PREMIER.TOP`: the keys that were limited most of late on the node that answers, and how often; the highest first. As many as
    /// the setting `premier.top-keys`, or `count`, 1 to 256, if that is less. In a cluster redis-rs takes `count` for a key:
    /// [`LimitedKey`] has how to ask all nodes.
    ///
    /// Where the server classes the commands of modules, only administrators may call it.
    fn premier_top(count: Option<u64>) -> Vec<LimitedKey> {
        top(count)
    }

    /// `PREMIER.TOP RESET`: forgets which keys were limited on the node that answers. In a cluster that need not be the one that
    /// answers [`premier_top`](Self::premier_top): [`LimitedKey`] has how to reach all nodes.
    ///
    /// Where the server classes the commands of modules, only administrators may call it.
    ///
    /// [`()`]: unit
    fn premier_top_reset() -> () {
        top_reset()
    }

    /// `CL.THROTTLE`: a bucket of `max_burst` + 1 tokens, refilled at `count` per `period`, of which the call takes `quantity`. For
    /// those who come from redis-cell; new code has [`premier_token`](Self::premier_token), which does the same on the same keys,
    /// but for those that redis-cell left.
    ///
    /// `max_burst` is less than 10¹², `count` 1 to 10¹², `period` 1 second to 3650 days in whole seconds (a fraction of one is
    /// rounded up), `quantity` up to 10¹² units; 0 only looks. The server knows the command only if it has loaded the module with
    /// `cell-compat yes`; otherwise it answers `ERR unknown command`.
    fn cl_throttle(
        key: impl ToSingleRedisArg,
        max_burst: u64,
        count: u64,
        period: Duration,
        quantity: u64
    ) -> CellDecision {
        cl_throttle(key, max_burst, count, period, quantity)
    }
}

impl<C: ConnectionLike> PremierCommands for C {}

#[cfg(feature = "tokio")]
impl<C: aio::ConnectionLike + Send> AsyncPremierCommands for C {}

impl<P: Pipe> PremierPipelineCommands for P {}

/// A pipeline of redis-rs: [`redis::Pipeline`], or `redis::cluster::ClusterPipeline`.
pub trait Pipe {
    /// Adds a command.
    fn push(&mut self, command: Cmd) -> &mut Self;
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
