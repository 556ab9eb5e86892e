//! Arguments as COMMAND DOCS shows them. `premier-algorithms` defines their names and bounds.

use std::iter;

use premier_algorithms::{ALGORITHM, Argument, CallOption, DURATION, QUOTA, Values};
use premier_server::{Parameter, ParameterKind, Presence};

/// The parameters behind the key of a call with an algorithm, and with the options of all
/// algorithms.
pub(super) fn parameters_by_algorithm() -> Vec<Parameter> {
    let algorithm = parameter(&ALGORITHM, Presence::Required);
    iter::once(algorithm).chain(parameters(CallOption::ALL)).collect()
}

/// The parameters behind the key of a call with these options.
pub(super) fn parameters(options: &[CallOption]) -> Vec<Parameter> {
    let required = [&QUOTA, &DURATION].map(|argument| parameter(argument, Presence::Required));
    let options = options.iter().map(|option| parameter(option.argument(), Presence::Named));
    required.into_iter().chain(options).collect()
}

/// An argument as a parameter.
pub(super) fn parameter(argument: &Argument, presence: Presence) -> Parameter {
    Parameter {
        name: argument.name,
        summary: format!("{}: {}", argument.summary, argument.allowed),
        kind: match argument.values {
            Values::Units { .. } => ParameterKind::Integer,
            Values::Time { .. } | Values::Offset { .. } | Values::Words(_) => ParameterKind::String,
            Values::Nothing => ParameterKind::Nothing,
        },
        presence,
    }
}
