//! Reporting what a throttler decides: to subscribers of `tracing`, and to recorders of `metrics`.

#[cfg(feature = "tracing")]
pub(super) mod events;
#[cfg(feature = "metrics")]
mod numbers;

use std::time::Instant;

use premier_algorithms::Demand;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::DecidedBy;
use crate::{AnyAlgorithm, AnyLimit, Concurrency, Decision, Error, JointDecision, Key};

/// Reports the decisions of a throttler. Does nothing without the features `tracing` and `metrics`.
#[derive(Debug, Clone, Default)]
pub(super) struct Observer {
    #[cfg(feature = "tracing")]
    events: events::Events,
    #[cfg(feature = "metrics")]
    numbers: numbers::Numbers,
}

/// A limit by which a call is decided.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "only events have all of it"))]
pub(super) struct Asked<'a> {
    named: &'a Key<'a>,
    /// The key in the store.
    pub(super) key: &'a str,
    algorithm: AnyAlgorithm,
    pub(super) demand: Demand,
}

impl<'a> Asked<'a> {
    pub(super) fn rate(named: &'a Key<'a>, key: &'a str, limit: &AnyLimit) -> Self {
        Self { named, key, algorithm: limit.algorithm().into(), demand: limit.terms().demand }
    }

    pub(super) fn hold(named: &'a Key<'a>, key: &'a str, concurrency: &Concurrency) -> Self {
        Self { named, key, algorithm: AnyAlgorithm::Hold, demand: concurrency.demand() }
    }
}

#[cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(
        unused_variables,
        clippy::needless_pass_by_value,
        clippy::unused_self,
        reason = "only these features report anything"
    )
)]
impl Observer {
    #[cfg(feature = "tracing")]
    pub(super) fn trace_keys(&mut self, are_traced: bool) {
        self.events.trace_keys(are_traced);
    }

    /// Reports the answer to a call.
    #[inline]
    pub(super) fn decided(&self, asked: Asked<'_>, is_shadow: bool, answer: Result<&Decision, &Error>) {
        #[cfg(feature = "tracing")]
        if let Ok(decision) = answer {
            self.events.decided(asked, is_shadow, decision);
        }
        #[cfg(feature = "metrics")]
        self.numbers.decided(asked.named, is_shadow, answer);
    }

    /// Reports the answer to a call with several limits.
    pub(super) fn decided_together<'a>(
        &self,
        asked: impl Iterator<Item = Asked<'a>> + Clone,
        is_shadow: bool,
        answer: Result<&JointDecision, &Error>,
    ) {
        #[cfg(feature = "tracing")]
        if let Ok(joint) = answer
            && let Some(binding) = asked.clone().nth(joint.binding())
        {
            self.events.decided(binding, is_shadow, &joint.decision());
        }
        #[cfg(feature = "metrics")]
        self.numbers.decided_together(asked.map(|asked| asked.named), is_shadow, answer);
    }

    /// Reports that the lease of a permit has ended, or was given to others.
    #[cfg(feature = "tokio")]
    pub(super) fn permit_lost(&self, key: &str) {
        #[cfg(feature = "tracing")]
        self.events.permit_lost(key);
        #[cfg(feature = "metrics")]
        self.numbers.permit_lost();
    }

    /// Reports how long the store took to answer, or to let the deadline pass, since this moment.
    pub(super) fn asked(&self, start: Instant) {
        #[cfg(feature = "metrics")]
        self.numbers.asked(start.elapsed());
    }
}

/// Returns the name of who decided.
#[cfg(any(feature = "metrics", feature = "tracing"))]
const fn name_of(decided_by: DecidedBy) -> &'static str {
    match decided_by {
        DecidedBy::Store => "store",
        #[cfg(feature = "memory")]
        DecidedBy::Local { .. } => "local",
        DecidedBy::Lease => "lease",
        DecidedBy::Remembered => "remembered",
        DecidedBy::OnError => "on_error",
        DecidedBy::Shadow => "shadow",
    }
}
