//! `PREMIER.FIXED`, `PREMIER.SLIDING`, `PREMIER.TOKEN`, `PREMIER.LEAKY` and `PREMIER.HOLD`: one
//! grammar, one reply, five algorithms.

use std::ffi::CStr;
use std::marker::PhantomData;

use premier_algorithms::Arguments;
use premier_server::{self as server, Call, Command, Docs, Error, Flags, Key, KeyPosition, Writing};

use super::limiter::{reply_to, settle};
use super::parameters::parameters;
use crate::limiters::Limiter;

/// Decides a call by the limiter `L`.
#[derive(Debug)]
pub(crate) struct Throttle<L>(PhantomData<L>);

impl<L: Limiter> Command for Throttle<L> {
    const NAME: &'static CStr = L::COMMAND;
    const FLAGS: Flags = Flags::Write;

    fn docs() -> Docs {
        Docs {
            summary: L::SUMMARY,
            complexity: L::COMPLEXITY,
            since: "0.1.0",
            tips: None,
            parameters: parameters(L::OPTIONS),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        throttle::<L>(call).inspect_err(|_| L::counters().count_refused())
    }
}

#[inline]
fn throttle<L: Limiter>(call: &Call) -> Result<(), Error> {
    let arguments = Arguments::parse(call.arguments(), L::OPTIONS)?;
    let key = Key::<L, Writing>::open(call, KeyPosition::FIRST)?;
    let now = server::now();
    let grant = L::decide(key.state(), now, &arguments)?;
    settle(call, key, now, &grant);
    reply_to(call, arguments.demand, &grant);
    Ok(())
}
