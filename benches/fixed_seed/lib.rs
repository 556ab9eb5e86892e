//! Makes the random numbers of a server start alike each time, when it is preloaded. A server reads
//! /dev/urandom to seed the hashes of its tables, and the length of their chains decides how many
//! instructions a look-up takes.

#![expect(unsafe_code, reason = "it takes the place of a function of the C library")]

use std::ffi::{CStr, c_char};

use libc::FILE;

/// More bytes than any server reads.
static SEED: [u8; 4_096] = [42; 4_096];

type Open = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut FILE;

/// # Safety
/// `path` and `mode` must be C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: both are C strings.
    unsafe { open(c"fopen", path, mode) }
}

/// # Safety
/// `path` and `mode` must be C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: both are C strings.
    unsafe { open(c"fopen64", path, mode) }
}

/// # Safety
/// `path` and `mode` are C strings, and `name` is a function that opens a file as `fopen` does.
unsafe fn open(name: &CStr, path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the path is a C string.
    if unsafe { CStr::from_ptr(path) } == c"/dev/urandom" {
        // SAFETY: the static has that many bytes, and a file that is only read does not change
        // them.
        return unsafe { libc::fmemopen(SEED.as_ptr().cast_mut().cast(), SEED.len(), mode) };
    }
    // SAFETY: dlsym(3) only looks up a name.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!next.is_null(), "the C library opens files");
    // SAFETY: the C library's function of that name has this type.
    unsafe { std::mem::transmute::<*mut libc::c_void, Open>(next)(path, mode) }
}
