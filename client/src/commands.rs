//! The commands of the module as methods of redis-rs connections and pipelines.

use premier_algorithms::{Cost, Fixed, Leaky, Sliding, Token};
#[cfg(feature = "tokio")]
use redis::aio;
use redis::{Cmd, ConnectionLike, RedisResult, ToSingleRedisArg};

use crate::{Decision, Limit, Limiter, sealed::Arguments};

/// The command that decides a call on `key`.
pub(crate) fn command<A: Limiter>(key: impl ToSingleRedisArg, limit: &Limit<A>) -> Cmd {
    let mut command = redis::cmd(A::COMMAND);
    command.arg(key);
    limit.bounds.write_to(&mut command);
    if limit.cost != Cost::ONE {
        command.arg(premier_algorithms::COST.name).arg(limit.cost.get());
    }
    if limit.is_forced {
        command.arg(premier_algorithms::FORCE.name);
    }
    command
}

/// The traits for connections and pipelines, which have the same methods.
macro_rules! commands {
    ($($(#[$doc:meta])* $method:ident($algorithm:ident);)+) => {
        /// `PREMIER.*` on any sync connection of redis-rs, to a server or to a cluster.
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
                /// Those of the connection, and those of the server: `WRONGTYPE` when the key holds something else.
                fn $method(&mut self, key: impl ToSingleRedisArg, limit: Limit<$algorithm>) -> RedisResult<Decision> {
                    command(key, &limit).query(self)
                }
            )+
        }

        /// `PREMIER.*` on any async connection of redis-rs, to a server or to a cluster.
        ///
        /// What [`PremierCommands`] says of sync connections holds for these too.
        #[cfg(feature = "tokio")]
        pub trait AsyncPremierCommands: aio::ConnectionLike + Send + Sized {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Those of the connection, and those of the server: `WRONGTYPE` when the key holds something else.
                fn $method(
                    &mut self,
                    key: impl ToSingleRedisArg,
                    limit: Limit<$algorithm>,
                ) -> impl Future<Output = RedisResult<Decision>> + Send {
                    let command = command(key, &limit);
                    async move { command.query_async(self).await }
                }
            )+
        }

        /// `PREMIER.*` in a pipeline of redis-rs. Each answers a [`Decision`].
        pub trait PremierPipelineCommands: Pipe {
            $(
                $(#[$doc])*
                fn $method(&mut self, key: impl ToSingleRedisArg, limit: Limit<$algorithm>) -> &mut Self {
                    self.push(command(key, &limit))
                }
            )+
        }
    };
}

commands! {
    /// `PREMIER.FIXED`: at most a quota of units in a window, which the first admitted call opens.
    premier_fixed(Fixed);

    /// `PREMIER.SLIDING`: at most a quota of units in any span of the duration.
    premier_sliding(Sliding);

    /// `PREMIER.TOKEN`: a bucket of tokens, refilled continuously.
    premier_token(Token);

    /// `PREMIER.LEAKY`: a queue that drains continuously.
    premier_leaky(Leaky);
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
