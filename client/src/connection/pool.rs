//! Pools of sync connections, for servers and clusters alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{ConnectionLike, RedisError, RedisResult};

use super::CONNECT_TIMEOUT;
use crate::Error;

/// What a pool connects to.
pub(crate) trait Target: Send + Sync + 'static {
    type Connection: ConnectionLike + Send;

    fn connect(&self) -> RedisResult<Self::Connection>;

    /// Limits how long the connection may take to send, and again to receive.
    fn set_timeout(connection: &Self::Connection, timeout: Duration) -> RedisResult<()>;
}

/// A pool of connections. Clones share it.
pub(crate) struct Pool<T: Target> {
    connections: r2d2::Pool<Manager<T>>,
    generation: Arc<AtomicU64>,
}

struct Manager<T> {
    target: T,
    generation: Arc<AtomicU64>,
}

/// A connection of a pool.
pub(super) struct Pooled<C> {
    pub(super) connection: C,
    /// Set when the connection is of no more use.
    pub(super) is_broken: bool,
    /// When a connection breaks, its whole generation is replaced.
    generation: u64,
}

impl<T: Target> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { connections: self.connections.clone(), generation: Arc::clone(&self.generation) }
    }
}

impl<T: Target> Pool<T> {
    /// Makes no connection yet.
    pub(super) fn new(target: T) -> Self {
        let generation = Arc::new(AtomicU64::new(0));
        let manager = Manager { target, generation: Arc::clone(&generation) };
        let connections = r2d2::Pool::builder()
            .min_idle(Some(0))
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .connection_timeout(CONNECT_TIMEOUT)
            .build_unchecked(manager);
        Self { connections, generation }
    }

    /// Lends a connection for one call.
    pub(super) fn call<R>(
        &self,
        deadline: Duration,
        send: impl FnOnce(&mut Pooled<T::Connection>) -> RedisResult<R>,
    ) -> Result<R, Error> {
        let start = Instant::now();
        let mut pooled = self.connections.get_timeout(deadline).map_err(Error::unavailable)?;
        let left = deadline.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        T::set_timeout(&pooled.connection, left).map_err(Error::unavailable)?;
        let result = send(&mut pooled);
        if let Err(error) = &result {
            // The next call would take a late reply for its own.
            pooled.is_broken |= error.is_io_error() || error.is_unrecoverable_error();
        }
        if pooled.is_broken {
            // Another connection of this generation may have done the same already.
            let (old, new) = (pooled.generation, pooled.generation + 1);
            let _ = self.generation.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        }
        result.map_err(|error| if error.is_timeout() { Error::no_reply(deadline) } else { Error::answered(error) })
    }
}

impl<T: Target> r2d2::ManageConnection for Manager<T> {
    type Connection = Pooled<T::Connection>;
    type Error = RedisError;

    fn connect(&self) -> RedisResult<Self::Connection> {
        let generation = self.generation.load(Ordering::Relaxed);
        Ok(Pooled { connection: self.target.connect()?, is_broken: false, generation })
    }

    /// Sends no PING, which would double the time of each call.
    fn is_valid(&self, pooled: &mut Self::Connection) -> RedisResult<()> {
        if pooled.generation == self.generation.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err((redis::ErrorKind::Client, "older than a connection that broke").into())
        }
    }

    fn has_broken(&self, pooled: &mut Self::Connection) -> bool {
        pooled.is_broken || !pooled.connection.is_open()
    }
}
