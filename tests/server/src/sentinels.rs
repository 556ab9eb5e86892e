//! A master and its replica, watched by real sentinels.

use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Cmd, Connection, FromRedisValue, cmd};

use crate::{POLL_INTERVAL, Server, patience};

const SENTINELS: usize = 3;

/// How many sentinels decide on a failover.
const QUORUM: usize = 2;

/// How long a master may be silent before a sentinel considers it down.
const DOWN_AFTER: Duration = Duration::from_millis(300);

/// Three running sentinels, and a master and its replica with the module, on loopback. Dropping it
/// ends them, as with [`Server`].
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Sentinels {
    /// The name of the master.
    pub const MASTER: &str = "My_Master-1";

    /// Starts all of them, and waits until the sentinels know each other and the replica.
    ///
    /// # Panics
    ///
    /// If they do not start, or do not find each other.
    #[must_use]
    pub fn start() -> Self {
        let server = || Server::builder().config("repl-diskless-sync-delay", "0").start();
        let servers = vec![server(), server()];
        let [master, replica] = [0, 1].map(|index| (servers[index].address().to_string(), servers[index].port()));
        run(&servers[1], cmd("REPLICAOF").arg(&master.0).arg(master.1));
        wait_until("the replica is not in sync", || {
            replication(&mut servers[1].connection()).contains("master_link_status:up")
        });
        let name = Self::MASTER;
        let sentinel = |_| {
            Server::builder()
                .sentinel()
                .config("sentinel", &format!("monitor {name} {} {} {QUORUM}", master.0, master.1))
                .config("sentinel", &format!("down-after-milliseconds {name} {}", DOWN_AFTER.as_millis()))
                .config("sentinel", &format!("failover-timeout {name} 2000"))
                .start()
        };
        let sentinels: Vec<_> = (0..SENTINELS).map(sentinel).collect();
        for sentinel in &sentinels {
            wait_until("the sentinels do not find each other", || {
                let info: String = query(sentinel, cmd("INFO").arg("sentinel"));
                info.contains(&format!("status=ok,address={}:{},slaves=1,sentinels={SENTINELS}", master.0, master.1))
            });
        }
        let known = |sentinel| query::<Vec<Vec<String>>>(sentinel, cmd("SENTINEL").arg("REPLICAS").arg(name));
        for sentinel in &sentinels {
            wait_until("the sentinels do not find the replica", || {
                known(sentinel).iter().flatten().any(|field| *field == replica.1.to_string())
            });
        }
        Self { servers, sentinels }
    }

    /// Returns the servers, first the one that was the master at the start.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Returns the servers, to stop, kill and start them again.
    #[must_use]
    pub fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    /// Returns the sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// Returns `redis://address:port` of each sentinel.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(|sentinel| format!("redis://{}:{}", sentinel.address(), sentinel.port())).collect()
    }

    /// Waits until a sentinel names this server as the master, and this server is one.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn wait_until_master(&self, server: &Server) {
        let mut sentinels: Vec<Connection> = self.sentinels.iter().map(Server::connection).collect();
        let mut master = cmd("SENTINEL");
        master.arg("GET-MASTER-ADDR-BY-NAME").arg(Self::MASTER);
        let address = Ok((server.address().to_string(), server.port()));
        wait_until("the sentinels do not choose the replica", || {
            sentinels.iter_mut().any(|sentinel| master.query(sentinel) == address)
                && replication(&mut server.connection()).contains("role:master")
        });
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(POLL_INTERVAL);
    }
}

fn replication(server: &mut Connection) -> String {
    cmd("INFO").arg("replication").query(server).expect("a server answers")
}

fn run(server: &Server, command: &Cmd) {
    query::<()>(server, command);
}

fn query<T: FromRedisValue>(server: &Server, command: &Cmd) -> T {
    command.query(&mut server.connection()).unwrap_or_else(|error| panic!("a server fails: {error}\n{}", server.log()))
}
