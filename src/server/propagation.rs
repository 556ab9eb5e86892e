//! Whether effects have to be propagated: to a replica, to the replication backlog, or to the AOF.
//!
//! Where nothing receives effects, the module does not even make them, which saves a quarter of an
//! admitted call. A new replica or AOF begins with a snapshot by a forked child and needs the
//! effects from that fork on, so propagation is needed from each fork on. A server that changes its
//! role may already have a backlog, from which others continue without a snapshot, so propagation
//! is needed from each change of role on, too. Besides, the module looks about ten times a second
//! whether the server itself reports an AOF, a replica or a backlog: a replica that waits for its
//! fork has made the server create one. In a cluster propagation never ends, as slots move in
//! further ways.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use redis_module::raw;

use crate::interface::{OK, api};
use crate::load_error::LoadError;

/// Needed until the server reports otherwise: it may have had a backlog before it loaded the
/// module.
static IS_NEEDED: AtomicBool = AtomicBool::new(true);

/// Returns whether something may receive effects.
#[inline]
pub fn is_needed() -> bool {
    IS_NEEDED.load(Ordering::Relaxed)
}

/// Subscribes to the events of the server that begin or may end propagation.
pub(crate) fn subscribe(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    let subscribe = |event, callback: EventCallback| {
        let event = raw::RedisModuleEvent { id: event, dataver: 1 };
        // SAFETY: the module is being loaded; the callbacks have the signature of all callbacks of
        // events.
        unsafe { api!(RedisModule_SubscribeToServerEvent(context, event, Some(callback))) }
    };
    let statuses = [
        subscribe(raw::REDISMODULE_EVENT_FORK_CHILD, begin),
        subscribe(raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, begin),
        subscribe(raw::REDISMODULE_EVENT_CRON_LOOP, look_for_receivers),
    ];
    if statuses == [OK; 3] { Ok(()) } else { Err(LoadError::Events) }
}

type EventCallback = unsafe extern "C" fn(*mut raw::RedisModuleCtx, raw::RedisModuleEvent, u64, *mut c_void);

/// Called when a child is forked or ends and when the role changes, before any other command runs.
unsafe extern "C" fn begin(
    _context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    IS_NEEDED.store(true, Ordering::Relaxed);
}

/// Called about ten times a second.
unsafe extern "C" fn look_for_receivers(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    IS_NEEDED.store(!nothing_receives(context), Ordering::Relaxed);
}

fn nothing_receives(context: *mut raw::RedisModuleCtx) -> bool {
    const RECEIVERS: u32 = raw::REDISMODULE_CTX_FLAGS_AOF | raw::REDISMODULE_CTX_FLAGS_CLUSTER;
    // SAFETY: the context is that of the running callback.
    let flags = unsafe { api!(RedisModule_GetContextFlags(context)) };
    flags & RECEIVERS.cast_signed() == 0 && has_no_replication(context)
}

/// Returns whether INFO reports neither a replica, in any state, nor a backlog.
fn has_no_replication(context: *mut raw::RedisModuleCtx) -> bool {
    // SAFETY: the context is that of the running callback; the returned data is freed below,
    // exactly once.
    let info = unsafe { api!(RedisModule_GetServerInfo(context, c"replication".as_ptr())) };
    let is_zero = |field: &CStr| {
        let mut error: c_int = OK;
        // SAFETY: `info` has just been made, and the server only reads the name.
        let value = unsafe { api!(RedisModule_ServerInfoGetFieldUnsigned(info, field.as_ptr(), &raw mut error)) };
        error == OK && value == 0
    };
    let has_none = is_zero(c"connected_slaves") && is_zero(c"repl_backlog_active");
    // SAFETY: as above. No reference to it is kept.
    unsafe { api!(RedisModule_FreeServerInfo(context, info)) };
    has_none
}
