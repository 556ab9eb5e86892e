//! Backends that keep limits by Lua scripts.

use std::time::Duration;

use premier_blocking::also_blocking;
use redis::IntoConnectionInfo;

#[cfg(feature = "tokio")]
use super::{AsyncBackend, AsyncKind};
use super::{Backend, Kind, Language};
use crate::script::ScriptClock;
use crate::{Error, ErrorKind};

/// How long a store may take to say whether it has loaded the module.
const ASKING_TIMEOUT: Duration = Duration::from_secs(10);

#[also_blocking]
impl AsyncBackend {
    /// Keeps limits by Lua scripts, in a Redis or Valkey server that cannot load the module.
    ///
    /// The answers are the same, but an admitted call takes the server eight to ten times the
    /// instructions. Keys are strings and sorted sets. A script refuses a key of the module with
    /// `WRONGTYPE`, and the module one of a script. The user needs the permissions `+eval +evalsha
    /// +time`, and those for the commands of the algorithms: `+get +set`, `+del +pttl +type` to
    /// [refund](crate::Throttler::refund), [inspect](crate::Throttler::inspect) and
    /// [reset](crate::Throttler::reset), and for concurrency limits `+del +exists +pexpire +zadd
    /// +zcard +zmscore +zrangebyscore +zrem +zrevrange`. A cluster also needs `+cluster|slots`, and
    /// an address with a database `+select`.
    ///
    /// [`by_script`](Self::by_script) does the same for a cluster, a master that sentinels know,
    /// and a pool.
    ///
    /// # Errors
    /// If the address is invalid. An unreachable server is an error of the first call.
    pub fn scripted(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(Self::redis(address)?.by_script(ScriptClock::Server))
    }

    /// Keeps limits in a server: by the commands of the module if the server has loaded it, and
    /// otherwise by [scripts](Self::scripted).
    ///
    /// The server is asked now, and never again: a backend does not switch later. With the feature
    /// `tracing`, an event says which of the two it uses. [`or_by_script`](Self::or_by_script) does
    /// the same for other stores.
    ///
    /// # Errors
    /// If the address is invalid, or the server does not answer.
    pub async fn prefer_module(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Self::redis(address)?.or_by_script().await
    }

    /// Keeps limits in this store by [scripts](Self::scripted) instead of the module's commands. A
    /// backend in memory stays as it is.
    ///
    /// ```
    /// use premier_client::{AsyncBackend, ScriptClock};
    ///
    /// let sentinels = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"];
    /// let backend = AsyncBackend::sentinel(sentinels, "mymaster")?.by_script(ScriptClock::Server);
    /// # let _ = backend;
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    #[must_use]
    pub fn by_script(self, clock: ScriptClock) -> Self {
        self.asked_in(Language::Script(clock))
    }

    /// Asks the store whether it has loaded the module, and keeps limits [by
    /// scripts](Self::by_script) if it has not: see [`prefer_module`](Self::prefer_module). In a
    /// cluster, one node is asked.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn or_by_script(self) -> Result<Self, Error> {
        let language = if self.has_module().await? { Language::Module } else { Language::Script(ScriptClock::Server) };
        #[cfg(feature = "tracing")]
        tracing::info!(
            target: "premier_client",
            "{}",
            match language {
                Language::Module => "limits are kept by the module",
                Language::Script(_) => "the server has not loaded the module: limits are kept by scripts",
            }
        );
        Ok(self.asked_in(language))
    }

    /// Services that load no modules do not list them either, so this sends a command of the module
    /// without its key. A server with the module replies that an argument is missing, any other
    /// that the command is unknown.
    async fn has_module(&self) -> Result<bool, Error> {
        let command = redis::cmd("PREMIER.INSPECT");
        let refused = match &self.0 {
            AsyncKind::Server(server, _) => server.call::<()>(&command, ASKING_TIMEOUT).await,
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(cluster, _) => cluster.call(&command, ASKING_TIMEOUT).await,
            #[cfg(feature = "memory")]
            AsyncKind::Memory(_) => return Ok(true),
        };
        match refused {
            Err(error) if error.kind() == ErrorKind::ModuleNotLoaded => Ok(false),
            Err(error) if format!("{error:#}").contains("wrong number of arguments") => Ok(true),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }

    fn asked_in(self, language: Language) -> Self {
        Self(match self.0 {
            AsyncKind::Server(server, _) => AsyncKind::Server(server, language),
            #[cfg(feature = "cluster")]
            AsyncKind::Cluster(cluster, _) => AsyncKind::Cluster(cluster, language),
            #[cfg(feature = "memory")]
            AsyncKind::Memory(memory) => AsyncKind::Memory(memory),
        })
    }
}
