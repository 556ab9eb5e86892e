//! Lines in the server's log.

use std::ffi::{CStr, CString};
use std::ptr;

use redis_module::raw;

use crate::interface::api;

/// The server's log levels that premier uses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
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

/// Logs a line.
pub(crate) fn log(level: Level, line: &str) {
    let line = printable(line);
    // SAFETY: a null context is allowed; the format takes one string, which lives until the call
    // returns.
    unsafe { api!(RedisModule_Log(ptr::null_mut(), level.name().as_ptr(), c"%s".as_ptr(), line.as_ptr())) }
}

/// Logs why a value cannot be loaded. The server adds the key and the source of the data.
pub(crate) fn log_load_error(rdb: *mut raw::RedisModuleIO, line: &str) {
    let line = printable(line);
    let level = Level::Warning.name().as_ptr();
    // SAFETY: the server passed `rdb` to the running callback; the rest is as above.
    unsafe { api!(RedisModule_LogIOError(rdb, level, c"%s".as_ptr(), line.as_ptr())) }
}

/// Makes a C string, which would end at the first zero byte, by leaving out zero bytes.
pub(crate) fn printable(text: &str) -> CString {
    CString::new(text.replace('\0', "")).expect("the zero bytes have just been removed")
}
