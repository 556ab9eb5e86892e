//! `PREM key effect`: how admitted calls reach replicas and the AOF. Not for users.

use std::ffi::CStr;

use premier_algorithms::{Fixed, Leaky, Sliding, Token};

use crate::effect::{Effect, Received};
use crate::server::{Call, Command, DataType, Error, Flags, Info, Parameter, ParameterKind, Presence};

/// Puts the state of an effect into its key. It was decided elsewhere and is not judged again, whatever the key holds.
#[derive(Debug)]
pub(crate) struct Apply;

impl Command for Apply {
    const NAME: &'static CStr = Effect::COMMAND;

    fn info() -> Info {
        Info {
            summary: "Internal: applies the effect of an admitted call on replicas and from the AOF",
            complexity: "O(1)",
            since: "0.1.0",
            flags: Flags::Internal,
            parameters: vec![Parameter {
                name: "effect",
                summary: "What PREMIER commands replicate".to_owned(),
                kind: ParameterKind::String,
                presence: Presence::Required,
            }],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut arguments = call.arguments();
        let (Some(effect), None) = (arguments.next(), arguments.next()) else {
            return Err(Error::WrongArity);
        };
        if call.is_refused_by_replica() {
            return Err(Error::ReadOnly);
        }
        Received::read(effect)
            .and_then(|effect| match effect.letter {
                Fixed::LETTER => apply::<Fixed>(call, &effect),
                Sliding::LETTER => apply::<Sliding>(call, &effect),
                Token::LETTER => apply::<Token>(call, &effect),
                Leaky::LETTER => apply::<Leaky>(call, &effect),
                _ => None,
            })
            .ok_or_else(|| Error::Argument("effect must be what a PREMIER command replicated".to_owned()))?;
        call.reply_ok();
        Ok(())
    }
}

fn apply<T: DataType>(call: &Call, effect: &Received) -> Option<()> {
    call.overwrite_key::<T>(effect.state()?, effect.expiry);
    Some(())
}
