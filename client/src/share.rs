//! The shares of limits by which processes decide alone.

use std::num::NonZeroU32;

use premier_algorithms::{Capacity, Demand, Keep, LimitDuration, Months, Period, Quota, Span, Weeks};

use crate::limit::{Terms, Window, valid};
use crate::{AnyLimit, Concurrency, InvalidArgument};

/// The share of each limit by which one process decides while the store does not answer: the whole
/// limit, or one in `n`. See [`OnError::Local`](crate::OnError).
///
/// ```
/// use premier_client::{OnError, Share};
///
/// // Ten processes together admit what the limits say.
/// const ON_ERROR: OnError = OnError::Local { share: Share::one_in(10) };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share(NonZeroU32);

impl Share {
    /// The whole limit: each process admits all of it.
    pub const WHOLE: Self = Self(NonZeroU32::MIN);

    /// Makes the share of one in this many processes.
    ///
    /// # Panics
    /// If `processes` is 0.
    #[must_use]
    #[track_caller]
    pub const fn one_in(processes: u32) -> Self {
        valid!(Self::try_one_in(processes))
    }

    /// [`Share::one_in`] for a number that may be 0.
    ///
    /// # Errors
    /// If `processes` is 0.
    pub const fn try_one_in(processes: u32) -> Result<Self, InvalidArgument> {
        match NonZeroU32::new(processes) {
            Some(processes) => Ok(Self(processes)),
            None => Err(InvalidArgument::share(0)),
        }
    }

    /// Returns the share of a limit, at its rate divided by the number of processes.
    ///
    /// A share is never too small for the call: it has room for its cost, and a longer duration
    /// instead.
    pub(crate) fn of(self, limit: AnyLimit) -> AnyLimit {
        let processes = u64::from(self.0.get());
        let terms = *limit.terms();
        let whole = terms.limit();
        if processes == 1 || whole == 0 {
            return limit;
        }
        let share = whole / processes;
        let terms =
            terms.keeping(Keep::new(terms.keep().div_ceil(processes)).expect("it is at most the whole reserve"));
        let needed = match terms.demand {
            Demand::Exactly(cost, keep) => cost.get() + keep.get(),
            Demand::AtMost(_, keep) => 1 + keep.get(),
            Demand::Forced(_) => 1,
        };
        let units = share.max(needed).min(whole);
        let terms = if limit.algorithm().is_bucket() {
            let capacity = Some(Capacity::new(units).expect("it is between two that are valid"));
            Terms { capacity, window: longer(terms.window, processes.into(), 1), ..terms }
        } else if units > share {
            let quota = Quota::new(units).expect("it is at most the quota");
            Terms { quota, window: longer(terms.window, u128::from(units) * u128::from(processes), whole), ..terms }
        } else {
            Terms { quota: Quota::new(units).expect("it is at most the quota"), ..terms }
        };
        limit.with_terms(terms)
    }
}

impl Share {
    /// Returns the share of a concurrency limit: its quota divided by the number of processes,
    /// rounded down, but with room for the call.
    pub(crate) fn of_concurrency(self, concurrency: Concurrency) -> Concurrency {
        let processes = u64::from(self.0.get());
        let keep = Keep::new(concurrency.reserve().div_ceil(processes)).expect("it is at most the whole reserve");
        let units = (concurrency.quota() / processes).max(concurrency.units() + keep.get()).min(concurrency.quota());
        Concurrency { quota: Quota::new(units).expect("it is at most the quota"), keep, ..concurrency }
    }
}

/// Returns the window with its duration times a fraction, rounded up, at most the longest that is
/// allowed. Weeks and months stay whole.
fn longer(window: Window, times: u128, divided_by: u64) -> Window {
    let multiply = |number: u64| {
        let product = (u128::from(number) * times).div_ceil(u128::from(divided_by));
        u64::try_from(product).unwrap_or(u64::MAX)
    };
    let time = |time: LimitDuration| {
        LimitDuration::new(Span::from_micros(multiply(time.get().as_micros()))).unwrap_or(LimitDuration::MAX)
    };
    match window {
        Window::FromFirstCall(duration) => Window::FromFirstCall(time(duration)),
        Window::Aligned { period, zone } => {
            let period = match period {
                Period::Time(duration) => Period::Time(time(duration)),
                Period::Weeks(weeks) => Period::Weeks(Weeks::new(multiply(weeks.get())).unwrap_or(Weeks::MAX)),
                Period::Months(months) => Period::Months(Months::new(multiply(months.get())).unwrap_or(Months::MAX)),
            };
            Window::Aligned { period, zone }
        }
    }
}
