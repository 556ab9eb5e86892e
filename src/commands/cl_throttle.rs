//! `CL.THROTTLE key max_burst count period [quantity]`: the command of redis-cell, decided by
//! premier's token bucket.

use std::ffi::CStr;
use std::str;

use premier_algorithms::{
    Argument, BucketLimit, BucketState, Capacity, Cost, Decision, Demand, Keep, LimitDuration, Now, Outcome, Quota,
    Retry, Span, argument,
};
use premier_server::{self as server, Call, Command, Docs, Error, Flags, Key, KeyPosition, Presence};

use super::limiter::settle;
use super::parameters::parameter;
use crate::limiters::{Limiter, Token};

static MAX_BURST: Argument =
    argument!("max_burst", "Calls admitted at once beyond the first", units from 0 to 999_999_999_999);
static COUNT: Argument = argument!("count", "Units admitted per period", units from 1 to 1_000_000_000_000);
static PERIOD: Argument = argument!("period", "Seconds in which count units are admitted", units from 1 to 315_360_000);
static QUANTITY: Argument =
    argument!("quantity", "Units this call takes; 1 by default, and 0 only looks", units from 0 to 1_000_000_000_000);

/// Replies as redis-cell does: in whole seconds, with a wait of −1 for an admitted call.
#[derive(Debug)]
pub(crate) struct ClThrottle;

impl Command for ClThrottle {
    const NAME: &'static CStr = c"CL.THROTTLE";
    const FLAGS: Flags = Flags::Write;

    fn docs() -> Docs {
        let required = [&MAX_BURST, &COUNT, &PERIOD].map(|argument| parameter(argument, Presence::Required));
        Docs {
            summary: "Limits calls by a token bucket, with the arguments and the reply of redis-cell",
            complexity: "O(1)",
            since: "0.1.0",
            tips: None,
            parameters: required.into_iter().chain([parameter(&QUANTITY, Presence::Optional)]).collect(),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        throttle(call).inspect_err(|_| Token::counters().count_refused())
    }
}

fn throttle(call: &Call) -> Result<(), Error> {
    let mut words = call.arguments();
    let (Some(max_burst), Some(count), Some(period), quantity, None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::WrongArity);
    };
    let limit = BucketLimit {
        capacity: Some(Capacity::new(MAX_BURST.units(max_burst)? + 1)?),
        quota: Quota::new(COUNT.units(count)?)?,
        duration: LimitDuration::new(Span::from_secs(PERIOD.units(period)?))?,
        max_wait: None,
    };
    let quantity = quantity.map_or(Ok(1), |quantity| QUANTITY.units(quantity))?;

    let now = server::now();
    let key = Key::<Token>::open_or_convert(call, KeyPosition::FIRST, |string| convert(string, now, &limit))?;
    let reply = match Cost::new(quantity) {
        Ok(cost) => {
            let demand = Demand::Exactly(cost, Keep::NOTHING);
            let grant = demand.decide::<premier_algorithms::Token>(key.state(), now, &limit);
            settle(call, key, now, &grant);
            reply(&grant.decision)
        }
        // The quantity is 0.
        Err(_) => reply(&premier_algorithms::Token::look_as_cell(key.state(), now, &limit)),
    };
    call.reply_integers(reply);
    Ok(())
}

/// Converts a string of redis-cell. It is the theoretical arrival time, the moment at which the
/// bucket will be empty, in nanoseconds since the Unix epoch. redis-cell writes 64 bits, which have
/// 19 digits from 2001 to 2262, and lets them expire, so any other string belongs to somebody else.
fn convert(string: &[u8], now: Now, limit: &BucketLimit) -> Option<BucketState> {
    const DIGITS: usize = 19;
    const NANOS_PER_MICRO: u64 = 1_000;
    if string.len() != DIGITS || !string.iter().all(u8::is_ascii_digit) || string.starts_with(b"0") {
        return None;
    }
    let nanos: i64 = str::from_utf8(string).ok()?.parse().ok()?;
    let empty_at = Span::from_micros(nanos.cast_unsigned().div_ceil(NANOS_PER_MICRO));
    Some(BucketState::empty_after(now.until(empty_at), now, limit))
}

/// Returns the reply of redis-cell: `limited`, `limit`, `remaining`, `retry after`, `reset`, times
/// in seconds, rounded up; −1 if there is nothing to wait for.
fn reply<Change>(decision: &Decision<Change>) -> [i64; 5] {
    let (limited, retry_after) = match decision.outcome {
        Outcome::Admitted { .. } => (0, -1),
        Outcome::Limited { retry: Retry::After(wait) } => (1, wait.as_secs_ceil().cast_signed()),
        Outcome::Limited { retry: Retry::Never } => (1, -1),
    };
    [
        limited,
        decision.limit.cast_signed(),
        decision.remaining.cast_signed(),
        retry_after,
        decision.reset.as_secs_ceil().cast_signed(),
    ]
}
