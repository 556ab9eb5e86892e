//! A module whose only command panics, registered as the commands of premier are, to try that the
//! server survives a bug.

use std::ffi::CStr;

use premier_server::{Call, Command, Docs, Error, Flags, LoadError, Module};

premier_server::module!(register);

#[derive(Debug)]
struct Panic;

impl Command for Panic {
    const NAME: &CStr = c"PREMIER.PANIC";
    const FLAGS: Flags = Flags::Write;

    fn docs() -> Docs {
        Docs { summary: "Panics", complexity: "O(1)", since: "0.0.0", tips: None, parameters: Vec::new() }
    }

    fn run(_call: &Call) -> Result<(), Error> {
        panic!("this is what a bug would do");
    }
}

fn register(module: &Module) -> Result<(), LoadError> {
    module.command::<Panic>()
}
