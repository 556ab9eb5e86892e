//! The server's clock, the only one that decisions use.

use std::cell::RefCell;
use std::ptr;

use premier_algorithms::{Clock, Now, Span, Timestamp};
use redis_module::raw;

thread_local! {
    /// The clock of the main thread, which runs all commands and loads all data.
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::new()) };
}

/// Returns the moment of the running command. It is the same for a whole transaction or script,
/// except on servers before Redis 7.2, whose interface has no such clock.
#[must_use]
pub fn now() -> Now {
    CLOCK.with_borrow_mut(read)
}

/// Notes a stamp that [`now`] did not return: one that arrives from a file or from another server.
pub(crate) fn see(stamp: Timestamp) {
    CLOCK.with_borrow_mut(|clock| {
        if clock.is_running() {
            // The first reading shows whether the stamp is ahead, and the second one when it
            // arrived.
            read(clock);
            clock.see(stamp);
            read(clock);
        } else {
            // The server starts, and time begins with the first call.
            clock.see(stamp);
        }
    });
}

/// Returns by how much the server's clock may have been set back since [`now`] returned a stamp.
pub(crate) fn set_back_since(stamp: Timestamp) -> Span {
    CLOCK.with_borrow(|clock| clock.set_back_since(stamp))
}

fn read(clock: &mut Clock) -> Now {
    // SAFETY: the pointer was filled in when the module was loaded; it is null on older servers.
    let micros = match unsafe { raw::RedisModule_CachedMicroseconds } {
        // SAFETY: it has no parameters and only reads a number of the server's.
        Some(cached) => unsafe { cached() },
        None => system_micros(),
    };
    clock.read(Timestamp::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// Reads the system clock, as servers do that have no clock in their interface.
#[allow(clippy::useless_conversion, reason = "not every system counts microseconds in an i64")]
fn system_micros() -> i64 {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: it only writes to `time`, which outlives the call.
    unsafe { libc::gettimeofday(&raw mut time, ptr::null_mut()) };
    i64::from(time.tv_sec).saturating_mul(1_000_000).saturating_add(i64::from(time.tv_usec))
}
