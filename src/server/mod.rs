//! The server's C interface, made safe. All unsafe code of the module is in this folder; above it there are bytes, integers
//! and the types of `premier-algorithms`.
//!
//! What every unsafe block here relies on:
//! - The functions of the interface are pointers that the server fills in before anything else runs. Those that every
//!   supported server has are called through [`api!`]; the few that are newer are looked for first.
//! - Commands and callbacks run on the server's main thread, one at a time. Only freeing a value may happen on another.
//! - No panic leaves a function that the server calls: see [`panics`].

#![expect(unsafe_code, reason = "this is its home")]

/// Calls a function of the interface that every supported server has: [`entry`] has seen to that.
macro_rules! api {
    ($function:ident($($argument:expr),* $(,)?)) => {
        (redis_module::raw::$function.unwrap_unchecked())($($argument),*)
    };
}

mod call;
mod clock;
mod command;
mod data_type;
mod entry;
mod key;
mod log;
mod panics;

pub(crate) use call::{Call, Error};
pub(crate) use clock::now;
pub(crate) use command::{Command, Flags, Info, Parameter, ParameterKind};
pub(crate) use data_type::{DataType, Defrag, Handle};
pub(crate) use entry::{LoadError, Module};
