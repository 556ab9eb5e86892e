//! Async connections that all calls share.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::{AsyncPushSender, ConnectionLike as _, ConnectionManager, MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, RedisError, RedisResult, Value};
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Budget, CONNECT_TIMEOUT, is_read_only};
use crate::Error;

/// For how long a connection of a runtime of one thread may be unused before it is to be looked at.
/// The call that looks lets others overtake it.
const REST: Duration = Duration::from_secs(1);

/// Connections to one server: one for each runtime in which calls are made, as a connection lives
/// only while its runtime runs.
pub(crate) struct Own {
    client: Client,
    /// With the time of the latest call.
    attempts: Mutex<HashMap<Id, (Attempt, Instant)>>,
}

/// An attempt to connect. It goes on without the call that began it.
#[derive(Clone)]
struct Attempt(watch::Receiver<Option<RedisResult<Connected>>>);

#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    driver: Weak<Driver>,
}

/// Lives as long as the task that reads and writes: until the connection is lost, or the runtime
/// ends. That task owns it as the receiver of what the server pushes.
struct Driver;

/// A connection that somebody else has made.
pub(crate) struct Given {
    manager: ConnectionManager,
    /// Whether it is known to be connected.
    is_proven: AtomicBool,
}

impl Own {
    /// Makes no connection yet.
    pub(super) fn new(client: Client) -> Self {
        Self { client, attempts: Mutex::default() }
    }

    /// Sends a request, of which nothing is executed twice, and waits for its replies.
    pub(super) async fn exchange(&self, request: &Pipeline, budget: Budget) -> Result<Vec<Value>, Error> {
        let runtime = runtime()?;
        let mut was_read_only = false;
        loop {
            let (attempt, unused) = self.attempt(&runtime);
            if unused > REST {
                read_what_came(&runtime).await;
                continue;
            }
            let connected = timeout(budget.left(), attempt.result()).await.map_err(Error::unavailable)?;
            let mut connection = connected.map_err(Error::unconnected)?.connection;
            if budget.is_over() {
                return Err(Error::unavailable("the deadline passed before the call was sent"));
            }
            let exchange = connection.req_packed_commands(request, 0, request.len());
            match timeout(budget.left(), exchange).await {
                Ok(Ok(replies)) if !is_read_only(&replies) => return Ok(replies),
                // The address may lead to the new primary by now.
                Ok(Ok(replies)) => {
                    self.discard(&attempt);
                    if was_read_only {
                        return Ok(replies);
                    }
                    was_read_only = true;
                }
                Ok(Err(error)) => {
                    self.discard(&attempt);
                    return Err(Error::reply_lost(error));
                }
                Err(_) => return Err(Error::no_reply(budget.deadline)),
            }
        }
    }

    /// Returns the connection of this runtime, or begins to make it. Also returns for how long it
    /// was not used.
    fn attempt(&self, runtime: &Handle) -> (Attempt, Duration) {
        let now = Instant::now();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((attempt, last_used)) = attempts.get_mut(&runtime.id()).filter(|(attempt, _)| attempt.is_of_use()) {
            return (attempt.clone(), now.saturating_duration_since(mem::replace(last_used, now)));
        }
        attempts.retain(|_, (attempt, _)| attempt.is_of_use());
        let (sender, receiver) = watch::channel(None);
        let client = self.client.clone();
        runtime.spawn(async move { sender.send(Some(connect(&client).await)) });
        let attempt = Attempt(receiver);
        attempts.insert(runtime.id(), (attempt.clone(), now));
        (attempt, Duration::ZERO)
    }

    fn discard(&self, old: &Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|_, (attempt, _)| !attempt.0.same_channel(&old.0));
    }
}

impl Attempt {
    /// Waits until it has succeeded or failed.
    async fn result(&self) -> RedisResult<Connected> {
        match self.0.clone().wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err((redis::ErrorKind::Io, "the runtime of the connection has ended").into()),
        }
    }

    fn is_of_use(&self) -> bool {
        match &*self.0.borrow() {
            Some(Ok(connected)) => connected.driver.strong_count() > 0,
            Some(Err(_)) => false,
            None => self.0.has_changed().is_ok(),
        }
    }
}

/// Returns the runtime of the caller, on which connections live.
fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| Error::no_runtime())
}

/// Lets the tasks of connections notice what has come while the runtime rested, such as the end of
/// a connection. Other runtimes than those of one thread do so by themselves.
async fn read_what_came(runtime: &Handle) {
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        // The first time for the system's news, the second for the tasks that they wake.
        for _ in 0..2 {
            yield_now().await;
        }
    }
}

async fn connect(client: &Client) -> RedisResult<Connected> {
    let driver = Arc::new(Driver);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Calls have deadlines of their own.
        .set_response_timeout(None)
        .set_push_sender(Arc::clone(&driver));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    Ok(Connected { connection, driver: Arc::downgrade(&driver) })
}

impl AsyncPushSender for Driver {
    fn send(&self, _: PushInfo) -> Result<(), SendError> {
        Ok(())
    }
}

impl Given {
    pub(super) fn new(manager: ConnectionManager) -> Self {
        Self { manager, is_proven: AtomicBool::new(false) }
    }

    /// Sends a request, only once, and waits for its replies.
    pub(super) async fn exchange(&self, request: &Pipeline, budget: Budget) -> Result<Vec<Value>, Error> {
        runtime()?;
        let mut manager = self.manager.clone();
        if !self.is_proven.load(Ordering::Relaxed) {
            timeout(budget.left(), prove(&mut manager)).await.map_err(Error::unavailable)??;
        }
        let reply = timeout(budget.left(), manager.req_packed_commands(request, 0, request.len())).await;
        self.is_proven.store(matches!(reply, Ok(Ok(_))), Ordering::Relaxed);
        match reply {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(error)) if error.is_io_error() && !error.is_connection_refusal() => Err(Error::reply_lost(error)),
            // The manager has failed to connect meanwhile.
            Ok(Err(error)) => Err(Error::unconnected(error)),
            Err(_) => Err(Error::no_reply(budget.deadline)),
        }
    }
}

/// Sends a PING, so that a failure to connect is told from a lost reply. The first may fail because
/// the manager has failed to connect before this call; it then tries again.
async fn prove(manager: &mut ConnectionManager) -> Result<(), Error> {
    let command = redis::cmd("PING");
    let mut pong = manager.req_packed_command(&command).await;
    if pong.as_ref().is_err_and(RedisError::is_io_error) {
        pong = manager.req_packed_command(&command).await;
    }
    pong.map(drop).map_err(Error::unconnected)
}
