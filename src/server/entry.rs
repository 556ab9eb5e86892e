//! Where the server enters: loading the module.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;

use redis_module::alloc::RedisAlloc;
use redis_module::raw;

use super::command::{self, Command};
use super::data_type::{self, DataType};
use super::info::{self, Reporter};
use super::log::{Level, log};
use super::settings::{self, Setting};
use super::{audience, call, missing_function, panics};

/// All memory of the module is the server's, so that INFO, maxmemory and active defragmentation know of it.
#[global_allocator]
static ALLOCATOR: RedisAlloc = RedisAlloc;

const NAME: &CStr = c"premier";

/// What functions of the interface answer.
#[expect(clippy::cast_possible_truncation, reason = "they are 0 and 1")]
pub(super) const OK: c_int = raw::REDISMODULE_OK as c_int;
#[expect(clippy::cast_possible_truncation, reason = "they are 0 and 1")]
const ERR: c_int = raw::REDISMODULE_ERR as c_int;

/// The module while it is being loaded.
#[derive(Debug)]
pub(crate) struct Module<'load> {
    context: *mut raw::RedisModuleCtx,
    /// What stands behind its file in `loadmodule`.
    arguments: &'load [*mut raw::RedisModuleString],
}

/// Why the module cannot be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// The server is too old: it lacks this function of the interface.
    Interface(&'static str),
    /// The server refuses a data type.
    DataType(&'static CStr),
    /// The server refuses a command.
    Command(&'static CStr),
    /// The server refuses to tell of its events.
    Events,
    /// The server refuses to ask for what INFO says.
    Report,
    /// The server refuses a setting.
    Setting(&'static CStr),
    /// The server says in its log what is wrong with a setting in its configuration.
    Settings,
    /// What stands behind the module's file is wrong. The sentence says what it may be.
    Argument(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "this server is too old, it lacks {name}"),
            Self::DataType(name) => write!(f, "the server refuses the data type {}", name.to_string_lossy()),
            Self::Events => f.write_str("the server refuses to tell of its events"),
            Self::Report => f.write_str("the server refuses its section of INFO"),
            Self::Setting(name) => write!(f, "the server refuses the setting {}", name.to_string_lossy()),
            Self::Settings => f.write_str("the line above says what is wrong with a setting of it"),
            Self::Argument(sentence) => f.write_str(sentence),
            Self::Command(name) => {
                write!(f, "the server refuses the command {}; has another module brought it?", name.to_string_lossy())
            }
        }
    }
}

impl Module<'_> {
    /// Has these set by the configuration, before anything that depends on them is registered.
    pub(crate) fn settings(&self, settings: &[Setting]) -> Result<(), LoadError> {
        settings::register(self.context, settings, call::texts(self.arguments))
    }

    pub(crate) fn data_type<T: DataType>(&self) -> Result<(), LoadError> {
        data_type::register::<T>(self.context)
    }

    pub(crate) fn info<R: Reporter>(&self) -> Result<(), LoadError> {
        info::register::<R>(self.context)
    }

    pub(crate) fn command<C: Command>(&self) -> Result<(), LoadError> {
        command::register::<C>(self.context)
    }
}

/// Called by the server to load the module.
///
/// # Safety
/// Only the server may call it.
#[unsafe(no_mangle)]
unsafe extern "C" fn RedisModule_OnLoad(
    context: *mut raw::RedisModuleCtx,
    arguments: *mut *mut raw::RedisModuleString,
    len: c_int,
) -> c_int {
    // SAFETY: this is the first thing to do with the context that the server hands over; it fills in the interface.
    let status = unsafe {
        raw::Export_RedisModule_Init(
            context,
            NAME.as_ptr().cast::<c_char>(),
            version(),
            raw::REDISMODULE_APIVER_1.cast_signed(),
        )
    };
    if status != OK {
        return status;
    }
    panics::log_them();
    // SAFETY: the server hands over that many strings, which live until the module is loaded.
    let arguments = unsafe { call::strings(arguments, len) };
    match panics::catch(|| load(&Module { context, arguments })) {
        Some(Ok(())) => OK,
        Some(Err(error)) => {
            log(Level::Warning, &format!("premier cannot be loaded: {error}"));
            ERR
        }
        None => ERR,
    }
}

fn load(module: &Module) -> Result<(), LoadError> {
    if let Some(name) = missing_function() {
        return Err(LoadError::Interface(name));
    }
    // A corrupt RDB file or RESTORE payload is refused, and a key counts as modified only when we say so.
    let options = raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED;
    // SAFETY: the module is being loaded.
    unsafe { api!(RedisModule_SetModuleOptions(module.context, options.cast_signed())) };
    command::add_category(module.context);
    audience::watch(module.context)?;
    crate::register(module)?;
    log(Level::Notice, concat!("premier ", env!("CARGO_PKG_VERSION"), " is loaded"));
    Ok(())
}

/// The version as MODULE LIST shows it: 10203 is 1.2.3.
fn version() -> c_int {
    let part = |text: &str| text.parse::<c_int>().expect("cargo's versions are numbers");
    part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
        + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
        + part(env!("CARGO_PKG_VERSION_PATCH"))
}
