//! The server's C interface, made safe. All unsafe code of the module is in this folder; above it there are bytes, integers
//! and the types of `premier-algorithms`.
//!
//! What every unsafe block here relies on:
//! - The functions of the interface are pointers that the server fills in before anything else runs. Those that
//!   every supported server has are called through [`api!`]; the few that are newer are looked for first.
//! - Commands and callbacks run on the server's main thread, one at a time. Only freeing a value may happen on another.
//! - No panic leaves a function that the server calls: see [`panics`].

#![expect(unsafe_code, reason = "this is its home")]

/// Names the functions of the interface that the module cannot do without.
macro_rules! interface {
    ($($function:ident),* $(,)?) => {
        /// What [`api!`] may call.
        #[allow(non_upper_case_globals, reason = "they are named as the functions are")]
        mod required {
            $(pub(super) const $function: () = ();)*
        }

        /// The first that this server lacks.
        fn missing_function() -> Option<&'static str> {
            // SAFETY: the pointers are filled in before this is called, and not changed afterwards.
            $(if unsafe { redis_module::raw::$function }.is_none() {
                return Some(stringify!($function));
            })*
            None
        }
    };
}

interface!(
    RedisModule_CloseKey,
    RedisModule_CreateCommand,
    RedisModule_CreateDataType,
    RedisModule_CreateString,
    RedisModule_DefragAlloc,
    RedisModule_DigestAddStringBuffer,
    RedisModule_DigestEndSequence,
    RedisModule_EmitAOF,
    RedisModule_Free,
    RedisModule_FreeServerInfo,
    RedisModule_FreeString,
    RedisModule_GetAbsExpire,
    RedisModule_GetCommand,
    RedisModule_GetContextFlags,
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

/// Calls one of them. The module is not loaded where one is missing.
macro_rules! api {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let () = super::required::$function;
        (redis_module::raw::$function.unwrap_unchecked())($($argument),*)
    }};
}

mod audience;
mod call;
mod clock;
mod command;
mod data_type;
mod effects;
mod entry;
mod info;
mod key;
mod log;
mod panics;
mod settings;

pub(crate) use audience::may_listen;
pub(crate) use call::{Call, Error, KeyPosition};
pub(crate) use clock::now;
pub(crate) use command::{Command, Flags, Info, Keys, Parameter, ParameterKind, Presence};
pub(crate) use data_type::{DataType, Defrag, Handle};
pub(crate) use effects::Effects;
pub(crate) use entry::{LoadError, Module};
pub(crate) use info::{Report, Reporter};
pub(crate) use key::{Key, Reading, Writing};
pub(crate) use settings::{Number, Setting, Switch};
