//! A TCP proxy that loses replies, as a breaking connection does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::PATIENCE;

/// What marks a request whose reply can be lost. Handshakes, PING and CLUSTER SLOTS do not contain
/// it.
const MARKS: [&[u8; MARK_LEN]; 2] = [b"PREMIER.", b"EVALSHA\r"];

const MARK_LEN: usize = 8;

const BUFFER_SIZE: usize = 64 * 1024;

/// A running proxy on a free loopback port. Dropping it closes its connections and ends its
/// threads.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy for the server on a port of 127.0.0.1. While there is no server, it closes
    /// what clients open.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    #[must_use]
    pub fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on 127.0.0.1");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared { state: Mutex::new(State::to(target_port)), reply_is_lost: Condvar::new() });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Self { port, shared, acceptor: Some(acceptor) }
    }

    /// Returns the port for clients.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects new clients to the server on another port, as an address does after a failover.
    pub fn lead_to(&self, target_port: u16) {
        self.shared.state().target_port = target_port;
    }

    /// Delays all replies from now on, as a long way does.
    pub fn delay_replies(&self, by: Duration) {
        self.shared.state().delay = by;
    }

    /// Loses the reply to the next request that contains `PREMIER.` or `EVALSHA`: when the server
    /// has answered, both sides of the connection are closed.
    ///
    /// It cannot tell that reply from those to earlier requests on the same connection, if they are
    /// still awaited.
    pub fn lose_next_reply(&self) {
        let mut state = self.shared.state();
        state.armed = true;
        state.lost = false;
    }

    /// Waits until the reply is lost.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub fn wait_until_lost(&self) {
        let state = self.shared.state();
        let waited = self.shared.reply_is_lost.wait_timeout_while(state, PATIENCE, |state| !state.lost);
        let (state, _) = waited.expect("no thread panics while it holds the state");
        assert!(state.lost, "no reply was lost");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let connections = {
            let mut state = self.shared.state();
            state.closed = true;
            std::mem::take(&mut state.connections)
        };
        connections.iter().filter_map(Weak::upgrade).for_each(|connection| connection.close());
        // This wakes the acceptor.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            // If it panicked, that has been reported.
            let _ = acceptor.join();
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    reply_is_lost: Condvar,
}

#[derive(Debug)]
struct State {
    target_port: u16,
    delay: Duration,
    armed: bool,
    lost: bool,
    closed: bool,
    connections: Vec<Weak<Connection>>,
}

impl State {
    fn to(target_port: u16) -> Self {
        Self { target_port, delay: Duration::ZERO, armed: false, lost: false, closed: false, connections: Vec::new() }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }

    /// Accepts clients until the proxy is closed, and returns when all connections have ended.
    fn accept(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            loop {
                let (client, _) = listener.accept().expect("a listening socket accepts");
                if self.state().closed {
                    return;
                }
                scope.spawn(|| self.serve(client));
            }
        });
    }

    fn serve(&self, client: TcpStream) {
        // To return closes the client's connection.
        let target_port = self.state().target_port;
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target_port)) else { return };
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("a TCP socket has this option");
        }
        let connection = Arc::new(Connection { client, server, loses_reply: AtomicBool::new(false) });
        if !self.register(&connection) {
            return;
        }
        // An error ends a connection like its close. The side that ends first ends the other.
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = self.pass_replies(&connection);
                connection.close();
            });
            let _ = self.pass_requests(&connection);
            connection.close();
        });
    }

    /// Returns false if the proxy has been closed.
    fn register(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.state();
        state.connections.retain(|other| other.strong_count() > 0);
        state.connections.push(Arc::downgrade(connection));
        !state.closed
    }

    fn pass_requests(&self, connection: &Connection) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_SIZE];
        // The latest bytes, which may be the start of a mark.
        let mut recent = Vec::new();
        loop {
            let received = match (&connection.client).read(&mut buffer)? {
                0 => return Ok(()),
                length => &buffer[..length],
            };
            recent.extend_from_slice(received);
            if recent.windows(MARK_LEN).any(|bytes| MARKS.iter().any(|mark| bytes == *mark)) && self.disarm() {
                // Set before the server can answer.
                connection.loses_reply.store(true, Ordering::SeqCst);
            }
            recent.drain(..recent.len().saturating_sub(MARK_LEN - 1));
            (&connection.server).write_all(received)?;
        }
    }

    fn pass_replies(&self, connection: &Connection) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_SIZE];
        loop {
            let received = match (&connection.server).read(&mut buffer)? {
                0 => return Ok(()),
                length => &buffer[..length],
            };
            if connection.loses_reply.load(Ordering::SeqCst) {
                connection.close();
                self.state().lost = true;
                self.reply_is_lost.notify_all();
                return Ok(());
            }
            let delay = self.state().delay;
            thread::sleep(delay);
            (&connection.client).write_all(received)?;
        }
    }

    /// Disarms the proxy, and returns whether it was armed.
    fn disarm(&self) -> bool {
        std::mem::take(&mut self.state().armed)
    }
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    loses_reply: AtomicBool,
}

impl Connection {
    /// Closes both sides, which ends reads and writes under way.
    fn close(&self) {
        for socket in [&self.client, &self.server] {
            // It only fails if the socket is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
