//! The limit of a policy: of a rate, or of concurrency.

use std::fmt;
use std::str::FromStr;

use crate::{AnyAlgorithm, AnyLimit, Concurrency, InvalidArgument, InvalidLimit, Limit, Limiter};

/// The limit of a [policy](crate::Builder::policies), or of a rule of the HTTP layer.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{Limit, PolicyLimit};
///
/// let seconds = Duration::from_secs;
/// assert_eq!("sliding 5/1m".parse(), Ok(PolicyLimit::from(Limit::sliding_window(5, seconds(60)))));
/// assert_eq!("hold 4/30s".parse(), Ok(PolicyLimit::from(Limit::concurrency(4, seconds(30)))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyLimit {
    /// Limits how many calls are admitted per duration.
    Rate(AnyLimit),
    /// Limits how many calls are under way. As text, it begins with `hold`.
    Concurrency(Concurrency),
}

impl PolicyLimit {
    /// Returns the units that are admitted per duration, or at the same time.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        match self {
            Self::Rate(limit) => limit.terms().quota(),
            Self::Concurrency(concurrency) => concurrency.quota(),
        }
    }

    /// Returns the units that a call takes.
    #[must_use]
    pub const fn cost(&self) -> u64 {
        match self {
            Self::Rate(limit) => limit.terms().cost(),
            Self::Concurrency(concurrency) => concurrency.units(),
        }
    }

    /// Sets the units that a call takes.
    ///
    /// # Errors
    /// If the cost is 0 or more than 10¹².
    pub fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(match self {
            Self::Rate(limit) => Self::Rate(limit.try_cost(cost)?),
            Self::Concurrency(concurrency) => Self::Concurrency(concurrency.try_cost(cost)?),
        })
    }
}

impl From<AnyLimit> for PolicyLimit {
    fn from(limit: AnyLimit) -> Self {
        Self::Rate(limit)
    }
}

impl<A: Limiter> From<Limit<A>> for PolicyLimit
where
    AnyLimit: From<Limit<A>>,
{
    fn from(limit: Limit<A>) -> Self {
        Self::Rate(limit.into())
    }
}

impl From<Concurrency> for PolicyLimit {
    fn from(concurrency: Concurrency) -> Self {
        Self::Concurrency(concurrency)
    }
}

/// Reads a limit as [`AnyLimit`] does, or as [`Concurrency`] does if its first word is `hold`.
impl FromStr for PolicyLimit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let is_hold = |word: &str| word.eq_ignore_ascii_case(AnyAlgorithm::Hold.name());
        if text.split_whitespace().next().is_some_and(is_hold) {
            text.parse().map(Self::Concurrency)
        } else {
            text.parse().map(Self::Rate)
        }
    }
}

/// Prints the limit as it can be read again.
impl fmt::Display for PolicyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(limit) => limit.fmt(f),
            Self::Concurrency(concurrency) => concurrency.fmt(f),
        }
    }
}
