//! Arguments as COMMAND DOCS tells them. What they are called and may be stands in `premier-algorithms`.

use premier_algorithms::{Argument, CallOption, DURATION, QUOTA, Values};

use crate::server::{Parameter, ParameterKind, Presence};

/// Those behind the key of a call that takes these options.
pub(super) fn parameters(options: &[CallOption]) -> Vec<Parameter> {
    let required = [&QUOTA, &DURATION].map(|argument| parameter(argument, Presence::Required));
    let options = options.iter().map(|option| parameter(option.argument(), Presence::Named));
    required.into_iter().chain(options).collect()
}

pub(super) fn parameter(argument: &Argument, presence: Presence) -> Parameter {
    Parameter {
        name: argument.name,
        summary: format!("{}: {}", argument.summary, argument.allowed),
        kind: match argument.values {
            Values::Units { .. } => ParameterKind::Integer,
            Values::Time { .. } | Values::Words(_) => ParameterKind::String,
            Values::Nothing => ParameterKind::Nothing,
        },
        presence,
    }
}
