use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use premier_client::{AnyLimit, AsyncThrottler, Decision, Error, InvalidArgument, Key, Limit, PolicyLimit};

use crate::headers::PolicyItem;
use crate::parts::Parts;

/// A named limit that a request is charged.
///
/// The name is the name of the key in the store, and the name of the policy in the response's
/// headers. Requests with the same name and the same [parts](Self::by) are counted together.
#[derive(Debug, Clone)]
pub struct Policy {
    limit: Given,
    /// In place of the cost of the limit.
    cost: Option<NonZeroU64>,
    /// The custom part of the key.
    parts: Option<Parts>,
    is_shadow: bool,
}

/// How the limit of a policy is given.
#[derive(Debug, Clone)]
enum Given {
    Limit(Arc<Named>),
    /// By this name, in the policies of the throttler.
    #[cfg(feature = "policies")]
    Name(Cow<'static, str>),
}

/// A limit with its name, which all requests of a rule share.
#[derive(Debug)]
struct Named {
    name: Cow<'static, str>,
    limit: PolicyLimit,
    /// What headers say of it, which is written once.
    item: OnceLock<PolicyItem>,
}

impl Named {
    fn new(name: Cow<'static, str>, limit: PolicyLimit) -> Arc<Self> {
        Arc::new(Self { name, limit, item: OnceLock::new() })
    }
}

impl Policy {
    /// Makes a policy of this name that counts all requests together.
    pub fn new(name: impl Into<Cow<'static, str>>, limit: impl Into<PolicyLimit>) -> Self {
        Self::of(Given::Limit(Named::new(name.into(), limit.into())))
    }

    /// Makes a policy whose limit has this name in the file of the throttler's
    /// [`Policies`](premier_client::Policies): see [`Rule::policy`](crate::Rule::policy).
    #[cfg(feature = "policies")]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Given::Name(name.into()))
    }

    fn of(limit: Given) -> Self {
        Self { limit, cost: None, parts: None, is_shadow: false }
    }

    /// Counts requests with this part apart from others: a user, an address. It may be called
    /// several times.
    #[must_use]
    pub fn by(mut self, part: impl fmt::Display) -> Self {
        self.add_part(part);
        self
    }

    /// [`by`](Self::by) in place.
    pub(crate) fn add_part(&mut self, part: impl fmt::Display) {
        let _infallible = write!(self.next_part().escaped(), "{part}");
    }

    /// [`add_part`](Self::add_part) for a text.
    pub(crate) fn add_text(&mut self, part: &str) {
        self.next_part().push_escaped(part);
    }

    /// Counts requests without a part together, apart from those with any. No part is written like
    /// this: in those, a backslash is followed by a colon or another one.
    pub(crate) fn add_none(&mut self) {
        self.next_part().push_str(r"\-");
    }

    /// Begins another part.
    fn next_part(&mut self) -> &mut Parts {
        if let Some(parts) = &mut self.parts {
            parts.push_str(":");
        }
        self.parts.get_or_insert_default()
    }

    /// Sets the units that the request takes, 1 to 10¹².
    ///
    /// # Errors
    /// If the cost is out of bounds.
    pub fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        // The bounds are those of any limit.
        Limit::token_bucket(1, Duration::from_secs(1)).try_cost(cost)?;
        Ok(Self { cost: NonZeroU64::new(cost), ..self })
    }

    /// Charges the request, but never limits it: see [`Rule::shadow`](crate::Rule::shadow).
    #[must_use]
    pub fn shadow(self) -> Self {
        Self { is_shadow: true, ..self }
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// Finds the limit.
    #[cfg_attr(
        not(feature = "policies"),
        expect(
            unused_variables,
            clippy::infallible_destructuring_match,
            clippy::unnecessary_wraps,
            reason = "all limits are given"
        )
    )]
    pub(crate) fn limited(self, throttler: &AsyncThrottler) -> Result<LimitedPolicy, Error> {
        let Self { limit, cost, parts, is_shadow } = self;
        let named = match limit {
            Given::Limit(named) => named,
            #[cfg(feature = "policies")]
            Given::Name(name) => {
                let limit = throttler.policy_limit(&name, &key(&name, parts.as_deref()))?;
                Named::new(name, limit)
            }
        };
        Ok(LimitedPolicy { named, cost, parts, is_shadow })
    }
}

/// A policy whose limit is known.
pub(crate) struct LimitedPolicy {
    named: Arc<Named>,
    cost: Option<NonZeroU64>,
    parts: Option<Parts>,
    is_shadow: bool,
}

impl LimitedPolicy {
    pub(crate) fn key(&self) -> Key<'_> {
        key(&self.named.name, self.parts.as_deref())
    }

    pub(crate) fn limit(&self) -> PolicyLimit {
        costing(self.named.limit, self.cost)
    }

    /// Returns the limit if it is one of a rate.
    pub(crate) fn rate(&self) -> Option<AnyLimit> {
        match (&self.named.limit, self.cost) {
            (PolicyLimit::Rate(limit), None) => Some(*limit),
            (PolicyLimit::Rate(limit), Some(cost)) => Some(limit.try_cost(cost.get()).expect(COST_IS_VALID)),
            (PolicyLimit::Concurrency(_), _) => None,
        }
    }

    pub(crate) fn decided(&self, decision: Decision, is_charged: bool) -> PolicyDecision {
        let Self { ref named, cost, is_shadow, .. } = *self;
        PolicyDecision { named: Arc::clone(named), cost, is_shadow, decision, is_charged }
    }

    /// Writes what tells its key apart from those of other policies.
    pub(crate) fn write_key(&self, out: &mut String) {
        for part in [&*self.named.name, self.parts.as_deref().unwrap_or_default()] {
            let _infallible = write!(out, "{}:{part}", part.len());
        }
    }
}

/// Sets a cost that is in bounds, if there is one.
fn costing(limit: PolicyLimit, cost: Option<NonZeroU64>) -> PolicyLimit {
    cost.map_or(limit, |cost| limit.try_cost(cost.get()).expect(COST_IS_VALID))
}

const COST_IS_VALID: &str = "the cost is in bounds";

/// Returns the key of a policy, whose parts are joined.
fn key<'a>(name: &'a str, parts: Option<&'a str>) -> Key<'a> {
    let key = Key::named(name);
    match parts {
        Some(parts) => key.custom_text(parts),
        None => key,
    }
}

/// The decision of a policy on a request.
#[derive(Debug, Clone)]
pub struct PolicyDecision {
    named: Arc<Named>,
    cost: Option<NonZeroU64>,
    is_shadow: bool,
    decision: Decision,
    is_charged: bool,
}

impl PolicyDecision {
    /// Returns the name of the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.named.name
    }

    /// Returns the limit of the policy.
    #[must_use]
    pub fn limit(&self) -> PolicyLimit {
        costing(self.named.limit, self.cost)
    }

    /// Returns what headers say of the limit. It does not have the cost.
    pub(crate) fn item(&self) -> &PolicyItem {
        self.named.item.get_or_init(|| PolicyItem::new(self.name(), self.named.limit))
    }

    /// Returns whether the limit is one of a rate.
    pub(crate) fn is_rate(&self) -> bool {
        matches!(self.named.limit, PolicyLimit::Rate(_))
    }

    /// Returns what the policy alone decides.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns the units that are left now: after the request, or as before if it was limited by
    /// another policy.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        let uncharged = self.decision.is_admitted() && !self.is_charged;
        self.decision.remaining() + if uncharged { self.limit().cost() } else { 0 }
    }

    /// Returns whether the policy never limits a request.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// Returns whether the request violates the policy, in shadow or not.
    #[must_use]
    pub const fn is_violated(&self) -> bool {
        !self.decision.is_admitted()
    }
}
