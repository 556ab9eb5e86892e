//! Lines in the server's log.

use std::ffi::{CStr, CString};
use std::ptr;

use redis_module::raw;

/// How important a line is, in the server's words.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    Notice,
    Warning,
}

impl Level {
    fn name(self) -> &'static CStr {
        match self {
            Self::Notice => c"notice",
            Self::Warning => c"warning",
        }
    }
}

pub(super) fn log(level: Level, line: &str) {
    let line = printable(line);
    // SAFETY: a null context is allowed; the format takes one string, which lives until the call returns.
    unsafe { api!(RedisModule_Log(ptr::null_mut(), level.name().as_ptr(), c"%s".as_ptr(), line.as_ptr())) }
}

/// Logs why a value cannot be loaded, with what the server knows about where it comes from.
pub(super) fn log_load_error(rdb: *mut raw::RedisModuleIO, line: &str) {
    let line = printable(line);
    let level = Level::Warning.name().as_ptr();
    // SAFETY: `rdb` is what the server handed to the callback that is running; the rest is as above.
    unsafe { api!(RedisModule_LogIOError(rdb, level, c"%s".as_ptr(), line.as_ptr())) }
}

/// A C string ends at the first zero byte: those within are left out.
pub(super) fn printable(text: &str) -> CString {
    CString::new(text.replace('\0', "")).expect("zero bytes have just been taken out")
}
