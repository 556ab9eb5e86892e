//! Events of `tracing`, whose target is the name of this crate.

use tracing::{debug, info, warn};

use super::{Asked, name_of};
use crate::{Decision, Error, RetryAfter};

const TARGET: &str = "premier_client";

/// Which fields the events of a throttler have.
#[derive(Debug, Clone)]
pub(super) struct Events {
    has_keys: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { has_keys: true }
    }
}

impl Events {
    pub(super) fn trace_keys(&mut self, are_traced: bool) {
        self.has_keys = are_traced;
    }

    #[inline]
    pub(super) fn decided(&self, asked: Asked<'_>, is_shadow: bool, decision: &Decision) {
        if let Some(retry_after) = decision.retry_after() {
            self.limited(asked, is_shadow, decision, retry_after);
        }
    }

    /// Reports a limited call. Nothing is computed for it unless a subscriber wants the event.
    fn limited(&self, asked: Asked<'_>, is_shadow: bool, decision: &Decision, retry_after: RetryAfter) {
        let Asked { named, key, algorithm, .. } = asked;
        debug!(
            target: TARGET,
            limit = &*named.limit_name(),
            algorithm = algorithm.name(),
            retry_after_ms = millis(retry_after),
            decided_by = name_of(decision.decided_by()),
            key = self.has_keys.then_some(key),
            "{}",
            if is_shadow { "a call is limited in shadow" } else { "a call is limited" }
        );
    }

    #[cfg(feature = "tokio")]
    pub(super) fn permit_lost(&self, key: &str) {
        warn!(target: TARGET, key = self.has_keys.then_some(key), "a permit is lost");
    }
}

/// Reports that the store, or a node of a cluster, does not answer.
pub(in crate::throttler) fn outage_began(error: &Error) {
    warn!(target: TARGET, error = format_args!("{error:#}"), "the store does not answer");
}

/// Reports that the store answers again.
pub(in crate::throttler) fn outage_ended() {
    info!(target: TARGET, "the store answers again");
}

/// Returns the whole milliseconds of a retry-after; `None` for never.
fn millis(retry_after: RetryAfter) -> Option<u64> {
    match retry_after {
        RetryAfter::After(time) => Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        RetryAfter::Never => None,
    }
}
