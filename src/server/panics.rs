//! A panic must not leave a function that the server calls: it would end the server.

use std::panic::{self, AssertUnwindSafe};

use crate::log::{Level, log};

/// Sends the message of each panic to the server's log.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        log(Level::Warning, &format!("premier has an internal error, please report it: {info}"));
    }));
}

/// Returns the result of `body`, or `None` if it panics. A panic leaves no state half changed, as
/// each change of a key's state is made in one step.
pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(body)).ok()
}
