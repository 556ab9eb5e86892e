//! The commands of concurrency limits.

use premier_algorithms::{COST, ID, KEEP};
use redis::{Cmd, ToSingleRedisArg};

use super::write_limit;
use crate::{AnyLimit, Concurrency};

const WORD: &str = "HOLD";

/// The word between two limits.
const AND: &str = "AND";

/// Builds the command that holds units, or renews the lease of their holder.
pub(crate) fn hold(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg, concurrency: &Concurrency) -> Cmd {
    let mut command = redis::cmd("PREMIER.HOLD");
    command.arg(key);
    write_bounds(concurrency, &mut command);
    command.arg(ID.name).arg(id);
    write_options(concurrency, &mut command);
    command
}

/// Builds the command that frees what a holder holds.
pub(crate) fn release(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg) -> Cmd {
    let mut command = redis::cmd("PREMIER.RELEASE");
    command.arg(key).arg(id);
    command
}

/// Builds the command that decides the call of a new holder, which then holds nothing.
pub(crate) fn peek_hold(key: impl ToSingleRedisArg, concurrency: &Concurrency) -> Cmd {
    let mut command = redis::cmd("PREMIER.PEEK");
    command.arg(key).arg(WORD);
    write_bounds(concurrency, &mut command);
    write_options(concurrency, &mut command);
    command
}

/// Builds the command that holds units of each concurrency limit, if all limits admit the call.
pub(crate) fn hold_all(id: &[u8], holds: &[(String, Concurrency)], limits: &[(String, AnyLimit)]) -> Cmd {
    let mut command = redis::cmd("PREMIER.ALL");
    for (index, (key, concurrency)) in holds.iter().enumerate() {
        if index > 0 {
            command.arg(AND);
        }
        command.arg(key).arg(WORD);
        write_bounds(concurrency, &mut command);
        command.arg(ID.name).arg(id);
        write_options(concurrency, &mut command);
    }
    for (key, limit) in limits {
        command.arg(AND).arg(key);
        write_limit(limit, &mut command);
    }
    command
}

fn write_bounds(concurrency: &Concurrency, command: &mut Cmd) {
    command.arg(concurrency.quota()).arg(concurrency.lease.get().to_string());
}

fn write_options(concurrency: &Concurrency, command: &mut Cmd) {
    if concurrency.units() != 1 {
        command.arg(COST.name).arg(concurrency.units());
    }
    if concurrency.reserve() != 0 {
        command.arg(KEEP.name).arg(concurrency.reserve());
    }
}
