//! The grammar that the commands of all algorithms share: `quota duration [options]`.

use core::error::Error;
use core::fmt;

use super::names::{ALIGNED, AT_MOST, CAPACITY, COST, FORCE, ID, KEEP, MAX_WAIT, PEEK_COST, ZONE};
use crate::{
    Argument, Calendar, Capacity, Cost, Demand, HolderId, InvalidArgument, Keep, LimitDuration, MaxWait, Months,
    Period, Quota, Window, Zone,
};

/// An option of a call: its name, followed by its value if it takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOption {
    /// [`ALIGNED`]
    Aligned,
    /// [`ZONE`]
    Zone,
    /// [`CAPACITY`]
    Capacity,
    /// [`ID`]
    Id,
    /// [`COST`]
    Cost,
    /// [`AT_MOST`]
    AtMost,
    /// [`KEEP`]
    Keep,
    /// [`MAX_WAIT`]
    MaxWait,
    /// [`FORCE`]
    Force,
}

impl CallOption {
    /// All options, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Aligned,
        Self::Zone,
        Self::Capacity,
        Self::Id,
        Self::Cost,
        Self::AtMost,
        Self::Keep,
        Self::MaxWait,
        Self::Force,
    ];

    /// Returns the name, meaning and bounds of the option.
    #[must_use]
    pub fn argument(self) -> &'static Argument {
        match self {
            Self::Aligned => &ALIGNED,
            Self::Zone => &ZONE,
            Self::Capacity => &CAPACITY,
            Self::Id => &ID,
            Self::Cost => &COST,
            Self::AtMost => &AT_MOST,
            Self::Keep => &KEEP,
            Self::MaxWait => &MAX_WAIT,
            Self::Force => &FORCE,
        }
    }
}

/// The arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments<'text> {
    /// Units admitted per duration.
    pub quota: Quota,
    /// The time in which the quota is admitted. A calendar month counts as 31 days, and the longest
    /// duration is [`LimitDuration::MAX`].
    pub duration: LimitDuration,
    /// Where windows begin, if they are aligned.
    pub calendar: Option<Calendar>,
    /// Units that a bucket holds, if given.
    pub capacity: Option<Capacity>,
    /// Who holds units, if given. A call that holds units has it, a previewed one may not.
    pub holder: Option<HolderId<'text>>,
    /// What the call asks.
    pub demand: Demand,
    /// How long the caller is willing to wait, if given.
    pub max_wait: Option<MaxWait>,
}

/// The arguments of a previewed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked<'text> {
    /// A call that takes units.
    Call(Arguments<'text>),
    /// A call of cost 0.
    Look(Arguments<'text>),
}

impl<'text> Arguments<'text> {
    /// Reads the words of a call that takes these options.
    ///
    /// # Errors
    /// If there are too few words, or one of them is invalid.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "each command has its own options; inlining saves up to 50 instructions a limit"
    )]
    pub fn parse(
        words: impl Iterator<Item = &'text [u8]>,
        options: &'static [CallOption],
    ) -> Result<Self, InvalidCall<'text>> {
        let arguments = Self::read(words, options, Cost::parse)?;
        if arguments.holder.is_none() && options.contains(&CallOption::Id) {
            return Err(InvalidCall::Missing(CallOption::Id));
        }
        Ok(arguments)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    fn read(
        mut words: impl Iterator<Item = &'text [u8]>,
        options: &'static [CallOption],
        mut read_cost: impl FnMut(&[u8]) -> Result<Cost, InvalidArgument>,
    ) -> Result<Self, InvalidCall<'text>> {
        let (Some(quota), Some(duration)) = (words.next(), words.next()) else {
            return Err(InvalidCall::TooFewArguments);
        };
        let quota = Quota::parse(quota)?;
        let time = LimitDuration::parse(duration);
        if time.is_err() {
            Months::parse(duration)?;
        }
        let mut next = words.next();
        if next.is_none() {
            // Most calls have no options. The code below would cost them 100 instructions.
            let duration = time.map_err(|_| InvalidCall::MonthsNotAligned)?;
            return Ok(Self::without_options(quota, duration));
        }

        let (mut capacity, mut cost, mut max_wait, mut aligned, mut zone) = (None, None, None, None, None);
        let (mut holder, mut at_most, mut keep, mut force) = (None, None, None, None);
        while let Some(name) = next {
            let option = options
                .iter()
                .find(|option| name.eq_ignore_ascii_case(option.argument().name.as_bytes()))
                .ok_or(InvalidCall::UnknownOption { name, options })?;
            // A missing value is as invalid as an empty one.
            let mut value = || words.next().unwrap_or_default();
            let is_first = match option {
                CallOption::Aligned => aligned.replace(()).is_none(),
                CallOption::Zone => zone.replace(Zone::parse(value())?).is_none(),
                CallOption::Capacity => capacity.replace(Capacity::parse(value())?).is_none(),
                CallOption::Id => holder.replace(HolderId::new(value())?).is_none(),
                CallOption::Cost => cost.replace(read_cost(value())?).is_none(),
                CallOption::AtMost => at_most.replace(()).is_none(),
                CallOption::Keep => keep.replace(Keep::parse(value())?).is_none(),
                CallOption::MaxWait => max_wait.replace(MaxWait::parse(value())?).is_none(),
                CallOption::Force => force.replace(()).is_none(),
            };
            if !is_first {
                return Err(InvalidCall::OptionTwice(*option));
            }
            next = words.next();
        }
        let cost = cost.unwrap_or(Cost::ONE);
        let demand = match (force, at_most, keep) {
            (None, None, keep) => Demand::Exactly(cost, keep.unwrap_or(Keep::NOTHING)),
            (None, Some(()), keep) => Demand::AtMost(cost, keep.unwrap_or(Keep::NOTHING)),
            (Some(()), None, None) => Demand::Forced(cost),
            (Some(()), Some(()), _) => return Err(InvalidCall::NotTogether(CallOption::AtMost, CallOption::Force)),
            (Some(()), None, Some(_)) => return Err(InvalidCall::NotTogether(CallOption::Keep, CallOption::Force)),
        };
        let (duration, calendar) = match (time, aligned, zone) {
            (Ok(duration), None, None) => (duration, None),
            (time, aligned, zone) => {
                let calendar = calendar(duration, time.ok(), aligned.is_some(), zone)?;
                (calendar.period.longest(), Some(calendar))
            }
        };
        Ok(Self { quota, duration, calendar, capacity, holder, demand, max_wait })
    }

    fn without_options(quota: Quota, duration: LimitDuration) -> Self {
        Self {
            quota,
            duration,
            calendar: None,
            capacity: None,
            holder: None,
            demand: Demand::Exactly(Cost::ONE, Keep::NOTHING),
            max_wait: None,
        }
    }

    /// Returns where a fixed window begins and ends.
    #[must_use]
    pub fn window(&self) -> Window {
        self.calendar.map_or(Window::FromFirstCall(self.duration), Window::Aligned)
    }
}

impl<'text> Peeked<'text> {
    /// Reads the words of a previewed call that takes these options.
    ///
    /// # Errors
    /// If there are too few words, or one of them is invalid.
    #[inline]
    pub fn parse(
        words: impl Iterator<Item = &'text [u8]>,
        options: &'static [CallOption],
    ) -> Result<Self, InvalidCall<'text>> {
        let mut is_look = false;
        let arguments = Arguments::read(words, options, |text| {
            let cost = PEEK_COST.units(text)?;
            is_look = cost == 0;
            Ok(Cost::new(cost).unwrap_or(Cost::ONE))
        })?;
        Ok(if is_look { Self::Look(arguments) } else { Self::Call(arguments) })
    }
}

/// Makes the calendar of a call with [`ALIGNED`], with [`ZONE`], or in months, from its duration as
/// text and as a time, if it is one.
#[cold]
fn calendar(
    duration: &[u8],
    time: Option<LimitDuration>,
    is_aligned: bool,
    zone: Option<Zone>,
) -> Result<Calendar, InvalidCall<'static>> {
    if is_aligned {
        Ok(Calendar { period: Period::of(time, duration)?, zone: zone.unwrap_or(Zone::UTC) })
    } else if zone.is_some() {
        Err(InvalidCall::ZoneNotAligned)
    } else {
        Err(InvalidCall::MonthsNotAligned)
    }
}

/// The reason why the words of a call are invalid. Prints as a sentence that names the word and
/// says what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidCall<'text> {
    /// The quota or the duration is missing.
    TooFewArguments,
    /// An argument has an invalid value.
    Argument(InvalidArgument),
    /// The call does not take an option of this name.
    UnknownOption {
        /// The name as the call has it.
        name: &'text [u8],
        /// The options that the call takes.
        options: &'static [CallOption],
    },
    /// An option is required, but was not given.
    Missing(CallOption),
    /// An option was given more than once.
    OptionTwice(CallOption),
    /// Two options were given that exclude each other.
    NotTogether(CallOption, CallOption),
    /// The duration is in calendar months, but windows are not aligned.
    MonthsNotAligned,
    /// A zone was given, but windows are not aligned.
    ZoneNotAligned,
}

impl From<InvalidArgument> for InvalidCall<'_> {
    fn from(invalid: InvalidArgument) -> Self {
        Self::Argument(invalid)
    }
}

impl fmt::Display for InvalidCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewArguments => f.write_str("quota and duration are required"),
            Self::Argument(invalid) => invalid.fmt(f),
            Self::UnknownOption { name, options } => {
                const SHOWN: usize = 32;
                let name = name.get(..SHOWN).unwrap_or(name).escape_ascii();
                write!(f, "unknown option '{name}'")?;
                for (index, option) in options.iter().enumerate() {
                    let before = match index {
                        0 => ": expected ",
                        _ if index + 1 == options.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{before}{}", option.argument().name)?;
                }
                Ok(())
            }
            Self::Missing(option) => {
                let Argument { name, allowed, .. } = option.argument();
                write!(f, "{name} is required: {allowed}")
            }
            Self::OptionTwice(option) => write!(f, "{} may be given only once", option.argument().name),
            Self::NotTogether(one, other) => {
                write!(f, "{} and {} exclude each other", one.argument().name, other.argument().name)
            }
            Self::MonthsNotAligned => f.write_str("duration may be in calendar months only for FIXED with ALIGNED"),
            Self::ZoneNotAligned => f.write_str("ZONE may be given only with ALIGNED"),
        }
    }
}

impl Error for InvalidCall<'_> {}
