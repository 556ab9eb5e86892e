//! Asking the throttler about a request.

use std::slice;
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
    charge: Option<Charge>,
    /// What policies in shadow have charged.
    shadows: Vec<Charge>,
    stage: Stage,
}

/// How far an admitted request has come. If it is dropped there, the client has hung up.
enum Stage {
    /// It waits for its turn, so the service has not seen it.
    Waiting,
    /// The service works on it.
    Working,
    Answered,
}

/// Asks about a request, and waits for its turn.
pub(crate) async fn decide(shared: Arc<Shared>, mut policies: Vec<Policy>) -> Verdict {
    let shadows: Vec<_> = policies.extract_if(.., |policy| policy.is_shadow()).collect();
    let asked = match ask(&shared, &policies).await {
        Ok(asked) => asked,
        Err(error) => {
            shared.report(&error);
            return Verdict::Undecided(error);
        }
    };
    let Asked { each, wait, charge } = asked;
    let is_charged = wait.is_some();
    let mut decided = Vec::with_capacity(policies.len() + shadows.len());
    decided.extend(policies.into_iter().zip(each.as_slice()).map(|(policy, each)| policy.decided(*each, is_charged)));
    let Some(wait) = wait else { return Verdict::Limited(RateLimits::new(decided)) };

    let mut charged = Charged { shared, charge, shadows: Vec::new(), stage: Stage::Waiting };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    for shadow in shadows {
        decided.extend(charged.ask_shadow(shadow).await);
    }
    charged.stage = Stage::Working;
    Verdict::Admitted(Admitted { limits: RateLimits::new(decided), charged })
}

/// What the store has answered.
struct Asked {
    each: Each,
    /// How long an admitted request waits before it goes ahead. `None` if it is limited.
    wait: Option<Duration>,
    charge: Option<Charge>,
}

/// What each policy decides alone.
enum Each {
    One(Decision),
    Several(Vec<Decision>),
}

impl Each {
    fn as_slice(&self) -> &[Decision] {
        match self {
            Self::One(decision) => slice::from_ref(decision),
            Self::Several(decisions) => decisions,
        }
    }
}

/// Charges all policies in one call, or none.
async fn ask(shared: &Shared, policies: &[Policy]) -> Result<Asked, Error> {
    let at_most = shared.wait_up_to;
    match policies {
        [] => Ok(Asked { each: Each::Several(Vec::new()), wait: Some(Duration::ZERO), charge: None }),
        [policy] if at_most.is_zero() => {
            let receipt = shared.throttler.check(&policy.key(), policy.limit()).await?;
            Ok(Asked::one(*receipt, receipt.wait(), Some(receipt.into())))
        }
        [policy] => match shared.throttler.acquire(&policy.key(), policy.limit(), at_most).await {
            Ok(admission) => Ok(Asked::one(*admission, Some(Duration::ZERO), Some(admission.into()))),
            Err(error) => match error.decision() {
                Some(limited) => Ok(Asked::one(limited, None, None)),
                None => Err(error),
            },
        },
        policies => ask_all_until(&shared.throttler, policies, at_most).await,
    }
}

/// Asks again until the request is admitted, as long as that comes in time.
async fn ask_all_until(throttler: &AsyncThrottler, policies: &[Policy], at_most: Duration) -> Result<Asked, Error> {
    let limits: Vec<_> = policies.iter().map(|policy| (policy.key(), policy.limit())).collect();
    let start = Instant::now();
    loop {
        let receipt = throttler.check_all(&limits).await?;
        let decision = receipt.decision();
        match decision.retry_after() {
            Some(RetryAfter::After(after)) if start.elapsed() + after <= at_most => tokio::time::sleep(after).await,
            _ => {
                let each = Each::Several(receipt.each().to_vec());
                return Ok(Asked { each, wait: decision.wait(), charge: Some(receipt.into()) });
            }
        }
    }
}

impl Asked {
    fn one(decision: Decision, wait: Option<Duration>, charge: Option<Charge>) -> Self {
        Self { each: Each::One(decision), wait, charge }
    }
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
        Self { shared: Arc::clone(shared), charge: None, shadows: Vec::new(), stage: Stage::Answered }
    }

    /// Charges a policy that never limits.
    async fn ask_shadow(&mut self, policy: Policy) -> Option<PolicyDecision> {
        let shared = &self.shared;
        match shared.throttler.check(&policy.key(), policy.limit()).await {
            Ok(receipt) => {
                let decided = policy.decided(*receipt, receipt.is_admitted());
                self.shadows.push(receipt.into());
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

    /// Keeps what was charged, or gives it back, depending on the response.
    pub(crate) fn settle(mut self, reply: Reply<'_>) {
        self.stage = Stage::Answered;
        if self.shared.refund_when.as_ref().is_some_and(|is_refunded| is_refunded(&reply)) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        for charge in self.charge.take().into_iter().chain(self.shadows.drain(..)) {
            self.shared.throttler.refund_in_background(charge);
        }
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        let is_given_back = match self.stage {
            Stage::Waiting => true,
            Stage::Working => self.shared.refund_unanswered,
            Stage::Answered => false,
        };
        if is_given_back {
            self.give_back();
        }
    }
}
