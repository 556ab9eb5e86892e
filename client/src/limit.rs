//! What a call is limited to. Values of these types are in bounds, always.

use std::time::Duration;

use premier_algorithms::{
    BucketLimit, Capacity, Cost, Fixed, FixedLimit, InvalidArgument, Leaky, LimitDuration, MaxWait, Quota, Sliding,
    SlidingLimit, Span, Token, WindowStart,
};

use crate::sealed;

/// The value, or the error to the caller: `?` is not allowed in a `const fn`.
macro_rules! ok {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
/// The value, or a panic with the rule that was broken.
macro_rules! valid {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(invalid) => panic!("{}", invalid.rule()),
        }
    };
}

/// One of the four algorithms, as a type. Implemented by [`Fixed`], [`Sliding`], [`Token`] and [`Leaky`], and for these only.
pub trait Limiter: sealed::Limiter {}

impl<A: sealed::Limiter> Limiter for A {}

/// One of the four algorithms, as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// At most `quota` units in a window, which the first admitted call opens.
    #[default]
    FixedWindow,
    /// At most `quota` units in any span of the duration.
    SlidingWindow,
    /// A bucket of tokens, refilled continuously.
    TokenBucket,
    /// A queue that drains continuously.
    LeakyBucket,
}

impl Algorithm {
    /// `quota` units per `duration` by this algorithm.
    ///
    /// # Errors
    /// When the quota is more than 10¹², or the duration not from 1 ms to 3650 days.
    pub const fn limit(self, quota: u64, duration: Duration) -> Result<AnyLimit, InvalidArgument> {
        Ok(match self {
            Self::FixedWindow => AnyLimit::FixedWindow(ok!(Limit::try_fixed_window(quota, duration))),
            Self::SlidingWindow => AnyLimit::SlidingWindow(ok!(Limit::try_sliding_window(quota, duration))),
            Self::TokenBucket => AnyLimit::TokenBucket(ok!(Limit::try_token_bucket(quota, duration))),
            Self::LeakyBucket => AnyLimit::LeakyBucket(ok!(Limit::try_leaky_bucket(quota, duration))),
        })
    }

    /// As it stands in keys: `fixed`, `sliding`, `token` or `leaky`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed",
            Self::SlidingWindow => "sliding",
            Self::TokenBucket => "token",
            Self::LeakyBucket => "leaky",
        }
    }
}

/// What a call is limited to by the algorithm `A`: so many units per duration, of which this call takes its cost.
///
/// The bounds are those of the server: a quota of 0 (which blocks every call) to 10¹² units, a duration of 1 ms to 3650 days,
/// a capacity and a cost of 1 to 10¹² units. Durations are whole microseconds; a fraction of one is rounded up.
///
/// A limit that is out of bounds panics with the rule it breaks, and as a constant does not compile. For values that are
/// known only at run time each constructor has one beside it that returns an error instead: `try_…`.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{Fixed, Limit, Token};
///
/// const LOGINS: Limit<Fixed> = Limit::fixed_window(3, Duration::from_secs(5));
/// const API: Limit<Token> = Limit::token_bucket(100, Duration::from_secs(60)).capacity(20);
///
/// let from_configuration = Limit::try_token_bucket(0, Duration::ZERO);
/// assert!(from_configuration.unwrap_err().to_string().starts_with("duration must be"));
/// ```
///
/// ```compile_fail
/// # use std::time::Duration;
/// # use premier_client::{Fixed, Limit};
/// const TOO_SHORT: Limit<Fixed> = Limit::fixed_window(3, Duration::from_micros(5));
/// # let limit = TOO_SHORT;
/// ```
#[derive(Debug)]
pub struct Limit<A: Limiter> {
    pub(crate) bounds: A::Limit,
    pub(crate) cost: Cost,
    /// Whether the call is charged whatever is left.
    pub(crate) is_forced: bool,
}

// By hand, as deriving them would ask for `A: Copy`.
impl<A: Limiter> Copy for Limit<A> {}

impl<A: Limiter> Clone for Limit<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl Limit<Fixed> {
    /// At most `quota` units in a window of this duration, which the first admitted call opens.
    ///
    /// # Panics
    /// When an argument is out of [bounds](Limit).
    #[must_use]
    pub const fn fixed_window(quota: u64, duration: Duration) -> Self {
        valid!(Self::try_fixed_window(quota, duration))
    }

    /// [`Limit::fixed_window`] of values that may be out of bounds.
    ///
    /// # Errors
    /// When one is.
    pub const fn try_fixed_window(quota: u64, duration: Duration) -> Result<Self, InvalidArgument> {
        let SlidingLimit { quota, duration } = ok!(window(quota, duration));
        Ok(Self::of(FixedLimit { quota, duration, start: WindowStart::FirstCall }))
    }

    /// Windows begin at multiples of their duration since the Unix epoch: a day at midnight UTC, an hour at the full hour. So
    /// they end for all keys at once. A window that is open stays so, however it was opened.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Fixed, Limit};
    ///
    /// const A_DAY: Limit<Fixed> = Limit::fixed_window(100, Duration::from_secs(24 * 60 * 60)).aligned();
    /// ```
    #[must_use]
    pub const fn aligned(self) -> Self {
        Self { bounds: FixedLimit { start: WindowStart::Aligned, ..self.bounds }, ..self }
    }
}

impl Limit<Sliding> {
    /// At most `quota` units in any span of this duration.
    ///
    /// # Panics
    /// When an argument is out of [bounds](Limit).
    #[must_use]
    pub const fn sliding_window(quota: u64, duration: Duration) -> Self {
        valid!(Self::try_sliding_window(quota, duration))
    }

    /// [`Limit::sliding_window`] of values that may be out of bounds.
    ///
    /// # Errors
    /// When one is.
    pub const fn try_sliding_window(quota: u64, duration: Duration) -> Result<Self, InvalidArgument> {
        Ok(Self::of(ok!(window(quota, duration))))
    }
}

impl Limit<Token> {
    /// A bucket of tokens, full at first, that is refilled at `quota` per `duration` and holds as many.
    ///
    /// # Panics
    /// When an argument is out of [bounds](Limit).
    #[must_use]
    pub const fn token_bucket(quota: u64, duration: Duration) -> Self {
        valid!(Self::try_token_bucket(quota, duration))
    }

    /// [`Limit::token_bucket`] of values that may be out of bounds.
    ///
    /// # Errors
    /// When one is.
    pub const fn try_token_bucket(quota: u64, duration: Duration) -> Result<Self, InvalidArgument> {
        Ok(Self::of(ok!(bucket(quota, duration))))
    }
}

impl Limit<Leaky> {
    /// A queue of `quota` units that admitted calls leave at `quota` per `duration`, one after the other.
    ///
    /// # Panics
    /// When an argument is out of [bounds](Limit).
    #[must_use]
    pub const fn leaky_bucket(quota: u64, duration: Duration) -> Self {
        valid!(Self::try_leaky_bucket(quota, duration))
    }

    /// [`Limit::leaky_bucket`] of values that may be out of bounds.
    ///
    /// # Errors
    /// When one is.
    pub const fn try_leaky_bucket(quota: u64, duration: Duration) -> Result<Self, InvalidArgument> {
        Ok(Self::of(ok!(bucket(quota, duration))))
    }
}

impl<A: Limiter> Limit<A> {
    const fn of(bounds: A::Limit) -> Self {
        Self { bounds, cost: Cost::ONE, is_forced: false }
    }

    /// Units that a call takes; 1 if not given.
    ///
    /// # Panics
    /// When it is 0 or more than 10¹².
    #[must_use]
    pub const fn cost(self, cost: u64) -> Self {
        valid!(self.try_cost(cost))
    }

    /// [`Limit::cost`] of a value that may be out of bounds.
    ///
    /// # Errors
    /// When it is.
    pub const fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(Self { cost: ok!(Cost::new(cost)), ..self })
    }

    /// The call is charged whatever is left, for costs that are known only afterwards. What was used may then exceed the limit, up
    /// to 2 · 10¹² units, and later calls are limited until that has drained. Only a quota of 0 limits such a call.
    ///
    /// Methods that wait for a turn wait for that of a forced call however long it takes.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, Limit, Throttler, Token, key};
    ///
    /// const TOKENS: Limit<Token> = Limit::token_bucket(1_000, Duration::from_secs(60));
    ///
    /// let throttler = Throttler::builder(Backend::memory()).build();
    /// assert!(throttler.check(&key!("complete", "ada"), TOKENS.cost(900))?.is_admitted());
    /// // The answer has taken 300 more than it was thought to.
    /// assert!(throttler.check(&key!("complete", "ada"), TOKENS.cost(300).forced())?.is_admitted());
    /// assert!(!throttler.check(&key!("complete", "ada"), TOKENS)?.is_admitted());
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    #[must_use]
    pub const fn forced(self) -> Self {
        Self { is_forced: true, ..self }
    }
}

impl<A: Limiter<Limit = BucketLimit>> Limit<A> {
    /// Units that the bucket holds; as many as the quota if not given.
    ///
    /// # Panics
    /// When it is 0 or more than 10¹².
    #[must_use]
    pub const fn capacity(self, capacity: u64) -> Self {
        valid!(self.try_capacity(capacity))
    }

    /// [`Limit::capacity`] of a value that may be out of bounds.
    ///
    /// # Errors
    /// When it is.
    pub const fn try_capacity(self, capacity: u64) -> Result<Self, InvalidArgument> {
        let capacity = Some(ok!(Capacity::new(capacity)));
        Ok(Self { bounds: BucketLimit { capacity, ..self.bounds }, ..self })
    }

    /// How long a caller is ready to wait: 0 to 3650 days, whole microseconds, rounded down.
    ///
    /// A token bucket lends tokens for that long, an admitted call then has to [wait](crate::Decision::wait). A leaky bucket
    /// admits no call whose turn would come later; if not given, a call waits for its turn however long that is.
    ///
    /// # Panics
    /// When it is longer.
    #[must_use]
    pub const fn max_wait(self, max_wait: Duration) -> Self {
        valid!(self.try_max_wait(max_wait))
    }

    /// [`Limit::max_wait`] of a value that may be out of bounds.
    ///
    /// # Errors
    /// When it is.
    pub const fn try_max_wait(self, max_wait: Duration) -> Result<Self, InvalidArgument> {
        let max_wait = Some(ok!(MaxWait::new(span(max_wait.as_micros()))));
        Ok(Self { bounds: BucketLimit { max_wait, ..self.bounds }, ..self })
    }

    fn with_patience(self, patience: Duration) -> Self {
        match self.bounds.max_wait {
            Some(max_wait) if Duration::from_micros(max_wait.get().as_micros()) <= patience => self,
            // A patience that is out of bounds is longer than any wait.
            _ => self.try_max_wait(patience).unwrap_or(self),
        }
    }
}

const fn window(quota: u64, duration: Duration) -> Result<SlidingLimit, InvalidArgument> {
    Ok(SlidingLimit { quota: ok!(Quota::new(quota)), duration: ok!(limit_duration(duration)) })
}

const fn bucket(quota: u64, duration: Duration) -> Result<BucketLimit, InvalidArgument> {
    Ok(BucketLimit {
        quota: ok!(Quota::new(quota)),
        duration: ok!(limit_duration(duration)),
        capacity: None,
        max_wait: None,
    })
}

/// Rounded up: less would admit too much.
const fn limit_duration(duration: Duration) -> Result<LimitDuration, InvalidArgument> {
    LimitDuration::new(span(duration.as_nanos().div_ceil(1_000)))
}

#[expect(clippy::cast_possible_truncation, reason = "it is at most the largest")]
const fn span(micros: u128) -> Span {
    Span::from_micros(if micros < u64::MAX as u128 { micros as u64 } else { u64::MAX })
}

/// A limit by any of the four algorithms.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum AnyLimit {
    /// See [`Limit::fixed_window`].
    FixedWindow(Limit<Fixed>),
    /// See [`Limit::sliding_window`].
    SlidingWindow(Limit<Sliding>),
    /// See [`Limit::token_bucket`].
    TokenBucket(Limit<Token>),
    /// See [`Limit::leaky_bucket`].
    LeakyBucket(Limit<Leaky>),
}

/// Evaluates an expression with the limit of whichever algorithm it is.
macro_rules! with_limit {
    ($any:expr, $limit:ident => $result:expr) => {
        match $any {
            $crate::AnyLimit::FixedWindow($limit) => $result,
            $crate::AnyLimit::SlidingWindow($limit) => $result,
            $crate::AnyLimit::TokenBucket($limit) => $result,
            $crate::AnyLimit::LeakyBucket($limit) => $result,
        }
    };
}
pub(crate) use with_limit;

impl AnyLimit {
    /// By which algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::FixedWindow(_) => Algorithm::FixedWindow,
            Self::SlidingWindow(_) => Algorithm::SlidingWindow,
            Self::TokenBucket(_) => Algorithm::TokenBucket,
            Self::LeakyBucket(_) => Algorithm::LeakyBucket,
        }
    }

    /// The same limit for a call that takes this many units: 1 to 10¹².
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(with_limit!(self, limit => limit.try_cost(cost)?.into()))
    }

    /// The same limit for a call that is charged whatever is left: see [`Limit::forced`].
    #[must_use]
    pub fn forced(self) -> Self {
        with_limit!(self, limit => limit.forced().into())
    }

    /// Units that a fresh key admits at once.
    pub(crate) fn units(&self) -> u64 {
        match self {
            Self::FixedWindow(Limit { bounds, .. }) => bounds.quota.get(),
            Self::SlidingWindow(Limit { bounds, .. }) => bounds.quota.get(),
            Self::TokenBucket(Limit { bounds, .. }) | Self::LeakyBucket(Limit { bounds, .. }) => bounds.limit(),
        }
    }

    /// The same limit for a caller that waits for its turn for so long at most.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        match self {
            Self::LeakyBucket(limit) => limit.with_patience(patience).into(),
            // Without a maximum nothing is lent, so that there is nothing to wait for.
            Self::TokenBucket(limit) if limit.bounds.max_wait.is_some() => limit.with_patience(patience).into(),
            _ => self,
        }
    }
}

impl From<Limit<Fixed>> for AnyLimit {
    fn from(limit: Limit<Fixed>) -> Self {
        Self::FixedWindow(limit)
    }
}

impl From<Limit<Sliding>> for AnyLimit {
    fn from(limit: Limit<Sliding>) -> Self {
        Self::SlidingWindow(limit)
    }
}

impl From<Limit<Token>> for AnyLimit {
    fn from(limit: Limit<Token>) -> Self {
        Self::TokenBucket(limit)
    }
}

impl From<Limit<Leaky>> for AnyLimit {
    fn from(limit: Limit<Leaky>) -> Self {
        Self::LeakyBucket(limit)
    }
}
