//! `PREMIER.REFUND key n`: gives back units that were used.

use std::ffi::CStr;

use premier_algorithms::{Fixed, Leaky, Sliding, Token, UNITS, Units};

use super::arguments::parameter;
use crate::server::{self, Call, Command, DataType, Error, Flags, Info, KeyPosition, Presence, Writing};

/// Answers how many units were given back.
#[derive(Debug)]
pub(crate) struct Refund;

impl Command for Refund {
    const NAME: &'static CStr = c"PREMIER.REFUND";

    fn info() -> Info {
        Info {
            summary: "Gives back units that were used, no more than are used now; SLIDING the newest first",
            complexity: "O(1); SLIDING: O(N) where N is the number of entries in the log of the key, 66 at most",
            since: "0.1.0",
            flags: Flags::Free,
            parameters: vec![parameter(&UNITS, Presence::Required)],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.arguments();
        let (Some(units), None) = (words.next(), words.next()) else {
            return Err(Error::WrongArity);
        };
        let units = Units::parse(units)?;
        let mut refunded = Err(Error::WrongType);
        for refund in [refund::<Fixed>, refund::<Sliding>, refund::<Token>, refund::<Leaky>] {
            if matches!(refunded, Err(Error::WrongType)) {
                refunded = refund(call, units);
            }
        }
        call.reply_integer(refunded?.cast_signed());
        Ok(())
    }
}

fn refund<T: DataType>(call: &Call, units: Units) -> Result<u64, Error> {
    Ok(call.open_key::<T, Writing>(KeyPosition::FIRST)?.refund(server::now(), units))
}
