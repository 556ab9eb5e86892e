//! premier: rate limiting as native commands of Redis and Valkey.
//!
//! | command | what it does |
//! | --- | --- |
//! | `PREMIER.FIXED key quota duration [ALIGNED [ZONE offset]] [COST n] [ATMOST] [KEEP n] [FORCE]` | limits by a fixed window |
//! | `PREMIER.SLIDING key quota duration [COST n] [ATMOST] [KEEP n] [FORCE]` | limits in any span of the duration |
//! | `PREMIER.TOKEN key quota duration [CAPACITY c] [COST n] [ATMOST] [KEEP n] [MAXWAIT duration] [FORCE]` | limits by a token bucket |
//! | `PREMIER.LEAKY key quota duration [CAPACITY c] [COST n] [ATMOST] [KEEP n] [MAXWAIT duration] [FORCE]` | spaces calls evenly by a queue |
//! | `PREMIER.HOLD key quota duration ID id [COST n] [KEEP n]` | limits the units held at the same time |
//! | `PREMIER.RELEASE key id` | frees the units of a holder |
//! | `PREMIER.PEEK key algorithm quota duration [options]` | previews a call |
//! | `PREMIER.REFUND key n` | returns units |
//! | `PREMIER.ALL key algorithm quota duration [options] [AND key …]…` | charges several limits, or none of them |
//! | `PREMIER.INSPECT key` | returns what is known of a key without its limit |
//! | `PREMIER.TOP [count \| RESET]` | lists the keys that were limited most often in recent minutes |
//! | `CL.THROTTLE key max_burst count period [quantity]` | replies as redis-cell does; with `cell-compat yes` only |
//! | `PREM key effect [key effect]…` | internal: applies the effect of an admitted call on replicas and from the AOF |
//!
//! The decisions are made in `algorithms/`, a crate that knows no server. `commands/` translates
//! between Redis and the decisions. `server/` is a crate, too: it makes the server's C interface
//! safe.

mod commands;
mod info;
mod limiters;
mod settings;

use premier_server::{LoadError, Module};

use commands::{All, Apply, ClThrottle, Inspect, Peek, Refund, Release, Throttle, Top};
use info::Info;
use limiters::by_algorithm;

premier_server::module!(register);

/// Registers everything that the module adds to the server.
fn register(module: &Module) -> Result<(), LoadError> {
    module.settings(&settings::ALL)?;
    by_algorithm!(each L => {
        module.data_type::<L>()?;
        module.command::<Throttle<L>>()?;
    });
    module.command::<Release>()?;
    module.command::<Peek>()?;
    module.command::<Refund>()?;
    module.command::<All>()?;
    module.command::<Inspect>()?;
    module.command::<Top>()?;
    if settings::CELL_COMPAT.is_on() {
        module.command::<ClThrottle>()?;
    }
    module.command::<Apply>()?;
    module.info::<Info>()
}
