//! `PREMIER.PEEK key algorithm quota duration [option value]…`: what the call would be answered now.

use std::ffi::CStr;

use premier_algorithms::{Arguments, Fixed, Leaky, Sliding, Token};

use super::algorithm::{choose, parameters};
use super::throttle::{Limiter, decide, reply};
use crate::server::{self, Call, Command, Error, Flags, Info, KeyPosition, Reading};

/// Answers what the call would be answered, and changes nothing.
#[derive(Debug)]
pub(crate) struct Peek;

impl Command for Peek {
    const NAME: &'static CStr = c"PREMIER.PEEK";

    fn info() -> Info {
        Info {
            summary: "Answers what a call would be answered now, and changes nothing",
            complexity: "O(1); SLIDING: O(N) where N is the number of entries in the log of the key, 66 at most",
            since: "0.1.0",
            flags: Flags::Read,
            parameters: parameters(),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.arguments();
        let peeks = [peek::<Fixed>, peek::<Sliding>, peek::<Token>, peek::<Leaky>];
        let peek = choose(words.next(), peeks)?;
        call.reply_integers(peek(call, &mut words)?);
        Ok(())
    }
}

fn peek<L: Limiter>(call: &Call, words: &mut dyn Iterator<Item = &[u8]>) -> Result<[i64; 5], Error> {
    let arguments = Arguments::parse(words, L::OPTIONS)?;
    let key = call.open_key::<L, Reading>(KeyPosition::FIRST)?;
    Ok(reply(&decide::<L>(key.state(), server::now(), &arguments)))
}
