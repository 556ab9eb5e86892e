//! Registering a command: its function, its flags and its keys.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use redis_module::raw;

use crate::call::{Call, Error, KeyPosition};
use crate::command_docs::Docs;
use crate::interface::{OK, api};
use crate::load_error::LoadError;
use crate::panics;

/// A command.
pub trait Command {
    /// The name.
    const NAME: &'static CStr;

    /// The arguments that are keys.
    const KEYS: Keys = Keys::First;

    /// What the command does, as servers classify it.
    const FLAGS: Flags;

    /// Returns what COMMAND DOCS replies for the command.
    fn docs() -> Docs;

    /// Runs a call. The reply comes last, and only if the call succeeds.
    ///
    /// # Errors
    /// If the call is refused. It has changed nothing then.
    fn run(call: &Call) -> Result<(), Error>;
}

/// The arguments of a command that are keys.
#[derive(Debug, Clone, Copy)]
pub enum Keys {
    /// The first argument only.
    First,
    /// No argument.
    None,
    /// The first argument and every second one after it.
    EachSecond,
    /// The positions that this function returns for a call. The first argument is one of them.
    Found(fn(&Call) -> Vec<KeyPosition>),
}

/// What a command does, as servers classify it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    /// The command reads. It is in the category @premier.
    Read,
    /// The command writes. It is in the category @premier.
    Write,
    /// The command writes, but takes no memory. It is in the category @premier.
    Free,
    /// The command is for operators, as it shows keys that the caller may have no access to.
    Operator,
    /// The command is internal, sent only between servers. It writes, but is not flagged `write`:
    /// `+@write` must not allow it.
    Internal,
}

impl Flags {
    fn names(self) -> &'static CStr {
        match self {
            Self::Read => c"readonly fast",
            Self::Write => c"write deny-oom fast",
            Self::Free => c"write fast",
            Self::Operator => c"admin",
            Self::Internal => c"admin may-replicate fast",
        }
    }
}

/// The ACL category of the commands for applications.
const ACL_CATEGORY: &CStr = c"premier";

unsafe extern "C" fn run<C: Command>(
    context: *mut raw::RedisModuleCtx,
    words: *mut *mut raw::RedisModuleString,
    len: c_int,
) -> c_int {
    // SAFETY: the server calls this function of a command with these arguments.
    let call = unsafe { Call::new(context, words, len) };
    if let Keys::Found(find) = C::KEYS
        && call.is_for_key_positions()
    {
        panics::catch(|| call.report_key_positions(&find(&call)));
        return OK;
    }
    let outcome = if call.has_key() || matches!(C::KEYS, Keys::None) {
        panics::catch(|| C::run(&call)).unwrap_or(Err(Error::Internal))
    } else {
        Err(Error::WrongArity)
    };
    if let Err(error) = outcome {
        call.reply_error(&error);
    }
    OK
}

type CommandFunction = unsafe extern "C" fn(*mut raw::RedisModuleCtx, *mut *mut raw::RedisModuleString, c_int) -> c_int;

pub(crate) fn register<C: Command>(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    let (first, last, step) = match C::KEYS {
        Keys::None => (0, 0, 0),
        Keys::First | Keys::Found(_) => (1, 1, 1),
        Keys::EachSecond => (1, -1, 2),
    };
    let flags = C::FLAGS.names().to_bytes();
    let flags = match C::KEYS {
        Keys::None | Keys::First | Keys::EachSecond => flags.to_vec(),
        Keys::Found(_) => [flags, b" getkeys-api"].concat(),
    };
    let flags = CString::new(flags).expect("flags have no zero bytes");
    let (name, function) = (C::NAME.as_ptr(), Some(run::<C> as CommandFunction));
    // SAFETY: the module is being loaded; the server copies the strings.
    let status = unsafe { api!(RedisModule_CreateCommand(context, name, function, flags.as_ptr(), first, last, step)) };
    if status != OK {
        return Err(LoadError::Command(C::NAME));
    }
    // SAFETY: the module is being loaded, and the command has just been created.
    let command = unsafe { api!(RedisModule_GetCommand(context, C::NAME.as_ptr())) };
    C::docs().register(command, !matches!(C::KEYS, Keys::None), key_spec::<C>());
    categorize(command, C::FLAGS);
    Ok(())
}

/// Adds the category @premier, where the server supports that.
pub(crate) fn add_category(context: *mut raw::RedisModuleCtx) {
    // SAFETY: the pointer was filled in before; it is null on servers before Redis 7.4.
    if let Some(add) = unsafe { raw::RedisModule_AddACLCategory } {
        // SAFETY: the module is being loaded; the server copies the string.
        unsafe { add(context, ACL_CATEGORY.as_ptr()) };
    }
}

/// Puts a command into ACL categories. Servers put no command of a module into one by themselves,
/// and before Redis 7.2 they cannot.
fn categorize(command: *mut raw::RedisModuleCommand, flags: Flags) {
    // SAFETY: the pointers were filled in before; they are null on older servers.
    let (add, put) = unsafe { (raw::RedisModule_AddACLCategory, raw::RedisModule_SetCommandACLCategories) };
    let categories = match flags {
        // A category that could not be added must not be named.
        Flags::Read if add.is_some() => c"read fast premier",
        Flags::Read => c"read fast",
        Flags::Write | Flags::Free if add.is_some() => c"write fast premier",
        Flags::Write | Flags::Free => c"write fast",
        Flags::Operator => c"admin slow dangerous",
        Flags::Internal => c"admin dangerous",
    };
    if let Some(put) = put {
        // SAFETY: the module is being loaded, and the command is one of its own.
        unsafe { put(command, categories.as_ptr()) };
    }
}

/// Returns the key specification of a command. Of keys that a function finds it covers the first.
fn key_spec<C: Command>() -> Option<raw::RedisModuleCommandKeySpec> {
    let use_of_key = match C::FLAGS {
        Flags::Read | Flags::Operator => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
        Flags::Write | Flags::Free | Flags::Internal => {
            raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_ACCESS | raw::REDISMODULE_CMD_KEY_UPDATE
        }
    };
    let are_there_more = match C::KEYS {
        Keys::None => return None,
        Keys::First | Keys::EachSecond => 0,
        Keys::Found(_) => raw::REDISMODULE_CMD_KEY_INCOMPLETE,
    };
    let range = match C::KEYS {
        Keys::EachSecond => Range { lastkey: -1, keystep: 2, limit: 0 },
        _ => Range { lastkey: 0, keystep: 1, limit: 0 },
    };
    Some(raw::RedisModuleCommandKeySpec {
        notes: ptr::null(),
        flags: (use_of_key | are_there_more).into(),
        begin_search_type: raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX,
        bs: BeginSearch { index: Index { pos: 1 } },
        find_keys_type: raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE,
        fk: FindKeys { range },
    })
}

type BeginSearch = raw::RedisModuleCommandKeySpec__bindgen_ty_1;
type Index = raw::RedisModuleCommandKeySpec__bindgen_ty_1__bindgen_ty_1;
type FindKeys = raw::RedisModuleCommandKeySpec__bindgen_ty_2;
type Range = raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1;
