//! One server, sync.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, Connection, ConnectionLike, FromRedisValue, IntoConnectionInfo, RedisResult};

use super::clear::{Walk, unlink};
use super::pool::{Pool, Pooled, Target};
use crate::{Error, Keyspace};

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a step of clearing may take.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long without an acknowledgement the system gives up a connection. A network that swallows everything would
/// otherwise be noticed after a quarter of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to nobody yet.
pub(super) fn client(address: impl IntoConnectionInfo) -> Result<Client, Error> {
    #[cfg(feature = "tls")]
    choose_cryptography();
    let address = address.into_connection_info().map_err(Error::invalid_address)?;
    let address = address.set_tcp_settings(tcp_settings());
    Client::open(address).map_err(Error::invalid_address)
}

/// Where other crates bring rustls a second cryptography, it panics at the first connection if nobody has chosen one. What the
/// program chose before stays.
#[cfg(feature = "tls")]
pub(super) fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
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

pub(super) fn call<T: FromRedisValue>(pool: &Pool<Client>, command: &Cmd, deadline: Duration) -> Result<T, Error> {
    pool.call(deadline, |pooled| command.query(&mut pooled.connection))
}

/// Returns how many keys there were.
pub(super) fn clear(pool: &Pool<Client>, keyspace: &Keyspace) -> Result<u64, Error> {
    let mut walk = Walk::over(keyspace);
    let mut cleared = 0;
    loop {
        cleared += pool.call(STEP_TIMEOUT, |Pooled { connection, .. }| {
            let keys = walk.take(connection.req_command(&walk.step())?)?;
            let unlinked: Vec<u64> = unlink(&keys).query(connection)?;
            Ok(unlinked.iter().sum::<u64>())
        })?;
        if walk.is_over() {
            return Ok(cleared);
        }
    }
}
