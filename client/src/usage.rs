use std::time::Duration;

/// What is known of a key without its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub(crate) used: u64,
    pub(crate) reset_after: Duration,
}

impl Usage {
    /// Returns the units that are used now, rounded up.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Returns the time until the key is fully reset, in whole milliseconds, rounded up.
    #[must_use]
    pub const fn reset_after(&self) -> Duration {
        self.reset_after
    }

    #[cfg(feature = "memory")]
    pub(crate) const fn in_memory(used: u64, reset: premier_algorithms::Span) -> Self {
        Self { used, reset_after: Duration::from_millis(reset.as_millis_ceil()) }
    }
}
