//! A module whose only command panics, on the same footing as the commands of premier: to try that the server lives on.

#![allow(dead_code, unused_imports, reason = "it needs but a part of what it shares with the module")]

#[path = "../../src/effect.rs"]
mod effect;
#[path = "../../src/server/mod.rs"]
mod server;

use std::ffi::CStr;

use server::{Call, Command, Error, Flags, Info, LoadError, Module};

#[derive(Debug)]
struct Panic;

impl Command for Panic {
    const NAME: &CStr = c"PREMIER.PANIC";

    fn info() -> Info {
        Info { summary: "Panics", complexity: "O(1)", since: "0.0.0", flags: Flags::Write, parameters: Vec::new() }
    }

    fn run(_call: &Call) -> Result<(), Error> {
        panic!("this is what a bug would do");
    }
}

fn register(module: &Module) -> Result<(), LoadError> {
    module.command::<Panic>()
}
