//! What a call is limited to. Values of these types are in bounds, always.

use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::time::Duration;

use premier_algorithms::{Capacity, Cost, Demand, Keep, LimitDuration, MaxWait, Months, Period, Quota, Span, Weeks};

use crate::limiters::sealed::Bucket;
use crate::{AnyLimit, Fixed, InvalidArgument, Limiter, Zone};

/// Evaluates to a value, or returns the error: `?` is not allowed in a `const fn`.
macro_rules! ok {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
pub(crate) use ok;

/// Evaluates to a value, or panics with the rule that was broken.
macro_rules! valid {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(invalid) => panic!("{}", invalid.rule()),
        }
    };
}
pub(crate) use valid;

/// Evaluates to a value in bounds, or returns the error.
macro_rules! in_bounds {
    ($result:expr, $error:expr) => {
        match $result {
            Ok(value) => value,
            Err(_) => return Err($error),
        }
    };
}

/// What a call is limited to by the algorithm `A`: a quota of units per duration, of which this
/// call takes its cost.
///
/// The bounds are those of the server: a quota of 0 (which blocks every call) to 10¹² units, a
/// duration of 1 ms to 3650 days, a capacity and a cost of 1 to 10¹² units. Durations are whole
/// microseconds; a fraction of a microsecond is rounded up.
///
/// A limit out of bounds panics with the rule that it breaks, and does not compile as a constant.
/// For values that are known only at run time, each constructor has a twin that returns an error:
/// `try_…`.
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
/// assert!(from_configuration.unwrap_err().to_string().starts_with("a duration must be"));
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
    pub(crate) terms: Terms,
    algorithm: PhantomData<A>,
}

/// What a [limit](Limit::terms) says, whatever its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    pub(crate) quota: Quota,
    pub(crate) window: Window,
    pub(crate) capacity: Option<Capacity>,
    pub(crate) max_wait: Option<MaxWait>,
    pub(crate) demand: Demand,
}

/// Where a window begins and ends. Buckets and sliding windows are never aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Window {
    FromFirstCall(LimitDuration),
    Aligned { period: Period, zone: Zone },
}

impl Window {
    pub(crate) const fn duration(&self) -> LimitDuration {
        match self {
            Self::FromFirstCall(duration) => *duration,
            Self::Aligned { period, .. } => period.longest(),
        }
    }

    const fn aligned(self) -> Self {
        match self {
            Self::FromFirstCall(duration) => Self::Aligned { period: Period::Time(duration), zone: Zone::UTC },
            Self::Aligned { .. } => self,
        }
    }

    pub(crate) const fn in_zone(self, zone: Zone) -> Self {
        match self.aligned() {
            Self::Aligned { period, .. } => Self::Aligned { period, zone },
            from_first_call @ Self::FromFirstCall(_) => from_first_call,
        }
    }
}

// By hand, as deriving them would ask the same of `A`.
impl<A: Limiter> Copy for Limit<A> {}

impl<A: Limiter> Clone for Limit<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Limiter> PartialEq for Limit<A> {
    fn eq(&self, other: &Self) -> bool {
        self.terms == other.terms
    }
}

impl<A: Limiter> Eq for Limit<A> {}

impl<A: Limiter> Hash for Limit<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.terms.hash(state);
    }
}

impl<A: Limiter> Limit<A> {
    pub(crate) const fn of(terms: Terms) -> Self {
        Self { terms, algorithm: PhantomData }
    }

    /// Returns what the limit says: its quota, its duration, and what else is set.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::Limit;
    ///
    /// let limit = Limit::token_bucket(100, Duration::from_secs(60)).capacity(20);
    /// assert_eq!((limit.terms().quota(), limit.terms().capacity()), (100, Some(20)));
    /// ```
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Sets the units that a call takes; 1 by default.
    ///
    /// # Panics
    /// If the cost is 0 or more than 10¹².
    #[must_use]
    #[track_caller]
    pub const fn cost(self, cost: u64) -> Self {
        valid!(self.try_cost(cost))
    }

    /// [`Limit::cost`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the cost is 0 or more than 10¹².
    pub const fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(Self::of(ok!(self.terms.try_cost(cost))))
    }

    /// Sets a reserve for more important calls: the units that must remain after this one, 0 to
    /// 10¹². A call that would leave less is limited. A [forced](Self::forced) call keeps nothing.
    ///
    /// The reserve belongs to the call, and not to the key: important calls set none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, Limit, Throttler, Token, key};
    ///
    /// const PER_MINUTE: Limit<Token> = Limit::token_bucket(100, Duration::from_secs(60));
    ///
    /// let throttler = Throttler::builder(Backend::memory()).build();
    /// let key = key!("search");
    /// assert!(throttler.check(&key, PER_MINUTE.cost(80).keep(20))?.is_admitted());
    /// // The last 20 units are for those who pay.
    /// assert!(!throttler.check(&key, PER_MINUTE.keep(20))?.is_admitted());
    /// assert!(throttler.check(&key, PER_MINUTE)?.is_admitted());
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the reserve is more than 10¹² units.
    #[must_use]
    #[track_caller]
    pub const fn keep(self, reserve: u64) -> Self {
        valid!(self.try_keep(reserve))
    }

    /// [`Limit::keep`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the reserve is more than 10¹² units.
    pub const fn try_keep(self, reserve: u64) -> Result<Self, InvalidArgument> {
        Ok(Self::of(ok!(self.terms.try_keep(reserve))))
    }

    /// Charges the call whatever is left, for costs that are known only afterwards.
    ///
    /// Usage may then exceed the limit, up to 2 · 10¹² units, and later calls are limited until it
    /// has drained. A forced call is limited only by a quota of 0. Methods that wait for a turn
    /// wait however long it takes for the turn of a forced call.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, Limit, Throttler, Token, key};
    ///
    /// const TOKENS: Limit<Token> = Limit::token_bucket(1_000, Duration::from_secs(60));
    ///
    /// let throttler = Throttler::builder(Backend::memory()).build();
    /// let key = key!("complete", "ada");
    /// assert!(throttler.check(&key, TOKENS.cost(900))?.is_admitted());
    /// // The answer has taken 300 more than estimated.
    /// assert!(throttler.check(&key, TOKENS.cost(300).forced())?.is_admitted());
    /// assert!(!throttler.check(&key, TOKENS)?.is_admitted());
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    #[must_use]
    pub const fn forced(self) -> Self {
        Self::of(self.terms.forced())
    }
}

impl Limit<Fixed> {
    /// Begins windows at multiples of their duration since the Unix epoch: a day at midnight UTC,
    /// an hour at the full hour.
    ///
    /// [`Limit::per_day`], [`Limit::per_week`] and [`Limit::per_month`] are aligned already; seven
    /// days begin on Thursdays, unlike a week.
    ///
    /// Aligned windows end for all keys at the same moment. An open window stays open, however it
    /// was opened.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Fixed, Limit};
    ///
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// const PER_DAY: Limit<Fixed> = Limit::fixed_window(100, DAY).aligned();
    /// ```
    #[must_use]
    pub const fn aligned(self) -> Self {
        Self::of(Terms { window: self.terms.window.aligned(), ..self.terms })
    }

    /// [Aligns](Self::aligned) windows on the clock of a zone: a day begins at midnight there.
    ///
    /// A window that is open when summer time begins or ends stays open up to the end of its day,
    /// week or month.
    ///
    /// ```
    /// use premier_client::{Fixed, Limit, Zone};
    ///
    /// const PER_DAY: Limit<Fixed> = Limit::per_day(100).in_zone(Zone::offset(-5 * 60));
    /// ```
    #[must_use]
    pub const fn in_zone(self, zone: Zone) -> Self {
        Self::of(Terms { window: self.terms.window.in_zone(zone), ..self.terms })
    }

    /// Admits at most `quota` units in a calendar day, from midnight to midnight: UTC, unless a
    /// [zone](Self::in_zone) is set.
    ///
    /// # Panics
    /// If the quota is more than 10¹².
    #[must_use]
    #[track_caller]
    pub const fn per_day(quota: u64) -> Self {
        valid!(Self::try_per_day(quota))
    }

    /// [`Limit::per_day`] for a quota that may be out of bounds.
    ///
    /// # Errors
    /// If the quota is more than 10¹².
    pub const fn try_per_day(quota: u64) -> Result<Self, InvalidArgument> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Ok(Self::of(ok!(Terms::new(quota, DAY))).aligned())
    }

    /// Admits at most `quota` units in a calendar week, from Monday to Sunday: see
    /// [`Limit::per_day`].
    ///
    /// # Panics
    /// If the quota is more than 10¹².
    #[must_use]
    #[track_caller]
    pub const fn per_week(quota: u64) -> Self {
        valid!(Self::try_per_week(quota))
    }

    /// [`Limit::per_week`] for a quota that may be out of bounds.
    ///
    /// # Errors
    /// If the quota is more than 10¹².
    pub const fn try_per_week(quota: u64) -> Result<Self, InvalidArgument> {
        Self::try_per_weeks(quota, 1)
    }

    /// Admits at most `quota` units in this many weeks, which are counted from Monday, 5 January
    /// 1970.
    ///
    /// # Panics
    /// If the quota is more than 10¹², or the weeks are not 1 to 521.
    #[must_use]
    #[track_caller]
    pub const fn per_weeks(quota: u64, weeks: u64) -> Self {
        valid!(Self::try_per_weeks(quota, weeks))
    }

    /// [`Limit::per_weeks`] for values that may be out of bounds.
    ///
    /// # Errors
    /// If the quota is more than 10¹², or the weeks are not 1 to 521.
    pub const fn try_per_weeks(quota: u64, weeks: u64) -> Result<Self, InvalidArgument> {
        let weeks = in_bounds!(Weeks::new(weeks), InvalidArgument::weeks(weeks));
        Self::try_per_period(quota, Period::Weeks(weeks))
    }

    /// Admits at most `quota` units in a calendar month: see [`Limit::per_day`].
    ///
    /// # Panics
    /// If the quota is more than 10¹².
    #[must_use]
    #[track_caller]
    pub const fn per_month(quota: u64) -> Self {
        valid!(Self::try_per_month(quota))
    }

    /// [`Limit::per_month`] for a quota that may be out of bounds.
    ///
    /// # Errors
    /// If the quota is more than 10¹².
    pub const fn try_per_month(quota: u64) -> Result<Self, InvalidArgument> {
        Self::try_per_months(quota, 1)
    }

    /// Admits at most `quota` units in this many calendar months, which are counted from January
    /// 1970: 3 are a quarter, 12 a calendar year.
    ///
    /// # Panics
    /// If the quota is more than 10¹², or the months are not 1 to 120.
    #[must_use]
    #[track_caller]
    pub const fn per_months(quota: u64, months: u64) -> Self {
        valid!(Self::try_per_months(quota, months))
    }

    /// [`Limit::per_months`] for values that may be out of bounds.
    ///
    /// # Errors
    /// If the quota is more than 10¹², or the months are not 1 to 120.
    pub const fn try_per_months(quota: u64, months: u64) -> Result<Self, InvalidArgument> {
        let months = in_bounds!(Months::new(months), InvalidArgument::months(months));
        Self::try_per_period(quota, Period::Months(months))
    }

    const fn try_per_period(quota: u64, period: Period) -> Result<Self, InvalidArgument> {
        let quota = in_bounds!(Quota::new(quota), InvalidArgument::quota(quota));
        Ok(Self::of(Terms::of(quota, Window::Aligned { period, zone: Zone::UTC })))
    }
}

/// Token and leaky buckets.
impl<A: Limiter> Limit<A> {
    /// Sets the units that the bucket holds; the quota by default.
    ///
    /// # Panics
    /// If the capacity is 0 or more than 10¹².
    #[must_use]
    #[track_caller]
    pub const fn capacity(self, capacity: u64) -> Self
    where
        A: Bucket,
    {
        valid!(self.try_capacity(capacity))
    }

    /// [`Limit::capacity`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the capacity is 0 or more than 10¹².
    pub const fn try_capacity(self, capacity: u64) -> Result<Self, InvalidArgument>
    where
        A: Bucket,
    {
        let capacity = Some(in_bounds!(Capacity::new(capacity), InvalidArgument::capacity(capacity)));
        Ok(Self::of(Terms { capacity, ..self.terms }))
    }

    /// Sets how long a caller is willing to wait: 0 to 3650 days, in whole microseconds, rounded
    /// down.
    ///
    /// A token bucket lends tokens for that long, and an admitted call then has to
    /// [wait](crate::Decision::wait). A leaky bucket admits no call whose turn would come later; by
    /// default a call waits for its turn however long that is.
    ///
    /// # Panics
    /// If the maximum is longer than 3650 days.
    #[must_use]
    #[track_caller]
    pub const fn max_wait(self, max_wait: Duration) -> Self
    where
        A: Bucket,
    {
        valid!(self.try_max_wait(max_wait))
    }

    /// [`Limit::max_wait`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the maximum is longer than 3650 days.
    pub const fn try_max_wait(self, max_wait: Duration) -> Result<Self, InvalidArgument>
    where
        A: Bucket,
    {
        Ok(Self::of(ok!(self.terms.try_max_wait(max_wait))))
    }
}

impl Terms {
    pub(crate) const fn new(quota: u64, duration: Duration) -> Result<Self, InvalidArgument> {
        // Rounded up: a shorter duration would admit too much.
        let micros = span(duration.as_nanos().div_ceil(1_000));
        let quota = in_bounds!(Quota::new(quota), InvalidArgument::quota(quota));
        let duration = in_bounds!(LimitDuration::new(micros), InvalidArgument::duration(duration));
        Ok(Self::of(quota, Window::FromFirstCall(duration)))
    }

    const fn of(quota: Quota, window: Window) -> Self {
        Self { quota, window, capacity: None, max_wait: None, demand: Demand::Exactly(Cost::ONE, Keep::NOTHING) }
    }

    const fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        let cost = in_bounds!(Cost::new(cost), InvalidArgument::cost(cost));
        let demand = match self.demand {
            Demand::Exactly(_, keep) => Demand::Exactly(cost, keep),
            Demand::AtMost(_, keep) => Demand::AtMost(cost, keep),
            Demand::Forced(_) => Demand::Forced(cost),
        };
        Ok(Self { demand, ..self })
    }

    const fn try_keep(self, reserve: u64) -> Result<Self, InvalidArgument> {
        let keep = in_bounds!(Keep::new(reserve), InvalidArgument::keep(reserve));
        Ok(self.keeping(keep))
    }

    pub(crate) const fn keeping(self, keep: Keep) -> Self {
        let demand = match self.demand {
            Demand::Exactly(cost, _) => Demand::Exactly(cost, keep),
            Demand::AtMost(cost, _) => Demand::AtMost(cost, keep),
            Demand::Forced(cost) => Demand::Forced(cost),
        };
        Self { demand, ..self }
    }

    /// Asks for these units, all or none.
    pub(crate) const fn asking(self, cost: Cost) -> Self {
        Self { demand: Demand::Exactly(cost, self.reserve()), ..self }
    }

    /// Asks for as many units as fit, the cost at most.
    const fn at_most(self) -> Self {
        Self { demand: Demand::AtMost(self.demand.cost(), self.reserve()), ..self }
    }

    const fn try_max_wait(self, max_wait: Duration) -> Result<Self, InvalidArgument> {
        let micros = span(max_wait.as_micros());
        let max_wait = in_bounds!(MaxWait::new(micros), InvalidArgument::max_wait(max_wait));
        Ok(Self { max_wait: Some(max_wait), ..self })
    }

    const fn forced(self) -> Self {
        Self { demand: Demand::Forced(self.demand.cost()), ..self }
    }

    pub(crate) const fn reserve(&self) -> Keep {
        match self.demand {
            Demand::Exactly(_, keep) | Demand::AtMost(_, keep) => keep,
            Demand::Forced(_) => Keep::NOTHING,
        }
    }

    /// Returns the units that a fresh key admits at once: the capacity or the quota, or 0 if that
    /// is the quota.
    pub(crate) fn limit(&self) -> u64 {
        match self.capacity {
            Some(capacity) if self.quota.get() > 0 => capacity.get(),
            _ => self.quota.get(),
        }
    }

    /// Returns the units that are admitted per duration.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        self.quota.get()
    }

    /// Returns the time in which the quota is admitted. A calendar month counts as 31 days, and the
    /// longest duration is 3650 days.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_micros(self.window.duration().get().as_micros())
    }

    /// Returns whether windows are [aligned](Limit::aligned).
    #[must_use]
    pub const fn is_aligned(&self) -> bool {
        matches!(self.window, Window::Aligned { .. })
    }

    /// Returns the zone in which windows are [aligned](Limit::in_zone), if they are.
    #[must_use]
    pub const fn zone(&self) -> Option<Zone> {
        match self.window {
            Window::FromFirstCall(_) => None,
            Window::Aligned { zone, .. } => Some(zone),
        }
    }

    /// Returns the units that a bucket holds, if they were [set](Limit::capacity).
    #[must_use]
    pub fn capacity(&self) -> Option<u64> {
        self.capacity.map(Capacity::get)
    }

    /// Returns the units that a call takes.
    #[must_use]
    pub const fn cost(&self) -> u64 {
        self.demand.cost().get()
    }

    /// Returns the units that must remain after a call: see [`Limit::keep`].
    #[must_use]
    pub const fn keep(&self) -> u64 {
        self.reserve().get()
    }

    /// Returns how long a caller is willing to wait, if that was [set](Limit::max_wait).
    #[must_use]
    pub fn max_wait(&self) -> Option<Duration> {
        self.max_wait.map(|max_wait| Duration::from_micros(max_wait.get().as_micros()))
    }

    /// Returns whether calls are [charged whatever is left](Limit::forced).
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        matches!(self.demand, Demand::Forced(_))
    }

    /// Returns the time in which this many units drain from a bucket, rounded up.
    pub(crate) fn time_for(&self, units: u64) -> Duration {
        let micros = u128::from(units) * self.duration().as_micros();
        let micros = micros.div_ceil(u128::from(self.quota.get().max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is at most the largest")]
const fn span(micros: u128) -> Span {
    Span::from_micros(if micros < u64::MAX as u128 { micros as u64 } else { u64::MAX })
}

impl AnyLimit {
    /// Sets the units that a call takes: 1 to 10¹².
    ///
    /// # Errors
    /// If the cost is out of bounds.
    pub fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(self.with_terms(self.terms().try_cost(cost)?))
    }

    /// Sets the units that must remain after a call, 0 to 10¹²: see [`Limit::keep`].
    ///
    /// # Errors
    /// If the reserve is out of bounds.
    pub fn try_keep(self, reserve: u64) -> Result<Self, InvalidArgument> {
        Ok(self.with_terms(self.terms().try_keep(reserve)?))
    }

    /// Asks for as many units as fit, this cost at most.
    pub(crate) fn try_at_most(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(self.with_terms(self.terms().try_cost(cost)?.at_most()))
    }

    /// Charges the call whatever is left: see [`Limit::forced`].
    #[must_use]
    pub fn forced(self) -> Self {
        self.with_terms(self.terms().forced())
    }

    /// Returns the units that a fresh key admits at once.
    pub(crate) fn units(&self) -> u64 {
        self.terms().limit()
    }

    /// Returns the same limit for a caller that waits for its turn this long at most: a bucket gets
    /// this [maximum wait](Limit::max_wait), unless it has a shorter one. Windows have no turns,
    /// and a [forced](Limit::forced) call does not wait for one.
    #[must_use]
    pub fn waiting_at_most(self, time: Duration) -> Self {
        let terms = self.terms();
        let is_shorter = terms.max_wait().is_some_and(|max_wait| max_wait <= time);
        // Nothing keeps a forced call from being admitted, so a maximum would only make it wait.
        if !self.algorithm().is_bucket() || terms.is_forced() || is_shorter {
            return self;
        }
        // A time out of bounds is longer than any wait.
        terms.try_max_wait(time).map_or(self, |terms| self.with_terms(terms))
    }

    /// Returns how long a call that is limited now has to wait for its turn when it comes back
    /// after its retry-after.
    pub(crate) fn turn_at_retry(&self) -> Duration {
        self.algorithm().turn_at_retry(self.terms())
    }

    pub(crate) fn cost(&self) -> u64 {
        self.terms().cost()
    }

    /// Returns whether a call may be limited now and admitted later.
    pub(crate) fn may_be_admitted_later(&self) -> bool {
        let terms = self.terms();
        !terms.is_forced() && terms.cost() + terms.keep() <= terms.limit()
    }
}
