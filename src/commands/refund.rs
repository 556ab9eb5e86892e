//! `PREMIER.REFUND key n`: returns units that were used.

use std::ffi::CStr;

use premier_algorithms::{UNITS, Units};
use premier_server::{self as server, AnyKey, Call, Command, Docs, Error, Flags, KeyPosition, Presence, Writing};

use super::parameters::parameter;
use crate::limiters::{Limiter, Name, by_algorithm};

/// Replies with the number of units that were returned.
#[derive(Debug)]
pub(crate) struct Refund;

impl Command for Refund {
    const NAME: &'static CStr = c"PREMIER.REFUND";
    const FLAGS: Flags = Flags::Free;

    fn docs() -> Docs {
        Docs {
            summary: "Returns used units, at most those that are used now; SLIDING returns the newest first",
            complexity: "O(1); SLIDING: O(N) where N is the number of entries in the log of the key, 66 at most",
            since: "0.1.0",
            tips: None,
            parameters: vec![parameter(&UNITS, Presence::Required)],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.arguments();
        let (Some(units), None) = (words.next(), words.next()) else {
            return Err(Error::WrongArity);
        };
        let units = Units::parse(units)?;
        let key = AnyKey::<Writing>::open(call, KeyPosition::FIRST);
        let refunded = match Name::of_key(&key) {
            Some(name) => by_algorithm!(name, L => L::refund(key, server::now(), units)?),
            None if key.is_empty() => 0,
            None => return Err(Error::WrongType),
        };
        call.reply_integer(refunded.cast_signed());
        Ok(())
    }
}
