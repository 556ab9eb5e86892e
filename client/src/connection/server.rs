//! One server.

#[cfg(feature = "tokio")]
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "tokio")]
use std::time::Instant;

use premier_blocking::also_blocking;
#[cfg(feature = "tokio")]
use redis::ProtocolVersion;
#[cfg(feature = "tokio")]
use redis::aio::{ConnectionLike as _, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, Connection, ConnectionLike as _, FromRedisValue, IntoConnectionInfo, RedisResult};
#[cfg(feature = "tokio")]
use tokio::sync::OnceCell;

use super::pool::{Pool, Pooled, Target};
use super::scan::{Scan, unlink};
#[cfg(feature = "tokio")]
use super::within;
use super::{CONNECT_TIMEOUT, STEP_TIMEOUT};
use crate::{Error, Keyspace};

/// The time without an acknowledgement after which the system gives up a connection. Without this,
/// it would notice only after a quarter of an hour that a network drops every packet.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// A server, reached through a pool of connections.
#[derive(Clone)]
pub(crate) struct Server(Pool<Client>);

/// A server, reached through one connection that all calls share.
#[cfg(feature = "tokio")]
#[derive(Clone)]
pub(crate) enum AsyncServer {
    Lazy(Arc<Lazy>),
    Given(ConnectionManager),
}

/// A connection manager that the first call makes, as only a call is certain to be in a runtime.
#[cfg(feature = "tokio")]
pub(crate) struct Lazy {
    client: Client,
    manager: OnceCell<ConnectionManager>,
}

impl Server {
    /// Makes no connection yet.
    pub(crate) fn new(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        Ok(client(address)?.into())
    }

    /// Sends a command, only once.
    pub(crate) fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        self.0.call(deadline, |pooled| command.query(&mut pooled.connection))
    }

    fn clear_step(&self, scan: &mut Scan) -> Result<u64, Error> {
        self.0.call(STEP_TIMEOUT, |Pooled { connection, .. }| {
            let keys = scan.read(connection.req_command(&scan.step())?)?;
            let unlinked: Vec<u64> = unlink(&keys).query(connection)?;
            Ok(unlinked.iter().sum())
        })
    }
}

#[cfg(feature = "tokio")]
impl AsyncServer {
    /// Makes no connection yet.
    pub(crate) fn new(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        let address = address.into_connection_info().map_err(Error::invalid_address)?;
        // By RESP3 the manager notices a lost connection before the next call does.
        let settings = address.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = client(address.set_redis_settings(settings))?;
        Ok(Self::Lazy(Arc::new(Lazy { client, manager: OnceCell::new() })))
    }

    /// Sends a command, only once.
    pub(crate) async fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        let mut manager = self.manager().await?;
        within(Instant::now(), deadline, async {
            match command.query_async(&mut manager).await {
                // The manager may have failed to connect before this call. It sent nothing, so a
                // retry is safe.
                Err(error) if error.is_connection_refusal() => command.query_async(&mut manager).await,
                reply => reply,
            }
        })
        .await
    }

    async fn clear_step(&self, scan: &mut Scan) -> Result<u64, Error> {
        let mut manager = self.manager().await?;
        within(Instant::now(), STEP_TIMEOUT, async {
            let keys = scan.read(manager.req_packed_command(&scan.step()).await?)?;
            let unlinked: Vec<u64> = unlink(&keys).query_async(&mut manager).await?;
            Ok(unlinked.iter().sum())
        })
        .await
    }

    async fn manager(&self) -> Result<ConnectionManager, Error> {
        match self {
            Self::Lazy(lazy) => lazy.manager().await,
            Self::Given(manager) => Ok(manager.clone()),
        }
    }
}

#[cfg(feature = "tokio")]
impl Lazy {
    async fn manager(&self) -> Result<ConnectionManager, Error> {
        let manager = self.manager.get_or_try_init(|| async {
            // The next call tries again. Calls have deadlines of their own.
            let config = ConnectionManagerConfig::new()
                .set_number_of_retries(0)
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(None);
            ConnectionManager::new_lazy_with_config(self.client.clone(), config)
        });
        manager.await.cloned().map_err(Error::invalid_address)
    }
}

#[also_blocking]
impl AsyncServer {
    /// Deletes the keys of a keyspace. Returns their number.
    pub(crate) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        let mut scan = Scan::over(keyspace);
        let mut cleared = 0;
        loop {
            cleared += self.clear_step(&mut scan).await?;
            if scan.is_done() {
                return Ok(cleared);
            }
        }
    }
}

impl From<Client> for Server {
    fn from(client: Client) -> Self {
        Self(Pool::new(client))
    }
}

#[cfg(feature = "tokio")]
impl From<ConnectionManager> for AsyncServer {
    fn from(manager: ConnectionManager) -> Self {
        Self::Given(manager)
    }
}

impl Target for Client {
    type Connection = Connection;

    fn connect(&self) -> RedisResult<Connection> {
        self.get_connection_with_timeout(CONNECT_TIMEOUT)
    }

    fn set_timeout(connection: &Connection, timeout: Duration) -> RedisResult<()> {
        connection.set_write_timeout(Some(timeout))?;
        connection.set_read_timeout(Some(timeout))
    }
}

fn client(address: impl IntoConnectionInfo) -> Result<Client, Error> {
    #[cfg(feature = "tls")]
    choose_crypto_provider();
    let address = address.into_connection_info().map_err(Error::invalid_address)?;
    let address = address.set_tcp_settings(tcp_settings());
    Client::open(address).map_err(Error::invalid_address)
}

/// Makes ring the crypto provider of rustls, unless the program has chosen another. rustls panics
/// at the first connection if other crates add a second provider and nobody chooses.
#[cfg(feature = "tls")]
pub(super) fn choose_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
}
