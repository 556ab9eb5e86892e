//! Strings that belong to the server.

use std::ffi::c_int;
use std::slice;

use redis_module::raw;

use crate::interface::api;

/// Borrows strings that the server passes to a function of the module.
///
/// # Safety
/// There must be `len` strings at `first`, and they must live as long as the returned slice.
pub(crate) unsafe fn from_server<'strings>(
    first: *mut *mut raw::RedisModuleString,
    len: c_int,
) -> &'strings [*mut raw::RedisModuleString] {
    match usize::try_from(len) {
        // SAFETY: as above.
        Ok(len @ 1..) => unsafe { slice::from_raw_parts(first, len) },
        // The pointer may be null where there are no strings.
        _ => &[],
    }
}

/// Returns the bytes of each string.
pub(crate) fn texts(strings: &[*mut raw::RedisModuleString]) -> impl ExactSizeIterator<Item = &[u8]> {
    strings.iter().map(|string| {
        let mut len = 0;
        // SAFETY: the string lives as long as the slice does: see `from_server`.
        let bytes = unsafe { api!(RedisModule_StringPtrLen(*string, &raw mut len)) };
        // SAFETY: the string has that many bytes, and nothing changes them while it is borrowed.
        unsafe { slice::from_raw_parts(bytes.cast(), len) }
    })
}
