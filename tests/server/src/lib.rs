//! Starts real redis-servers for tests and benches: each on a free loopback port, in a new folder
//! of its own, with the module loaded. A server ends with its test, however that ends.
//!
//! ```no_run
//! let server = premier_test_server::Server::start();
//! let reply: [i64; 5] = redis::cmd("PREMIER.TOKEN")
//!     .arg(&["user:42", "5", "10s"])
//!     .query(&mut server.connection())?;
//! # Ok::<(), redis::RedisError>(())
//! ```
//!
//! The server is `redis-server` from the `PATH`, or the program that `PREMIER_REDIS_SERVER` names,
//! or the one in the container image that `PREMIER_TEST_IMAGE` names (`redis:8.2`; needs the
//! feature `containers`). The module is that of this repository, or the file that `PREMIER_MODULE`
//! names (see [`module_path()`]). `PREMIER_SERVER_WRAPPER` goes before the command line of each
//! server, as [`Builder::wrapper`] does (`valgrind --log-file=/tmp/%p.log`).

mod cluster;
#[cfg(feature = "containers")]
mod container;
mod module;
mod network;
mod process;
mod proxy;
mod running;
mod sentinels;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use running::{Running, run};
use tempfile::TempDir;

pub use cluster::Cluster;
pub use module::{fixed_seed_path, module_path, panicking_module_path};
pub use network::Network;
pub use proxy::Proxy;
pub use sentinels::Sentinels;

/// How long a server may take to start, stop or reply. Long, so that a loaded machine fails no
/// test.
const PATIENCE: Duration = Duration::from_secs(30);

/// Under valgrind everything takes about fifty times as long.
const WRAPPED_PATIENCE: Duration = Duration::from_secs(120);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How many times in a row another process may take the free port first.
const PORT_ATTEMPTS: u32 = 5;

/// Returns how long a server may take to start, stop or reply: longer with a
/// `PREMIER_SERVER_WRAPPER`, which slows it down.
#[must_use]
pub fn patience() -> Duration {
    patience_with(&wrapper_of_all())
}

fn patience_with(wrapper: &[String]) -> Duration {
    if wrapper.is_empty() { PATIENCE } else { WRAPPED_PATIENCE }
}

fn wrapper_of_all() -> Vec<String> {
    env::var("PREMIER_SERVER_WRAPPER").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// A running redis-server. Dropping it kills the server and removes its folder. A server with a
/// wrapper is stopped instead, as the wrapper may have to report.
///
/// On Linux the server also dies with the *thread* that started it, so that none survives an
/// aborted test. If several threads use a server, the one that outlives the others has to start it.
#[derive(Debug)]
pub struct Server {
    // Before `dir`, as fields are dropped in order: first the process ends, then its folder goes.
    process: Box<dyn Running>,
    dir: TempDir,
    address: Ipv4Addr,
    port: u16,
    mode: Mode,
    module: Option<PathBuf>,
    wrapper: Vec<String>,
}

impl Server {
    /// Starts a server with the module and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not start, with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder for a server that differs from that of [`Server::start`].
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            config: String::new(),
            mode: Mode::Alone,
            address: Ipv4Addr::LOCALHOST,
            module: Some(module_path()),
            module_arguments: String::new(),
            wrapper: wrapper_of_all(),
        }
    }

    /// Opens a connection.
    ///
    /// # Panics
    ///
    /// If the server refuses it.
    #[must_use]
    pub fn connection(&self) -> redis::Connection {
        self.try_connection().unwrap_or_else(|error| panic!("no connection: {error}\n{}", self.log()))
    }

    /// Returns how often the server has executed commands whose names begin with `prefix`, since it
    /// started or since `CONFIG RESETSTAT`.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    #[must_use]
    pub fn calls_of(&self, prefix: &str) -> u64 {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection()).expect("the server answers");
        let prefix = format!("cmdstat_{prefix}").to_ascii_lowercase();
        let lines = stats.lines().filter(|line| line.to_ascii_lowercase().starts_with(&prefix));
        let calls = lines.filter_map(|line| line.split_once(":calls=")?.1.split(',').next()?.parse::<u64>().ok());
        calls.sum()
    }

    /// Returns the address: 127.0.0.1, except for a node in a [`Network`].
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns the TCP port. It stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's working folder, with its RDB and AOF files, its log, and what a wrapper
    /// writes.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns what the server has logged so far, over all restarts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(log_file(self.dir())).unwrap_or_default()
    }

    /// Stops the server as an operator would (with save points it saves), and starts it again with
    /// its data.
    ///
    /// # Panics
    ///
    /// If it does not stop or start, with its log.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Sends SIGTERM and waits for the exit. The folder stays.
    ///
    /// # Panics
    ///
    /// If the server does not exit, with its log.
    pub fn stop(&mut self) {
        assert!(self.stops(), "redis-server does not stop:\n{}", self.log());
    }

    fn stops(&mut self) -> bool {
        self.process.terminate();
        let deadline = Instant::now() + self.patience();
        while self.process.is_running() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(POLL_INTERVAL);
        }
        true
    }

    /// Ends the server as a crash would. The folder stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Lets the server answer nothing, as a machine that hangs, until [`Server::resume`].
    pub fn suspend(&mut self) {
        self.process.suspend();
    }

    /// Lets a suspended server go on.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Starts a stopped or killed server with the same port, folder and configuration.
    ///
    /// # Panics
    ///
    /// If it does not start, with its log.
    pub fn start_again(&mut self) {
        assert!(!self.process.is_running(), "the server still runs");
        self.process = run(&self.wrapper, self.dir(), self.mode, self.module.as_deref());
        assert!(self.wait_until_ready(), "redis-server does not start again:\n{}", self.log());
    }

    /// Returns false if the process ended before it answered.
    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + self.patience();
        while self.process.is_running() {
            if self.answers() {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer:\n{}", self.log());
            sleep(POLL_INTERVAL);
        }
        false
    }

    /// Returns whether this server has loaded its data and answers, and not another one that took
    /// the port first.
    fn answers(&self) -> bool {
        let answer = || -> redis::RedisResult<String> {
            let mut connection = self.try_connection()?;
            redis::cmd("PING").exec(&mut connection)?;
            redis::cmd("INFO").arg("server").query(&mut connection)
        };
        let own_config = config_file(self.dir()).display().to_string();
        answer().is_ok_and(|info| info.contains(&own_config))
    }

    /// Connects without timeouts for reads and writes: with one, Linux fails them with EINTR when
    /// the machine is frozen and thawed, which virtual machines are; without, it resumes them.
    fn try_connection(&self) -> redis::RedisResult<redis::Connection> {
        let client = redis::Client::open((self.address.to_string(), self.port))?;
        client.get_connection_with_timeout(self.patience())
    }

    fn patience(&self) -> Duration {
        patience_with(&self.wrapper)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.wrapper.is_empty() {
            // If it does not stop, it is killed.
            self.stops();
        }
    }
}

/// What kind of server it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Alone,
    Cluster,
    Sentinel,
}

impl Mode {
    /// Returns the argument of its command line.
    pub(crate) fn argument(self) -> Option<&'static str> {
        matches!(self, Self::Sentinel).then_some("--sentinel")
    }
}

/// Says how a server differs from that of [`Server::start`].
#[derive(Debug)]
pub struct Builder {
    config: String,
    mode: Mode,
    address: Ipv4Addr,
    module: Option<PathBuf>,
    module_arguments: String,
    wrapper: Vec<String>,
}

impl Builder {
    /// Adds a line to the configuration, as in a redis.conf: `.config("save", "3600 1")`. May be
    /// repeated, and overrides the settings of this crate.
    #[must_use]
    pub fn config(mut self, name: &str, value: &str) -> Self {
        writeln!(self.config, "{name} {value}").expect("a String takes everything");
        self
    }

    /// Makes the server a cluster node, which knows no other node yet and has no slots.
    pub(crate) fn cluster(mut self) -> Self {
        self.mode = Mode::Cluster;
        self
    }

    /// Makes the server a sentinel, which monitors what `.config("sentinel", "monitor …")` says.
    #[must_use]
    pub fn sentinel(mut self) -> Self {
        self.mode = Mode::Sentinel;
        self
    }

    /// Makes the server listen on another address than 127.0.0.1, and connect from there.
    pub(crate) fn address(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        self
    }

    /// Starts the server without the module.
    #[must_use]
    pub fn without_module(mut self) -> Self {
        self.module = None;
        self
    }

    /// Starts the server with another module.
    #[must_use]
    pub fn module(mut self, path: PathBuf) -> Self {
        self.module = Some(path);
        self
    }

    /// Passes arguments to the module: `.module_arguments("cell-compat yes")`.
    #[must_use]
    pub fn module_arguments(mut self, arguments: &str) -> Self {
        arguments.clone_into(&mut self.module_arguments);
        self
    }

    /// Prefixes the server's command line: `.wrapper(&["valgrind", "--tool=callgrind"])`. The
    /// wrapper runs in [`Server::dir`] and has to become the server by `exec`, as valgrind does,
    /// because signals go to its process.
    #[must_use]
    pub fn wrapper(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not start, with its log.
    #[must_use]
    pub fn start(self) -> Server {
        for _ in 0..PORT_ATTEMPTS {
            let mut server = self.spawn();
            if server.wait_until_ready() {
                return server;
            }
            let log = server.log();
            assert!(log.contains("Address already in use"), "redis-server ended before it answered:\n{log}");
        }
        panic!("{PORT_ATTEMPTS} free ports in a row were taken by others");
    }

    fn spawn(&self) -> Server {
        let dir = tempfile::Builder::new().prefix("premier-test-server-").tempdir().expect("a temporary folder");
        let port = free_port();
        fs::write(config_file(dir.path()), self.configuration(dir.path(), port))
            .expect("the temporary folder is writable");
        let process = run(&self.wrapper, dir.path(), self.mode, self.module.as_deref());
        Server {
            process,
            dir,
            address: self.address,
            port,
            mode: self.mode,
            module: self.module.clone(),
            wrapper: self.wrapper.clone(),
        }
    }

    fn configuration(&self, dir: &Path, port: u16) -> String {
        if matches!(self.mode, Mode::Sentinel) {
            return self.sentinel_configuration(dir, port);
        }
        let arguments = &self.module_arguments;
        let load = self.module.as_ref().map(|path| format!("loadmodule \"{}\" {arguments}\n", path.display()));
        let module = load.unwrap_or_default();
        let cluster = match self.mode {
            Mode::Cluster => self.cluster_configuration(),
            Mode::Alone | Mode::Sentinel => String::new(),
        };
        format!(
            "bind {address}\n\
             port {port}\n\
             dir \"{dir}\"\n\
             daemonize no\n\
             save \"\"\n\
             appendonly no\n\
             enable-debug-command yes\n\
             {module}{cluster}{own}",
            address = self.address,
            dir = dir.display(),
            own = self.config,
        )
    }

    fn sentinel_configuration(&self, dir: &Path, port: u16) -> String {
        format!(
            "bind {address}\nport {port}\ndir \"{dir}\"\ndaemonize no\n{own}",
            address = self.address,
            dir = dir.display(),
            own = self.config
        )
    }

    /// The bus gets a free port of its own: its default, 10,000 above the server's, may not exist.
    /// The address is announced, as a node that has met no other does not know it. Protected mode
    /// would refuse nodes on other addresses.
    fn cluster_configuration(&self) -> String {
        let (address, bus_port) = (self.address, free_port());
        format!(
            "cluster-enabled yes\n\
             cluster-port {bus_port}\n\
             cluster-announce-ip {address}\n\
             bind-source-addr {address}\n\
             protected-mode no\n"
        )
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on 127.0.0.1")
        .port()
}

fn config_file(dir: &Path) -> PathBuf {
    dir.join("redis.conf")
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("redis.log")
}
