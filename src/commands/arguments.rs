//! The grammar that the commands of the four algorithms share: `quota duration [option value]…`. What the arguments are
//! called and may be stands in `premier-algorithms`.

use premier_algorithms::{
    ALIGNED, Argument, CAPACITY, COST, Capacity, Cost, DURATION, FORCE, MAX_WAIT, MaxWait, Period, QUOTA, Quota,
    Values, WindowStart,
};

use crate::server::{Error, Parameter, ParameterKind, Presence};

/// An argument that may be left out: its name, then its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallOption {
    Aligned,
    Capacity,
    Cost,
    Force,
    MaxWait,
}

impl CallOption {
    pub(super) const ALL: &[Self] = &[Self::Aligned, Self::Capacity, Self::Cost, Self::MaxWait, Self::Force];

    pub(super) fn argument(self) -> &'static Argument {
        match self {
            Self::Aligned => &ALIGNED,
            Self::Capacity => &CAPACITY,
            Self::Cost => &COST,
            Self::Force => &FORCE,
            Self::MaxWait => &MAX_WAIT,
        }
    }
}

/// The arguments of a call, behind the key.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(super) quota: Quota,
    pub(super) duration: Period,
    pub(super) start: WindowStart,
    pub(super) capacity: Option<Capacity>,
    pub(super) cost: Cost,
    pub(super) max_wait: Option<MaxWait>,
    /// Whether the call is charged whatever is left.
    pub(super) is_forced: bool,
}

impl Arguments {
    /// Reads what stands behind the key.
    ///
    /// # Errors
    /// When there are too few, or one is not what it may be.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "each command has options of its own; that saves up to 50 instructions a limit"
    )]
    pub(super) fn parse<'text>(
        mut words: impl Iterator<Item = &'text [u8]>,
        options: &[CallOption],
    ) -> Result<Self, Error> {
        let (Some(quota), Some(duration)) = (words.next(), words.next()) else {
            return Err(Error::WrongArity);
        };
        let quota = Quota::parse(quota)?;
        let duration = Period::parse(duration)?;

        let (mut capacity, mut cost, mut max_wait, mut start, mut force) = (None, None, None, None, None);
        while let Some(name) = words.next() {
            let option = options
                .iter()
                .find(|option| name.eq_ignore_ascii_case(option.argument().name.as_bytes()))
                .ok_or_else(|| unknown_option(name, options))?;
            // A missing value is as wrong as an empty one.
            let mut value = || words.next().unwrap_or_default();
            let is_first = match option {
                CallOption::Aligned => start.replace(WindowStart::Aligned).is_none(),
                CallOption::Capacity => capacity.replace(Capacity::parse(value())?).is_none(),
                CallOption::Cost => cost.replace(Cost::parse(value())?).is_none(),
                CallOption::Force => force.replace(()).is_none(),
                CallOption::MaxWait => max_wait.replace(MaxWait::parse(value())?).is_none(),
            };
            if !is_first {
                return Err(Error::Argument(format!("{} may be given once only", option.argument().name)));
            }
        }
        Ok(Self {
            quota,
            duration,
            start: start.unwrap_or_default(),
            capacity,
            cost: cost.unwrap_or(Cost::ONE),
            max_wait,
            is_forced: force.is_some(),
        })
    }

    /// The arguments as COMMAND DOCS tells them.
    pub(super) fn parameters(options: &[CallOption]) -> Vec<Parameter> {
        let required = [&QUOTA, &DURATION].map(|argument| parameter(argument, Presence::Required));
        let options = options.iter().map(|option| parameter(option.argument(), Presence::Named));
        required.into_iter().chain(options).collect()
    }
}

fn unknown_option(name: &[u8], options: &[CallOption]) -> Error {
    const SHOWN: usize = 32;
    let name = name.get(..SHOWN).unwrap_or(name).escape_ascii();
    let options = options.iter().map(|option| option.argument().name).collect::<Vec<_>>().join(", ");
    Error::Argument(format!("'{name}' is no option of this command, which takes {options}"))
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
