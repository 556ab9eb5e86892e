use std::sync::Arc;

use premier_client::{Decision, RetryAfter};

use crate::PolicyDecision;

/// The decisions on a request, in its extensions and in those of the response. With the feature
/// `axum`, it is an extractor. If several layers decide a request, it has the decisions of all.
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
pub struct RateLimits(Arc<[PolicyDecision]>);

impl RateLimits {
    pub(crate) fn new(policies: Vec<PolicyDecision>) -> Self {
        Self(policies.into())
    }

    /// Adds those of the layers outside of this one, as the first ones.
    pub(crate) fn after(&self, outer: Option<&Self>) -> Self {
        outer.map_or_else(|| self.clone(), |outer| Self(outer.0.iter().chain(self.0.iter()).cloned().collect()))
    }

    /// Returns the policies that were asked, each with its decision: those of outer layers first,
    /// and of each layer those in shadow last.
    #[must_use]
    pub fn policies(&self) -> &[PolicyDecision] {
        &self.0
    }

    /// Returns the policies that limit requests: those that are not in shadow.
    pub(crate) fn enforced(&self) -> impl Iterator<Item = &PolicyDecision> + Clone {
        self.0.iter().filter(|policy| !policy.is_shadow())
    }

    /// Returns the names of the policies that limit the request.
    pub fn violated(&self) -> impl Iterator<Item = &str> {
        self.enforced().filter(|policy| policy.is_violated()).map(PolicyDecision::name)
    }

    /// Returns the policy that limits most: of those that are violated the one with the longest
    /// retry-after, otherwise the one that leaves the least.
    #[must_use]
    pub fn binding(&self) -> Option<&PolicyDecision> {
        let violated = self.enforced().filter(|policy| policy.is_violated());
        let longest = violated.max_by_key(|policy| wait(&policy.decision()));
        longest.or_else(|| self.enforced().min_by_key(|policy| policy.remaining()))
    }

    /// Returns the longest retry-after of all that are violated.
    #[must_use]
    pub fn retry_after(&self) -> Option<RetryAfter> {
        self.binding().and_then(|policy| policy.decision().retry_after())
    }
}

/// Returns how long a limited request has to wait; never is longer than any time.
fn wait(decision: &Decision) -> u128 {
    match decision.retry_after() {
        Some(RetryAfter::After(time)) => time.as_nanos(),
        Some(RetryAfter::Never) => u128::MAX,
        None => 0,
    }
}
