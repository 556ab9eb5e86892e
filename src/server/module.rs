//! Loading the module.

use std::ffi::{CStr, c_char, c_int};

use redis_module::raw;

use crate::command::{self, Command};
use crate::data_type::{self, DataType};
use crate::info::{self, InfoSection};
use crate::interface::{ERR, OK, api, missing_function};
use crate::load_error::LoadError;
use crate::log::{Level, log};
use crate::settings::{self, Setting};
use crate::{panics, propagation, strings};

const NAME: &CStr = c"premier";

/// The module while the server loads it.
#[derive(Debug)]
pub struct Module<'load> {
    context: *mut raw::RedisModuleCtx,
    /// The arguments of `loadmodule`, without the module's file.
    arguments: &'load [*mut raw::RedisModuleString],
}

impl Module<'_> {
    /// Registers settings and lets the server set them, before anything that depends on them is
    /// registered.
    ///
    /// # Errors
    /// If the server refuses one, or if the configuration or `loadmodule` has an invalid value for
    /// it.
    pub fn settings(&self, settings: &[Setting]) -> Result<(), LoadError> {
        settings::register(self.context, settings, strings::texts(self.arguments))
    }

    /// Registers a data type.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn data_type<T: DataType>(&self) -> Result<(), LoadError> {
        data_type::register::<T>(self.context)
    }

    /// Registers the module's section of INFO.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn info<S: InfoSection>(&self) -> Result<(), LoadError> {
        info::register::<S>(self.context)
    }

    /// Registers a command.
    ///
    /// # Errors
    /// If the server refuses it, as when another module has registered the same name.
    pub fn command<C: Command>(&self) -> Result<(), LoadError> {
        command::register::<C>(self.context)
    }
}

/// Makes a crate the module that the server loads: `premier_server::module!(register)`, where
/// `register` is a `fn(&Module) -> Result<(), LoadError>`.
#[macro_export]
macro_rules! module {
    ($register:path) => {
        /// Called by the server to load the module.
        ///
        /// # Safety
        /// Only the server may call it.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn RedisModule_OnLoad(
            context: *mut $crate::entry::RedisModuleCtx,
            arguments: *mut *mut $crate::entry::RedisModuleString,
            len: ::core::ffi::c_int,
        ) -> ::core::ffi::c_int {
            // SAFETY: the server calls this function to load the module, with these arguments.
            unsafe { $crate::entry::on_load(context, arguments, len, $register) }
        }
    };
}

/// Loads the module, whose content `register` registers.
///
/// # Safety
/// The server must have called `RedisModule_OnLoad` with these arguments, and that function must
/// not have returned yet.
pub unsafe fn on_load(
    context: *mut raw::RedisModuleCtx,
    arguments: *mut *mut raw::RedisModuleString,
    len: c_int,
    register: fn(&Module) -> Result<(), LoadError>,
) -> c_int {
    // SAFETY: this is the first use of the context, and fills in the interface.
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
    panics::log_panics();
    // SAFETY: the server passes that many strings, which live until the module is loaded.
    let arguments = unsafe { strings::from_server(arguments, len) };
    match panics::catch(|| load(&Module { context, arguments }, register)) {
        Some(Ok(())) => OK,
        Some(Err(error)) => {
            log(Level::Warning, &format!("premier cannot be loaded: {error}"));
            ERR
        }
        None => ERR,
    }
}

fn load(module: &Module, register: fn(&Module) -> Result<(), LoadError>) -> Result<(), LoadError> {
    if let Some(name) = missing_function() {
        return Err(LoadError::Interface(name));
    }
    declare_options(module.context);
    command::add_category(module.context);
    register(module)?;
    // Last, as Redis 7.0 goes on sending events to a module whose loading fails after this.
    propagation::subscribe(module.context)?;
    log(Level::Notice, concat!("premier ", env!("CARGO_PKG_VERSION"), " is loaded"));
    Ok(())
}

/// Declares what the module does itself.
fn declare_options(context: *mut raw::RedisModuleCtx) {
    // Valkey 9 moves slots atomically only if every module can take part. The bindings, which are
    // those of Redis, lack its option.
    const HANDLE_ATOMIC_SLOT_MIGRATION: c_int = 1 << 5;
    // The server refuses a corrupt RDB file or RESTORE payload, and a key counts as modified only
    // when we say so.
    let options = raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED;
    // SAFETY: the pointer was filled in before; it is null on servers before Redis 7.2.
    let known = match unsafe { raw::RedisModule_GetModuleOptionsAll } {
        // SAFETY: it has no parameters and returns a constant.
        Some(all) => unsafe { all() },
        None => 0,
    };
    let options = options.cast_signed() | HANDLE_ATOMIC_SLOT_MIGRATION & known;
    // SAFETY: the module is being loaded.
    unsafe { api!(RedisModule_SetModuleOptions(context, options)) };
}

/// Returns the version as MODULE LIST shows it: 10203 for 1.2.3.
fn version() -> c_int {
    let part = |text: &str| text.parse::<c_int>().expect("cargo's versions are numbers");
    part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
        + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
        + part(env!("CARGO_PKG_VERSION_PATCH"))
}
