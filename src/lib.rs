//! premier: rate limiting as native commands of Redis and Valkey.
//!
//! This file registers everything that the module brings. The decisions are made in `algorithms/`, a crate of its own;
//! `commands/` translates between Redis and them; `server/` is the only place that talks to the server's C interface.

mod commands;
mod data_types;
mod effect;
mod server;

use premier_algorithms::{Fixed, Leaky, Sliding, Token};

use commands::{Apply, Throttle};
use server::{LoadError, Module};

/// Called once by the server, when it loads the module.
fn register(module: &Module) -> Result<(), LoadError> {
    module.data_type::<Fixed>()?; // premfixed
    module.data_type::<Sliding>()?; // premslide
    module.data_type::<Token>()?; // premtoken
    module.data_type::<Leaky>()?; // premleaky

    module.command::<Throttle<Fixed>>()?; // PREMIER.FIXED key quota duration [COST n]
    module.command::<Throttle<Sliding>>()?; // PREMIER.SLIDING key quota duration [COST n]
    module.command::<Throttle<Token>>()?; // PREMIER.TOKEN key quota duration [CAPACITY c] [COST n] [MAXWAIT duration]
    module.command::<Throttle<Leaky>>()?; // PREMIER.LEAKY key quota duration [CAPACITY c] [COST n] [MAXWAIT duration]
    module.command::<Apply>()?; // PREM key effect: internal, how admitted calls reach replicas and the AOF
    Ok(())
}
