//! The server's clock: the only one that counts.

use std::cell::Cell;
use std::ptr;

use premier_algorithms::{Clock, Now, Timestamp};
use redis_module::raw;

thread_local! {
    /// Of the main thread, on which all commands run and all data is loaded.
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::new()) };
}

/// The moment of the running command. It stands still within a transaction and a script, except on servers before Redis 7.2,
/// whose interface has no such clock.
pub(crate) fn now() -> Now {
    // SAFETY: the pointer was filled in when the module was loaded; it is none on older servers.
    let micros = match unsafe { raw::RedisModule_CachedMicroseconds } {
        // SAFETY: it takes nothing and only reads a number of the server's.
        Some(cached) => unsafe { cached() },
        None => system_micros(),
    };
    let mut clock = CLOCK.get();
    let now = clock.read(Timestamp::from_micros(u64::try_from(micros).unwrap_or(0)));
    CLOCK.set(clock);
    now
}

/// Takes note of a stamp that did not come from [`now`]: from a file or another server.
pub(super) fn see(stamp: Timestamp) {
    let mut clock = CLOCK.get();
    clock.see(stamp);
    CLOCK.set(clock);
}

/// What such servers read themselves.
#[allow(clippy::useless_conversion, reason = "not every system counts microseconds in an i64")]
fn system_micros() -> i64 {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: it writes to `time`, which outlives the call, and to nothing else.
    unsafe { libc::gettimeofday(&raw mut time, ptr::null_mut()) };
    i64::from(time.tv_sec).saturating_mul(1_000_000).saturating_add(i64::from(time.tv_usec))
}
