//! Reporting what a throttler decides: to subscribers of `tracing`, and to recorders of `metrics`.

#[cfg(feature = "tracing")]
pub(super) mod events;
#[cfg(feature = "metrics")]
mod numbers;

use std::time::Instant;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::DecidedBy;
use crate::{AnyLimit, Decision, Error, JointDecision, Key};

/// Reports the decisions of a throttler. Does nothing without the features `tracing` and `metrics`.
#[derive(Debug, Clone, Default)]
pub(super) struct Observer {
    #[cfg(feature = "tracing")]
    events: events::Events,
    #[cfg(feature = "metrics")]
    numbers: numbers::Numbers,
}

/// When the store was asked, if that is to be reported.
pub(super) struct Stopwatch(
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "it is always none"))] Option<Instant>,
);

impl Stopwatch {
    pub(super) fn start(is_reported: bool) -> Self {
        Self((cfg!(feature = "metrics") && is_reported).then(Instant::now))
    }
}

#[cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(unused_variables, clippy::unused_self, reason = "only these features report anything")
)]
impl Observer {
    #[cfg(feature = "tracing")]
    pub(super) fn trace_keys(&mut self, are_traced: bool) {
        self.events.trace_keys(are_traced);
    }

    /// Reports the answer to a call. `key` is the key in the store.
    pub(super) fn decided(
        &self,
        named: &Key<'_>,
        key: &str,
        limit: &AnyLimit,
        is_shadow: bool,
        answer: Result<&Decision, &Error>,
    ) {
        #[cfg(feature = "tracing")]
        if let Ok(decision) = answer {
            self.events.decided(named, key, limit, is_shadow, decision);
        }
        #[cfg(feature = "metrics")]
        self.numbers.decided(named, is_shadow, answer);
    }

    /// Reports the answer to a call with several limits, which are both named and as in the store.
    pub(super) fn decided_together(
        &self,
        named: &[(Key<'_>, AnyLimit)],
        stored: &[(String, AnyLimit)],
        is_shadow: bool,
        answer: Result<&JointDecision, &Error>,
    ) {
        #[cfg(feature = "tracing")]
        if let Ok(joint) = answer {
            let binding = joint.binding();
            let (key, limit) = &stored[binding];
            self.events.decided(&named[binding].0, key, limit, is_shadow, &joint.decision());
        }
        #[cfg(feature = "metrics")]
        self.numbers.decided_together(named, is_shadow, answer);
    }

    /// Reports how long the store took to answer, or to let the deadline pass.
    pub(super) fn asked(&self, watch: &Stopwatch) {
        #[cfg(feature = "metrics")]
        if let Some(start) = watch.0 {
            self.numbers.asked(start.elapsed());
        }
    }
}

/// Returns the name of who decided.
#[cfg(any(feature = "metrics", feature = "tracing"))]
const fn name_of(decided_by: DecidedBy) -> &'static str {
    match decided_by {
        DecidedBy::Store => "store",
        #[cfg(feature = "memory")]
        DecidedBy::Local { .. } => "local",
        DecidedBy::OnError => "on_error",
        DecidedBy::Shadow => "shadow",
    }
}
