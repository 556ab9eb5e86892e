//! Waiting for what the server tells in no other way.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Generous: a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Asks until it is so.
///
/// # Panics
/// When it takes too long.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(POLL_INTERVAL);
    }
}
