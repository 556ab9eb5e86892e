//! `PREM key effect [key effect]…`: how replicas and the AOF receive the effects of admitted calls.
//! Not for users.

use std::ffi::CStr;

use arrayvec::ArrayVec;
use premier_algorithms::State;
use premier_server::{
    Call, Command, DataType, Docs, Effect, Error, Expiry, Flags, KeyPosition, Keys, Parameter, ParameterKind, Presence,
    ReceivedEffect, apply,
};

use crate::limiters::{Limiter, Name, by_algorithm};

/// The server logs this for an AOF or a replication stream of a newer premier, too.
const REFUSAL: &str = "invalid effect: expected one that this version of premier, or an older one, replicated";

/// Applies each effect to its key, or changes no key if one of the effects is invalid.
/// Effects were decided elsewhere and are not judged again, whatever the keys hold.
#[derive(Debug)]
pub(crate) struct Apply;

impl Command for Apply {
    const NAME: &'static CStr = Effect::COMMAND;
    const KEYS: Keys = Keys::EachSecond;
    const FLAGS: Flags = Flags::Internal;

    fn docs() -> Docs {
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
        Docs {
            summary: "Internal: applies the effect of an admitted call on replicas and from the AOF",
            complexity: "O(N) where N is the number of keys",
            since: "0.1.0",
            tips: None,
            parameters: vec![effect(), further],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let words = call.words();
        if !words.len().is_multiple_of(2) {
            return Err(Error::WrongArity);
        }
        call.check_is_replicated()?;
        let mut changes = ArrayVec::<_, { Effect::MAX_TOGETHER }>::new();
        for effect in words.skip(1).step_by(2) {
            let change = read(effect).filter(|_| !changes.is_full());
            changes.push(change.ok_or_else(|| Error::Argument(REFUSAL.to_owned()))?);
        }
        for (index, change) in changes.into_iter().enumerate() {
            let key = KeyPosition::behind_first(2 * index);
            by_algorithm!(change: AnyChange, change => change.make(call, key));
        }
        call.replicate_verbatim();
        call.reply_ok();
        Ok(())
    }
}

/// An effect on a key.
struct Change<'call, L: DataType> {
    on_state: <L::State as State>::Effect<'call>,
    expiry: Expiry,
}

by_algorithm!(enum AnyChange<'call> of Change);

fn read(effect: &[u8]) -> Option<AnyChange<'_>> {
    let effect = ReceivedEffect::read(effect)?;
    let name = Name::of_letter(effect.letter)?;
    Some(
        by_algorithm!(name, L => AnyChange of Change::<L> { on_state: effect.on_state::<<L as DataType>::State>()?, expiry: effect.expiry }),
    )
}

impl<L: Limiter> Change<'_, L> {
    fn make(self, call: &Call, key: KeyPosition) {
        apply::<L>(call, key, self.on_state, self.expiry);
    }
}
