//! Arguments as COMMAND DOCS shows them. `premier-algorithms` defines their names and bounds.

use std::iter;

use premier_algorithms::{ALGORITHM, Argument, CallOption, DURATION, PEEK_COST, QUOTA, Values};
use premier_server::{Parameter, ParameterKind, Presence};

/// The parameters behind the key of a call with these options.
pub(super) fn parameters(options: &[CallOption]) -> Vec<Parameter> {
    let options = options.iter().filter_map(|option| match option {
        CallOption::Id => Some(parameter(option.argument(), Presence::NamedAndRequired)),
        option => optional(*option),
    });
    limit().chain(options).collect()
}

/// The parameters behind the key of a call with an algorithm, and with the options of all
/// algorithms.
pub(super) fn parameters_by_algorithm() -> Vec<Parameter> {
    let options = CallOption::ALL.iter().filter(|option| **option != CallOption::AtMost);
    algorithm().chain(limit()).chain(options.copied().filter_map(optional)).collect()
}

/// The parameters behind the key of a previewed call.
pub(super) fn parameters_to_peek() -> Vec<Parameter> {
    let options = CallOption::ALL.iter().filter_map(|option| match option {
        CallOption::Cost => Some(parameter(&PEEK_COST, Presence::Named)),
        option => optional(*option),
    });
    algorithm().chain(limit()).chain(options).collect()
}

/// Returns an option as a parameter. ALIGNED includes ZONE, so there is none for ZONE alone.
fn optional(option: CallOption) -> Option<Parameter> {
    let option_alone = parameter(option.argument(), Presence::Named);
    match option {
        CallOption::Aligned => {
            let zone = parameter(CallOption::Zone.argument(), Presence::Named);
            Some(Parameter { kind: ParameterKind::Block(vec![zone]), ..option_alone })
        }
        CallOption::Zone => None,
        _ => Some(option_alone),
    }
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
