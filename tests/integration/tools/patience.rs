//! Waiting for what the server tells in no other way.

use std::thread::sleep;
use std::time::{Duration, Instant};

use premier_test_server::patience;
use redis::Connection;

use super::call::run;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Asks until it is so.
///
/// # Panics
/// When it takes too long.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + 2 * patience();
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(POLL_INTERVAL);
    }
}

/// Waits until so many clients are held up: by a command that blocks, or by a pause.
#[track_caller]
pub(crate) fn wait_until_blocked(connection: &mut Connection, clients: usize) {
    wait_until("the clients are held up", || blocked_clients(connection) == clients);
}

/// How many clients are held up. INFO may leave out those that a pause holds up.
pub(crate) fn blocked_clients(connection: &mut Connection) -> usize {
    let clients: String = run(connection, "CLIENT LIST");
    let flags = clients.split(' ').filter_map(|field| field.strip_prefix("flags="));
    flags.filter(|flags| flags.contains('b')).count()
}
