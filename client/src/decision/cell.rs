//! The answers of redis-cell's command.

use std::time::Duration;

/// The answer to `CL.THROTTLE`, for users of redis-cell. Times are whole seconds, rounded up.
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
    pub(crate) is_admitted: bool,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) reset_after: Duration,
}

impl CellDecision {
    /// Returns whether the call may go ahead.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns the units that a fresh key admits at once: `max_burst` + 1.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the units that could still be admitted right now, after this call.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Returns the time after which a limited call would be admitted if nobody else called.
    ///
    /// `None` for an admitted call, and for a call that can never be admitted, as it costs more
    /// than the limit.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the time until the key is fully reset.
    #[must_use]
    pub const fn reset_after(&self) -> Duration {
        self.reset_after
    }
}
