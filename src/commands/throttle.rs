//! `PREMIER.FIXED`, `PREMIER.SLIDING`, `PREMIER.TOKEN` and `PREMIER.LEAKY`: one grammar, one reply, four algorithms.

use std::ffi::CStr;
use std::marker::PhantomData;

use premier_algorithms::{Arguments, CallOption, Cost, Decision, Now, Outcome, Retry, State};

use super::{arguments, top};
use crate::counters::Counters;
use crate::effect::Expiry;
use crate::server::{self, Call, Command, DataType, Error, Flags, Info, Key, KeyPosition, Writing};

/// An algorithm with a command of its own.
pub(crate) trait Limiter: DataType {
    const COMMAND: &'static CStr;
    const SUMMARY: &'static str;
    const COMPLEXITY: &'static str;

    /// The options that the command takes.
    const OPTIONS: &'static [CallOption];

    /// What INFO says of it.
    fn counters() -> &'static Counters;

    /// What the arguments limit a call to.
    fn limit(arguments: &Arguments) -> Self::Limit;
}

/// The command that decides whether a call is admitted by the algorithm `L`.
#[derive(Debug)]
pub(crate) struct Throttle<L>(PhantomData<L>);

impl<L: Limiter> Command for Throttle<L> {
    const NAME: &'static CStr = L::COMMAND;

    fn info() -> Info {
        Info {
            summary: L::SUMMARY,
            complexity: L::COMPLEXITY,
            since: "0.1.0",
            flags: Flags::Write,
            parameters: arguments::parameters(L::OPTIONS),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        answer::<L>(call).inspect_err(|_| L::counters().count_refused())
    }
}

#[inline]
fn answer<L: Limiter>(call: &Call) -> Result<(), Error> {
    let arguments = Arguments::parse(call.arguments(), L::OPTIONS)?;
    let key = call.open_key::<L, Writing>(KeyPosition::FIRST)?;
    let now = server::now();
    let decision = decide::<L>(key.state(), now, &arguments);
    let reply = reply(&decision);
    settle(call, key, now, decision, arguments.cost);
    call.reply_integers(reply);
    Ok(())
}

/// Makes of the first key what has been decided of a call of this cost.
#[inline]
pub(super) fn settle<L: Limiter>(
    call: &Call,
    key: Key<L>,
    now: Now,
    decision: Decision<<L::State as State>::Change>,
    cost: Cost,
) {
    L::counters().count(&decision, cost.get());
    match decision.outcome {
        Outcome::Admitted { change, .. } => key.change(change, Expiry::after(now, decision.reset)),
        Outcome::Limited { .. } => {
            drop(key);
            tell_limited(call, KeyPosition::FIRST, now);
        }
    }
}

/// Tells operators of a key that limits a call. No key is open, as who listens may do anything with it.
pub(super) fn tell_limited(call: &Call, key: KeyPosition, now: Now) {
    top::count(call, key, now);
    call.notify(key, c"premier.limited");
}

/// What the call of these arguments is answered.
#[inline]
pub(super) fn decide<L: Limiter>(
    state: &L::State,
    now: Now,
    arguments: &Arguments,
) -> Decision<<L::State as State>::Change> {
    let limit = L::limit(arguments);
    if arguments.is_forced {
        L::force(state, now, &limit, arguments.cost)
    } else {
        L::decide(state, now, &limit, arguments.cost)
    }
}

/// `limited`, `limit`, `remaining`, `wait`, `reset`; times in milliseconds, rounded up.
pub(super) fn reply<Change>(decision: &Decision<Change>) -> [i64; 5] {
    const NEVER: i64 = -1;
    let (limited, wait) = match decision.outcome {
        Outcome::Admitted { wait, .. } => (0, wait.as_millis_ceil().cast_signed()),
        Outcome::Limited { retry: Retry::After(wait) } => (1, wait.as_millis_ceil().cast_signed()),
        Outcome::Limited { retry: Retry::Never } => (1, NEVER),
    };
    [
        limited,
        decision.limit.cast_signed(),
        decision.remaining.cast_signed(),
        wait,
        decision.reset.as_millis_ceil().cast_signed(),
    ]
}
