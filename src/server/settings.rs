//! Settings: `CONFIG SET premier.name value`, a line `premier.name value` in redis.conf, or `name
//! value` as arguments of `loadmodule`. A line in the file, also one by CONFIG REWRITE, takes
//! precedence over an argument of `loadmodule`.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::fmt;
use std::ptr;
use std::str;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use redis_module::raw;

use crate::interface::{OK, api};
use crate::load_error::LoadError;

/// A number from 0 to a maximum. It may change at any time.
#[derive(Debug)]
pub struct Number {
    name: &'static CStr,
    default: u32,
    max: u32,
    value: AtomicU32,
}

/// A switch, `no` by default. It does not change after the module is loaded.
#[derive(Debug)]
pub struct Switch {
    name: &'static CStr,
    value: AtomicBool,
}

impl Number {
    /// A number of this name, with its default and maximum.
    #[must_use]
    pub const fn new(name: &'static CStr, default: u32, max: u32) -> Self {
        Self { name, default, max, value: AtomicU32::new(default) }
    }

    /// Returns the current value.
    pub fn get(&self) -> u32 {
        self.value.load(Ordering::Relaxed)
    }
}

impl Switch {
    /// A switch of this name, off by default.
    #[must_use]
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, value: AtomicBool::new(false) }
    }

    /// Returns whether it is on.
    pub fn is_on(&self) -> bool {
        self.value.load(Ordering::Relaxed)
    }
}

/// A setting of the module.
#[derive(Debug, Clone, Copy)]
pub enum Setting {
    /// A number.
    Number(&'static Number),
    /// A switch: `yes` or `no`.
    Switch(&'static Switch),
}

impl Setting {
    fn name(self) -> &'static CStr {
        match self {
            Self::Number(number) => number.name,
            Self::Switch(switch) => switch.name,
        }
    }

    /// Registers the setting. Its default is the argument of `loadmodule`, if there is one.
    fn register(self, context: *mut raw::RedisModuleCtx, argument: Option<&[u8]>) -> Result<(), LoadError> {
        let invalid = || LoadError::Argument(self.to_string());
        let name = self.name().as_ptr();
        let status = match self {
            Self::Number(number) => {
                let default = match argument {
                    Some(text) => integer(text).filter(|value| *value <= number.max).ok_or_else(invalid)?,
                    None => number.default,
                };
                let (default, max) = (c_longlong::from(default), c_longlong::from(number.max));
                let (get, set) = (Some(get_number as GetNumber), Some(set_number as SetNumber));
                let (flags, this) = (raw::REDISMODULE_CONFIG_DEFAULT, ptr::from_ref(number).cast_mut().cast());
                // SAFETY: the module is being loaded. The server copies the name and passes `this`,
                // which lives as long as the module, to the two functions, which read it as the
                // type that it is.
                unsafe {
                    api!(RedisModule_RegisterNumericConfig(context, name, default, flags, 0, max, get, set, None, this))
                }
            }
            Self::Switch(switch) => {
                let default = match argument {
                    Some(text) if text.eq_ignore_ascii_case(b"yes") => 1,
                    Some(text) if text.eq_ignore_ascii_case(b"no") => 0,
                    Some(_) => return Err(invalid()),
                    None => 0,
                };
                let (get, set) = (Some(get_switch as GetSwitch), Some(set_switch as SetSwitch));
                let (flags, this) = (raw::REDISMODULE_CONFIG_IMMUTABLE, ptr::from_ref(switch).cast_mut().cast());
                // SAFETY: as above.
                unsafe { api!(RedisModule_RegisterBoolConfig(context, name, default, flags, get, set, None, this)) }
            }
        };
        if status == OK { Ok(()) } else { Err(LoadError::Setting(self.name())) }
    }
}

/// The rule for its argument of `loadmodule`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().to_string_lossy();
        match self {
            Self::Number(number) => write!(f, "{name} must be an integer from 0 to {}", number.max),
            Self::Switch(_) => write!(f, "{name} must be yes or no"),
        }
    }
}

fn integer(text: &[u8]) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Registers all settings, reads the arguments of `loadmodule`, and lets the server set each.
pub(crate) fn register<'text>(
    context: *mut raw::RedisModuleCtx,
    settings: &[Setting],
    arguments: impl Iterator<Item = &'text [u8]>,
) -> Result<(), LoadError> {
    let arguments: Vec<_> = arguments.collect();
    let is_named = |setting: &Setting, name: &[u8]| name.eq_ignore_ascii_case(setting.name().to_bytes());
    for pair in arguments.chunks(2) {
        if !settings.iter().any(|setting| is_named(setting, pair[0])) {
            let known =
                settings.iter().map(|setting| setting.name().to_string_lossy()).collect::<Vec<_>>().join(" or ");
            let name = pair[0].escape_ascii();
            return Err(LoadError::Argument(format!("unknown setting '{name}': expected {known}")));
        }
    }
    for setting in settings {
        // A missing value is as invalid as an empty one.
        let value = |pair: &[&'text [u8]]| pair.get(1).copied().unwrap_or_default();
        let argument = arguments.chunks(2).rfind(|pair| is_named(setting, pair[0])).map(value);
        setting.register(context, argument)?;
    }
    // SAFETY: the module is being loaded.
    if unsafe { api!(RedisModule_LoadConfigs(context)) } == OK { Ok(()) } else { Err(LoadError::Settings) }
}

type GetNumber = unsafe extern "C" fn(*const c_char, *mut c_void) -> c_longlong;
type SetNumber =
    unsafe extern "C" fn(*const c_char, c_longlong, *mut c_void, *mut *mut raw::RedisModuleString) -> c_int;
type GetSwitch = unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int;
type SetSwitch = unsafe extern "C" fn(*const c_char, c_int, *mut c_void, *mut *mut raw::RedisModuleString) -> c_int;

unsafe extern "C" fn get_number(_name: *const c_char, this: *mut c_void) -> c_longlong {
    // SAFETY: `this` is the `&'static Number` that was registered with this function.
    let number: &Number = unsafe { &*this.cast::<Number>().cast_const() };
    number.get().into()
}

unsafe extern "C" fn set_number(
    _name: *const c_char,
    value: c_longlong,
    this: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: as above.
    let number: &Number = unsafe { &*this.cast::<Number>().cast_const() };
    // The server has checked the bounds.
    number.value.store(u32::try_from(value).unwrap_or(number.max), Ordering::Relaxed);
    OK
}

unsafe extern "C" fn get_switch(_name: *const c_char, this: *mut c_void) -> c_int {
    // SAFETY: `this` is the `&'static Switch` that was registered with this function.
    let switch: &Switch = unsafe { &*this.cast::<Switch>().cast_const() };
    switch.is_on().into()
}

unsafe extern "C" fn set_switch(
    _name: *const c_char,
    value: c_int,
    this: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: as above.
    let switch: &Switch = unsafe { &*this.cast::<Switch>().cast_const() };
    switch.value.store(value != 0, Ordering::Relaxed);
    OK
}
