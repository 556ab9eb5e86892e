use std::time::Duration;

use premier_algorithms::Outcome as Decided;
use redis::{FromRedisValue, ParsingError, Value};

/// The answer to a call: whether it is admitted, and what the caller may want to know beside that.
///
/// Times are whole milliseconds, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that is limited must not go ahead"]
pub struct Decision {
    outcome: Outcome,
    limit: u64,
    remaining: u64,
    reset: Duration,
    decided_by: DecidedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Admitted { wait: Duration },
    Limited { retry: RetryAfter },
}

/// When a limited call would be admitted if nobody else called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this long.
    After(Duration),
    /// Never: it costs more than the limit.
    Never,
}

/// Who decided a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// The store that holds the limits.
    Store,
    /// The throttler, in its own memory, as the store does not answer: [`OnError::Local`](crate::OnError).
    Local,
    /// Nobody: the store does not answer, and this is what is to be done then: [`OnError::Admit`](crate::OnError) or
    /// [`OnError::Limit`](crate::OnError).
    OnError,
}

impl Decision {
    /// Whether the call may go ahead, after its [`wait`](Self::wait).
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self.outcome, Outcome::Admitted { .. })
    }

    /// Units that a fresh key admits at once: the quota or the capacity.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Units that could still be admitted right now, after this call.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// How long an admitted call has to wait before it goes ahead: more than nothing only with a leaky bucket, or with a token
    /// bucket that lends. `None` for a limited call.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        match self.outcome {
            Outcome::Admitted { wait } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }

    /// When a limited call may come back. `None` for an admitted one.
    #[must_use]
    pub const fn retry_after(&self) -> Option<RetryAfter> {
        match self.outcome {
            Outcome::Admitted { .. } => None,
            Outcome::Limited { retry } => Some(retry),
        }
    }

    /// How long until the key is as good as new.
    #[must_use]
    pub const fn reset_after(&self) -> Duration {
        self.reset
    }

    /// Who decided. Other than [`DecidedBy::Store`] only while the store does not answer.
    #[must_use]
    pub const fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    #[cfg(feature = "memory")]
    pub(crate) const fn locally(self) -> Self {
        Self { decided_by: DecidedBy::Local, ..self }
    }

    /// Admitted without having been decided.
    pub(crate) const fn admitted_unasked(limit: u64) -> Self {
        Self {
            outcome: Outcome::Admitted { wait: Duration::ZERO },
            limit,
            remaining: limit,
            reset: Duration::ZERO,
            decided_by: DecidedBy::OnError,
        }
    }

    /// Limited without having been decided.
    pub(crate) const fn limited_unasked(limit: u64, retry: Duration) -> Self {
        Self {
            outcome: Outcome::Limited { retry: RetryAfter::After(retry) },
            limit,
            remaining: 0,
            reset: retry,
            decided_by: DecidedBy::OnError,
        }
    }
}

impl<Change> From<&premier_algorithms::Decision<Change>> for Decision {
    fn from(decision: &premier_algorithms::Decision<Change>) -> Self {
        let millis = |span: premier_algorithms::Span| Duration::from_millis(span.as_millis_ceil());
        Self {
            outcome: match decision.outcome {
                Decided::Admitted { wait, .. } => Outcome::Admitted { wait: millis(wait) },
                Decided::Limited { retry: premier_algorithms::Retry::After(after) } => {
                    Outcome::Limited { retry: RetryAfter::After(millis(after)) }
                }
                Decided::Limited { retry: premier_algorithms::Retry::Never } => {
                    Outcome::Limited { retry: RetryAfter::Never }
                }
            },
            limit: decision.limit,
            remaining: decision.remaining,
            reset: millis(decision.reset),
            decided_by: DecidedBy::Store,
        }
    }
}

/// Reads the reply of a `PREMIER.*` command that decides one limit.
impl FromRedisValue for Decision {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        Self::read(FromRedisValue::from_redis_value(value)?)
    }
}

impl Decision {
    /// Reads limited, limit, remaining, wait, reset.
    pub(crate) fn read(reply: [i64; 5]) -> Result<Self, ParsingError> {
        const NEVER: i64 = -1;
        let [limited, limit, remaining, wait, reset] = reply;
        let wrong = || ParsingError::from(format!("no reply of a PREMIER command: {reply:?}"));
        let natural = |integer| u64::try_from(integer).map_err(|_| wrong());
        let millis = |integer| natural(integer).map(Duration::from_millis);
        Ok(Self {
            outcome: match (limited, wait) {
                (0, wait) => Outcome::Admitted { wait: millis(wait)? },
                (1, NEVER) => Outcome::Limited { retry: RetryAfter::Never },
                (1, wait) => Outcome::Limited { retry: RetryAfter::After(millis(wait)?) },
                _ => return Err(wrong()),
            },
            limit: natural(limit)?,
            remaining: natural(remaining)?,
            reset: millis(reset)?,
            decided_by: DecidedBy::Store,
        })
    }
}
