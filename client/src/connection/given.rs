//! Async connections that somebody else has made.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::RedisError;
use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
#[cfg(feature = "cluster")]
use redis::cluster_async::ClusterConnection;

use super::confirmation::{Confirmation, Confirmed};
use super::request::Request;
use super::shared::runtime;
use super::{Budget, UNPROVEN};
use crate::Error;
use crate::time::within;

/// A connection that somebody else has made, or a pool of them.
pub(crate) struct Given {
    source: Source,
    /// When a connection that calls share was last known to be connected. One of a pool has proven
    /// that to the pool, and one to a cluster needs no single node for that.
    proven_at: Option<Mutex<Option<Instant>>>,
    /// Whether the next command goes to the server that has answered the one before.
    stays: bool,
}

type Source = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Lent, Error>> + Send>> + Send + Sync>;

type Lent = Box<dyn ConnectionLike + Send>;

impl Given {
    /// Returns the connections of a pool, of which each call takes one.
    pub(super) fn pooled<C, E, F>(get: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: ConnectionLike + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
        F: Future<Output = Result<C, E>> + Send + 'static,
    {
        let source: Source = Box::new(move || {
            let connection = get();
            Box::pin(async {
                connection.await.map(|connection| Box::new(connection) as Lent).map_err(Error::unavailable)
            })
        });
        Self { source, proven_at: None, stays: true }
    }

    fn shared<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: C) -> Self {
        Self::pooled(move || {
            let connection = connection.clone();
            async { Ok::<_, RedisError>(connection) }
        })
    }

    /// Sends a request, only once, waits for its replies, and for replicas if it is an admitted
    /// call that they are to confirm.
    pub(super) async fn exchange(
        &self,
        request: Request<'_>,
        budget: &Budget,
        confirmation: Option<Confirmation>,
    ) -> Result<Confirmed, Error> {
        runtime()?;
        if confirmation.is_some() && !self.stays {
            return Err(Error::unconfirmable());
        }
        let connection = within(budget.left(), (self.source)()).await;
        let mut connection = connection.ok_or_else(|| Error::unavailable("no connection was free in time"))??;
        if !self.is_proven() {
            let proven = within(budget.left(), prove(&mut *connection)).await;
            proven.ok_or_else(|| Error::unavailable("the connection did not answer in time"))??;
        }
        if budget.is_over() {
            return Err(Error::unavailable("the deadline passed before the call was sent"));
        }
        let reply = within(budget.left(), request.send(&mut *connection)).await;
        if let Some(mut proven_at) = self.proven_at() {
            *proven_at = matches!(reply, Some(Ok(_))).then(Instant::now);
        }
        match reply {
            Some(Ok(replies)) => {
                let confirmed_by = match confirmation.and_then(|confirmation| confirmation.if_admitted(&replies)) {
                    Some(confirmation) => Some(confirmation.ask(&mut *connection, *budget).await.unwrap_or(0)),
                    None => None,
                };
                Ok((replies, confirmed_by))
            }
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(Error::no_reply(budget.deadline)),
        }
    }

    fn failed(&self, error: RedisError) -> Error {
        let is_answer = matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension);
        // A manager has failed to connect since it has proven to be connected.
        let is_unsent = self.proven_at.is_some() && (!error.is_io_error() || error.is_connection_refusal());
        match (is_answer, is_unsent) {
            (true, _) => Error::answered(error),
            (false, true) => Error::unconnected(error),
            (false, false) => Error::reply_lost(error),
        }
    }

    fn is_proven(&self) -> bool {
        self.proven_at().is_none_or(|at| at.is_some_and(|at| at.elapsed() <= UNPROVEN))
    }

    fn proven_at(&self) -> Option<MutexGuard<'_, Option<Instant>>> {
        self.proven_at.as_ref().map(|at| at.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<ConnectionManager> for Given {
    fn from(manager: ConnectionManager) -> Self {
        Self { proven_at: Some(Mutex::default()), stays: false, ..Self::shared(manager) }
    }
}

impl From<MultiplexedConnection> for Given {
    fn from(connection: MultiplexedConnection) -> Self {
        Self { proven_at: Some(Mutex::default()), ..Self::shared(connection) }
    }
}

#[cfg(feature = "cluster")]
impl From<ClusterConnection> for Given {
    fn from(connection: ClusterConnection) -> Self {
        Self { stays: false, ..Self::shared(connection) }
    }
}

/// Sends a PING, so that a failure to connect is told from a lost reply. The first may fail because
/// a manager has failed to connect before this call; it then tries again.
async fn prove(connection: &mut (dyn ConnectionLike + Send)) -> Result<(), Error> {
    let command = redis::cmd("PING");
    let mut pong = connection.req_packed_command(&command).await;
    if pong.as_ref().is_err_and(RedisError::is_io_error) {
        pong = connection.req_packed_command(&command).await;
    }
    pong.map(drop).map_err(Error::unconnected)
}
