//! `PREMIER.RELEASE key id`: frees what a holder holds.

use std::ffi::CStr;

use premier_algorithms::{HolderId, ID, Span};
use premier_server::{self as server, Call, Command, Docs, Error, Expiry, Flags, Key, KeyPosition, Presence};

use super::parameters::parameter;
use crate::limiters::Hold;

/// Replies with the number of units that were freed.
#[derive(Debug)]
pub(crate) struct Release;

impl Command for Release {
    const NAME: &'static CStr = c"PREMIER.RELEASE";
    const FLAGS: Flags = Flags::Free;

    fn docs() -> Docs {
        Docs {
            summary: "Frees the units of a holder, and returns their number; 0 if the id holds nothing",
            complexity: "O(log(N)) where N is the number of holders of the key, 65536 at most",
            since: "0.1.0",
            tips: None,
            parameters: vec![parameter(&ID, Presence::Required)],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.arguments();
        let (Some(id), None) = (words.next(), words.next()) else {
            return Err(Error::WrongArity);
        };
        let holder = HolderId::new(id)?;
        let key = Key::<Hold>::open(call, KeyPosition::FIRST)?;
        let now = server::now();
        let release = premier_algorithms::Hold::release(key.state(), now, holder);
        let units = release.map_or(0, |release| release.units);
        match release {
            Some(release) if release.reset == Span::ZERO => key.delete(),
            Some(release) => key.change(&release.change, Expiry::after(now, release.reset)),
            None => {}
        }
        call.reply_integer(units.cast_signed());
        Ok(())
    }
}
