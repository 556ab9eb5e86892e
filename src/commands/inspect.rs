//! `PREMIER.INSPECT key`: what is known of a key without its limit.

use std::ffi::CStr;

use premier_algorithms::Detail;
use premier_server::{self as server, AnyKey, Call, Command, Docs, Error, Flags, Inspected, KeyPosition, Reading};

use crate::limiters::{Name, by_algorithm};

/// Replies with a map: `algorithm`, `used`, `resets-in`, and what the algorithm knows besides.
#[derive(Debug)]
pub(crate) struct Inspect;

impl Command for Inspect {
    const NAME: &'static CStr = c"PREMIER.INSPECT";
    const FLAGS: Flags = Flags::Read;

    fn docs() -> Docs {
        Docs {
            summary: "Returns what is known of a key without its limit: its algorithm, the units that are used, and when it is reset",
            complexity: "O(1); SLIDING and HOLD: O(N) where N is the number of entries or holders of the key",
            since: "0.1.0",
            tips: Some("nondeterministic_output"),
            parameters: Vec::new(),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        if call.arguments().next().is_some() {
            return Err(Error::WrongArity);
        }
        let key = AnyKey::<Reading>::open(call, KeyPosition::FIRST);
        let inspected = match Name::of_key(&key) {
            Some(name) => by_algorithm!(name, L => key.typed::<L>()?.inspect(server::now())).map(|known| (name, known)),
            None if key.is_empty() => None,
            None => return Err(Error::WrongType),
        };
        match inspected {
            Some((name, known)) => reply(call, name, known),
            None => call.reply_null(),
        }
        Ok(())
    }
}

fn reply(call: &Call, name: Name, Inspected { used, reset, detail }: Inspected) {
    let detail = detail.map(|detail| match detail {
        Detail::Opened(moment) => ("opened", moment.as_micros() / 1_000),
        Detail::Entries(number) => ("entries", number as u64),
        Detail::Holders(number) => ("holders", number as u64),
    });
    call.reply_map(3 + usize::from(detail.is_some()));
    call.reply_bytes(b"algorithm");
    call.reply_bytes(name.word());
    let numbers = [("used", used), ("resets-in", reset.as_millis_ceil())];
    for (field, number) in numbers.into_iter().chain(detail) {
        call.reply_bytes(field.as_bytes());
        call.reply_integer(number.cast_signed());
    }
}
