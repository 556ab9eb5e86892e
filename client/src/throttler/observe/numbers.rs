//! Counters and histograms of `metrics`.

use std::sync::{Arc, Once};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::name_of;
use crate::{Decision, Error, JointDecision, Key};

const DECISIONS: &str = "premier_decisions_total";
const NEAR_LIMIT: &str = "premier_near_limit_total";
const PERMITS_LOST: &str = "premier_permits_lost_total";
const STORE_SECONDS: &str = "premier_store_duration_seconds";

/// Counts what a throttler decides. The recorder is the one that is installed when a call is
/// counted, so it may be installed after the throttler was made.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    described: Arc<Once>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { described: Arc::new(Once::new()) }
    }
}

impl Numbers {
    pub(super) fn decided(&self, named: &Key<'_>, is_shadow: bool, answer: Result<&Decision, &Error>) {
        self.describe();
        match answer {
            Ok(decision) => count(named, is_shadow, decision),
            Err(_) => count_error(named),
        }
    }

    /// Counts each limit of an admitted call, and those that limit a limited one: the others have
    /// neither limited nor admitted it.
    pub(super) fn decided_together<'a>(
        &self,
        mut named: impl Iterator<Item = &'a Key<'a>>,
        is_shadow: bool,
        answer: Result<&JointDecision, &Error>,
    ) {
        self.describe();
        let Ok(joint) = answer else { return named.for_each(count_error) };
        for (named, alone) in named.by_ref().zip(joint.each()) {
            if alone.is_admitted() == joint.is_admitted() {
                count(named, is_shadow, alone);
            }
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn permit_lost(&self) {
        self.describe();
        counter!(PERMITS_LOST).increment(1);
    }

    pub(super) fn asked(&self, time: Duration) {
        self.describe();
        histogram!(STORE_SECONDS).record(time);
    }

    /// Describes the metrics before the first of them is reported.
    fn describe(&self) {
        self.described.call_once(|| {
            describe_counter!(DECISIONS, "Calls by limit, answer (admitted, limited, shadow, error), and who decided.");
            describe_counter!(NEAR_LIMIT, "Admitted calls that left less than 20% of the limit.");
            describe_counter!(PERMITS_LOST, "Permits whose leases have ended before they were released.");
            describe_histogram!(STORE_SECONDS, Unit::Seconds, "The time that the store took to answer a command.");
        });
    }
}

fn count(named: &Key<'_>, is_shadow: bool, decision: &Decision) {
    let name = named.limit_name().into_owned();
    let is_near = decision.remaining() < decision.limit().div_ceil(5);
    let answer = match (decision.is_admitted(), is_shadow) {
        (true, _) => "admitted",
        (false, false) => "limited",
        (false, true) => "shadow",
    };
    if decision.is_admitted() && is_near {
        counter!(NEAR_LIMIT, "limit" => name.clone()).increment(1);
    }
    counter!(DECISIONS, "limit" => name, "answer" => answer, "decided_by" => name_of(decision.decided_by()))
        .increment(1);
}

fn count_error(named: &Key<'_>) {
    let name = named.limit_name().into_owned();
    counter!(DECISIONS, "limit" => name, "answer" => "error", "decided_by" => "nobody").increment(1);
}
