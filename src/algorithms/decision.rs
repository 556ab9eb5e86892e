use crate::Span;

/// What an algorithm answers to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<Change> {
    /// Whether the call is admitted.
    pub outcome: Outcome<Change>,
    /// Units that a fresh key admits at once.
    pub limit: u64,
    /// Units that could still be admitted right now, after this call.
    pub remaining: u64,
    /// How long until the key is as good as new.
    pub reset: Span,
}

/// Whether a call is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<Change> {
    /// It is.
    Admitted {
        /// How long to wait before going ahead.
        wait: Span,
        /// What it makes of the state.
        change: Change,
    },
    /// It is not, and changes nothing.
    Limited {
        /// When the same call would be admitted if nobody else called.
        retry: Retry,
    },
}

/// When a limited call would be admitted. Never is later than any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// After this long.
    After(Span),
    /// Never: it costs more than the limit.
    Never,
}

impl<Change> Decision<Change> {
    /// The answer to every call when the quota is 0.
    pub(crate) const fn blocked() -> Self {
        Self { outcome: Outcome::Limited { retry: Retry::Never }, limit: 0, remaining: 0, reset: Span::ZERO }
    }
}
