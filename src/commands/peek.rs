//! `PREMIER.PEEK key algorithm quota duration [options]`: previews a call.

use std::ffi::CStr;

use premier_algorithms::Peeked;
use premier_server::{self as server, Call, Command, Docs, Error, Flags, Key, KeyPosition, Reading};

use super::limiter::reply_to;
use super::parameters::parameters_to_peek;
use crate::limiters::{Limiter, Name, by_algorithm};

/// Replies as the call would, and changes nothing.
#[derive(Debug)]
pub(crate) struct Peek;

impl Command for Peek {
    const NAME: &'static CStr = c"PREMIER.PEEK";
    const FLAGS: Flags = Flags::Read;

    fn docs() -> Docs {
        Docs {
            summary: "Previews a call: replies as the call would now, and changes nothing",
            complexity: "O(1); SLIDING: O(N) where N is the number of entries in the log of the key, 66 at most; HOLD: O(log(N)) where N is the number of holders of the key",
            since: "0.1.0",
            tips: Some("nondeterministic_output"),
            parameters: parameters_to_peek(),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.arguments();
        let name = Name::parse(words.next())?;
        by_algorithm!(name, L => peek::<L>(call, words))
    }
}

fn peek<'words, L: Limiter>(call: &Call, words: impl Iterator<Item = &'words [u8]>) -> Result<(), Error> {
    let peeked = Peeked::parse(words, L::OPTIONS)?;
    let key = Key::<L, Reading>::open(call, KeyPosition::FIRST)?;
    let (Peeked::Call(arguments) | Peeked::Look(arguments)) = peeked;
    reply_to(call, arguments.demand, &L::peek(key.state(), server::now(), &peeked)?);
    Ok(())
}
