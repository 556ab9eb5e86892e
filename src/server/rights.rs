//! What the user of a call may do.

use std::ffi::{CStr, c_int};
use std::io;
use std::ptr;

use redis_module::raw;

use crate::interface::{OK, api};

/// Commands with which a user can take over the server. A user who may run all of them has full
/// rights. Servers may have renamed some of them.
const OF_FULL_RIGHTS: [&[&CStr]; 3] =
    [&[c"ACL", c"SETUSER", c"any"], &[c"CONFIG", c"SET", c"any", c"any"], &[c"REPLICAOF", c"NO", c"ONE"]];

/// Returns whether the user of the running command has full rights. In a script, and in a call by
/// another module, the server does not say who the user is.
pub(crate) fn has_full_rights(context: *mut raw::RedisModuleCtx) -> bool {
    // SAFETY: the context is that of the running command, here and below.
    let name = unsafe { api!(RedisModule_GetClientUserNameById(context, api!(RedisModule_GetClientId(context)))) };
    if name.is_null() {
        // The client has no user and may do everything, or there is no client.
        return io::Error::last_os_error().raw_os_error() == Some(libc::ENOTSUP);
    }
    // SAFETY: the name has just been made. Both are freed here, exactly once.
    let user = unsafe { api!(RedisModule_GetModuleUserFromUserName(name)) };
    // SAFETY: as above.
    unsafe { api!(RedisModule_FreeString(context, name)) };
    if user.is_null() {
        return false;
    }
    let mut permissions = OF_FULL_RIGHTS.iter().filter_map(|words| may_run(user, words)).peekable();
    let has_full_rights = permissions.peek().is_some() && permissions.all(|may_run| may_run);
    // SAFETY: as above.
    unsafe { api!(RedisModule_FreeModuleUser(user)) };
    has_full_rights
}

/// Returns whether a user may run a command; `None` if the server does not know the command.
fn may_run(user: *mut raw::RedisModuleUser, words: &[&CStr]) -> Option<bool> {
    let mut words: Vec<_> = words
        .iter()
        .map(|word| {
            // SAFETY: a null context is allowed; the server copies the bytes.
            unsafe { api!(RedisModule_CreateString(ptr::null_mut(), word.as_ptr(), word.count_bytes())) }
        })
        .collect();
    let len = c_int::try_from(words.len()).expect("commands are short");
    // SAFETY: the user and the words are alive.
    let status = unsafe { api!(RedisModule_ACLCheckCommandPermissions(user, words.as_mut_ptr(), len)) };
    let is_unknown = status != OK && io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT);
    for word in words {
        // SAFETY: it was made above, and is freed here, exactly once.
        unsafe { api!(RedisModule_FreeString(ptr::null_mut(), word)) };
    }
    (!is_unknown).then_some(status == OK)
}
