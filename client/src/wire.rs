//! What crosses the wire: limits become the words of commands, replies become decisions.

mod hold;

use std::collections::HashMap;
use std::time::Duration;

use premier_algorithms::{ALIGNED, AT_MOST, CAPACITY, COST, Demand, FORCE, KEEP, MAX_WAIT, ZONE, Zone};
use redis::{Cmd, FromRedisValue, ParsingError, RedisWrite as _, ToSingleRedisArg, Value};

use crate::decision::Outcome;
use crate::limit::{Terms, Window};
use crate::{AnyLimit, CellDecision, DecidedBy, Decision, JointDecision, LimitedKey, RetryAfter, Usage};

pub(crate) use hold::{hold, hold_all, peek_hold, release};

/// Builds the command that decides a call, and charges it if it is admitted.
pub(crate) fn check(key: impl ToSingleRedisArg, limit: &AnyLimit) -> Cmd {
    // What a call has at most, with a key that is not long.
    let mut command = Cmd::with_capacity(16, 192);
    command.arg(limit.algorithm().command()).arg(key);
    write_terms(limit.terms(), &mut command);
    command
}

/// Builds the command that decides a call without charging it.
pub(crate) fn peek(key: impl ToSingleRedisArg, limit: &AnyLimit) -> Cmd {
    let mut command = redis::cmd("PREMIER.PEEK");
    command.arg(key);
    write_limit(limit, &mut command);
    command
}

/// Builds the command that returns used units.
pub(crate) fn refund(key: impl ToSingleRedisArg, units: u64) -> Cmd {
    let mut command = redis::cmd("PREMIER.REFUND");
    command.arg(key).arg(units);
    command
}

/// Builds the command that reports what is known of a key.
pub(crate) fn inspect(key: impl ToSingleRedisArg) -> Cmd {
    let mut command = redis::cmd("PREMIER.INSPECT");
    command.arg(key);
    command
}

/// Builds the command that deletes a key.
pub(crate) fn reset(key: impl ToSingleRedisArg) -> Cmd {
    let mut command = redis::cmd("DEL");
    command.arg(key);
    command
}

/// Builds the command that decides a call by several limits, and charges it to all of them or to
/// none.
pub(crate) fn all(limits: &[(impl ToSingleRedisArg, AnyLimit)]) -> Cmd {
    let mut command = redis::cmd("PREMIER.ALL");
    for (index, (key, limit)) in limits.iter().enumerate() {
        if index > 0 {
            command.arg("AND");
        }
        command.arg(key);
        write_limit(limit, &mut command);
    }
    command
}

/// Builds the command that lists the keys that were limited most.
pub(crate) fn top(count: Option<u64>) -> Cmd {
    let mut command = redis::cmd("PREMIER.TOP");
    command.arg(count);
    command
}

/// Builds the command that empties that list.
pub(crate) fn top_reset() -> Cmd {
    let mut command = redis::cmd("PREMIER.TOP");
    command.arg("RESET");
    command
}

/// Builds the command of redis-cell.
pub(crate) fn cl_throttle(
    key: impl ToSingleRedisArg,
    max_burst: u64,
    count: u64,
    period: Duration,
    quantity: u64,
) -> Cmd {
    const NANOS_PER_SECOND: u128 = 1_000_000_000;
    let period = period.as_nanos().div_ceil(NANOS_PER_SECOND);
    let mut command = redis::cmd("CL.THROTTLE");
    command.arg(key).arg(max_burst).arg(count).arg(period).arg(quantity);
    command
}

/// Writes a limit for a command that takes any algorithm.
fn write_limit(limit: &AnyLimit, command: &mut Cmd) {
    command.arg(limit.algorithm().word());
    write_terms(limit.terms(), command);
}

fn write_terms(terms: &Terms, command: &mut Cmd) {
    command.arg(terms.quota.get());
    match terms.window {
        Window::FromFirstCall(duration) => {
            command.write_arg_fmt(duration.get());
        }
        Window::Aligned { period, zone } => {
            command.arg(period.to_string()).arg(ALIGNED.name);
            let offset = zone.now();
            if offset != Zone::UTC {
                command.arg(ZONE.name).arg(offset.to_string());
            }
        }
    }
    if let Some(capacity) = terms.capacity {
        command.arg(CAPACITY.name).arg(capacity.get());
    }
    if terms.cost() != 1 {
        command.arg(COST.name).arg(terms.cost());
    }
    if let Demand::AtMost(..) = terms.demand {
        command.arg(AT_MOST.name);
    }
    if terms.keep() != 0 {
        command.arg(KEEP.name).arg(terms.keep());
    }
    if let Some(max_wait) = terms.max_wait {
        command.arg(MAX_WAIT.name).arg(max_wait.get().to_string());
    }
    if let Demand::Forced(_) = terms.demand {
        command.arg(FORCE.name);
    }
}

/// Reads the reply to a `PREMIER.*` command with one limit.
impl FromRedisValue for Decision {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        use Value::Int;
        match value.as_sequence() {
            Some(&[Int(limited), Int(limit), Int(remaining), Int(wait), Int(reset)]) => {
                read_decision([limited, limit, remaining, wait, reset], None)
            }
            Some(&[Int(limited), Int(limit), Int(remaining), Int(wait), Int(reset), Int(granted)]) => {
                read_decision([limited, limit, remaining, wait, reset], Some(granted))
            }
            _ => Err(format!("unexpected reply to a PREMIER command: {value:?}").into()),
        }
    }
}

/// Reads limited, limit, remaining, wait, reset, and what was granted.
fn read_decision(reply: [i64; 5], granted: Option<i64>) -> Result<Decision, ParsingError> {
    const NEVER: i64 = -1;
    let [limited, limit, remaining, wait, reset] = reply;
    let invalid = || ParsingError::from(format!("unexpected reply to a PREMIER command: {reply:?}"));
    let natural = |integer| u64::try_from(integer).map_err(|_| invalid());
    let millis = |integer| natural(integer).map(Duration::from_millis);
    Ok(Decision {
        outcome: match (limited, wait) {
            (0, wait) => Outcome::Admitted { wait: millis(wait)? },
            (1, NEVER) => Outcome::Limited { retry_after: RetryAfter::Never },
            (1, wait) => Outcome::Limited { retry_after: RetryAfter::After(millis(wait)?) },
            _ => return Err(invalid()),
        },
        limit: natural(limit)?,
        remaining: natural(remaining)?,
        reset_after: millis(reset)?,
        granted: granted.map(natural).transpose()?,
        decided_by: DecidedBy::Store,
        confirmed_by: None,
    })
}

/// Reads the reply to `PREMIER.ALL`: the five fields of the binding limit, its index, and the five
/// fields of each limit.
impl FromRedisValue for JointDecision {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (limited, limit, remaining, wait, reset, binding, each): (_, _, _, _, _, _, Vec<Decision>) =
            FromRedisValue::from_redis_value(value)?;
        if binding >= each.len() {
            return Err(format!("unexpected reply to PREMIER.ALL: limit {binding} of {} binds", each.len()).into());
        }
        Ok(Self { decision: read_decision([limited, limit, remaining, wait, reset], None)?, binding, each })
    }
}

/// Reads the reply to `PREMIER.INSPECT`: a map, or pairs, of which each algorithm has these two.
impl FromRedisValue for Usage {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields: HashMap<String, Value> = FromRedisValue::from_redis_value(value)?;
        let field = |name: &str| match fields.get(name) {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let (Some(used), Some(reset)) = (field("used"), field("resets-in")) else {
            return Err(format!("unexpected reply to PREMIER.INSPECT: {fields:?}").into());
        };
        Ok(Self { used, reset_after: Duration::from_millis(reset) })
    }
}

/// Reads limited, limit, remaining, retry after, reset.
impl FromRedisValue for CellDecision {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        const NONE: i64 = -1;
        let reply = FromRedisValue::from_redis_value(value)?;
        let [limited, limit, remaining, retry_after, reset] = reply;
        let invalid = || ParsingError::from(format!("unexpected reply to CL.THROTTLE: {reply:?}"));
        let natural = |integer| u64::try_from(integer).map_err(|_| invalid());
        let secs = |integer| natural(integer).map(Duration::from_secs);
        let (is_admitted, retry_after) = match (limited, retry_after) {
            (0, NONE) => (true, None),
            (1, NONE) => (false, None),
            (1, retry_after) => (false, Some(secs(retry_after)?)),
            _ => return Err(invalid()),
        };
        Ok(Self {
            is_admitted,
            limit: natural(limit)?,
            remaining: natural(remaining)?,
            retry_after,
            reset_after: secs(reset)?,
        })
    }
}

/// Reads a pair of the reply to `PREMIER.TOP`.
impl FromRedisValue for LimitedKey {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (key, count): (_, i64) = FromRedisValue::from_redis_value(value)?;
        match u64::try_from(count) {
            Ok(count) => Ok(Self { key, count }),
            Err(_) => Err(format!("unexpected reply to PREMIER.TOP: a count of {count}").into()),
        }
    }
}
