//! premier: rate limiting as native commands of Redis and Valkey.
//!
//! This file registers everything that the module brings. The decisions are made in `algorithms/`, a crate of its own;
//! `commands/` translates between Redis and them; `server/` is the only place that talks to the server's C interface.

mod commands;
mod data_types;
mod effect;
mod server;

use premier_algorithms::{Fixed, Leaky, Sliding, Token};

use commands::{All, Apply, Peek, Refund, Throttle};
use server::{LoadError, Module};

/// Called once by the server, when it loads the module.
fn register(module: &Module) -> Result<(), LoadError> {
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
    module.command::<Apply>()?; // PREM key effect: internal, how admitted calls reach replicas and the AOF
    Ok(())
}
