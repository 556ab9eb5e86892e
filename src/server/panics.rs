//! Panics must not leave a function that the server calls: that would end the server.

use std::panic::{self, AssertUnwindSafe};

use super::log::{Level, log};

/// Makes panics go to the server's log.
pub(super) fn log_them() {
    panic::set_hook(Box::new(|info| {
        log(Level::Warning, &format!("premier has an internal error, please report it: {info}"));
    }));
}

/// Answers what `body` does, or `None` when it panics. What it was working on is left as it is: each change of a key's state
/// is made at one stroke.
pub(super) fn catch<T>(body: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(body)).ok()
}
