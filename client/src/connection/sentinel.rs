//! Where connections lead: to an address, or to the master that sentinels name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use premier_blocking::also_blocking;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::server::{by_resp3, client};
#[cfg(feature = "tokio")]
use super::shared::Connected as AsyncSocket;
use super::socket::Socket;
use super::{Budget, CONNECT_TIMEOUT, with_host};
use crate::Error;

/// Where each new connection of a server leads.
pub(super) enum Target {
    Address(Client),
    Master(Sentinels),
}

/// Sentinels, which are asked for each new connection, one after the other.
pub(super) struct Sentinels {
    clients: Vec<Client>,
    name: String,
    /// The address of the master, with its name as the host.
    master: ConnectionInfo,
    /// The index of the sentinel that named the master last.
    latest: AtomicUsize,
}

impl Target {
    /// Returns the master of a name, or of an address whose host is the name.
    pub(super) fn master<T: IntoConnectionInfo>(
        addresses: impl IntoIterator<Item = T>,
        master: &str,
    ) -> Result<Self, Error> {
        let sentinel = |address: T| client(by_resp3(address.into_connection_info().map_err(Error::invalid_address)?));
        let sentinels: Vec<_> = addresses.into_iter().map(sentinel).collect::<Result<_, _>>()?;
        if sentinels.is_empty() {
            return Err(Error::no_sentinel());
        }
        let address = if master.contains("://") { master } else { &format!("redis://{master}") };
        let master = client(address)?.get_connection_info().clone();
        let (ConnectionAddr::Tcp(name, _) | ConnectionAddr::TcpTls { host: name, .. }) = master.addr() else {
            return Err(Error::no_master_name());
        };
        let name = name.clone();
        let first: &ConnectionInfo = sentinels[0].get_connection_info();
        let master = match (master.addr().clone(), first.addr()) {
            // Certificates of the user's own, which a text cannot contain.
            (
                ConnectionAddr::TcpTls { host, port, insecure, tls_params: None },
                ConnectionAddr::TcpTls { tls_params, .. },
            ) => {
                let tls_params = tls_params.clone();
                master.set_addr(ConnectionAddr::TcpTls { host, port, insecure, tls_params })
            }
            _ => master,
        };
        Ok(Self::Master(Sentinels { clients: sentinels, name, master: by_resp3(master), latest: AtomicUsize::new(0) }))
    }

    /// Returns whether new connections may lead to another server than old ones.
    pub(super) fn may_move(&self) -> bool {
        matches!(self, Self::Master(_))
    }
}

#[also_blocking]
impl Target {
    /// Connects within [`CONNECT_TIMEOUT`].
    pub(super) async fn async_connect(&self) -> Result<AsyncSocket, Error> {
        match self {
            Self::Address(client) => AsyncSocket::connect(client, CONNECT_TIMEOUT).await,
            Self::Master(sentinels) => sentinels.async_connect(Budget::new(CONNECT_TIMEOUT)).await,
        }
    }
}

#[also_blocking]
impl Sentinels {
    /// Connects to the master. A sentinel may not know yet that there is a new one, so the others
    /// are asked unless the server that it names is a master.
    async fn async_connect(&self, budget: Budget) -> Result<AsyncSocket, Error> {
        let mut result = Err(Error::unavailable("no sentinel answered in time"));
        let mut named = Vec::new();
        let count = self.clients.len();
        let first = self.latest.load(Ordering::Relaxed);
        for (unasked, index) in (1..=count).rev().zip((0..count).map(|step| (first + step) % count)) {
            // One that does not answer leaves time for the others.
            let time = budget.left() / u32::try_from(unasked + 1).unwrap_or(u32::MAX);
            let connected = match self.async_ask(&self.clients[index], time).await {
                Ok(server) if named.contains(&server) => continue,
                Ok(server) => {
                    let time = budget.left() / u32::try_from(unasked).unwrap_or(u32::MAX);
                    named.push(server.clone());
                    self.async_connect_to(server, time).await
                }
                Err(error) => Err(error),
            };
            match connected {
                Ok(socket) => {
                    self.latest.store(index, Ordering::Relaxed);
                    return Ok(socket);
                }
                // What is refused is not to be taken for an outage.
                Err(error) if result.as_ref().is_err_and(Error::is_outage) => result = Err(error),
                Err(_) => {}
            }
        }
        result
    }

    /// Asks a sentinel for the host and the port of the master.
    async fn async_ask(&self, sentinel: &Client, time: Duration) -> Result<(String, u16), Error> {
        let budget = Budget::new(time);
        let mut socket = AsyncSocket::connect(sentinel, time).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let master: Result<Option<_>, _> = socket.ask(&command, budget.left()).await;
        match master {
            Ok(master) => master.ok_or_else(|| Error::unknown_master(self.name.clone())),
            Err(error) if error.kind() == crate::ErrorKind::ModuleNotLoaded => {
                Err(Error::not_a_sentinel(sentinel.get_connection_info().addr().to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Connects to a server if it is a master.
    async fn async_connect_to(&self, (host, port): (String, u16), time: Duration) -> Result<AsyncSocket, Error> {
        let budget = Budget::new(time);
        let address = with_host(self.master.addr(), host, port);
        let client = Client::open(self.master.clone().set_addr(address)).map_err(Error::invalid_address)?;
        let mut socket = AsyncSocket::connect(&client, time).await?;
        // Any user may ask for this, unlike for ROLE.
        let hello: HashMap<String, redis::Value> = socket.ask(&redis::cmd("HELLO"), budget.left()).await?;
        let role = hello.get("role").cloned().map(redis::from_redis_value::<String>);
        match role {
            Some(Ok(role)) if role == "master" => Ok(socket),
            _ => {
                let address = client.get_connection_info().addr();
                Err(Error::unavailable(format!("{address}, which a sentinel named, is no master")))
            }
        }
    }
}
