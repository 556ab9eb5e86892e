use crate::Span;

/// The decision of an algorithm on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<Change> {
    /// Whether the call is admitted.
    pub outcome: Outcome<Change>,
    /// The units that a fresh key admits at once.
    pub limit: u64,
    /// The units that could still be admitted right now, after this call.
    pub remaining: u64,
    /// The time until the key is fully reset.
    pub reset: Span,
}

/// Whether a call is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<Change> {
    /// The call is admitted.
    Admitted {
        /// How long the caller waits before going ahead.
        wait: Span,
        /// The change to the key's state.
        change: Change,
    },
    /// The call is limited, and changes nothing.
    Limited {
        /// When the same call would be admitted if nobody else called.
        retry: Retry,
    },
}

/// The retry-after of a limited call. `Never` is greater than any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// The call is admitted after this time.
    After(Span),
    /// The call is never admitted: its cost, plus the reserve that it keeps, is more than the
    /// limit.
    Never,
}

impl Decision<()> {
    /// Returns the decision on a call of cost 0.
    pub(crate) const fn looked(limit: u64, remaining: u64, wait: Span, reset: Span) -> Self {
        let outcome =
            if limit == 0 { Outcome::Limited { retry: Retry::Never } } else { Outcome::Admitted { wait, change: () } };
        Self { outcome, limit, remaining, reset }
    }
}

impl<Change> Decision<Change> {
    /// Returns the decision on every call when the quota is 0.
    pub(crate) const fn blocked() -> Self {
        Self { outcome: Outcome::Limited { retry: Retry::Never }, limit: 0, remaining: 0, reset: Span::ZERO }
    }
}
