use std::slice;
use std::sync::Arc;
use std::time::Duration;

use premier_client::{AnyLimit, Decision, RetryAfter};

use crate::{PolicyDecision, PolicyLimit};

/// The decisions on a request. The extensions of the request have them, and so have those of the
/// response if the request is limited. With the feature `axum`, this is an extractor. If several
/// layers decide a request, it has the decisions of all.
///
/// ```
/// use http::Request;
/// use premier_tower::RateLimits;
///
/// fn handle<B>(request: &Request<B>) {
///     let limits = request.extensions().get::<RateLimits>();
///     for policy in limits.map_or(&[][..], RateLimits::policies) {
///         println!("{}: {} left", policy.name(), policy.remaining());
///     }
/// }
/// # handle(&Request::new(()));
/// ```
#[derive(Debug, Clone)]
pub struct RateLimits(Decided);

#[derive(Debug, Clone)]
enum Decided {
    /// By a single policy, as most requests are.
    ByOne(PolicyDecision),
    BySeveral {
        policies: Arc<[PolicyDecision]>,
        /// For how long the called service has asked to wait, if that limits the request.
        heeded: Option<Duration>,
    },
}

impl RateLimits {
    pub(crate) fn new(policies: impl IntoIterator<Item = PolicyDecision>) -> Self {
        Self(Decided::BySeveral { policies: policies.into_iter().collect(), heeded: None })
    }

    pub(crate) const fn of_one(policy: PolicyDecision) -> Self {
        Self(Decided::ByOne(policy))
    }

    /// Limits a request for this time, as the called service has asked.
    pub(crate) fn heeded(after: Duration) -> Self {
        Self(Decided::BySeveral { policies: Arc::new([]), heeded: Some(after) })
    }

    /// Adds those of the layers outside of this one, as the first ones.
    pub(crate) fn after(&self, outer: &Self) -> Self {
        let policies = outer.policies().iter().chain(self.policies()).cloned().collect();
        Self(Decided::BySeveral { policies, heeded: self.pause() })
    }

    /// Returns the policies that were asked, each with its decision: those of outer layers first,
    /// and of each layer those in shadow last.
    #[must_use]
    pub fn policies(&self) -> &[PolicyDecision] {
        match &self.0 {
            Decided::ByOne(policy) => slice::from_ref(policy),
            Decided::BySeveral { policies, .. } => policies,
        }
    }

    /// Returns for how long the called service has asked to wait.
    const fn pause(&self) -> Option<Duration> {
        match self.0 {
            Decided::ByOne(_) => None,
            Decided::BySeveral { heeded, .. } => heeded,
        }
    }

    /// Returns the policies that limit requests: those that are not in shadow.
    pub(crate) fn enforced(&self) -> impl Iterator<Item = &PolicyDecision> + Clone {
        self.policies().iter().filter(|policy| !policy.is_shadow())
    }

    /// Returns the names of the policies that limit the request.
    pub fn violated(&self) -> impl Iterator<Item = &str> {
        self.enforced().filter(|policy| policy.is_violated()).map(PolicyDecision::name)
    }

    /// Returns the policy that limits most: of those that are violated the one with the longest
    /// retry-after, otherwise the one that leaves the least.
    #[must_use]
    pub fn binding(&self) -> Option<&PolicyDecision> {
        binding(self.enforced(), |policy| policy)
    }

    /// Returns the rate limit that limits most.
    pub(crate) fn binding_rate(&self) -> Option<(&PolicyDecision, AnyLimit)> {
        let rates = self.enforced().filter_map(|policy| match policy.limit() {
            PolicyLimit::Rate(limit) => Some((policy, limit)),
            PolicyLimit::Concurrency(_) => None,
        });
        binding(rates, |(policy, _)| policy)
    }

    /// Returns the longest retry-after of all violated policies, or the time for which the called
    /// service has asked to wait: see
    /// [`ThrottleLayer::heed_responses`](crate::ThrottleLayer::heed_responses).
    ///
    /// For a concurrency limit it is an upper bound: the time until enough leases have ended.
    #[must_use]
    pub fn retry_after(&self) -> Option<RetryAfter> {
        let heeded = self.pause().map(RetryAfter::After);
        heeded.or_else(|| self.binding().and_then(|policy| policy.decision().retry_after()))
    }
}

/// Returns what limits most: of policies that are violated the one with the longest retry-after,
/// otherwise the one that leaves the least.
fn binding<T>(all: impl Iterator<Item = T> + Clone, policy: impl Fn(&T) -> &PolicyDecision) -> Option<T> {
    let violated = all.clone().filter(|one| policy(one).is_violated());
    let longest = violated.max_by_key(|one| wait(&policy(one).decision()));
    longest.or_else(|| all.min_by_key(|one| policy(one).remaining()))
}

/// Returns how long a limited request has to wait; never is longer than any time.
fn wait(decision: &Decision) -> u128 {
    match decision.retry_after() {
        Some(RetryAfter::After(time)) => time.as_nanos(),
        Some(RetryAfter::Never) => u128::MAX,
        None => 0,
    }
}
