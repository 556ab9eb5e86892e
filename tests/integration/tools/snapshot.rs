//! Snapshots of everything that a server holds.

use std::collections::BTreeMap;
use std::fmt;

use premier_test_server::Server;
use redis::Connection;

use super::call::{command, run};

/// What each key holds, by database and name.
pub(crate) type Snapshot = BTreeMap<(u32, Name), Content>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) Vec<u8>);

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let shown = self.0.get(..SHOWN).unwrap_or(&self.0);
        write!(f, "{}", shown.escape_ascii())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) data_type: String,
    pub(crate) digest: String,
    /// Milliseconds since the Unix epoch; −1 for never.
    pub(crate) expires_at: i64,
}

/// Returns what every key of every database holds.
pub(crate) fn snapshot(server: &Server) -> Snapshot {
    let mut connection = server.connection();
    // Without READONLY, the replicas of a cluster redirect clients to their primaries. Servers
    // outside a cluster refuse it.
    let _ = command("READONLY").exec(&mut connection);
    let keyspace: String = run(&mut connection, "INFO keyspace");
    let databases = keyspace.lines().filter_map(|line| line.strip_prefix("db")?.split_once(':')?.0.parse().ok());
    let mut snapshot = Snapshot::new();
    for database in databases {
        let () = run(&mut connection, &format!("SELECT {database}"));
        let names: Vec<Vec<u8>> = run(&mut connection, "KEYS *");
        for name in names {
            let content = content(&mut connection, &name);
            snapshot.insert((database, Name(name)), content);
        }
    }
    snapshot
}

/// Returns what a key of the connection's database holds.
pub(crate) fn content(connection: &mut Connection, key: &[u8]) -> Content {
    let (data_type, [digest], expires_at): (String, [String; 1], i64) = redis::pipe()
        .cmd("TYPE")
        .arg(key)
        .cmd("DEBUG")
        .arg("DIGEST-VALUE")
        .arg(key)
        .cmd("PEXPIRETIME")
        .arg(key)
        .query(connection)
        .expect("a key can be inspected");
    Content { data_type, digest, expires_at }
}
