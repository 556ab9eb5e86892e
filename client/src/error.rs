use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisError, ServerErrorKind};

use crate::{Decision, Keyspace, RetryAfter};

/// Why a call was not admitted, or not decided.
///
/// Cheap to clone. Prints as a sentence. If redis-rs reported an error,
/// [`source`](StdError::source) returns it.
#[derive(Clone)]
pub struct Error(Arc<Reason>);

/// A kind of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The quota is exceeded. The error contains the key and the [`Decision`].
    QuotaExceeded,
    /// The store cannot be reached, or cannot decide now: it is loading its data, is out of memory,
    /// is a replica, or has too many clients; or no connection of the pool was free in time.
    /// Nothing was charged.
    Unavailable,
    /// The call may have reached the store, but the reply was lost. The call may have been charged,
    /// or not.
    ReplyLost,
    /// The server has not loaded the module.
    ModuleNotLoaded,
    /// A limit, a keyspace, an address or a setting is invalid, or the store is a cluster where a
    /// single server is expected, or the reverse.
    Configuration,
    /// The call took longer than its [`timeout`](crate::decorate#timeouts), and was dropped.
    #[cfg(feature = "macros")]
    Timeout,
    /// The store refused the call: the key has another type, the password or the database is wrong,
    /// or the user lacks permission. Nothing was charged.
    Refused,
}

enum Reason {
    QuotaExceeded {
        key: String,
        decision: Decision,
    },
    Unavailable(Source),
    ReplyLost(Source),
    NoReply {
        deadline: Duration,
    },
    ModuleNotLoaded(RedisError),
    InvalidArgument(InvalidArgument),
    InvalidAddress(RedisError),
    #[cfg(feature = "cluster")]
    NoAddress,
    /// A cluster was reached as if it were a single server, or a single server as if a cluster.
    OtherKindOfStore {
        is_cluster: bool,
        error: RedisError,
    },
    InvalidKeyspace(String),
    InvalidLimits(&'static str),
    #[cfg(feature = "macros")]
    ConfiguredAlready,
    #[cfg(all(feature = "macros", feature = "tokio"))]
    TimedOut {
        after: Duration,
    },
    Refused(RedisError),
}

/// How a server begins to refuse a connection that is one too many.
pub(crate) const TOO_MANY_CLIENTS: &str = "max number of clients";

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match *self.0 {
            Reason::QuotaExceeded { .. } => ErrorKind::QuotaExceeded,
            Reason::Unavailable(_) => ErrorKind::Unavailable,
            Reason::ReplyLost(_) | Reason::NoReply { .. } => ErrorKind::ReplyLost,
            Reason::ModuleNotLoaded(_) => ErrorKind::ModuleNotLoaded,
            Reason::InvalidArgument(_)
            | Reason::InvalidAddress(_)
            | Reason::OtherKindOfStore { .. }
            | Reason::InvalidKeyspace(_)
            | Reason::InvalidLimits(_) => ErrorKind::Configuration,
            #[cfg(feature = "cluster")]
            Reason::NoAddress => ErrorKind::Configuration,
            #[cfg(feature = "macros")]
            Reason::ConfiguredAlready => ErrorKind::Configuration,
            #[cfg(all(feature = "macros", feature = "tokio"))]
            Reason::TimedOut { .. } => ErrorKind::Timeout,
            Reason::Refused(_) => ErrorKind::Refused,
        }
    }

    /// Returns the key whose quota is exceeded, as it is in the store.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &*self.0 {
            Reason::QuotaExceeded { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Returns the decision on the limited call, which has the retry-after.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        match *self.0 {
            Reason::QuotaExceeded { decision, .. } => Some(decision),
            _ => None,
        }
    }

    /// Returns whether the store did not answer, so that [`OnError`](crate::OnError) applies.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost)
    }

    pub(crate) fn quota_exceeded(key: String, decision: Decision) -> Self {
        Reason::QuotaExceeded { key, decision }.into()
    }

    pub(crate) fn unavailable(source: impl Into<Source>) -> Self {
        Reason::Unavailable(source.into()).into()
    }

    pub(crate) fn no_reply(deadline: Duration) -> Self {
        Reason::NoReply { deadline }.into()
    }

    pub(crate) fn invalid_address(error: RedisError) -> Self {
        Reason::InvalidAddress(error).into()
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn no_address() -> Self {
        Reason::NoAddress.into()
    }

    pub(crate) fn reply_lost(error: RedisError) -> Self {
        Reason::ReplyLost(error.into()).into()
    }

    /// Makes an error of a failure to connect.
    pub(crate) fn unconnected(error: RedisError) -> Self {
        match error.kind() {
            redis::ErrorKind::Io | redis::ErrorKind::Parse | redis::ErrorKind::Client => Self::unavailable(error),
            redis::ErrorKind::InvalidClientConfig => Self::invalid_address(error),
            _ => Self::answered(error),
        }
    }

    /// Returns the address `host:port` of the cluster node that has the key of the call, and
    /// whether it has its slot. The call was not charged.
    pub(crate) fn redirection(&self) -> Option<(&str, bool)> {
        match &*self.0 {
            Reason::OtherKindOfStore { is_cluster: true, error } => {
                let (address, _) = error.redirect_node()?;
                Some((address, error.kind() == ServerErrorKind::Moved.into()))
            }
            _ => None,
        }
    }

    pub(crate) fn invalid_keyspace(name: String) -> Self {
        Reason::InvalidKeyspace(name).into()
    }

    pub(crate) fn invalid_limits(rule: &'static str) -> Self {
        Reason::InvalidLimits(rule).into()
    }

    #[cfg(feature = "macros")]
    pub(crate) fn configured_already() -> Self {
        Reason::ConfiguredAlready.into()
    }

    #[cfg(all(feature = "macros", feature = "tokio"))]
    pub(crate) fn timed_out(after: Duration) -> Self {
        Reason::TimedOut { after }.into()
    }

    /// Makes an error of redis-rs's answer to a command.
    pub(crate) fn answered(error: RedisError) -> Self {
        use ServerErrorKind as Server;
        use redis::ErrorKind as Kind;

        let reason = match error.kind() {
            Kind::Server(
                Server::BusyLoading | Server::ClusterDown | Server::MasterDown | Server::TryAgain | Server::ReadOnly,
            ) => Reason::Unavailable(error.into()),
            Kind::Server(Server::Moved | Server::Ask) => Reason::OtherKindOfStore { is_cluster: true, error },
            Kind::Extension if matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY")) => {
                Reason::Unavailable(error.into())
            }
            Kind::Server(Server::ResponseError)
                if error.detail().is_some_and(|detail| detail.starts_with("unknown command")) =>
            {
                Reason::ModuleNotLoaded(error)
            }
            Kind::Server(Server::ResponseError)
                if error.detail().is_some_and(|detail| detail.starts_with(TOO_MANY_CLIENTS)) =>
            {
                Reason::Unavailable(error.into())
            }
            Kind::Server(Server::ResponseError)
                if error
                    .detail()
                    .is_some_and(|detail| detail.starts_with("This instance has cluster support disabled")) =>
            {
                Reason::OtherKindOfStore { is_cluster: false, error }
            }
            Kind::Io | Kind::Parse => Reason::ReplyLost(error.into()),
            _ => Reason::Refused(error),
        };
        reason.into()
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self(Arc::new(reason))
    }
}

/// A value that its argument may not have.
///
/// Prints as a sentence that names the argument and says what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidArgument(pub(crate) premier_algorithms::InvalidArgument);

impl InvalidArgument {
    /// Returns the name of the invalid argument, as commands have it: in capitals if it is an
    /// option.
    #[must_use]
    pub const fn argument(&self) -> &'static str {
        self.0.argument().name
    }

    /// Returns the sentence that it prints as.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.0.rule()
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

impl StdError for InvalidArgument {}

impl From<InvalidArgument> for Error {
    fn from(invalid: InvalidArgument) -> Self {
        Reason::InvalidArgument(invalid).into()
    }
}

/// Prints the sentence, as this is what a `main` prints that returns an error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::QuotaExceeded { key, decision } => match decision.retry_after() {
                Some(RetryAfter::Never) => {
                    write!(
                        f,
                        "the quota of {key} is exceeded: the call costs more than the limit of {}",
                        decision.limit()
                    )
                }
                Some(RetryAfter::After(after)) => write!(f, "the quota of {key} is exceeded: retry after {after:?}"),
                None => write!(f, "the quota of {key} is exceeded"),
            },
            Reason::Unavailable(source) => write!(f, "the store is unavailable, nothing was charged: {source}"),
            Reason::ReplyLost(source) => {
                write!(f, "the reply was lost, the call may or may not have been charged: {source}")
            }
            Reason::NoReply { deadline } => {
                write!(f, "the store did not reply within {deadline:?}, the call may or may not have been charged")
            }
            Reason::ModuleNotLoaded(_) => f.write_str(
                "the server has not loaded the premier module: add `loadmodule /path/to/libpremier.so` to its \
                     redis.conf and restart it, or try `MODULE LOAD /path/to/libpremier.so`",
            ),
            Reason::InvalidArgument(invalid) => invalid.fmt(f),
            Reason::InvalidAddress(error) => write!(f, "invalid address of the store: {error}"),
            #[cfg(feature = "cluster")]
            Reason::NoAddress => f.write_str("a cluster needs the address of at least one of its nodes"),
            Reason::OtherKindOfStore { is_cluster: true, .. } => f.write_str(
                "the server is a node of a cluster: use `Backend::cluster` or `AsyncBackend::cluster`, of the feature \
                 `cluster`",
            ),
            Reason::OtherKindOfStore { is_cluster: false, .. } => f.write_str(
                "the server is not a node of a cluster: use `Backend::redis` or `AsyncBackend::redis`",
            ),
            Reason::InvalidKeyspace(name) => write!(f, "invalid keyspace {name:?}: {}", Keyspace::RULE),
            Reason::InvalidLimits(rule) => f.write_str(rule),
            #[cfg(feature = "macros")]
            Reason::ConfiguredAlready => f.write_str(
                "the throttlers of decorated functions are in use already: configure them only once, before the first call of \
                 such a function",
            ),
            #[cfg(all(feature = "macros", feature = "tokio"))]
            Reason::TimedOut { after } => write!(f, "the call did not end within {after:?}"),
            Reason::Refused(error) => write!(f, "the store refused the call: {error}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Reason::Unavailable(source) | Reason::ReplyLost(source) => Some(&**source),
            Reason::ModuleNotLoaded(error)
            | Reason::InvalidAddress(error)
            | Reason::OtherKindOfStore { error, .. }
            | Reason::Refused(error) => Some(error),
            Reason::InvalidArgument(invalid) => Some(invalid),
            _ => None,
        }
    }
}
