//! One server, async.

use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, IntoConnectionInfo, ProtocolVersion, RedisResult};
use tokio::sync::OnceCell;

use super::clear::{Walk, unlink};
use super::server::{self, CONNECT_TIMEOUT, STEP_TIMEOUT};
use super::within;
use crate::{Error, Keyspace};

pub(crate) struct Server {
    client: Client,
    /// Made at the first call, as that happens in a runtime for sure.
    manager: OnceCell<ConnectionManager>,
}

impl Server {
    pub(super) fn new(address: impl IntoConnectionInfo) -> Result<Self, Error> {
        let address = address.into_connection_info().map_err(Error::invalid_address)?;
        // By RESP3 the manager notices a lost connection before the next call does.
        let settings = address.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(Self { client: server::client(address.set_redis_settings(settings))?, manager: OnceCell::new() })
    }

    pub(super) async fn manager(&self) -> Result<ConnectionManager, Error> {
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

pub(super) async fn call<T: FromRedisValue>(
    mut manager: ConnectionManager,
    command: &Cmd,
    deadline: Duration,
) -> Result<T, Error> {
    within(Instant::now(), deadline, async {
        match command.query_async(&mut manager).await {
            // That may be what came of connecting before this call. Nothing was sent, so it is safe to try again.
            Err(error) if error.is_connection_refusal() => command.query_async(&mut manager).await,
            reply => reply,
        }
    })
    .await
}

/// Returns how many keys there were.
pub(super) async fn clear(mut manager: ConnectionManager, keyspace: &Keyspace) -> Result<u64, Error> {
    let mut walk = Walk::over(keyspace);
    let mut cleared = 0;
    loop {
        cleared += within(Instant::now(), STEP_TIMEOUT, step(&mut manager, &mut walk)).await?;
        if walk.is_over() {
            return Ok(cleared);
        }
    }
}

async fn step(manager: &mut ConnectionManager, walk: &mut Walk) -> RedisResult<u64> {
    let keys = walk.take(manager.req_packed_command(&walk.step()).await?)?;
    let unlinked: Vec<u64> = unlink(&keys).query_async(manager).await?;
    Ok(unlinked.iter().sum())
}
