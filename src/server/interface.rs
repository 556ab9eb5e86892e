//! The functions of the server's C interface.
//!
//! They are pointers that the server fills in before anything else runs. [`api!`] calls those that
//! every supported server has; the few newer ones are looked up before each use.

use std::ffi::c_int;

use redis_module::raw;

/// The statuses that functions of the interface return.
#[expect(clippy::cast_possible_truncation, reason = "it is 0")]
pub(crate) const OK: c_int = raw::REDISMODULE_OK as c_int;
#[expect(clippy::cast_possible_truncation, reason = "it is 1")]
pub(crate) const ERR: c_int = raw::REDISMODULE_ERR as c_int;

/// Lists the functions that every supported server has.
macro_rules! interface {
    ($($function:ident),* $(,)?) => {
        /// The functions that [`api!`] may call.
        #[expect(non_upper_case_globals, reason = "they have the names of the functions")]
        pub(crate) mod required {
            $(pub(crate) const $function: () = ();)*
        }

        /// Returns the name of a function that this server lacks.
        pub(crate) fn missing_function() -> Option<&'static str> {
            // SAFETY: the pointers are filled in before this is called, and not changed afterwards.
            $(if unsafe { redis_module::raw::$function }.is_none() {
                return Some(stringify!($function));
            })*
            None
        }
    };
}

interface!(
    RedisModule_ACLCheckCommandPermissions,
    RedisModule_CloseKey,
    RedisModule_CreateCommand,
    RedisModule_CreateDataType,
    RedisModule_CreateString,
    RedisModule_DefragAlloc,
    RedisModule_DefragCursorGet,
    RedisModule_DefragCursorSet,
    RedisModule_DefragShouldStop,
    RedisModule_DigestAddStringBuffer,
    RedisModule_DigestEndSequence,
    RedisModule_EmitAOF,
    RedisModule_Free,
    RedisModule_FreeModuleUser,
    RedisModule_FreeServerInfo,
    RedisModule_FreeString,
    RedisModule_GetAbsExpire,
    RedisModule_GetClientId,
    RedisModule_GetClientUserNameById,
    RedisModule_GetCommand,
    RedisModule_GetContextFlags,
    RedisModule_GetModuleUserFromUserName,
    RedisModule_GetNotifyKeyspaceEvents,
    RedisModule_GetServerInfo,
    RedisModule_InfoAddFieldCString,
    RedisModule_InfoAddFieldULongLong,
    RedisModule_InfoAddSection,
    RedisModule_InfoBeginDictField,
    RedisModule_InfoEndDictField,
    RedisModule_IsKeysPositionRequest,
    RedisModule_KeyAtPos,
    RedisModule_KeyType,
    RedisModule_LoadConfigs,
    RedisModule_LoadStringBuffer,
    RedisModule_Log,
    RedisModule_LogIOError,
    RedisModule_ModuleTypeGetType,
    RedisModule_ModuleTypeGetValue,
    RedisModule_ModuleTypeSetValue,
    RedisModule_NotifyKeyspaceEvent,
    RedisModule_OpenKey,
    RedisModule_RegisterBoolConfig,
    RedisModule_RegisterInfoFunc,
    RedisModule_RegisterNumericConfig,
    RedisModule_Replicate,
    RedisModule_ReplicateVerbatim,
    RedisModule_ReplyWithArray,
    RedisModule_ReplyWithError,
    RedisModule_ReplyWithLongLong,
    RedisModule_ReplyWithMap,
    RedisModule_ReplyWithNull,
    RedisModule_ReplyWithSimpleString,
    RedisModule_ReplyWithStringBuffer,
    RedisModule_SaveStringBuffer,
    RedisModule_ServerInfoGetFieldUnsigned,
    RedisModule_SetAbsExpire,
    RedisModule_SetCommandInfo,
    RedisModule_SetModuleOptions,
    RedisModule_SignalModifiedKey,
    RedisModule_StringDMA,
    RedisModule_StringPtrLen,
    RedisModule_SubscribeToServerEvent,
    RedisModule_UnlinkKey,
    RedisModule_WrongArity,
);

/// Calls a function of the interface. The module refuses to load where one is missing.
macro_rules! api {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let () = $crate::interface::required::$function;
        (redis_module::raw::$function.unwrap_unchecked())($($argument),*)
    }};
}
pub(crate) use api;
