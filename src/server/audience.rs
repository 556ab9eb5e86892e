//! Whether anybody may listen to effects: a replica, the backlog for replicas, or the AOF.
//!
//! Where nobody does, an effect need not even be made, which is a quarter of an admitted call. Who begins to listen first gets
//! all that there is by a forked child (a full sync, a rewrite of the AOF), and needs the effects from that fork on. So
//! somebody may listen from each fork on. A server that changes its role may have a backlog already, from which others go on
//! without such a snapshot: somebody may listen from then on too. It is over only when the server itself says that it has no
//! AOF, no replica and no backlog. In a cluster it never is, as slots are moved in more ways than these.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use redis_module::raw;

use super::entry::{LoadError, OK};

/// As long as nothing else is known, somebody may: the server may have had a backlog before the module was loaded.
static MAY_LISTEN: AtomicBool = AtomicBool::new(true);

/// Whether anybody may listen.
#[inline]
pub(crate) fn may_listen() -> bool {
    MAY_LISTEN.load(Ordering::Relaxed)
}

pub(super) fn watch(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    let subscribe = |event, callback: EventCallback| {
        let event = raw::RedisModuleEvent { id: event, dataver: 1 };
        // SAFETY: the module is being loaded; the callbacks take what the server hands to all callbacks of events.
        unsafe { api!(RedisModule_SubscribeToServerEvent(context, event, Some(callback))) }
    };
    let statuses = [
        subscribe(raw::REDISMODULE_EVENT_FORK_CHILD, somebody_may_come),
        subscribe(raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, somebody_may_come),
        subscribe(raw::REDISMODULE_EVENT_CRON_LOOP, look_whether_all_have_gone),
    ];
    if statuses == [OK; 3] { Ok(()) } else { Err(LoadError::Events) }
}

type EventCallback = unsafe extern "C" fn(*mut raw::RedisModuleCtx, raw::RedisModuleEvent, u64, *mut c_void);

/// A child was forked, or has ended, or the role has changed. Called before any other command runs.
unsafe extern "C" fn somebody_may_come(
    _context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    MAY_LISTEN.store(true, Ordering::Relaxed);
}

/// Called some ten times a second.
unsafe extern "C" fn look_whether_all_have_gone(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    if may_listen() && nobody_listens(context) {
        MAY_LISTEN.store(false, Ordering::Relaxed);
    }
}

fn nobody_listens(context: *mut raw::RedisModuleCtx) -> bool {
    const SOMEBODY: u32 = raw::REDISMODULE_CTX_FLAGS_AOF | raw::REDISMODULE_CTX_FLAGS_CLUSTER;
    // SAFETY: the context is that of the running callback.
    let flags = unsafe { api!(RedisModule_GetContextFlags(context)) };
    flags & SOMEBODY.cast_signed() == 0 && has_no_replication(context)
}

/// Whether INFO says that there is neither a replica, in whatever state, nor a backlog.
fn has_no_replication(context: *mut raw::RedisModuleCtx) -> bool {
    // SAFETY: the context is that of the running callback; what is answered is freed below, once.
    let info = unsafe { api!(RedisModule_GetServerInfo(context, c"replication".as_ptr())) };
    let is_zero = |field: &CStr| {
        let mut error: c_int = OK;
        // SAFETY: `info` has just been made, and the server only reads the name.
        let value = unsafe { api!(RedisModule_ServerInfoGetFieldUnsigned(info, field.as_ptr(), &raw mut error)) };
        error == OK && value == 0
    };
    let has_none = is_zero(c"connected_slaves") && is_zero(c"repl_backlog_active");
    // SAFETY: as above. Nothing is kept of it.
    unsafe { api!(RedisModule_FreeServerInfo(context, info)) };
    has_none
}
