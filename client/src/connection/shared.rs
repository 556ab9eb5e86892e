//! Async connections that all calls share.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use event_listener::Event;
use foldhash::fast::RandomState;
use redis::aio::{AsyncPushSender, MultiplexedConnection, SendError};
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, PushInfo, RedisResult};
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::task::{AbortHandle, JoinError, yield_now};

use super::peek::{Peeked, peek};
use super::request::{Replies, Request};
use super::sentinel::Target;
use super::{Budget, CONNECT_TIMEOUT};
use crate::Error;
use crate::time::{has_timers, timer, until, within};

/// Connections to one server: one for each runtime in which calls are made, as a connection lives
/// only while its runtime runs.
pub(crate) struct Own {
    target: Arc<Target>,
    attempts: Mutex<HashMap<Id, Attempt, RandomState>>,
}

/// An attempt to connect. It goes on without the call that began it. Calls that wait for it go on
/// in the order in which they came.
#[derive(Clone, Default)]
struct Attempt(Arc<Outcome>);

#[derive(Default)]
struct Outcome {
    result: OnceLock<Result<Connected, Error>>,
    has_ended: Event,
}

/// An attempt whose task runs. When this is dropped, the attempt has ended.
struct Running(Attempt);

pub(super) struct Connected {
    connection: MultiplexedConnection,
    driver: Weak<Driver>,
    calls: Calls,
    /// Whether the runtime has timers, so that no call has to find that out.
    has_timers: bool,
    _task: Option<Task>,
}

/// What is known of the calls of a connection.
#[derive(Default)]
struct Calls {
    /// How many wait for their replies.
    waiting: AtomicUsize,
    /// Whether a call was answered since another one peeked.
    has_replied: AtomicBool,
}

/// A call that waits for its replies.
struct Call<'a>(&'a AtomicUsize);

/// Lives as long as the task that reads and writes: until the connection is lost, or the runtime
/// ends. That task owns it as the receiver of what the server pushes.
struct Driver {
    /// The socket, unless redis-rs keeps it to itself, as it does by TLS.
    socket: Option<Socket>,
}

/// The task that reads and writes, until this is dropped.
struct Task(AbortHandle);

impl Own {
    /// Makes no connection yet.
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self { target, attempts: Mutex::default() }
    }

    /// Sends a request, of which nothing is executed twice, and waits for its replies. Returns
    /// them, and the connection on which they came.
    pub(super) async fn exchange(
        &self,
        request: Request<'_>,
        budget: &Budget,
    ) -> Result<(Replies, MultiplexedConnection), Error> {
        let runtime = runtime()?;
        let (mut has_looked, mut was_read_only) = (false, false);
        loop {
            let attempt = self.attempt(&runtime);
            let connected = attempt.connected(*budget).await?;
            let left = budget.left();
            if left.is_zero() {
                return Err(Error::unavailable("the deadline passed before the call was sent"));
            }
            match connected.peek() {
                Peeked::End => {
                    self.discard(&attempt);
                    continue;
                }
                Peeked::Bytes if !has_looked && runtime.runtime_flavor() == RuntimeFlavor::CurrentThread => {
                    read_what_came(&runtime).await;
                    has_looked = true;
                    continue;
                }
                Peeked::Nothing | Peeked::Bytes => {}
            }
            let _call = Call::new(&connected.calls.waiting);
            let mut connection = connected.connection.clone();
            let answer = {
                let sending = pin!(request.send_shared(&mut connection));
                if connected.has_timers { until(pin!(timer(left)), sending).await } else { within(left, sending).await }
            };
            match answer {
                Some(Ok(replies)) if !replies.are_read_only() => {
                    connected.calls.has_replied.store(true, Ordering::Relaxed);
                    return Ok((replies, connection));
                }
                // The address may lead to the new primary by now.
                Some(Ok(replies)) => {
                    self.discard(&attempt);
                    if was_read_only {
                        return Ok((replies, connection));
                    }
                    was_read_only = true;
                }
                Some(Err(error)) => {
                    self.discard(&attempt);
                    return Err(Error::reply_lost(error));
                }
                None => {
                    // There may be a new master.
                    if self.has_sentinels() {
                        self.discard(&attempt);
                    }
                    return Err(Error::no_reply(budget.deadline));
                }
            }
        }
    }

    /// Returns whether the connections lead to the master that sentinels name.
    pub(super) fn has_sentinels(&self) -> bool {
        self.target.may_move()
    }

    /// Returns the connection of this runtime, or begins to make it.
    fn attempt(&self, runtime: &Handle) -> Attempt {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = attempts.get(&runtime.id()).filter(|attempt| attempt.is_of_use()) {
            return attempt.clone();
        }
        attempts.retain(|_, attempt| attempt.is_of_use());
        let attempt = Attempt::default();
        let running = Running(attempt.clone());
        let target = Arc::clone(&self.target);
        // A task of its own, as tokio panics in it if the runtime cannot connect at all.
        let connecting = runtime.spawn(async move { target.async_connect().await });
        runtime.spawn(async move { running.end(connecting.await.unwrap_or_else(|error| Err(unable(error)))) });
        attempts.insert(runtime.id(), attempt.clone());
        attempt
    }

    #[cold]
    fn discard(&self, old: &Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|_, attempt| !Arc::ptr_eq(&attempt.0, &old.0));
    }
}

impl Attempt {
    /// Returns the connection, or waits until it is made.
    async fn connected(&self, budget: Budget) -> Result<&Connected, Error> {
        loop {
            if let Some(result) = self.0.result.get() {
                return result.as_ref().map_err(Error::clone);
            }
            let end = self.0.has_ended.listen();
            // It may have ended before this began to listen.
            if self.0.result.get().is_none() {
                let ended = within(budget.left(), end).await;
                ended.ok_or_else(|| Error::unavailable("there was no connection in time"))?;
            }
        }
    }

    fn is_of_use(&self) -> bool {
        match self.0.result.get() {
            Some(Ok(connected)) => connected.driver.strong_count() > 0,
            Some(Err(_)) => false,
            None => true,
        }
    }
}

impl Running {
    fn end(self, result: Result<Connected, Error>) {
        let Attempt(outcome) = &self.0;
        let _is_first = outcome.result.set(result);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Attempt(outcome) = &self.0;
        outcome.result.get_or_init(|| Err(Error::unavailable("the runtime of the connection has ended")));
        outcome.has_ended.notify(usize::MAX);
    }
}

impl<'a> Call<'a> {
    fn new(calls: &'a AtomicUsize) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(calls)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the runtime of the caller, on which connections live.
pub(super) fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| Error::no_runtime())
}

/// Says why a runtime cannot connect.
fn unable(error: JoinError) -> Error {
    let Ok(panic) = error.try_into_panic() else {
        return Error::unavailable("the runtime of the connection has ended");
    };
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    match text {
        Some(text) if text.contains("IO is disabled") => Error::no_io(),
        text => Error::unavailable(format!("connecting panicked: {}", text.unwrap_or_default())),
    }
}

/// Lets the task of a connection read what has come while a runtime of one thread rested, such as
/// the end of the connection. Other runtimes do so by themselves.
async fn read_what_came(runtime: &Handle) {
    // First the runtime asks the system for news, and wakes the tasks that wait for them. A new
    // task comes after these.
    yield_now().await;
    let _ended = runtime.spawn(async {}).await;
}

impl Connected {
    fn new(connection: MultiplexedConnection, driver: &Arc<Driver>, task: Option<Task>) -> Self {
        let (driver, calls) = (Arc::downgrade(driver), Calls::default());
        Self { connection, driver, calls, has_timers: has_timers(), _task: task }
    }

    /// Connects within this time.
    pub(super) async fn connect(client: &Client, time: Duration) -> Result<Self, Error> {
        let connected = within(time, connect(client)).await;
        let connected = connected.unwrap_or_else(|| Err((redis::ErrorKind::Io, "connecting took too long").into()));
        connected.map_err(Error::unconnected)
    }

    /// Sends a command that changes nothing, and waits for its reply for the time that is left.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd, left: Duration) -> Result<T, Error> {
        let replies = within(left, Request::One(command).send(&mut self.connection)).await;
        let replies = replies.ok_or_else(|| Error::unavailable("the connection did not answer in time"))?;
        replies.map_err(Error::unconnected)?.read_last()
    }

    /// Peeks at the socket. Without one, anything may have come. Replies to waiting calls are not
    /// looked at, as a call that looks at them lets others overtake it. While calls wait, they
    /// notice the end of the connection, so a connection that has just replied counts as open.
    fn peek(&self) -> Peeked {
        if self.driver.strong_count() == 0 {
            return Peeked::End;
        }
        let Calls { waiting, has_replied } = &self.calls;
        let is_busy = waiting.load(Ordering::Relaxed) > 0;
        if is_busy && has_replied.swap(false, Ordering::Relaxed) {
            return Peeked::Nothing;
        }
        let Some(driver) = self.driver.upgrade() else { return Peeked::End };
        let Some(socket) = &driver.socket else { return Peeked::Bytes };
        match peek(socket) {
            Peeked::Bytes if is_busy => Peeked::Nothing,
            peeked => peeked,
        }
    }
}

async fn connect(client: &Client) -> RedisResult<Connected> {
    let info = client.get_connection_info();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = connect_tcp(host, *port).await?;
            let socket = SockRef::from(&stream);
            set_options(&socket, info.tcp_settings())?;
            let socket = socket.try_clone()?;
            start(client, stream, socket).await
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            let socket = SockRef::from(&stream).try_clone()?;
            start(client, stream, socket).await
        }
        _ => {
            let driver = Arc::new(Driver { socket: None });
            // It has no time limit of its own, which needs the timers of the runtime.
            let config = config(&driver).set_connection_timeout(None);
            let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            Ok(Connected::new(connection, &driver, None))
        }
    }
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let budget = Budget::new(CONNECT_TIMEOUT);
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let mut stream = Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for (address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        // One that does not answer leaves time for the others.
        let time = budget.left() / u32::try_from(untried).unwrap_or(u32::MAX);
        let connected = within(time, TcpStream::connect(address)).await;
        stream = connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        if stream.is_ok() {
            break;
        }
    }
    stream
}

fn set_options(socket: &Socket, settings: &TcpSettings) -> RedisResult<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(settings.user_timeout())?;
    Ok(())
}

/// Logs in, and starts the task of the connection.
async fn start<S>(client: &Client, stream: S, socket: Socket) -> RedisResult<Connected>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let driver = Arc::new(Driver { socket: Some(socket) });
    let settings = client.get_connection_info().redis_settings();
    let (connection, task) = MultiplexedConnection::new_with_config(settings, stream, config(&driver)).await?;
    let task = Task(tokio::spawn(task).abort_handle());
    Ok(Connected::new(connection, &driver, Some(task)))
}

fn config(driver: &Arc<Driver>) -> AsyncConnectionConfig {
    // Calls have deadlines of their own.
    AsyncConnectionConfig::new().set_response_timeout(None).set_push_sender(Arc::clone(driver))
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AsyncPushSender for Driver {
    fn send(&self, _: PushInfo) -> Result<(), SendError> {
        Ok(())
    }
}
