//! The server's C interface, made safe. All unsafe code of premier is in this crate; above it there
//! are bytes, integers and the types of `premier-algorithms`.
//!
//! A crate becomes a module of the server with [`module!`], which names the function that registers
//! its settings, data types and [commands](Command).
//!
//! Every unsafe block here relies on this:
//! - The server fills in the functions of the interface before anything else runs: see
//!   `interface.rs`.
//! - Commands and callbacks run on the server's main thread, one at a time. Only freeing a value
//!   may happen on another thread.
//! - No panic leaves a function that the server calls: see `panics.rs`.

#![expect(unsafe_code, reason = "this crate is its home")]

mod call;
mod clock;
mod command;
mod command_docs;
mod data_type;
mod effect;
mod info;
mod interface;
mod key;
mod load_error;
mod log;
mod module;
mod panics;
mod propagation;
mod replication;
mod rights;
mod settings;
mod strings;

pub use call::{Call, Error, KeyPosition};
pub use clock::now;
pub use command::{Command, Flags, Keys};
pub use command_docs::{Docs, Parameter, ParameterKind, Presence};
pub use data_type::{DataType, Handle};
pub use effect::{Effect, Expiry, ReceivedEffect};
pub use info::{InfoSection, SectionWriter};
pub use key::{AnyKey, Change, Inspected, Key, Mode, Reading, Writing, apply};
pub use load_error::LoadError;
pub use module::Module;
pub use propagation::is_needed as is_propagation_needed;
pub use replication::Effects;
pub use settings::{Number, Setting, Switch};

/// What [`module!`] needs in the crate that uses it.
#[doc(hidden)]
pub mod entry {
    pub use redis_module::raw::{RedisModuleCtx, RedisModuleString};

    pub use crate::module::on_load;
}

use redis_module::alloc::RedisAlloc;

/// All memory of the module comes from the server's allocator, so that INFO, maxmemory and active
/// defragmentation see it.
#[global_allocator]
static ALLOCATOR: RedisAlloc = RedisAlloc;
