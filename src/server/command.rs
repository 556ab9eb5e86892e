//! Registering a command: its function, its flags, and what COMMAND says of it.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

use redis_module::raw;

use super::call::{Call, Error, KeyPosition};
use super::entry::{LoadError, OK};
use super::log::{Level, log};
use super::panics;

/// A command.
pub(crate) trait Command {
    /// Its name.
    const NAME: &'static CStr;

    /// Which of its arguments are keys.
    const KEYS: Keys = Keys::First;

    /// What there is to know about it.
    fn info() -> Info;

    /// Runs a call. It replies last, and only if it succeeds.
    ///
    /// # Errors
    /// When the call is refused, which has changed nothing.
    fn run(call: &Call) -> Result<(), Error>;
}

/// Which arguments of a command are keys.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys {
    /// The first, and no other.
    First,
    /// None.
    None,
    /// Each second, from the first on.
    EachSecond,
    /// Those that this finds, whatever the arguments are. The first is one.
    Found(fn(&Call) -> Vec<KeyPosition>),
}

/// What COMMAND DOCS and COMMAND INFO answer for a command.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
    /// The version of premier that brought it.
    pub(crate) since: &'static str,
    pub(crate) flags: Flags,
    /// The arguments, behind the key if it has one.
    pub(crate) parameters: Vec<Parameter>,
}

/// What a command does, as servers class it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flags {
    /// Reads, in the category @premier.
    Read,
    /// Writes, in the category @premier.
    Write,
    /// Writes as well, but takes no memory.
    Free,
    /// For operators: tells keys that the caller may not have access to.
    Operator,
    /// For servers among themselves. Not a writing command, although it writes: `+@write` must not bring it.
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

/// An argument of a command.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) summary: String,
    pub(crate) kind: ParameterKind,
    pub(crate) presence: Presence,
}

/// How an argument is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// At its place.
    Required,
    /// At its place, or not at all.
    Optional,
    /// By its name in capitals, then its value, or not at all.
    Named,
}

impl Parameter {
    /// A key with these parameters behind it, any number of times, a word before each.
    pub(crate) fn repeated(word: &'static str, summary: &str, parameters: Vec<Self>) -> Self {
        let kind = ParameterKind::Repeated(parameters);
        Self { name: word, summary: summary.to_owned(), kind, presence: Presence::Named }
    }
}

/// What the value of an argument looks like.
#[derive(Debug)]
pub(crate) enum ParameterKind {
    Integer,
    String,
    /// It is its name alone.
    Nothing,
    /// One of these.
    OneOf(Vec<Parameter>),
    /// A key and these, any number of times.
    Repeated(Vec<Parameter>),
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
    if let Keys::Found(find) = C::KEYS
        && call.is_for_key_positions()
    {
        panics::catch(|| call.tell_key_positions(&find(&call)));
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

pub(super) fn register<C: Command>(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    let info = C::info();
    let (first, last, step) = match C::KEYS {
        Keys::None => (0, 0, 0),
        Keys::First | Keys::Found(_) => (1, 1, 1),
        Keys::EachSecond => (1, -1, 2),
    };
    let flags = info.flags.names().to_bytes();
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
    Description::new::<C>(&info).give(command, key_spec::<C>(info.flags));
    categorize(command, info.flags);
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

/// What the server is told of the keys of a command: of those that have to be found, the first.
fn key_spec<C: Command>(flags: Flags) -> Option<raw::RedisModuleCommandKeySpec> {
    let use_of_key = match flags {
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

/// What the server is told of a command, in its own form. It copies all of it.
struct Description {
    parameters: Parameters,
    summary: *const c_char,
    complexity: *const c_char,
    since: *const c_char,
    arity: c_int,
}

/// Parameters in the server's own form.
#[derive(Default)]
struct Parameters {
    /// What the pointers point to.
    texts: Vec<CString>,
    within: Vec<Self>,
    list: Vec<raw::RedisModuleCommandArg>,
}

impl Parameters {
    /// A key and the parameters behind it.
    fn behind_key(parameters: &[Parameter]) -> Self {
        let mut this = Self::default();
        let key = raw::RedisModuleCommandArg {
            name: this.text("key"),
            summary: this.text("Any bytes"),
            type_: raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY,
            ..NO_PARAMETER
        };
        this.list.push(key);
        this.with(parameters)
    }

    fn with(mut self, parameters: &[Parameter]) -> Self {
        for parameter in parameters {
            let parameter = self.describe(parameter);
            self.list.push(parameter);
        }
        // The end of the list.
        self.list.push(NO_PARAMETER);
        self
    }

    fn describe(&mut self, parameter: &Parameter) -> raw::RedisModuleCommandArg {
        let mut flags = match parameter.presence {
            Presence::Required => 0,
            Presence::Optional | Presence::Named => raw::REDISMODULE_CMD_ARG_OPTIONAL,
        };
        let is_named = parameter.presence == Presence::Named || matches!(parameter.kind, ParameterKind::Nothing);
        let mut list_within = |within: Self| {
            let list = within.list.as_ptr().cast_mut();
            self.within.push(within);
            list
        };
        let mut subargs = ptr::null_mut();
        let type_ = match &parameter.kind {
            ParameterKind::Integer => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER,
            ParameterKind::String => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
            ParameterKind::Nothing => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
            ParameterKind::OneOf(choices) => {
                subargs = list_within(Self::default().with(choices));
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF
            }
            ParameterKind::Repeated(within) => {
                flags |= raw::REDISMODULE_CMD_ARG_MULTIPLE;
                if is_named {
                    flags |= raw::REDISMODULE_CMD_ARG_MULTIPLE_TOKEN;
                }
                subargs = list_within(Self::behind_key(within));
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK
            }
        };
        raw::RedisModuleCommandArg {
            name: self.text(&parameter.name.to_lowercase()),
            summary: self.text(&parameter.summary),
            type_,
            key_spec_index: -1,
            token: if is_named { self.text(parameter.name) } else { ptr::null() },
            flags: flags.cast_signed(),
            subargs,
            ..NO_PARAMETER
        }
    }

    /// Lives as long as this.
    fn text(&mut self, text: &str) -> *const c_char {
        let text = CString::new(text).expect("our own texts have no zero bytes");
        let pointer = text.as_ptr();
        self.texts.push(text);
        pointer
    }
}

impl Description {
    fn new<C: Command>(info: &Info) -> Self {
        let (mut parameters, before) = match C::KEYS {
            Keys::None => (Parameters::default().with(&info.parameters), 1),
            Keys::First | Keys::EachSecond | Keys::Found(_) => (Parameters::behind_key(&info.parameters), 2),
        };
        let required = info.parameters.iter().filter(|parameter| parameter.presence == Presence::Required).count();
        // The name and the key count too; a negative number means "or more".
        let arity = c_int::try_from(required + before).expect("commands have few arguments");
        let has_options = required < info.parameters.len();
        Self {
            summary: parameters.text(info.summary),
            complexity: parameters.text(info.complexity),
            since: parameters.text(info.since),
            arity: if has_options { -arity } else { arity },
            parameters,
        }
    }

    fn give(mut self, command: *mut raw::RedisModuleCommand, key_spec: Option<raw::RedisModuleCommandKeySpec>) {
        let version = raw::RedisModuleCommandInfoVersion {
            version: 1,
            sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
            sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
            sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
        };
        let end = raw::RedisModuleCommandKeySpec {
            notes: ptr::null(),
            flags: 0,
            begin_search_type: raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INVALID,
            bs: BeginSearch { index: Index { pos: 0 } },
            find_keys_type: raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_OMITTED,
            fk: FindKeys { range: Range { lastkey: 0, keystep: 0, limit: 0 } },
        };
        let mut key_specs: Vec<_> = key_spec.into_iter().chain([end]).collect();
        let info = raw::RedisModuleCommandInfo {
            version: &raw const version,
            summary: self.summary,
            complexity: self.complexity,
            since: self.since,
            history: ptr::null_mut(),
            tips: ptr::null(),
            arity: self.arity,
            key_specs: key_specs.as_mut_ptr(),
            args: self.parameters.list.as_mut_ptr(),
        };
        // SAFETY: the module is being loaded, the command is one of its own, and all that `info` points to lives until the
        // call returns; lists end as the server expects.
        let status = unsafe { api!(RedisModule_SetCommandInfo(command, &raw const info)) };
        if status != OK {
            let texts = &self.parameters.texts;
            let texts = texts.iter().map(|text| text.to_string_lossy()).collect::<Vec<_>>().join(", ");
            log(Level::Warning, &format!("COMMAND DOCS will lack a command, as the server refuses: {texts}"));
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
