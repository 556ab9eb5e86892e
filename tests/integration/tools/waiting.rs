//! Waiting with a deadline for what only polling can show.

use std::thread::sleep;
use std::time::{Duration, Instant};

use premier_test_server::patience;
use redis::Connection;

use super::call::run;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls until `is_so` returns true.
///
/// # Panics
///
/// If it takes too long.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + 2 * patience();
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        sleep(POLL_INTERVAL);
    }
}

/// Waits until this many clients are blocked, by a blocking command or by a pause.
#[track_caller]
pub(crate) fn wait_until_blocked(connection: &mut Connection, clients: usize) {
    wait_until("the clients are blocked", || blocked_clients(connection) == clients);
}

/// Returns how many clients are blocked. CLIENT LIST shows them all; INFO may leave out those that
/// a pause blocks.
pub(crate) fn blocked_clients(connection: &mut Connection) -> usize {
    let clients: String = run(connection, "CLIENT LIST");
    let flags = clients.split(' ').filter_map(|field| field.strip_prefix("flags="));
    flags.filter(|flags| flags.contains('b')).count()
}
