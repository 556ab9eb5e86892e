//! Sync connections.
//!
//! redis-rs does not let one look at the socket of a connection, so that a connection that the
//! server has closed would only be noticed by a call that it loses. TCP connections are therefore
//! our own; all others are those of redis-rs.

use std::io::{self, ErrorKind, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use redis::io::tcp::TcpSettings;
use redis::{Client, Connection, ConnectionAddr, ConnectionLike as _, Parser, Pipeline};
use redis::{ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, ServerError, ServerErrorKind, Value};
use socket2::SockRef;

use super::{Budget, CONNECT_TIMEOUT};

/// How long a connection of redis-rs may be unused before it has to prove that it is open.
const UNPROVEN: Duration = Duration::from_secs(1);

/// A connection to a server.
pub(super) enum Socket {
    Tcp(Tcp),
    /// By TLS or a Unix socket.
    Other {
        connection: Box<Connection>,
        last_used: Instant,
    },
}

pub(super) struct Tcp {
    stream: TcpStream,
    parser: Parser,
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
    /// Connects within [`CONNECT_TIMEOUT`].
    pub(super) fn connect(client: &Client) -> RedisResult<Self> {
        let info = client.get_connection_info();
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                Ok(Self::Tcp(Tcp::connect(host, *port, info.tcp_settings(), info.redis_settings())?))
            }
            _ => Ok(Self::Other {
                connection: Box::new(client.get_connection_with_timeout(CONNECT_TIMEOUT)?),
                last_used: Instant::now(),
            }),
        }
    }

    /// Returns whether the connection is closed, without a round trip where that is possible.
    pub(super) fn is_closed(&mut self, left: Duration) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_closed(),
            Self::Other { connection, last_used } => {
                last_used.elapsed() > UNPROVEN
                    && !(set_timeouts(connection, left).is_ok() && connection.check_connection())
            }
        }
    }

    /// Sends a request, and waits for its replies for the time that is left.
    pub(super) fn exchange(&mut self, request: &Pipeline, left: Duration) -> Result<Vec<Value>, Failure> {
        let left = left.max(Duration::from_millis(1));
        match self {
            Self::Tcp(tcp) => tcp.exchange(request, left),
            Self::Other { connection, last_used } => {
                set_timeouts(connection, left).map_err(Failure::NotSent)?;
                *last_used = Instant::now();
                let replies = connection.req_packed_commands(&request.get_packed_pipeline(), 0, request.len());
                replies.map_err(Failure::Lost)
            }
        }
    }
}

fn set_timeouts(connection: &Connection, left: Duration) -> RedisResult<()> {
    connection.set_write_timeout(Some(left))?;
    connection.set_read_timeout(Some(left))
}

impl Tcp {
    fn connect(host: &str, port: u16, tcp: &TcpSettings, settings: &RedisConnectionInfo) -> RedisResult<Self> {
        let budget = Budget::new(CONNECT_TIMEOUT);
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
        if let Some(keepalive) = tcp.keepalive() {
            SockRef::from(&stream).set_tcp_keepalive(keepalive)?;
        }
        let mut socket = Self { stream, parser: Parser::new() };
        socket.greet(settings, budget)?;
        Ok(socket)
    }

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
        let replies = self.exchange(&greeting, left).map_err(Failure::into_error)?;
        for (index, reply) in replies.into_iter().enumerate() {
            match reply {
                Value::ServerError(error) if index < required || is_dismissal(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Peeks at the socket. An unread byte belongs to a call that nobody waits for any more.
    fn is_closed(&self) -> bool {
        let peek = || {
            self.stream.set_nonblocking(true)?;
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            peeked
        };
        !matches!(peek(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn exchange(&mut self, request: &Pipeline, left: Duration) -> Result<Vec<Value>, Failure> {
        let send = || {
            self.stream.set_write_timeout(Some(left))?;
            self.stream.set_read_timeout(Some(left))?;
            (&self.stream).write_all(&request.get_packed_pipeline())
        };
        send().map_err(|error| Failure::NotSent(error.into()))?;
        let mut replies = Vec::with_capacity(request.len());
        while replies.len() < request.len() {
            match self.parser.parse_value(Resumed(&self.stream)).map_err(Failure::Lost)? {
                Value::Push { .. } => {}
                reply => replies.push(reply),
            }
        }
        Ok(replies)
    }
}

/// A stream whose reads go on after an interruption: with a timeout set, Linux interrupts them when
/// the machine is frozen and thawed, as virtual machines are.
struct Resumed<'a>(&'a TcpStream);

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
