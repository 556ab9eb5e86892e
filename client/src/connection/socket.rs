//! Sync connections.
//!
//! redis-rs does not let one look at the socket of a connection, so that a connection that the
//! server has closed would only be noticed by a call that it loses. Connections by TCP and Unix
//! sockets are therefore our own; those by TLS are those of redis-rs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, Connection, ConnectionAddr, ConnectionLike as _, FromRedisValue, Parser, Pipeline};
use redis::{ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, ServerError, ServerErrorKind, Value};
use socket2::SockRef;

use super::peek::{Peeked, peek};
use super::request::{Replies, Request};
use super::{Budget, UNPROVEN};
use crate::Error;

/// A connection to a server.
pub(super) enum Socket {
    Own(Own),
    Tls { connection: Box<Connection>, last_used: Instant },
}

pub(super) struct Own {
    stream: Stream,
    parser: Parser,
}

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Why there are no replies.
pub(super) enum Failure {
    /// The server has not received the whole request, and will not execute any of it.
    NotSent(RedisError),
    Lost(RedisError),
}

impl Failure {
    fn into_error(self) -> RedisError {
        match self {
            Self::NotSent(error) | Self::Lost(error) => error,
        }
    }
}

impl Socket {
    /// Connects within this time.
    pub(super) fn connect(client: &Client, time: Duration) -> Result<Self, Error> {
        Self::try_connect(client, time).map_err(Error::unconnected)
    }

    fn try_connect(client: &Client, time: Duration) -> RedisResult<Self> {
        let info = client.get_connection_info();
        let budget = Budget::new(time);
        let stream = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Stream::Tcp(connect_tcp(host, *port, info.tcp_settings(), budget)?),
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
            _ => {
                let connection = Box::new(client.get_connection_with_timeout(time)?);
                return Ok(Self::Tls { connection, last_used: Instant::now() });
            }
        };
        let mut own = Own { stream, parser: Parser::new() };
        own.greet(info.redis_settings(), budget)?;
        Ok(Self::Own(own))
    }

    /// Returns whether the connection is closed, without a round trip where that is possible.
    pub(super) fn is_closed(&mut self, left: Duration) -> bool {
        match self {
            Self::Own(own) => own.is_closed(),
            Self::Tls { connection, last_used } => {
                last_used.elapsed() > UNPROVEN
                    && !(set_timeouts(connection, left).is_ok() && connection.check_connection())
            }
        }
    }

    /// Sends a command that changes nothing, and waits for its reply for the time that is left.
    pub(super) fn ask<T: FromRedisValue>(&mut self, command: &Cmd, left: Duration) -> Result<T, Error> {
        let replies = self.exchange(Request::One(command), left);
        replies.map_err(|failure| Error::unconnected(failure.into_error()))?.read_last()
    }

    /// Sends a request, and waits for its replies for the time that is left.
    pub(super) fn exchange(&mut self, request: Request<'_>, left: Duration) -> Result<Replies, Failure> {
        let left = left.max(Duration::from_millis(1));
        match self {
            Self::Own(own) => own.exchange(request, left),
            Self::Tls { connection, last_used } => {
                set_timeouts(connection, left).map_err(Failure::NotSent)?;
                let replies = connection.req_packed_commands(&request.packed(), 0, request.len());
                *last_used = Instant::now();
                replies.map(Replies::Several).map_err(Failure::Lost)
            }
        }
    }
}

fn set_timeouts(connection: &Connection, left: Duration) -> RedisResult<()> {
    connection.set_write_timeout(Some(left))?;
    connection.set_read_timeout(Some(left))
}

fn connect_tcp(host: &str, port: u16, settings: &TcpSettings, budget: Budget) -> RedisResult<TcpStream> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let mut stream = Err(io::Error::new(ErrorKind::NotFound, "the host has no address"));
    for (address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        // One that does not answer leaves time for the others.
        let time = budget.left() / u32::try_from(untried).unwrap_or(u32::MAX);
        stream = TcpStream::connect_timeout(address, time.max(Duration::from_millis(1)));
        if stream.is_ok() {
            break;
        }
    }
    let stream = stream?;
    stream.set_nodelay(true)?;
    if let Some(keepalive) = settings.keepalive() {
        SockRef::from(&stream).set_tcp_keepalive(keepalive)?;
    }
    Ok(stream)
}

impl Own {
    /// Logs in, and selects the database.
    fn greet(&mut self, settings: &RedisConnectionInfo, budget: Budget) -> RedisResult<()> {
        let mut greeting = Pipeline::new();
        if settings.protocol() != ProtocolVersion::RESP2 {
            greeting.cmd("HELLO").arg(3);
            if let Some(password) = settings.password() {
                greeting.arg("AUTH").arg(settings.username().unwrap_or("default")).arg(password);
            }
        } else if let Some(password) = settings.password() {
            greeting.cmd("AUTH").arg(settings.username()).arg(password);
        }
        if settings.db() != 0 {
            greeting.cmd("SELECT").arg(settings.db());
        }
        let required = greeting.len();
        if settings.skip_set_lib_name() {
            // A server that does not reply is not connected.
            greeting.cmd("PING");
        } else {
            let [name, version] = [settings.lib_name(), settings.lib_ver()];
            greeting.cmd("CLIENT").arg(&["SETINFO", "LIB-NAME", name.unwrap_or("premier-client")]);
            greeting.cmd("CLIENT").arg(&["SETINFO", "LIB-VER", version.unwrap_or(env!("CARGO_PKG_VERSION"))]);
        }
        let left = budget.left().max(Duration::from_millis(1));
        let replies = self.exchange(Request::Several(&greeting), left).map_err(Failure::into_error)?;
        for (index, reply) in Vec::from(replies).into_iter().enumerate() {
            match reply {
                Value::ServerError(error) if index < required || is_dismissal(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Peeks at the socket. An unread byte belongs to a call that nobody waits for any more.
    fn is_closed(&self) -> bool {
        let socket = self.stream.socket();
        let look = || {
            socket.set_nonblocking(true)?;
            let peeked = peek(&socket);
            socket.set_nonblocking(false)?;
            io::Result::Ok(peeked)
        };
        !matches!(look(), Ok(Peeked::Nothing))
    }

    fn exchange(&mut self, request: Request<'_>, left: Duration) -> Result<Replies, Failure> {
        let mut send = || {
            let socket = self.stream.socket();
            socket.set_write_timeout(Some(left))?;
            socket.set_read_timeout(Some(left))?;
            self.stream.write_all(&request.packed())
        };
        send().map_err(|error| Failure::NotSent(error.into()))?;
        match request {
            Request::One(_) => self.read().map(Replies::One),
            Request::Several(commands) => {
                (0..commands.len()).map(|_| self.read()).collect::<Result<_, _>>().map(Replies::Several)
            }
        }
    }

    /// Reads a reply.
    fn read(&mut self) -> Result<Value, Failure> {
        loop {
            match self.parser.parse_value(Resumed(&mut self.stream)).map_err(Failure::Lost)? {
                Value::Push { .. } => {}
                reply => return Ok(reply),
            }
        }
    }
}

impl Stream {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => stream.into(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.into(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream whose reads go on after an interruption: with a timeout set, Linux interrupts them when
/// the machine is frozen and thawed, as virtual machines are.
struct Resumed<'a>(&'a mut Stream);

impl Read for Resumed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Returns whether the server closes the connection after this reply to whatever it is sent first.
fn is_dismissal(error: &ServerError) -> bool {
    match error.kind() {
        Some(ServerErrorKind::ResponseError) => {
            error.details().is_some_and(|details| details.starts_with(crate::error::TOO_MANY_CLIENTS))
        }
        Some(_) => false,
        None => error.code() == "DENIED",
    }
}
