//! Arguments as COMMAND DOCS shows them. `premier-algorithms` defines their names and bounds.

use std::iter;

use premier_algorithms::{ALGORITHM, Argument, CallOption, DURATION, PEEK_COST, QUOTA, Values};
use premier_server::{Parameter, ParameterKind, Presence};

/// The parameters behind the key of a call with these options.
pub(super) fn parameters(options: &[CallOption]) -> Vec<Parameter> {
    let options = options.iter().map(|option| match option {
        CallOption::Id => parameter(option.argument(), Presence::NamedAndRequired),
        _ => parameter(option.argument(), Presence::Named),
    });
    limit().chain(options).collect()
}

/// The parameters behind the key of a call with an algorithm, and with the options of all
/// algorithms.
pub(super) fn parameters_by_algorithm() -> Vec<Parameter> {
    let options = CallOption::ALL.iter().filter(|option| **option != CallOption::AtMost);
    let options = options.map(|option| parameter(option.argument(), Presence::Named));
    algorithm().chain(limit()).chain(options).collect()
}

/// The parameters behind the key of a previewed call.
pub(super) fn parameters_to_peek() -> Vec<Parameter> {
    let options = CallOption::ALL.iter().map(|option| match option {
        CallOption::Cost => parameter(&PEEK_COST, Presence::Named),
        _ => parameter(option.argument(), Presence::Named),
    });
    algorithm().chain(limit()).chain(options).collect()
}

fn algorithm() -> impl Iterator<Item = Parameter> {
    iter::once(parameter(&ALGORITHM, Presence::Required))
}

fn limit() -> impl Iterator<Item = Parameter> {
    [&QUOTA, &DURATION].into_iter().map(|argument| parameter(argument, Presence::Required))
}

/// An argument as a parameter.
pub(super) fn parameter(argument: &Argument, presence: Presence) -> Parameter {
    Parameter {
        name: argument.name,
        summary: format!("{}: {}", argument.summary, argument.allowed),
        kind: match argument.values {
            Values::Units { .. } => ParameterKind::Integer,
            Values::Time { .. } | Values::Offset { .. } | Values::Bytes { .. } | Values::Words(_) => {
                ParameterKind::String
            }
            Values::Nothing => ParameterKind::Nothing,
        },
        presence,
    }
}
