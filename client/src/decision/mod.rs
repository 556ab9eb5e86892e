//! The answers to calls.

mod cell;
mod joint;

use std::time::{Duration, Instant};

use premier_algorithms::Demand;

pub use cell::CellDecision;
pub use joint::JointDecision;
pub(crate) use joint::JointLimits;

/// The answer to a call: whether it is admitted, what remains, and when to come back.
///
/// Times are whole milliseconds, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that is limited must not go ahead"]
pub struct Decision {
    pub(crate) outcome: Outcome,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset_after: Duration,
    pub(crate) granted: Option<u64>,
    pub(crate) decided_by: DecidedBy,
    pub(crate) confirmed_by: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted { wait: Duration },
    Limited { retry_after: RetryAfter },
}

/// When a limited call would be admitted if nobody else called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// The call would be admitted after this time.
    After(Duration),
    /// The call is never admitted: its cost, plus the reserve that it keeps, is more than the
    /// limit.
    Never,
}

/// Who decided a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// The store that keeps the limits.
    Store,
    /// The throttler, in its own memory, as the store does not answer:
    /// [`OnError::Local`](crate::OnError).
    #[cfg(feature = "memory")]
    Local {
        /// The share of the limit by which it decided. [`Decision::limit`] and the others are those
        /// of the share.
        share: crate::Share,
    },
    /// The throttler, by units that it has [leased](crate::Builder::leases) from the store.
    ///
    /// [`Decision::remaining`] is then what is left of the lease, plus what the store had left when
    /// it granted the lease. [`Decision::reset_after`] is the store's time from that moment, less
    /// the time since. Neither includes calls that others have made since.
    Lease,
    /// The throttler, because it [remembers](crate::Builder::remember_denials) that the store has
    /// limited the key.
    Remembered,
    /// The policy for a store that does not answer: [`OnError::Admit`](crate::OnError) or
    /// [`OnError::Limit`](crate::OnError).
    OnError,
    /// The throttler, which admits in [shadow](crate::Builder::shadow) what is limited. The call
    /// was charged nothing.
    Shadow,
}

impl RetryAfter {
    /// Returns the time in whole seconds, rounded up, for the header `Retry-After`; `None` for
    /// never.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{Backend, Limit, RetryAfter, Throttler, key};
    ///
    /// let throttler = Throttler::builder(Backend::memory()).build();
    /// let blocked = throttler.check(&key!("f"), Limit::fixed_window(0, Duration::from_secs(60)))?;
    /// assert_eq!(blocked.retry_after().and_then(RetryAfter::as_secs), None);
    /// assert_eq!(RetryAfter::After(Duration::from_millis(1_001)).as_secs(), Some(2));
    /// # Ok::<(), premier_client::Error>(())
    /// ```
    #[must_use]
    pub const fn as_secs(self) -> Option<u64> {
        match self {
            Self::After(time) => Some(time.as_secs().saturating_add((time.subsec_nanos() > 0) as u64)),
            Self::Never => None,
        }
    }
}

impl Decision {
    /// Returns whether the call may go ahead, after its [`wait`](Self::wait).
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self.outcome, Outcome::Admitted { .. })
    }

    /// Returns the units that a fresh key admits at once: the quota or the capacity.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the units that could still be admitted right now, after this call.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Returns how long an admitted call has to wait before it goes ahead; `None` for a limited
    /// call.
    ///
    /// The wait is zero unless a leaky bucket queues the call, or a token bucket lends it tokens.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        match self.outcome {
            Outcome::Admitted { wait } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }

    /// Returns when a limited call may come back; `None` for an admitted call.
    #[must_use]
    pub const fn retry_after(&self) -> Option<RetryAfter> {
        match self.outcome {
            Outcome::Admitted { .. } => None,
            Outcome::Limited { retry_after } => Some(retry_after),
        }
    }

    /// Returns the time until the key is fully reset.
    #[must_use]
    pub const fn reset_after(&self) -> Duration {
        self.reset_after
    }

    /// Returns the units charged to a call that asked for as many as fit
    /// ([`check_at_most`](crate::Throttler::check_at_most)): 0 if it is limited. `None` for any
    /// other call.
    #[must_use]
    pub const fn granted(&self) -> Option<u64> {
        self.granted
    }

    /// Returns who decided the call: [`DecidedBy::Store`], unless leased units or a remembered
    /// denial decided it, the store does not answer, or the call is limited only in
    /// [shadow](crate::Builder::shadow).
    #[must_use]
    pub const fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    /// Returns how many replicas had confirmed an admitted call within the time that
    /// [`Builder::confirmed_by`](crate::Builder::confirmed_by) sets. `None` if they were not asked:
    /// for a limited call, without that setting, in memory, and for a call that the store did not
    /// decide.
    #[must_use]
    pub const fn confirmed_by(&self) -> Option<u32> {
        self.confirmed_by
    }

    /// Returns the decision of the algorithms in this process.
    #[cfg(feature = "memory")]
    pub(crate) fn in_memory<Change>(decision: &premier_algorithms::Decision<Change>) -> Self {
        use premier_algorithms::{Outcome as Decided, Retry, Span};

        let millis = |span: Span| Duration::from_millis(span.as_millis_ceil());
        Self {
            outcome: match decision.outcome {
                Decided::Admitted { wait, .. } => Outcome::Admitted { wait: millis(wait) },
                Decided::Limited { retry: Retry::After(after) } => {
                    Outcome::Limited { retry_after: RetryAfter::After(millis(after)) }
                }
                Decided::Limited { retry: Retry::Never } => Outcome::Limited { retry_after: RetryAfter::Never },
            },
            limit: decision.limit,
            remaining: decision.remaining,
            reset_after: millis(decision.reset),
            granted: None,
            decided_by: DecidedBy::Store,
            confirmed_by: None,
        }
    }

    /// Returns the answer that a limited call which was answered `at` would get `now`, if it is
    /// limited until `until`.
    pub(crate) fn limited_until(self, until: Instant, at: Instant, now: Instant) -> Self {
        self.limited_for(until.saturating_duration_since(now), now.saturating_duration_since(at))
    }

    /// Returns the answer to a limited call like this one, which was answered `passed` ago, if it
    /// is limited for `retry_after` from now.
    pub(crate) fn limited_for(self, retry_after: Duration, passed: Duration) -> Self {
        let retry_after = ceil_millis(retry_after).max(MILLISECOND);
        let reset_after = ceil_millis(self.reset_after.saturating_sub(passed));
        let outcome = Outcome::Limited { retry_after: RetryAfter::After(retry_after) };
        Self { outcome, reset_after: reset_after.max(retry_after), ..self }
    }

    #[cfg(feature = "memory")]
    pub(crate) const fn decided_locally(self, share: crate::Share) -> Self {
        Self { decided_by: DecidedBy::Local { share }, ..self }
    }

    pub(crate) fn confirmed(self, replicas: u32) -> Self {
        Self { confirmed_by: Some(replicas), ..self }
    }

    /// Admits the call at once in shadow, and says so if it was limited.
    pub(crate) fn shadowed(self, demand: Demand) -> Self {
        let admitted = Self { outcome: Outcome::Admitted { wait: Duration::ZERO }, ..self };
        if self.is_admitted() {
            return admitted;
        }
        Self { decided_by: DecidedBy::Shadow, ..admitted }.granting(demand, demand.cost().get())
    }

    /// Says what was granted, to a call that asks for as many units as fit.
    pub(crate) const fn granting(self, demand: Demand, granted: u64) -> Self {
        let granted = match demand {
            Demand::AtMost(..) => Some(granted),
            Demand::Exactly(..) | Demand::Forced(_) => None,
        };
        Self { granted, ..self }
    }

    /// Admits a call without asking a store.
    pub(crate) const fn fallback_admitted(limit: u64) -> Self {
        Self {
            outcome: Outcome::Admitted { wait: Duration::ZERO },
            limit,
            remaining: limit,
            reset_after: Duration::ZERO,
            granted: None,
            decided_by: DecidedBy::OnError,
            confirmed_by: None,
        }
    }

    /// Limits a call without asking a store.
    pub(crate) const fn fallback_limited(limit: u64, retry_after: Duration) -> Self {
        Self {
            outcome: Outcome::Limited { retry_after: RetryAfter::After(retry_after) },
            limit,
            remaining: 0,
            reset_after: retry_after,
            granted: None,
            decided_by: DecidedBy::OnError,
            confirmed_by: None,
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

fn ceil_millis(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(MILLISECOND.as_nanos());
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
