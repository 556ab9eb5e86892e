//! What COMMAND DOCS replies for a command, and how the server receives it.

use std::ffi::{CString, c_char, c_int};
use std::mem;
use std::ptr;

use redis_module::raw;

use crate::interface::{OK, api};
use crate::log::{Level, log};

/// What COMMAND DOCS replies for a command.
#[derive(Debug)]
pub struct Docs {
    /// One sentence on what the command does, without a full stop.
    pub summary: &'static str,
    /// The time complexity.
    pub complexity: &'static str,
    /// The first version of premier that has the command.
    pub since: &'static str,
    /// What proxies and clients should know of the command, in the words of COMMAND INFO, separated
    /// by spaces; `None` if there is nothing to know.
    pub tips: Option<&'static str>,
    /// The arguments, without a key that comes first.
    pub parameters: Vec<Parameter>,
}

/// An argument of a command.
#[derive(Debug)]
pub struct Parameter {
    /// The name, in capitals if the caller writes it.
    pub name: &'static str,
    /// What it means and what it may be.
    pub summary: String,
    /// The form of its value.
    pub kind: ParameterKind,
    /// How it is given.
    pub presence: Presence,
}

/// How an argument is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The argument is required, at its position.
    Required,
    /// The argument is optional, at its position.
    Optional,
    /// The argument is optional, given as its name and then its value.
    Named,
    /// The argument is required, given as its name and then its value.
    NamedAndRequired,
}

impl Parameter {
    /// Any number of blocks, each of this word, a key, and these parameters.
    #[must_use]
    pub fn repeated(word: &'static str, summary: &str, parameters: Vec<Self>) -> Self {
        let kind = ParameterKind::Repeated(parameters);
        Self { name: word, summary: summary.to_owned(), kind, presence: Presence::Named }
    }
}

/// The form of the value of an argument.
#[derive(Debug)]
pub enum ParameterKind {
    /// An integer.
    Integer,
    /// A string.
    String,
    /// No value: the name alone.
    Nothing,
    /// One of these parameters.
    OneOf(Vec<Parameter>),
    /// These parameters, one after the other.
    Block(Vec<Parameter>),
    /// A key and these parameters, any number of times.
    Repeated(Vec<Parameter>),
}

/// Parameters in the server's own form.
#[derive(Default)]
struct Parameters {
    /// The strings that the pointers point to.
    texts: Vec<CString>,
    within: Vec<Self>,
    list: Vec<raw::RedisModuleCommandArg>,
}

impl Parameters {
    /// A key, then the parameters.
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
        // The server reads this as the end of the list.
        self.list.push(NO_PARAMETER);
        self
    }

    fn describe(&mut self, parameter: &Parameter) -> raw::RedisModuleCommandArg {
        let mut flags = match parameter.presence {
            Presence::Required | Presence::NamedAndRequired => 0,
            Presence::Optional | Presence::Named => raw::REDISMODULE_CMD_ARG_OPTIONAL,
        };
        let is_named = matches!(parameter.presence, Presence::Named | Presence::NamedAndRequired)
            || matches!(parameter.kind, ParameterKind::Nothing);
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
            ParameterKind::Block(within) => {
                subargs = list_within(Self::default().with(within));
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK
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

    /// Returns a pointer that is valid as long as `self`.
    fn text(&mut self, text: &str) -> *const c_char {
        let text = CString::new(text).expect("our own texts have no zero bytes");
        let pointer = text.as_ptr();
        self.texts.push(text);
        pointer
    }
}

impl Docs {
    /// Gives the documentation and the key specification of a command to the server, which copies
    /// both.
    pub(crate) fn register(
        &self,
        command: *mut raw::RedisModuleCommand,
        has_key: bool,
        key_spec: Option<raw::RedisModuleCommandKeySpec>,
    ) {
        let mut parameters = if has_key {
            Parameters::behind_key(&self.parameters)
        } else {
            Parameters::default().with(&self.parameters)
        };
        let version = raw::RedisModuleCommandInfoVersion {
            version: 1,
            sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
            sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
            sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
        };
        // SAFETY: the type consists of integers and pointers, which may be zero. The server reads
        // such an element as the end.
        let end: raw::RedisModuleCommandKeySpec = unsafe { mem::zeroed() };
        let mut key_specs: Vec<_> = key_spec.into_iter().chain([end]).collect();
        let info = raw::RedisModuleCommandInfo {
            version: &raw const version,
            summary: parameters.text(self.summary),
            complexity: parameters.text(self.complexity),
            since: parameters.text(self.since),
            history: ptr::null_mut(),
            tips: self.tips.map_or(ptr::null(), |tips| parameters.text(tips)),
            arity: self.arity(has_key),
            key_specs: key_specs.as_mut_ptr(),
            args: parameters.list.as_mut_ptr(),
        };
        // SAFETY: the module is being loaded, the command is one of its own, and all that `info`
        // points to lives until the call returns. Lists end as the server expects.
        let status = unsafe { api!(RedisModule_SetCommandInfo(command, &raw const info)) };
        if status != OK {
            log(
                Level::Warning,
                &format!(
                    "the server refuses the documentation of a command, so COMMAND DOCS lacks it: {}",
                    self.summary
                ),
            );
        }
    }

    /// The number of words of a call, the name included; negative if there may be more.
    fn arity(&self, has_key: bool) -> c_int {
        let required = self.parameters.iter().filter(|parameter| parameter.presence == Presence::Required).count();
        let arity = c_int::try_from(required + usize::from(has_key) + 1).expect("commands have few arguments");
        if required < self.parameters.len() { -arity } else { arity }
    }
}

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
