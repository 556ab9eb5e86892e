//! premier: rate limiting as native commands of Redis and Valkey.
//!
//! This file registers everything that the module brings. The decisions are made in `algorithms/`, a crate of its own;
//! `commands/` translates between Redis and them; `server/` is the only place that talks to the server's C interface.

mod commands;
mod counters;
mod data_types;
mod effect;
mod server;
mod settings;

use std::ffi::CStr;

use premier_algorithms::{Fixed, Leaky, Sliding, Token};

use commands::{All, Apply, ClThrottle, Limiter, Peek, Refund, Throttle, Top};
use server::{LoadError, Module, Report, Reporter};

/// Called once by the server, when it loads the module.
fn register(module: &Module) -> Result<(), LoadError> {
    module.settings(&settings::ALL)?; // CONFIG GET premier.*

    module.data_type::<Fixed>()?; // premfixed
    module.data_type::<Sliding>()?; // premslide
    module.data_type::<Token>()?; // premtoken
    module.data_type::<Leaky>()?; // premleaky

    // PREMIER.FIXED key quota duration [ALIGNED] [COST n] [FORCE], PREMIER.SLIDING key quota duration [COST n] [FORCE]
    module.command::<Throttle<Fixed>>()?;
    module.command::<Throttle<Sliding>>()?;
    // PREMIER.TOKEN and PREMIER.LEAKY key quota duration [CAPACITY c] [COST n] [MAXWAIT duration] [FORCE]
    module.command::<Throttle<Token>>()?;
    module.command::<Throttle<Leaky>>()?;
    module.command::<All>()?; // PREMIER.ALL key algorithm quota duration [options] [AND key …]…: to all of them or to none
    module.command::<Peek>()?; // PREMIER.PEEK key algorithm quota duration [options]: what the call would be answered
    module.command::<Refund>()?; // PREMIER.REFUND key n: gives back
    module.command::<Top>()?; // PREMIER.TOP [count | RESET]: the keys limited most of late
    if settings::CELL_COMPAT.is_on() {
        module.command::<ClThrottle>()?; // CL.THROTTLE key max_burst count period [quantity]: as redis-cell had it
    }
    module.command::<Apply>()?; // PREM key effect [key effect]…: internal, how admitted calls reach replicas and the AOF

    module.info::<Insight>() // INFO premier
}

struct Insight;

impl Reporter for Insight {
    fn write(report: &Report) {
        report.text(c"version", VERSION);
        report.text(c"replicating", if server::may_listen() { c"yes" } else { c"no" });
        report.numbers(c"fixed", Fixed::counters().fields());
        report.numbers(c"sliding", Sliding::counters().fields());
        report.numbers(c"token", Token::counters().fields());
        report.numbers(c"leaky", Leaky::counters().fields());
    }
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no zero bytes"),
};
