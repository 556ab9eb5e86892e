//! Concurrency limits: how many units may be held at the same time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use premier_algorithms::{Arguments, COST, CallOption, Cost, Demand, KEEP, Keep, LimitDuration, Quota};

use crate::limit::{Terms, valid};
use crate::{Algorithm, InvalidArgument, InvalidLimit, Limit, Token};

/// A concurrency limit: a quota of units that may be held at the same time. It is made by
/// [`Limit::concurrency`], and held by [`Throttler::hold`](crate::Throttler::hold).
///
/// The lease is how long a holder keeps its units after it has died: a holder that lives renews its
/// lease, and gives its units back. A short lease frees the place of a dead holder soon, but each
/// holder sends a command in every third of it. It must be much longer than the store may be away:
/// 10 to 60 seconds are usual.
///
/// The bounds are those of the server: a quota of 0 (which blocks every call) to 10¹² units, a
/// lease of 1 ms to 3650 days, a cost of 1 to 10¹² units. A limit out of bounds panics with the
/// rule that it breaks, and does not compile as a constant.
///
/// It limits no rate, so it cannot be given where a rate is limited:
///
/// ```compile_fail,E0277
/// # use std::time::Duration;
/// # use premier_client::{Backend, Limit, Throttler, key};
/// # let throttler = Throttler::builder(Backend::memory()).build();
/// let _ = throttler.check(&key!("jobs"), Limit::concurrency(10, Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concurrency {
    pub(crate) quota: Quota,
    pub(crate) lease: LimitDuration,
    pub(crate) cost: Cost,
    pub(crate) keep: Keep,
}

/// The algorithm of concurrency limits, as the names of keys contain it:
/// `{keyspace}:jobs:hold:{custom}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold;

/// The algorithm that uses a key: one that limits a rate, or [`Hold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnyAlgorithm {
    /// A rate limit.
    Rate(Algorithm),
    /// A concurrency limit.
    Hold,
}

impl AnyAlgorithm {
    /// Returns the name that keys have in them: that of the [algorithm](Algorithm::name), or
    /// `hold`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate(algorithm) => algorithm.name(),
            Self::Hold => "hold",
        }
    }
}

impl From<Algorithm> for AnyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        Self::Rate(algorithm)
    }
}

impl From<Hold> for AnyAlgorithm {
    fn from(_: Hold) -> Self {
        Self::Hold
    }
}

/// Concurrency limits. They have a type of their own, [`Concurrency`]; the type parameter means
/// nothing here.
impl Limit<Token> {
    /// Limits the units that are held at the same time. A holder that dies frees its units when its
    /// lease ends: see [`Concurrency`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Concurrency, Limit};
    ///
    /// const JOBS: Concurrency = Limit::concurrency(10, Duration::from_secs(30));
    /// assert_eq!((JOBS.quota(), JOBS.lease()), (10, Duration::from_secs(30)));
    /// ```
    ///
    /// # Panics
    /// If an argument is out of [bounds](Concurrency).
    #[must_use]
    #[track_caller]
    pub const fn concurrency(quota: u64, lease: Duration) -> Concurrency {
        valid!(Self::try_concurrency(quota, lease))
    }

    /// [`Limit::concurrency`] for values that may be out of bounds.
    ///
    /// # Errors
    /// If an argument is out of [bounds](Concurrency).
    pub const fn try_concurrency(quota: u64, lease: Duration) -> Result<Concurrency, InvalidArgument> {
        let terms = match Terms::new(quota, lease) {
            Ok(terms) => terms,
            Err(invalid) => return Err(invalid.of_lease(lease)),
        };
        Ok(Concurrency { quota: terms.quota, lease: terms.window.duration(), cost: Cost::ONE, keep: Keep::NOTHING })
    }
}

impl Concurrency {
    /// Sets the units that a call holds; 1 by default.
    ///
    /// # Panics
    /// If the cost is 0 or more than 10¹².
    #[must_use]
    #[track_caller]
    pub const fn cost(self, cost: u64) -> Self {
        valid!(self.try_cost(cost))
    }

    /// [`Concurrency::cost`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the cost is 0 or more than 10¹².
    pub const fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        match Cost::new(cost) {
            Ok(cost) => Ok(Self { cost, ..self }),
            Err(_) => Err(InvalidArgument::cost(cost)),
        }
    }

    /// Sets a reserve for more important calls: the units that must remain after this one, 0 to
    /// 10¹². A call that would leave less is limited. A permit that has been given keeps no reserve
    /// when it is renewed.
    ///
    /// # Panics
    /// If the reserve is more than 10¹² units.
    #[must_use]
    #[track_caller]
    pub const fn keep(self, reserve: u64) -> Self {
        valid!(self.try_keep(reserve))
    }

    /// [`Concurrency::keep`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the reserve is more than 10¹² units.
    pub const fn try_keep(self, reserve: u64) -> Result<Self, InvalidArgument> {
        match Keep::new(reserve) {
            Ok(keep) => Ok(Self { keep, ..self }),
            Err(_) => Err(InvalidArgument::keep(reserve)),
        }
    }

    /// Returns the units that may be held at the same time.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        self.quota.get()
    }

    /// Returns how long a holder that has died keeps its units.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_micros(self.lease.get().as_micros())
    }

    /// Returns the units that a call holds.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.cost.get()
    }

    /// Returns the units that must remain after a call: see [`keep`](Self::keep).
    #[must_use]
    pub const fn reserve(&self) -> u64 {
        self.keep.get()
    }

    /// Returns the limit of a renewal, which keeps no reserve: those who may use it must not take
    /// the place of a holder.
    pub(crate) const fn renewal(self) -> Self {
        Self { keep: Keep::NOTHING, ..self }
    }

    pub(crate) const fn demand(&self) -> Demand {
        Demand::Exactly(self.cost, self.keep)
    }

    /// Returns whether a call may be limited now and admitted later.
    pub(crate) const fn may_be_admitted_later(&self) -> bool {
        self.units() + self.reserve() <= self.quota()
    }
}

/// Reads a concurrency limit: `[hold] quota/lease [cost n] [keep n]`.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{Concurrency, Limit};
///
/// let limit: Concurrency = "10/30s cost 2".parse()?;
/// assert_eq!(limit, Limit::concurrency(10, Duration::from_secs(30)).cost(2));
/// assert_eq!(limit.to_string(), "hold 10/30s cost 2");
/// # Ok::<(), premier_client::InvalidLimit>(())
/// ```
impl FromStr for Concurrency {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        const OPTIONS: &[CallOption] = &[CallOption::Cost, CallOption::Keep];
        let invalid = |reason: String| InvalidLimit::new(text, reason);
        let mut words = text.split_whitespace().peekable();
        words.next_if(|word| word.eq_ignore_ascii_case(AnyAlgorithm::Hold.name()));
        if let Some(other) = words.peek().and_then(|word| Algorithm::named(word)) {
            return Err(invalid(format!("the algorithm must be hold, not {}", other.name())));
        }
        let Some((quota, lease)) = words.next().and_then(|word| word.split_once('/')) else {
            return Err(invalid("expected quota/lease, as in 10/30s or hold 10/30s cost 2".to_owned()));
        };
        let words = [quota, lease].into_iter().chain(words).map(str::as_bytes);
        let arguments = Arguments::parse(words, OPTIONS).map_err(|wrong| invalid(wrong.to_string()))?;
        let Arguments { quota, duration: lease, demand, .. } = arguments;
        Ok(Self { quota, lease, cost: demand.cost(), keep: demand.keep() })
    }
}

/// Prints the limit as it can be read again.
impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", AnyAlgorithm::Hold.name(), self.quota(), self.lease.get())?;
        if self.cost != Cost::ONE {
            write!(f, " {} {}", COST.name.to_ascii_lowercase(), self.units())?;
        }
        if self.keep != Keep::NOTHING {
            write!(f, " {} {}", KEEP.name.to_ascii_lowercase(), self.reserve())?;
        }
        Ok(())
    }
}

/// Concurrency limits in configuration files, as text.
#[cfg(feature = "serde")]
mod serialized {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Concurrency;

    /// As text: `hold 10/30s`.
    impl Serialize for Concurrency {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    /// From text: `10/30s`, `hold 10/30s cost 2`.
    impl<'de> Deserialize<'de> for Concurrency {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        }
    }
}
