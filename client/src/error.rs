use std::error::Error as StdError;
use std::fmt;
#[cfg(feature = "policies")]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisError, ServerErrorKind};

#[cfg(feature = "policies")]
use crate::PolicyLimit;
use crate::{Decision, InvalidLimit, InvalidZone, Keyspace, RetryAfter};

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
    /// A limit, a policy, a keyspace, an address or a setting is invalid; the store is a cluster
    /// where a single server is expected, or the reverse; the server at the address is of another
    /// kind, or its certificate is not trusted; the sentinels do not know the master; replicas
    /// cannot confirm calls on such a connection; or an async call is made outside tokio, or in a
    /// runtime without I/O.
    Configuration,
    /// The call took longer than its [`timeout`](crate::decorate#timeouts), and was dropped.
    #[cfg(feature = "macros")]
    Timeout,
    /// The store refused the call: the key has another type, is used by another algorithm or has
    /// too many holders, the password or the database is wrong, or the user lacks permission.
    /// Nothing was charged.
    Refused,
    /// A [permit](crate::Permit) was not renewed before its lease ended, or the store did not renew
    /// it. Others may hold its place.
    PermitLost,
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
    ModuleNotLoaded(Reported),
    InvalidArgument(InvalidArgument),
    InvalidZone(InvalidZone),
    InvalidLimit(InvalidLimit),
    InvalidAddress(Reported),
    #[cfg(feature = "cluster")]
    NoAddress,
    NoSentinel,
    NoMasterName,
    /// The sentinels know no master of this name.
    UnknownMaster(String),
    /// The server at this address is not a sentinel.
    NotASentinel(String),
    /// Replicas cannot confirm the calls of a connection.
    #[cfg(feature = "tokio")]
    Unconfirmable,
    #[cfg(feature = "tokio")]
    NoRuntime,
    #[cfg(feature = "tokio")]
    NoIo,
    ForeignReceipt,
    /// A cluster was reached as if it were a single server, or a single server as if a cluster.
    OtherKindOfStore {
        is_cluster: bool,
        error: Reported,
    },
    /// One node of a cluster was to do what is to be done by all.
    OtherNodes,
    #[cfg(feature = "tls")]
    NotEncrypted(Reported),
    #[cfg(not(feature = "tls"))]
    NoTls(Reported),
    InvalidKeyspace(String),
    InvalidLimits(&'static str),
    #[cfg(feature = "policies")]
    InvalidPolicies {
        path: PathBuf,
        reason: String,
    },
    #[cfg(feature = "policies")]
    UnknownPolicy {
        name: String,
        known: String,
    },
    /// A rate where concurrency is expected, or the other way round.
    #[cfg(feature = "policies")]
    OtherPolicy {
        name: String,
        is: String,
        expected: &'static str,
    },
    #[cfg(feature = "policies")]
    NoPolicies,
    #[cfg(feature = "macros")]
    ConfiguredAlready,
    #[cfg(all(feature = "macros", feature = "tokio"))]
    TimedOut {
        after: Duration,
    },
    Refused(Reported),
    #[cfg(feature = "memory")]
    OtherAlgorithm {
        key: String,
    },
    CrossSlot(Reported),
    #[cfg(feature = "memory")]
    Full(premier_algorithms::Full),
    PermitLost {
        key: String,
    },
}

/// How a server begins to refuse a connection that is one too many.
pub(crate) const TOO_MANY_CLIENTS: &str = "max number of clients";

type Source = Box<dyn StdError + Send + Sync>;

/// An error of redis-rs. It prints as its own source does, which is therefore left out.
#[derive(Debug)]
struct Reported(RedisError);

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Reported {}

/// Returns the reason such that a chain of errors names it only once.
fn named_once(source: Source) -> Source {
    match source.downcast::<RedisError>() {
        Ok(error) => Box::new(Reported(*error)),
        Err(other) => other,
    }
}

/// Returns whether rustls reported the error. An interrupted connection is an error of the system.
#[cfg(feature = "tls")]
fn is_of_tls(error: &RedisError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<Arc<dyn StdError + Send + Sync>>());
    source.is_some_and(|source| {
        let of_io = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        of_io.unwrap_or(&**source).is::<rustls::Error>()
    })
}

impl Error {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match *self.0 {
            Reason::QuotaExceeded { .. } => ErrorKind::QuotaExceeded,
            Reason::Unavailable(_) => ErrorKind::Unavailable,
            Reason::ReplyLost(_) | Reason::NoReply { .. } => ErrorKind::ReplyLost,
            Reason::ModuleNotLoaded(_) => ErrorKind::ModuleNotLoaded,
            #[cfg(not(feature = "tls"))]
            Reason::NoTls(_) => ErrorKind::Configuration,
            Reason::InvalidArgument(_)
            | Reason::InvalidLimit(_)
            | Reason::InvalidZone(_)
            | Reason::InvalidAddress(_)
            | Reason::NoSentinel
            | Reason::NoMasterName
            | Reason::UnknownMaster(_)
            | Reason::NotASentinel(_)
            | Reason::ForeignReceipt
            | Reason::OtherNodes
            | Reason::OtherKindOfStore { .. }
            | Reason::InvalidKeyspace(_)
            | Reason::InvalidLimits(_) => ErrorKind::Configuration,
            #[cfg(feature = "cluster")]
            Reason::NoAddress => ErrorKind::Configuration,
            #[cfg(feature = "policies")]
            Reason::InvalidPolicies { .. }
            | Reason::UnknownPolicy { .. }
            | Reason::OtherPolicy { .. }
            | Reason::NoPolicies => ErrorKind::Configuration,
            #[cfg(feature = "tls")]
            Reason::NotEncrypted(_) => ErrorKind::Configuration,
            #[cfg(feature = "tokio")]
            Reason::NoRuntime | Reason::NoIo | Reason::Unconfirmable => ErrorKind::Configuration,
            #[cfg(feature = "macros")]
            Reason::ConfiguredAlready => ErrorKind::Configuration,
            #[cfg(all(feature = "macros", feature = "tokio"))]
            Reason::TimedOut { .. } => ErrorKind::Timeout,
            #[cfg(feature = "memory")]
            Reason::OtherAlgorithm { .. } => ErrorKind::Refused,
            Reason::Refused(_) | Reason::CrossSlot(_) => ErrorKind::Refused,
            #[cfg(feature = "memory")]
            Reason::Full(_) => ErrorKind::Refused,
            Reason::PermitLost { .. } => ErrorKind::PermitLost,
        }
    }

    /// Returns the key whose quota is exceeded, or whose permit was lost, as it is in the store.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &*self.0 {
            Reason::QuotaExceeded { key, .. } | Reason::PermitLost { key } => Some(key),
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

    /// Returns whether the store may have received the call and executed it.
    pub(crate) fn may_have_been_sent(&self) -> bool {
        self.kind() == ErrorKind::ReplyLost
    }

    pub(crate) fn quota_exceeded(key: String, decision: Decision) -> Self {
        Reason::QuotaExceeded { key, decision }.into()
    }

    pub(crate) fn permit_lost(key: String) -> Self {
        Reason::PermitLost { key }.into()
    }

    #[cold]
    pub(crate) fn unavailable(source: impl Into<Source>) -> Self {
        Reason::Unavailable(named_once(source.into())).into()
    }

    #[cold]
    pub(crate) fn no_reply(deadline: Duration) -> Self {
        Reason::NoReply { deadline }.into()
    }

    pub(crate) fn invalid_address(error: RedisError) -> Self {
        #[cfg(not(feature = "tls"))]
        if error.kind() == redis::ErrorKind::InvalidClientConfig && error.to_string().contains("TLS") {
            return Reason::NoTls(Reported(error)).into();
        }
        Reason::InvalidAddress(Reported(error)).into()
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn no_address() -> Self {
        Reason::NoAddress.into()
    }

    pub(crate) fn no_sentinel() -> Self {
        Reason::NoSentinel.into()
    }

    pub(crate) fn no_master_name() -> Self {
        Reason::NoMasterName.into()
    }

    pub(crate) fn unknown_master(name: String) -> Self {
        Reason::UnknownMaster(name).into()
    }

    pub(crate) fn not_a_sentinel(address: String) -> Self {
        Reason::NotASentinel(address).into()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn unconfirmable() -> Self {
        Reason::Unconfirmable.into()
    }

    #[cfg(feature = "tokio")]
    #[cold]
    pub(crate) fn no_runtime() -> Self {
        Reason::NoRuntime.into()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn no_io() -> Self {
        Reason::NoIo.into()
    }

    pub(crate) fn foreign_receipt() -> Self {
        Reason::ForeignReceipt.into()
    }

    #[cold]
    pub(crate) fn reply_lost(error: RedisError) -> Self {
        Reason::ReplyLost(named_once(error.into())).into()
    }

    pub(crate) fn other_nodes() -> Self {
        Reason::OtherNodes.into()
    }

    /// Makes an error of a failure to connect.
    #[cold]
    pub(crate) fn unconnected(error: RedisError) -> Self {
        match error.kind() {
            // Whatever answers there cannot be trusted, or does not speak TLS.
            #[cfg(feature = "tls")]
            _ if is_of_tls(&error) => Reason::NotEncrypted(Reported(error)).into(),
            redis::ErrorKind::Io | redis::ErrorKind::Client => Self::unavailable(error),
            // Whatever answers there is no server of this kind.
            redis::ErrorKind::Parse | redis::ErrorKind::InvalidClientConfig => Self::invalid_address(error),
            _ => Self::answered(error),
        }
    }

    /// Returns the address `host:port` of the cluster node that has the key of the call, and
    /// whether it has its slot. The call was not charged.
    pub(crate) fn redirection(&self) -> Option<(&str, bool)> {
        match &*self.0 {
            Reason::OtherKindOfStore { is_cluster: true, error } => {
                let (address, _) = error.0.redirect_node()?;
                Some((address, error.0.kind() == ServerErrorKind::Moved.into()))
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

    #[cfg(feature = "policies")]
    pub(crate) fn invalid_policies(path: &Path, reason: String) -> Self {
        Reason::InvalidPolicies { path: path.to_owned(), reason }.into()
    }

    #[cfg(feature = "policies")]
    pub(crate) fn unknown_policy<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Self {
        let known: Vec<_> = known.map(String::as_str).collect();
        Reason::UnknownPolicy { name: name.to_owned(), known: known.join(", ") }.into()
    }

    #[cfg(feature = "policies")]
    pub(crate) fn other_policy(name: &str, limit: PolicyLimit) -> Self {
        let expected = match limit {
            PolicyLimit::Rate(_) => "a concurrency limit, as in hold 10/30s",
            PolicyLimit::Concurrency(_) => "a rate",
        };
        Reason::OtherPolicy { name: name.to_owned(), is: limit.to_string(), expected }.into()
    }

    #[cfg(feature = "policies")]
    pub(crate) fn no_policies() -> Self {
        Reason::NoPolicies.into()
    }

    #[cfg(feature = "memory")]
    pub(crate) fn other_algorithm(key: String) -> Self {
        Reason::OtherAlgorithm { key }.into()
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
    #[cold]
    pub(crate) fn answered(error: RedisError) -> Self {
        use ServerErrorKind as Server;
        use redis::ErrorKind as Kind;

        let reason = match error.kind() {
            Kind::Server(
                Server::BusyLoading | Server::ClusterDown | Server::MasterDown | Server::TryAgain | Server::ReadOnly,
            ) => Reason::Unavailable(error.into()),
            Kind::Server(Server::Moved | Server::Ask) => {
                Reason::OtherKindOfStore { is_cluster: true, error: Reported(error) }
            }
            Kind::Extension if matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY")) => {
                Reason::Unavailable(error.into())
            }
            Kind::Server(Server::ResponseError)
                if error.detail().is_some_and(|detail| {
                    // A script needs no module.
                    detail.starts_with("unknown command") && !detail.starts_with("unknown command 'EVALSHA'")
                }) =>
            {
                Reason::ModuleNotLoaded(Reported(error))
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
                Reason::OtherKindOfStore { is_cluster: false, error: Reported(error) }
            }
            Kind::Server(Server::CrossSlot) => Reason::CrossSlot(Reported(error)),
            Kind::Io | Kind::Parse => Reason::ReplyLost(error.into()),
            _ => Reason::Refused(Reported(error)),
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
/// Prints as a sentence that says what the argument may be, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidArgument {
    argument: &'static str,
    rule: &'static str,
    given: Given,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Number(u64),
    Time(Duration),
    Minutes(i16),
}

/// Defines the errors of arguments.
macro_rules! arguments {
    ($($(#[$attribute:meta])? $argument:ident($value:ident: $type:ty) $given:expr, $rule:literal;)+) => {
        impl InvalidArgument {
            $(
                $(#[$attribute])?
                pub(crate) const fn $argument($value: $type) -> Self {
                    Self { argument: stringify!($argument), rule: $rule, given: $given }
                }
            )+
        }
    };
}

arguments! {
    quota(units: u64) Given::Number(units), "a quota must be 0 to 1000000000000 units";
    duration(time: Duration) Given::Time(time), "a duration must be 1 ms to 3650 days";
    capacity(units: u64) Given::Number(units), "a capacity must be 1 to 1000000000000 units";
    cost(units: u64) Given::Number(units), "a cost must be 1 to 1000000000000 units";
    lease(time: Duration) Given::Time(time), "a lease must be 1 ms to 3650 days";
    id(length: u64) Given::Number(length), "an id must be 1 to 128 bytes";
    keep(units: u64) Given::Number(units), "a reserve must be 0 to 1000000000000 units";
    max_wait(time: Duration) Given::Time(time), "a maximum wait must be 0 to 3650 days";
    leased(units: u64) Given::Number(units), "a lease must be of 1 to 1000000000000 units";
    held_for(time: Duration) Given::Time(time), "a lease of units must be held for 10 ms to 1 h";
    refund(units: u64) Given::Number(units), "a refund must be 1 to 1000000000000 units";
    weeks(weeks: u64) Given::Number(weeks), "a duration must be 1 to 521 weeks";
    months(months: u64) Given::Number(months), "a duration must be 1 to 120 months";
    zone(minutes: i16) Given::Minutes(minutes), "a zone must be at most 18 hours from UTC";
    #[cfg(feature = "memory")]
    share(processes: u64) Given::Number(processes), "a share must be one in 1 to 4294967295 processes";
}

impl InvalidArgument {
    /// Returns the name of the invalid argument: `quota`, `duration`, `capacity`, `cost`,
    /// `lease`, `id`, `keep`, `max_wait`, `leased`, `held_for`, `refund`, `weeks`, `months`, `zone`
    /// or `share`.
    #[must_use]
    pub const fn argument(&self) -> &'static str {
        self.argument
    }

    /// Calls the duration a lease.
    pub(crate) const fn of_lease(self, lease: Duration) -> Self {
        match self.given {
            Given::Time(_) => Self::lease(lease),
            Given::Number(_) | Given::Minutes(_) => self,
        }
    }

    /// Returns what the argument may be, as a sentence.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.given {
            Given::Number(number) => write!(f, "{}, not {number}", self.rule),
            Given::Time(time) => write!(f, "{}, not {time:?}", self.rule),
            Given::Minutes(minutes) => write!(f, "{}, not {minutes} minutes", self.rule),
        }
    }
}

impl StdError for InvalidArgument {}

impl From<InvalidZone> for Error {
    fn from(invalid: InvalidZone) -> Self {
        Reason::InvalidZone(invalid).into()
    }
}

#[cfg(feature = "memory")]
impl From<premier_algorithms::Full> for Error {
    fn from(full: premier_algorithms::Full) -> Self {
        Reason::Full(full).into()
    }
}

impl From<InvalidLimit> for Error {
    fn from(invalid: InvalidLimit) -> Self {
        Reason::InvalidLimit(invalid).into()
    }
}

impl From<InvalidArgument> for Error {
    fn from(invalid: InvalidArgument) -> Self {
        Reason::InvalidArgument(invalid).into()
    }
}

/// Prints the sentence and its reasons, as this is what a `main` prints that returns an error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

/// Prints the sentence; with `{:#}` also its reasons, which [`source`](StdError::source) returns.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let mut reason = self.source().filter(|_| f.alternate());
        while let Some(error) = reason {
            write!(f, ": {error}")?;
            reason = error.source();
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::QuotaExceeded { key, decision } => write_exceeded(f, key, decision),
            Reason::Unavailable(_) => f.write_str("the store is unavailable, nothing was charged"),
            Reason::ReplyLost(_) => f.write_str("the reply was lost, the call may or may not have been charged"),
            Reason::NoReply { deadline } => {
                write!(f, "the store did not reply within {deadline:?}, the call may or may not have been charged")
            }
            Reason::ModuleNotLoaded(_) => f.write_str(
                "the server has not loaded the premier module: add `loadmodule /path/to/libpremier.so` to its \
                     redis.conf and restart it, or try `MODULE LOAD /path/to/libpremier.so`; where no module can be loaded, use \
                     `Backend::scripted` or `AsyncBackend::scripted`, of the feature `script`",
            ),
            Reason::InvalidArgument(invalid) => invalid.fmt(f),
            Reason::InvalidLimit(invalid) => invalid.fmt(f),
            Reason::InvalidZone(invalid) => invalid.fmt(f),
            Reason::InvalidAddress(_) => f.write_str("invalid address of the store"),
            #[cfg(not(feature = "tls"))]
            Reason::NoTls(_) => f.write_str(
                "the address of the store needs TLS, which is not compiled in: turn on the feature `tls` of premier-client",
            ),
            #[cfg(feature = "cluster")]
            Reason::NoAddress => f.write_str("a cluster needs the address of at least one of its nodes"),
            Reason::NoSentinel => f.write_str("the addresses of the sentinels are missing: at least one is needed"),
            Reason::NoMasterName => f.write_str(
                "invalid master: expected the name that the sentinels know, or an address with it as the host, such as \
                 redis://user:password@mymaster/",
            ),
            Reason::UnknownMaster(name) => {
                write!(f, "the sentinels know no master named {name:?}: expected a name that their configuration monitors")
            }
            Reason::NotASentinel(address) => {
                write!(f, "the server at {address} is not a sentinel: use `Backend::redis` or `AsyncBackend::redis` for it")
            }
            #[cfg(feature = "tokio")]
            Reason::Unconfirmable => f.write_str(
                "replicas cannot confirm calls on a connection that connects anew on its own: use `AsyncBackend::redis`, \
                 `AsyncBackend::cluster` or a pool instead",
            ),
            #[cfg(feature = "tokio")]
            Reason::NoRuntime => f.write_str(
                "async calls reach a server or a cluster only within a tokio runtime, such as that of `#[tokio::main]`, and \
                 there is none here",
            ),
            #[cfg(feature = "tokio")]
            Reason::NoIo => f.write_str(
                "this tokio runtime cannot reach a server or a cluster: build it with `enable_all`",
            ),
            Reason::ForeignReceipt => {
                f.write_str("the receipt belongs to another throttler: refund it where the call was charged")
            }
            Reason::OtherKindOfStore { is_cluster: true, .. } => f.write_str(
                "the server is a node of a cluster: use `Backend::cluster` or `AsyncBackend::cluster`, of the feature \
                 `cluster`",
            ),
            Reason::OtherKindOfStore { is_cluster: false, .. } => f.write_str(
                "the server is not a node of a cluster: use `Backend::redis` or `AsyncBackend::redis`",
            ),
            Reason::OtherNodes => f.write_str(
                "the server is one of several nodes of a cluster, so only its own keys could be cleared: use \
                 `Backend::cluster` or `AsyncBackend::cluster`, of the feature `cluster`",
            ),
            #[cfg(feature = "tls")]
            Reason::NotEncrypted(_) => f.write_str(
                "the connection to the store could not be encrypted: check its address, its certificate, and which \
                 certificates are trusted here",
            ),
            Reason::InvalidKeyspace(name) => write!(f, "invalid keyspace {name:?}: {}", Keyspace::RULE),
            Reason::InvalidLimits(rule) => f.write_str(rule),
            #[cfg(feature = "policies")]
            Reason::InvalidPolicies { path, reason } => write!(f, "invalid policies in {}: {reason}", path.display()),
            #[cfg(feature = "policies")]
            Reason::UnknownPolicy { name, known } => write!(f, "unknown policy {name:?}: expected one of {known}"),
            #[cfg(feature = "policies")]
            Reason::OtherPolicy { name, is, expected } => write!(f, "policy {name:?} is {is}: expected {expected}"),
            #[cfg(feature = "policies")]
            Reason::NoPolicies => {
                f.write_str("the throttler has no policies: set them with `Builder::policies`")
            }
            #[cfg(feature = "macros")]
            Reason::ConfiguredAlready => f.write_str(
                "the throttlers of decorated functions are in use already: configure them only once, before the first call of \
                 such a function",
            ),
            #[cfg(all(feature = "macros", feature = "tokio"))]
            Reason::TimedOut { after } => write!(f, "the call did not end within {after:?}"),
            Reason::Refused(_) => f.write_str("the store refused the call"),
            #[cfg(feature = "memory")]
            Reason::OtherAlgorithm { key } => {
                write!(f, "another algorithm uses the key {key}: give each algorithm a key of its own")
            }
            #[cfg(feature = "memory")]
            Reason::Full(full) => full.fmt(f),
            Reason::PermitLost { key } => {
                write!(f, "the permit of {key} is lost: its lease has ended, or the store gave its place to others")
            }
            Reason::CrossSlot(_) => f.write_str(
                "the keys of the call are in several slots of the cluster: put what they have in common into braces, as in \
                 the keyspace `{shop}`, or in a custom part like `{ada}`",
            ),
        }
    }
}

fn write_exceeded(f: &mut fmt::Formatter<'_>, key: &str, decision: &Decision) -> fmt::Result {
    write!(f, "the quota of {key} is exceeded")?;
    match decision.retry_after() {
        Some(RetryAfter::Never) => {
            write!(f, ": the cost and reserve of the call exceed the limit of {}", decision.limit())
        }
        Some(RetryAfter::After(after)) => write!(f, ": retry after {after:?}"),
        None => Ok(()),
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Reason::Unavailable(source) | Reason::ReplyLost(source) => Some(&**source),
            Reason::ModuleNotLoaded(error)
            | Reason::InvalidAddress(error)
            | Reason::OtherKindOfStore { error, .. }
            | Reason::Refused(error)
            | Reason::CrossSlot(error) => Some(error),
            #[cfg(not(feature = "tls"))]
            Reason::NoTls(error) => Some(error),
            #[cfg(feature = "tls")]
            Reason::NotEncrypted(error) => Some(error),
            _ => None,
        }
    }
}
