//! Counters and histograms of `metrics`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use foldhash::fast::RandomState;
use metrics::{Label, Level, Metadata, Unit, counter, describe_counter, describe_histogram, with_recorder};

use super::name_of;
use crate::{Decision, Error, JointDecision, Key};

const DECISIONS: &str = "premier_decisions_total";
const NEAR_LIMIT: &str = "premier_near_limit_total";
const PERMITS_LOST: &str = "premier_permits_lost_total";
const STORE_SECONDS: &str = "premier_store_duration_seconds";

/// What the macros of `metrics` would pass.
static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

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
        static KEY: metrics::Key = metrics::Key::from_static_name(STORE_SECONDS);
        self.describe();
        with_recorder(|recorder| recorder.register_histogram(&KEY, &METADATA)).record(time);
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
    let name = named.limit_name();
    let is_near = decision.remaining() < decision.limit().div_ceil(5);
    let answer = match (decision.is_admitted(), is_shadow) {
        (true, _) => "admitted",
        (false, false) => "limited",
        (false, true) => "shadow",
    };
    if decision.is_admitted() && is_near {
        counter!(NEAR_LIMIT, "limit" => name.to_string()).increment(1);
    }
    count_decision(&name, answer, name_of(decision.decided_by()));
}

fn count_error(named: &Key<'_>) {
    count_decision(&named.limit_name(), "error", "nobody");
}

fn count_decision(limit: &str, answer: &'static str, decided_by: &'static str) {
    let key = KEYS.try_with(|keys| keys.borrow_mut().of(limit, answer, decided_by));
    // A thread that ends may have dropped them.
    let key = key.unwrap_or_else(|_| Keys::default().of(limit, answer, decided_by));
    with_recorder(|recorder| recorder.register_counter(&key.key, &METADATA)).increment(1);
}

thread_local! {
    /// The keys by which this thread counts decisions. Making one takes several allocations.
    static KEYS: RefCell<Keys> = RefCell::default();
}

/// By the name of the limit.
#[derive(Default)]
struct Keys(HashMap<Box<str>, Vec<Rc<DecisionsKey>>, RandomState>);

struct DecisionsKey {
    answer: &'static str,
    decided_by: &'static str,
    key: metrics::Key,
}

/// When a thread has the keys of this many limits, it forgets them, as names may be made anew.
const MANY: usize = 1_000;

impl Keys {
    fn of(&mut self, limit: &str, answer: &'static str, decided_by: &'static str) -> Rc<DecisionsKey> {
        let known = self
            .0
            .get(limit)
            .and_then(|keys| keys.iter().find(|key| key.answer == answer && key.decided_by == decided_by));
        if let Some(key) = known {
            return Rc::clone(key);
        }
        if self.0.len() >= MANY {
            self.0.clear();
        }
        let labels = vec![
            Label::new("limit", limit.to_owned()),
            Label::from_static_parts("answer", answer),
            Label::from_static_parts("decided_by", decided_by),
        ];
        let key = Rc::new(DecisionsKey { answer, decided_by, key: metrics::Key::from_parts(DECISIONS, labels) });
        self.0.entry(limit.into()).or_default().push(Rc::clone(&key));
        key
    }
}
