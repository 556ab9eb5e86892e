//! One server.

use std::collections::HashMap;
#[cfg(feature = "tokio")]
use std::error::Error as StdError;
use std::num::NonZeroUsize;
#[cfg(feature = "tokio")]
use std::sync::Arc;
use std::time::Duration;

use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use redis::aio::ConnectionLike;
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, ProtocolVersion, Value};

use super::confirmation::{Confirmation, Confirmed};
#[cfg(feature = "tokio")]
use super::exclusive::Exclusive;
#[cfg(feature = "tokio")]
use super::given::Given;
use super::pool::Pool;
use super::request::{Replies, Request, read};
use super::scan::{Scan, unlink};
use super::sentinel::Target;
#[cfg(feature = "tokio")]
use super::shared::Own;
use super::{Budget, Call, STEP_TIMEOUT};
use crate::{Error, Keyspace};

/// The time without an acknowledgement after which the system gives up a connection. Without this,
/// it would notice only after a quarter of an hour that a network drops every packet.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// A server, reached through a pool of connections.
#[derive(Clone)]
pub(crate) struct Server(Pool);

/// A server, reached through one connection that all calls share, except for those that wait for
/// replicas.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub(crate) enum AsyncServer {
    Own(Arc<Own>, Arc<Exclusive>),
    Given(Arc<Given>),
}

/// What a step of a scan has deleted.
#[derive(Default)]
pub(super) struct Cleared {
    pub(super) keys: u64,
    /// The keys that have moved to another node of the cluster meanwhile.
    pub(super) moved: Vec<Vec<u8>>,
}

impl Server {
    /// Makes no connection yet.
    pub(crate) fn new(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(client(address)?.into())
    }

    /// Returns the server at another address, with pools of one size.
    #[cfg(feature = "cluster")]
    pub(super) fn at(&self, address: redis::ConnectionInfo) -> Result<Self, Error> {
        Ok(Self(self.0.to(Target::Address(client(address)?))))
    }

    /// Returns the master of this name, which sentinels at these addresses know. Makes no
    /// connection yet.
    pub(crate) fn sentinel<T: IntoConnectionInfo>(
        addresses: impl IntoIterator<Item = T>,
        master: &str,
    ) -> Result<Self, Error> {
        Ok(Self(Pool::new(Target::master(addresses, master)?)))
    }

    pub(crate) fn has_sentinels(&self) -> bool {
        self.0.has_sentinels()
    }

    /// Sets how many connections there may be.
    pub(crate) fn resize(&self, connections: NonZeroUsize) {
        self.0.resize(connections);
    }

    pub(super) fn exchange(&self, request: Request<'_>, budget: Budget) -> Result<Replies, Error> {
        let (replies, _) = self.exchange_confirmed(request, &budget, None)?;
        Ok(replies)
    }

    pub(super) fn exchange_confirmed(
        &self,
        request: Request<'_>,
        budget: &Budget,
        confirmation: Option<&Confirmation>,
    ) -> Result<Confirmed, Error> {
        self.0.exchange(request, *budget, confirmation.copied())
    }
}

#[cfg(feature = "tokio")]
impl AsyncServer {
    /// Makes no connection yet.
    pub(crate) fn new(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(client(address)?.into())
    }

    /// Returns the master of this name, which sentinels at these addresses know. Makes no
    /// connection yet.
    pub(crate) fn sentinel<T: IntoConnectionInfo>(
        addresses: impl IntoIterator<Item = T>,
        master: &str,
    ) -> Result<Self, Error> {
        Ok(Self::own(Target::master(addresses, master)?))
    }

    pub(crate) fn has_sentinels(&self) -> bool {
        match self {
            Self::Own(own, _) => own.has_sentinels(),
            Self::Given(_) => false,
        }
    }

    /// Returns the server to which the connections of a pool lead.
    pub(crate) fn pooled<C, E, F>(get: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: ConnectionLike + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
        F: Future<Output = Result<C, E>> + Send + 'static,
    {
        Self::Given(Arc::new(Given::pooled(get)))
    }

    /// Returns the server at another address.
    #[cfg(feature = "cluster")]
    #[expect(clippy::unused_self, reason = "the sync twin shares the size of its pool")]
    pub(super) fn at(&self, address: redis::ConnectionInfo) -> Result<Self, Error> {
        Self::new(address)
    }

    pub(super) async fn exchange(&self, request: Request<'_>, budget: Budget) -> Result<Replies, Error> {
        let (replies, _) = self.exchange_confirmed(request, &budget, None).await?;
        Ok(replies)
    }

    pub(super) async fn exchange_confirmed(
        &self,
        request: Request<'_>,
        budget: &Budget,
        confirmation: Option<&Confirmation>,
    ) -> Result<Confirmed, Error> {
        match (self, confirmation) {
            (Self::Own(own, _), None) => {
                let (replies, _) = own.exchange(request, budget).await?;
                Ok((replies, None))
            }
            // Boxed, as the futures of all other calls would have room for these.
            (Self::Own(_, exclusive), Some(confirmation)) => {
                Box::pin(exclusive.exchange(request, budget, *confirmation)).await
            }
            (Self::Given(given), confirmation) => {
                Box::pin(given.exchange(request, budget, confirmation.copied())).await
            }
        }
    }

    fn own(target: Target) -> Self {
        let target = Arc::new(target);
        Self::Own(Arc::new(Own::new(Arc::clone(&target))), Arc::new(Exclusive::new(target)))
    }
}

#[also_blocking]
impl AsyncServer {
    /// Sends a command, which is executed at most once.
    pub(crate) async fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        self.exchange(Request::One(command), Budget::new(deadline)).await?.read_last()
    }

    /// Sends a call, which is executed at most once, and which replicas are to confirm if it is
    /// admitted. Returns how many have.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        call: &Call,
        budget: &Budget,
        confirmation: Option<&Confirmation>,
    ) -> Result<(T, Option<u32>), Error> {
        let request = Request::One(call.command());
        let (replies, confirmed_by) = self.exchange_confirmed(request, budget, confirmation).await?;
        let Some(by_text) = call.by_text(&replies) else {
            return Ok((replies.read_last()?, confirmed_by));
        };
        let request = Request::One(&by_text);
        let (replies, confirmed_by) = self.exchange_confirmed(request, budget, confirmation).await?;
        Ok((replies.read_last()?, confirmed_by))
    }

    /// Deletes the keys of a keyspace. Returns their number.
    ///
    /// # Errors
    /// If the server is a node of a cluster whose other nodes may have such keys, besides others.
    pub(crate) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        self.check_has_all_slots().await?;
        let mut scan = Scan::over(keyspace);
        let mut keys = 0;
        loop {
            keys += self.clear_step(&mut scan).await?.keys;
            if scan.is_done() {
                return Ok(keys);
            }
        }
    }

    async fn check_has_all_slots(&self) -> Result<(), Error> {
        // Any user may ask for this, unlike for the nodes of a cluster.
        let hello: HashMap<String, Value> = self.call(&redis::cmd("HELLO"), STEP_TIMEOUT).await?;
        let mode = hello.get("mode").cloned().map(String::from_redis_value);
        if !matches!(mode, Some(Ok(mode)) if mode == "cluster") {
            return Ok(());
        }
        let mut nodes = redis::cmd("CLUSTER");
        nodes.arg("NODES");
        let nodes: String = self.call(&nodes, STEP_TIMEOUT).await?;
        if own_slots(&nodes) == SLOTS { Ok(()) } else { Err(Error::other_nodes()) }
    }

    pub(super) async fn clear_step(&self, scan: &mut Scan) -> Result<Cleared, Error> {
        let found = self.call(&scan.step(), STEP_TIMEOUT).await?;
        let keys = scan.read(found).map_err(Error::answered)?;
        // redis-rs refuses an empty pipeline.
        if keys.is_empty() {
            return Ok(Cleared::default());
        }
        let replies = self.exchange(Request::Several(&unlink(&keys)), Budget::new(STEP_TIMEOUT)).await?;
        let mut cleared = Cleared::default();
        for (key, reply) in keys.into_iter().zip(Vec::from(replies)) {
            match read::<u64>(reply) {
                Ok(keys) => cleared.keys += keys,
                Err(error) if error.redirection().is_some() => cleared.moved.push(key),
                Err(error) => return Err(error),
            }
        }
        Ok(cleared)
    }
}

/// The number of slots that the nodes of a cluster share.
pub(super) const SLOTS: usize = 16_384;

/// Counts the slots of the node that has replied this to `CLUSTER NODES`.
fn own_slots(nodes: &str) -> usize {
    const FIELDS_BEFORE_SLOTS: usize = 8;
    let is_own =
        |node: &&str| node.split(' ').nth(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"));
    let Some(own) = nodes.lines().find(is_own) else { return 0 };
    let slots = own.split(' ').skip(FIELDS_BEFORE_SLOTS).map(|slots| {
        // Others are slots on their way to another node, in brackets, which are counted already.
        let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (last + 1).checked_sub(first)
    });
    slots.flatten().sum()
}

impl From<Client> for Server {
    fn from(client: Client) -> Self {
        Self(Pool::new(Target::Address(client)))
    }
}

#[cfg(feature = "tokio")]
impl From<Client> for AsyncServer {
    fn from(client: Client) -> Self {
        let info = by_resp3(client.get_connection_info().clone());
        let client = Client::open(info).expect("the address of a client is valid");
        Self::own(Target::Address(client))
    }
}

#[cfg(feature = "tokio")]
impl<T: Into<Given>> From<T> for AsyncServer {
    fn from(given: T) -> Self {
        Self::Given(Arc::new(given.into()))
    }
}

/// By RESP3 an async connection reports that it is lost.
pub(super) fn by_resp3(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    info.set_redis_settings(settings)
}

pub(super) fn client(address: impl IntoConnectionInfo) -> Result<Client, Error> {
    #[cfg(feature = "tls")]
    choose_crypto_provider();
    let address = address.into_connection_info().map_err(Error::invalid_address)?;
    Client::open(address.set_tcp_settings(tcp_settings())).map_err(Error::invalid_address)
}

fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
}

/// Makes ring the crypto provider of rustls, unless the program has chosen another. rustls panics
/// at the first connection if other crates add a second provider and nobody chooses.
#[cfg(feature = "tls")]
fn choose_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
