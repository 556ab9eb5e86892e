//! `PREM key effect [key effect]…`: how admitted calls reach replicas and the AOF. Not for users.

use std::ffi::CStr;

use arrayvec::ArrayVec;
use premier_algorithms::{BucketState, Fixed, FixedState, Leaky, Log, Sliding, Token};

use crate::effect::{Effect, Expiry, Received};
use crate::server::{
    Call, Command, DataType, Error, Flags, Info, KeyPosition, Keys, Parameter, ParameterKind, Presence,
};

/// Also what the log says of an AOF or a replication stream that a newer premier has written.
const REFUSAL: &str =
    "effect must be what a PREMIER command of this version of premier, or of an older one, replicated";

/// Puts the state of each effect into its key, or none of them if one cannot be read. They were decided elsewhere and are not
/// judged again, whatever the keys hold.
#[derive(Debug)]
pub(crate) struct Apply;

impl Command for Apply {
    const NAME: &'static CStr = Effect::COMMAND;
    const KEYS: Keys = Keys::EachSecond;

    fn info() -> Info {
        let effect = || Parameter {
            name: "effect",
            summary: "What PREMIER commands replicate".to_owned(),
            kind: ParameterKind::String,
            presence: Presence::Required,
        };
        let further = Parameter {
            name: "further",
            summary: "Another key that the same call changed, and the effect on it".to_owned(),
            kind: ParameterKind::Repeated(vec![effect()]),
            presence: Presence::Optional,
        };
        Info {
            summary: "Internal: applies the effect of an admitted call on replicas and from the AOF",
            complexity: "O(N) where N is the number of keys",
            since: "0.1.0",
            flags: Flags::Internal,
            parameters: vec![effect(), further],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let words = call.words();
        if !words.len().is_multiple_of(2) {
            return Err(Error::WrongArity);
        }
        if call.is_refused_by_replica() {
            return Err(Error::ReadOnly);
        }
        let mut changes = ArrayVec::<_, { Effect::MAX_TOGETHER }>::new();
        for effect in words.skip(1).step_by(2) {
            let change = Change::read(effect).filter(|_| !changes.is_full());
            changes.push(change.ok_or_else(|| Error::Argument(REFUSAL.to_owned()))?);
        }
        for (index, change) in changes.into_iter().enumerate() {
            change.make(call, KeyPosition::behind_first(2 * index));
        }
        call.replicate_verbatim();
        call.reply_ok();
        Ok(())
    }
}

/// What an effect makes of its key.
struct Change {
    state: AnyState,
    expiry: Expiry,
}

enum AnyState {
    Fixed(FixedState),
    Sliding(Log),
    Token(BucketState),
    Leaky(BucketState),
}

impl Change {
    fn read(effect: &[u8]) -> Option<Self> {
        let effect = Received::read(effect)?;
        let state = match effect.letter {
            Fixed::LETTER => AnyState::Fixed(effect.state()?),
            Sliding::LETTER => AnyState::Sliding(effect.state()?),
            Token::LETTER => AnyState::Token(effect.state()?),
            Leaky::LETTER => AnyState::Leaky(effect.state()?),
            _ => return None,
        };
        Some(Self { state, expiry: effect.expiry })
    }

    fn make(self, call: &Call, key: KeyPosition) {
        match self.state {
            AnyState::Fixed(state) => call.overwrite_key::<Fixed>(key, state, self.expiry),
            AnyState::Sliding(state) => call.overwrite_key::<Sliding>(key, state, self.expiry),
            AnyState::Token(state) => call.overwrite_key::<Token>(key, state, self.expiry),
            AnyState::Leaky(state) => call.overwrite_key::<Leaky>(key, state, self.expiry),
        }
    }
}
