//! Registering a command: its function, its flags, and what COMMAND says of it.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

use redis_module::raw;

use super::call::{Call, Error};
use super::entry::{LoadError, OK};
use super::log::{Level, log};
use super::panics;

/// A command whose first argument is its key.
pub(crate) trait Command {
    /// Its name.
    const NAME: &'static CStr;

    /// What there is to know about it.
    fn info() -> Info;

    /// Runs a call. It replies last, and only if it succeeds.
    ///
    /// # Errors
    /// When the call is refused, which has changed nothing.
    fn run(call: &Call) -> Result<(), Error>;
}

/// What COMMAND DOCS and COMMAND INFO answer for a command.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
    /// The version of premier that brought it.
    pub(crate) since: &'static str,
    pub(crate) flags: Flags,
    /// The arguments behind the key.
    pub(crate) parameters: Vec<Parameter>,
}

/// What a command does, as servers class it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flags {
    /// Writes, in the category @premier.
    Write,
    /// For servers among themselves. Not a writing command, although it writes: `+@write` must not bring it.
    Internal,
}

impl Flags {
    fn names(self) -> &'static CStr {
        match self {
            Self::Write => c"write deny-oom fast",
            Self::Internal => c"admin may-replicate fast",
        }
    }
}

/// An argument of a command.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) summary: String,
    pub(crate) kind: ParameterKind,
    /// Whether it is an option: its name in capitals, then its value.
    pub(crate) is_option: bool,
}

/// What the value of an argument looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterKind {
    Integer,
    String,
    /// It is its name alone.
    Nothing,
}

/// The category of the commands for everybody.
const ACL_CATEGORY: &CStr = c"premier";

unsafe extern "C" fn run<C: Command>(
    context: *mut raw::RedisModuleCtx,
    words: *mut *mut raw::RedisModuleString,
    len: c_int,
) -> c_int {
    // SAFETY: these are the arguments with which the server calls a command.
    let call = unsafe { Call::new(context, words, len) };
    let outcome = if call.has_key() {
        panics::catch(|| C::run(&call)).unwrap_or(Err(Error::Internal))
    } else {
        Err(Error::WrongArity)
    };
    if let Err(error) = outcome {
        call.reply_error(&error);
    }
    OK
}

pub(super) fn register<C: Command>(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    let info = C::info();
    // The key is the first argument.
    let (first, last, step) = (1, 1, 1);
    let flags = info.flags.names().as_ptr();
    // SAFETY: the module is being loaded; the server copies the strings.
    let status =
        unsafe { api!(RedisModule_CreateCommand(context, C::NAME.as_ptr(), Some(run::<C>), flags, first, last, step)) };
    if status != OK {
        return Err(LoadError::Command(C::NAME));
    }
    // SAFETY: the pointers were filled in before; some are none on servers before Redis 7.0.
    let (get, describe) = unsafe { (raw::RedisModule_GetCommand, raw::RedisModule_SetCommandInfo) };
    if let (Some(get), Some(describe)) = (get, describe) {
        // SAFETY: the module is being loaded, and the command has just been created.
        let command = unsafe { get(context, C::NAME.as_ptr()) };
        Description::new(&info).give(command, describe);
        categorize(command, info.flags);
    }
    Ok(())
}

/// Makes the category @premier, where the server can.
pub(super) fn add_category(context: *mut raw::RedisModuleCtx) {
    // SAFETY: the pointer was filled in before; it is none on servers before Redis 7.4.
    if let Some(add) = unsafe { raw::RedisModule_AddACLCategory } {
        // SAFETY: the module is being loaded; the server copies the string.
        unsafe { add(context, ACL_CATEGORY.as_ptr()) };
    }
}

/// Puts a command into ACL categories. Servers put those of modules into none by themselves, and before Redis 7.2 they cannot.
fn categorize(command: *mut raw::RedisModuleCommand, flags: Flags) {
    // SAFETY: the pointers were filled in before; they are none on older servers.
    let (add, put) = unsafe { (raw::RedisModule_AddACLCategory, raw::RedisModule_SetCommandACLCategories) };
    let categories = match flags {
        // Naming a category that could not be added would fail.
        Flags::Write if add.is_some() => c"write fast premier",
        Flags::Write => c"write fast",
        Flags::Internal => c"admin dangerous",
    };
    if let Some(put) = put {
        // SAFETY: the module is being loaded, and the command is one of its own.
        unsafe { put(command, categories.as_ptr()) };
    }
}

type SetCommandInfo = unsafe extern "C" fn(*mut raw::RedisModuleCommand, *const raw::RedisModuleCommandInfo) -> c_int;

/// What the server is told of a command, in its own form. It copies all of it.
struct Description {
    /// What the pointers below point to.
    texts: Vec<CString>,
    parameters: Vec<raw::RedisModuleCommandArg>,
    summary: *const c_char,
    complexity: *const c_char,
    since: *const c_char,
    arity: c_int,
}

impl Description {
    fn new(info: &Info) -> Self {
        let mut texts = Vec::new();
        let mut text = |text: &str| {
            let text = CString::new(text).expect("our own texts have no zero bytes");
            let pointer = text.as_ptr();
            texts.push(text);
            pointer
        };

        let mut parameters = vec![raw::RedisModuleCommandArg {
            name: text("key"),
            summary: text("Any bytes"),
            type_: raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY,
            ..NO_PARAMETER
        }];
        parameters.extend(info.parameters.iter().map(|parameter| raw::RedisModuleCommandArg {
            name: text(&parameter.name.to_lowercase()),
            summary: text(&parameter.summary),
            type_: match parameter.kind {
                ParameterKind::Integer => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER,
                ParameterKind::String => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
                ParameterKind::Nothing => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
            },
            key_spec_index: -1,
            token: if parameter.is_option { text(parameter.name) } else { ptr::null() },
            flags: if parameter.is_option { raw::REDISMODULE_CMD_ARG_OPTIONAL.cast_signed() } else { 0 },
            ..NO_PARAMETER
        }));
        // The end of the list.
        parameters.push(NO_PARAMETER);

        let required = info.parameters.iter().filter(|parameter| !parameter.is_option).count();
        // The name and the key count too; a negative number means "or more".
        let arity = c_int::try_from(required + 2).expect("commands have few arguments");
        let has_options = required < info.parameters.len();
        Self {
            parameters,
            summary: text(info.summary),
            complexity: text(info.complexity),
            since: text(info.since),
            arity: if has_options { -arity } else { arity },
            texts,
        }
    }

    fn give(mut self, command: *mut raw::RedisModuleCommand, set: SetCommandInfo) {
        let version = raw::RedisModuleCommandInfoVersion {
            version: 1,
            sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
            sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
            sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
        };
        let mut key_specs = [
            raw::RedisModuleCommandKeySpec {
                notes: ptr::null(),
                flags: (raw::REDISMODULE_CMD_KEY_RW
                    | raw::REDISMODULE_CMD_KEY_ACCESS
                    | raw::REDISMODULE_CMD_KEY_UPDATE)
                    .into(),
                begin_search_type: raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX,
                bs: BeginSearch { index: Index { pos: 1 } },
                find_keys_type: raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE,
                fk: FindKeys { range: Range { lastkey: 0, keystep: 1, limit: 0 } },
            },
            // The end of the list.
            raw::RedisModuleCommandKeySpec {
                notes: ptr::null(),
                flags: 0,
                begin_search_type: raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INVALID,
                bs: BeginSearch { index: Index { pos: 0 } },
                find_keys_type: raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_OMITTED,
                fk: FindKeys { range: Range { lastkey: 0, keystep: 0, limit: 0 } },
            },
        ];
        let info = raw::RedisModuleCommandInfo {
            version: &raw const version,
            summary: self.summary,
            complexity: self.complexity,
            since: self.since,
            history: ptr::null_mut(),
            tips: ptr::null(),
            arity: self.arity,
            key_specs: key_specs.as_mut_ptr(),
            args: self.parameters.as_mut_ptr(),
        };
        // SAFETY: the module is being loaded, the command is one of its own, and all that `info` points to lives until the
        // call returns; lists end as the server expects.
        let status = unsafe { set(command, &raw const info) };
        if status != OK {
            let summary = self.texts.iter().map(|text| text.to_string_lossy()).collect::<Vec<_>>().join(", ");
            log(Level::Warning, &format!("COMMAND DOCS will lack a command, as the server refuses: {summary}"));
        }
    }
}

type BeginSearch = raw::RedisModuleCommandKeySpec__bindgen_ty_1;
type Index = raw::RedisModuleCommandKeySpec__bindgen_ty_1__bindgen_ty_1;
type FindKeys = raw::RedisModuleCommandKeySpec__bindgen_ty_2;
type Range = raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1;

const NO_PARAMETER: raw::RedisModuleCommandArg = raw::RedisModuleCommandArg {
    name: ptr::null(),
    type_: raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
    key_spec_index: 0,
    token: ptr::null(),
    summary: ptr::null(),
    since: ptr::null(),
    flags: 0,
    deprecated_since: ptr::null(),
    subargs: ptr::null_mut(),
    display_text: ptr::null(),
};
