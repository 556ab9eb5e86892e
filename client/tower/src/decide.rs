//! Asking the throttler about a request.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, StatusCode};
use premier_client::{AsyncThrottler, Charge, Decision, Error, RetryAfter};
use tokio::time::Instant;

use crate::layer::Shared;
use crate::{Policy, PolicyDecision, RateLimits};

/// The decision on a request.
pub(crate) enum Verdict {
    Admitted(Admitted),
    Limited(RateLimits),
    Undecided(Error),
}

/// An admitted request.
pub(crate) struct Admitted {
    pub(crate) limits: RateLimits,
    pub(crate) charged: Charged,
}

/// What an admitted request was charged.
pub(crate) struct Charged {
    shared: Arc<Shared>,
    charges: Vec<Charge>,
    /// Whether the request has been answered: if it is dropped before, the client has hung up.
    is_answered: bool,
}

/// Asks about a request, and waits for its turn.
pub(crate) async fn decide(shared: Arc<Shared>, policies: Vec<Policy>) -> Verdict {
    let (shadows, enforced): (Vec<_>, Vec<_>) = policies.into_iter().partition(Policy::is_shadow);
    let asked = match ask_until(&shared.throttler, &enforced, shared.wait_up_to).await {
        Ok(asked) => asked,
        Err(error) => {
            shared.report(&error);
            return Verdict::Undecided(error);
        }
    };
    let Asked { decisions, wait, charge } = asked;
    let is_charged = wait.is_some();
    let decided = enforced.into_iter().zip(decisions).map(|(policy, decision)| policy.decided(decision, is_charged));
    let mut decided: Vec<_> = decided.collect();
    let Some(wait) = wait else { return Verdict::Limited(RateLimits::new(decided)) };

    let mut charged =
        Charged { shared: Arc::clone(&shared), charges: charge.into_iter().collect(), is_answered: false };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    for shadow in shadows {
        decided.extend(ask_shadow(&shared, shadow, &mut charged).await);
    }
    Verdict::Admitted(Admitted { limits: RateLimits::new(decided), charged })
}

/// Charges a policy that never limits.
async fn ask_shadow(shared: &Shared, policy: Policy, charged: &mut Charged) -> Option<PolicyDecision> {
    match shared.throttler.check(&policy.key(), policy.limit()).await {
        Ok(receipt) => {
            let decided = policy.decided(*receipt, receipt.is_admitted());
            charged.charges.push(receipt.into());
            if let Some(on_shadow) = &shared.on_shadow
                && decided.is_violated()
            {
                on_shadow(&decided);
            }
            Some(decided)
        }
        Err(error) => {
            shared.report(&error);
            None
        }
    }
}

/// What the store has answered.
struct Asked {
    /// What each policy decides alone.
    decisions: Vec<Decision>,
    /// How long an admitted request waits before it goes ahead. `None` if it is limited.
    wait: Option<Duration>,
    charge: Option<Charge>,
}

/// Asks again until the request is admitted, as long as that comes in time.
async fn ask_until(throttler: &AsyncThrottler, policies: &[Policy], at_most: Duration) -> Result<Asked, Error> {
    let start = Instant::now();
    loop {
        let (asked, retry_after) = ask(throttler, policies).await?;
        match retry_after {
            Some(RetryAfter::After(after)) if start.elapsed() + after <= at_most => tokio::time::sleep(after).await,
            _ => return Ok(asked),
        }
    }
}

/// Charges all policies in one call, or none. Returns when to ask again if the request is limited.
async fn ask(throttler: &AsyncThrottler, policies: &[Policy]) -> Result<(Asked, Option<RetryAfter>), Error> {
    Ok(match policies {
        [] => (Asked { decisions: Vec::new(), wait: Some(Duration::ZERO), charge: None }, None),
        [policy] => {
            let receipt = throttler.check(&policy.key(), policy.limit()).await?;
            let decision = *receipt;
            let asked = Asked { decisions: vec![decision], wait: decision.wait(), charge: Some(receipt.into()) };
            (asked, decision.retry_after())
        }
        policies => {
            let limits: Vec<_> = policies.iter().map(|policy| (policy.key(), policy.limit())).collect();
            let receipt = throttler.check_all(&limits).await?;
            let decision = receipt.decision();
            let decisions = receipt.each().to_vec();
            let asked = Asked { decisions, wait: decision.wait(), charge: Some(receipt.into()) };
            (asked, decision.retry_after())
        }
    })
}

/// The head of a response, by which its costs may be refunded.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

impl<'a> Reply<'a> {
    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the extensions.
    #[must_use]
    pub const fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

impl Charged {
    /// Charges nothing.
    pub(crate) fn nothing(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), charges: Vec::new(), is_answered: true }
    }

    /// Keeps what was charged, or gives it back, depending on the response.
    pub(crate) fn settle(mut self, reply: Reply<'_>) {
        self.is_answered = true;
        if self.shared.refund_when.as_ref().is_some_and(|is_refunded| is_refunded(&reply)) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        for charge in self.charges.drain(..) {
            self.shared.throttler.refund_in_background(charge);
        }
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        if !self.is_answered && self.shared.refund_unanswered {
            self.give_back();
        }
    }
}
