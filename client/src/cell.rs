//! The reply of redis-cell.

use std::time::Duration;

use redis::{FromRedisValue, ParsingError, Value};

/// The answer to `CL.THROTTLE`, for those who come from redis-cell. Times are whole seconds, rounded up.
///
/// ```no_run
/// use std::time::Duration;
///
/// use premier_client::PremierCommands;
///
/// let mut connection = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
/// let decision = connection.cl_throttle("user:42", 15, 30, Duration::from_secs(60), 1)?;
/// if let Some(wait) = decision.retry_after() { /* 429, Retry-After */ }
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that is limited must not go ahead"]
pub struct CellDecision {
    is_admitted: bool,
    limit: u64,
    remaining: u64,
    retry_after: Option<Duration>,
    reset: Duration,
}

impl CellDecision {
    /// Whether the call may go ahead.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Units that a fresh key admits at once: `max_burst` + 1.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Units that could still be admitted right now, after this call.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// After how long a limited call would be admitted if nobody else called. `None` for an admitted one, and for one that never
    /// will be, as it costs more than the limit.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// How long until the key is as good as new.
    #[must_use]
    pub const fn reset_after(&self) -> Duration {
        self.reset
    }
}

/// Reads limited, limit, remaining, retry after, reset.
impl FromRedisValue for CellDecision {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        const NONE: i64 = -1;
        let reply = FromRedisValue::from_redis_value(value)?;
        let [limited, limit, remaining, retry_after, reset] = reply;
        let wrong = || ParsingError::from(format!("no reply of CL.THROTTLE: {reply:?}"));
        let natural = |integer| u64::try_from(integer).map_err(|_| wrong());
        let secs = |integer| natural(integer).map(Duration::from_secs);
        let (is_admitted, retry_after) = match (limited, retry_after) {
            (0, NONE) => (true, None),
            (1, NONE) => (false, None),
            (1, retry_after) => (false, Some(secs(retry_after)?)),
            _ => return Err(wrong()),
        };
        Ok(Self {
            is_admitted,
            limit: natural(limit)?,
            remaining: natural(remaining)?,
            retry_after,
            reset: secs(reset)?,
        })
    }
}
