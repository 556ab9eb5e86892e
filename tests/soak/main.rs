//! Checks that no memory leaks: after ten million calls over a million keys that expire again and
//! again, the server uses as much memory as it did at the start, within 2%. `make soak` runs this;
//! it takes a minute or two.
//!
//! The start comes after a warm-up: two calls of each of the same keys, all of which have expired
//! since. A fresh server lacks what is bounded and stays, such as the keys that `PREMIER.TOP`
//! counts. The table that this prints has the fresh server too, for comparison.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use premier_test_server::Server;
use redis::{Connection, InfoDict};

const KEYS: u64 = 1_000_000;
const CALLS: u64 = 10_000_000;
const CONNECTIONS: usize = 4;
const BATCH: u64 = 500;

/// How much more memory the server may use than at the start.
const TOLERATED_PERCENT: u64 = 2;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long memory must stay the same. After that, the server's cron has finished shrinking its
/// tables.
const QUIET: Duration = Duration::from_secs(5);

/// The deadline for keys to expire and tables to shrink. No key lives longer than ten seconds.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    used: u64,
    rss: u64,
}

impl Memory {
    fn of(connection: &mut Connection) -> Self {
        let info: InfoDict = redis::cmd("INFO").arg("memory").query(connection).expect("INFO memory");
        let field = |name| info.get(name).unwrap_or_else(|| panic!("INFO memory has no {name}"));
        Self { used: field("used_memory"), rss: field("used_memory_rss") }
    }

    fn max(self, other: Self) -> Self {
        Self { used: self.used.max(other.used), rss: self.rss.max(other.rss) }
    }
}

fn main() {
    let server = Server::start();
    // One connection asks for everything, so that its buffers are in each figure.
    let mut connection = server.connection();
    let fresh = settled(&mut connection);
    soak(&server, &mut connection, 2 * KEYS);
    let before = settled(&mut connection);

    let started = Instant::now();
    let (fullest, limited) = soak(&server, &mut connection, CALLS);
    let millis = u64::try_from(started.elapsed().as_millis()).expect("a soak is short");
    let expired = expired_keys(&mut connection);
    let after = settled(&mut connection);

    println!("{:<12}{:>16}{:>18}", "", "used_memory", "used_memory_rss");
    for (when, memory) in [("fresh", fresh), ("before", before), ("fullest", fullest), ("after", after)] {
        println!("{when:<12}{:>16}{:>18}", memory.used, memory.rss);
    }
    println!("{CALLS} calls, {} a second: {} admitted, {limited} limited", CALLS * 1000 / millis, CALLS - limited);
    println!("{expired} keys had expired when the last call was answered, warm-up included");

    assert!(limited > 0 && limited < CALLS, "some calls must be limited, and some must not");
    assert!(expired > 2 * KEYS, "keys must expire during the calls");
    let most = before.used + before.used * TOLERATED_PERCENT / 100;
    assert!(after.used <= most, "{} bytes are used, more than the {most} allowed", after.used);
}

/// Makes the calls from several connections. Returns the peak of memory and how many calls were
/// limited.
fn soak(server: &Server, connection: &mut Connection, calls: u64) -> (Memory, u64) {
    let (batches, limited) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut fullest = Memory::default();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let mut connection = server.connection();
                let (batches, limited) = (&batches, &limited);
                scope.spawn(move || {
                    loop {
                        let first = batches.fetch_add(1, Ordering::Relaxed) * BATCH;
                        if first >= calls {
                            return;
                        }
                        limited.fetch_add(send(&mut connection, first), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            fullest = fullest.max(Memory::of(connection));
            sleep(POLL_INTERVAL);
        }
    });
    (fullest, limited.into_inner())
}

/// Makes a batch of calls and returns how many of them were limited.
fn send(connection: &mut Connection, first: u64) -> u64 {
    let mut pipeline = redis::pipe();
    for number in first..first + BATCH {
        // Each key is called twice in a row, so that some calls find a state and are limited. All
        // other keys come before the next two.
        let key = number / 2 % KEYS;
        let command = ["PREMIER.FIXED", "PREMIER.SLIDING", "PREMIER.TOKEN", "PREMIER.LEAKY"][(key % 4) as usize];
        let (seconds, quota) = (key / 4 % 10 + 1, key / 40 % 3 + 1);
        pipeline.cmd(command).arg(format!("soak:{key}")).arg(quota).arg(format!("{seconds}s"));
    }
    let replies: Vec<[i64; 5]> = pipeline.query(connection).expect("calls");
    replies.iter().map(|[limited, ..]| u64::from(*limited == 1)).sum()
}

/// Returns the memory in use when every key has expired and nothing changes any more.
fn settled(connection: &mut Connection) -> Memory {
    let deadline = Instant::now() + PATIENCE;
    let mut memory = Memory::of(connection);
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        assert!(Instant::now() < deadline, "keys do not expire, or memory does not settle: {memory:?}");
        sleep(POLL_INTERVAL);
        let keys: u64 = redis::cmd("DBSIZE").query(connection).expect("DBSIZE");
        let now = Memory::of(connection);
        // The server itself may need a page more or less.
        if keys > 0 || now.used.abs_diff(memory.used) > 4096 {
            (memory, since) = (now, Instant::now());
        }
    }
    memory
}

fn expired_keys(connection: &mut Connection) -> u64 {
    let info: InfoDict = redis::cmd("INFO").arg("stats").query(connection).expect("INFO stats");
    info.get("expired_keys").expect("INFO stats has expired_keys")
}
