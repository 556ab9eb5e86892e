//! Asking the throttler about a request.

use std::borrow::Cow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{mem, slice};

use http::{Extensions, HeaderMap, StatusCode};
use premier_client::{
    AnyLimit, AsyncPermit, AsyncThrottler, Charge, Concurrency, Decision, Error, Key, Receipt, RetryAfter,
};
use tokio::time::{Instant, sleep};

use crate::heed::Heeded;
use crate::layer::{Policies, Shared};
use crate::policy::LimitedPolicy;
use crate::{Head, PolicyDecision, PolicyLimit, RateLimits, Refusal};

/// The decision on a request.
pub(crate) enum Verdict {
    Admitted(Admitted),
    Rejected(Rejected),
}

/// Why the service does not see a request.
pub(crate) enum Rejected {
    /// It is refused before it is limited.
    Refused(Refusal),
    Limited(RateLimits),
    Undecided(Error),
}

/// What decides a request that waits for the store, or for its turn.
pub(crate) type Deciding = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// An admitted request.
#[derive(Default)]
pub(crate) struct Admitted {
    /// `None` if it has no policies.
    pub(crate) limits: Option<RateLimits>,
    /// `None` if nothing can become of it.
    pub(crate) charged: Option<Box<Charged>>,
}

impl Verdict {
    fn limited(limits: RateLimits) -> Self {
        Self::Rejected(Rejected::Limited(limits))
    }
}

impl Admitted {
    /// Waits for this time, until it is the turn of the request.
    fn after(self, wait: Duration) -> Result<Verdict, Deciding> {
        if wait.is_zero() {
            return Ok(Verdict::Admitted(self));
        }
        Err(Box::pin(async move {
            sleep(wait).await;
            Verdict::Admitted(self)
        }))
    }
}

/// What an admitted request was charged.
pub(crate) struct Charged {
    shared: Arc<Shared>,
    charge: Option<Charge>,
    /// What policies in shadow have charged.
    shadows: Vec<Charge>,
    /// The places of the request, those in shadow too.
    permits: Vec<AsyncPermit>,
    stage: Stage,
    heeded: Option<Heeded>,
}

/// How far an admitted request has come. If it is dropped there, the client has hung up.
enum Stage {
    /// It waits for its turn, so the service has not seen it.
    Waiting,
    /// The service works on it.
    Working,
    Answered,
}

/// Decides a request.
///
/// # Errors
/// If it has to wait for the store, or for its turn. Returns what it waits for.
pub(crate) fn decide(shared: &Arc<Shared>, head: &Head<'_>) -> Result<Verdict, Deciding> {
    let mut policies = Policies::default();
    if let Err(rejected) = shared.choose(head, &mut policies) {
        return Ok(Verdict::Rejected(rejected));
    }
    if policies.is_empty() && shared.heeding().is_none() {
        return Ok(Verdict::Admitted(Admitted::default()));
    }
    if !shared.throttler.is_in_memory() || shared.wait_up_to.is_some() || shared.heeding().is_some() {
        return Err(Box::pin(ask_and_wait(Arc::clone(shared), policies)));
    }
    let mut context = Context::from_waker(Waker::noop());
    if let Some((policy, limit)) = policies.single_rate() {
        // As `ask` does, whose future is large.
        let receipt = at_once(pin!(shared.throttler.check(&policy.key(), limit)).poll(&mut context));
        return conclude(shared, policy, receipt);
    }
    at_once(pin!(ask(shared, &policies, None)).poll(&mut context))
}

/// Returns what memory answers, for which nobody has to wait.
fn at_once<T>(answer: Poll<T>) -> T {
    match answer {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("memory decides at once"),
    }
}

/// Asks about a request, and waits for its turn.
async fn ask_and_wait(shared: Arc<Shared>, policies: Policies) -> Verdict {
    let start = shared.wait_up_to.map(|at_most| (Instant::now(), at_most));
    let left = || start.map(|(start, at_most)| at_most.saturating_sub(start.elapsed()));
    let left_for_pauses = || left().unwrap_or_default();
    let heeded = shared.heeding().map(|heeding| heeding.of(&policies));
    if let Some(heeded) = &heeded
        && let Err(after) = heeded.wait(left_for_pauses).await
    {
        return Verdict::limited(RateLimits::heeded(after));
    }
    let verdict = match ask(&shared, &policies, left()).await {
        Ok(verdict) => verdict,
        Err(turn) => turn.await,
    };
    let Verdict::Admitted(mut admitted) = verdict else { return verdict };
    // What the service has asked for while this request waited.
    if let Some(heeded) = &heeded
        && let Err(after) = heeded.wait(left_for_pauses).await
    {
        return Verdict::limited(RateLimits::heeded(after));
    }
    if let Some(charged) = &mut admitted.charged {
        charged.heeded = heeded;
    }
    Verdict::Admitted(admitted)
}

/// Asks about a request: once, or until it is admitted or this time has passed.
///
/// # Errors
/// If it is admitted and has to wait for its turn.
async fn ask(shared: &Arc<Shared>, policies: &Policies, at_most: Option<Duration>) -> Result<Verdict, Deciding> {
    match policies.single_rate() {
        Some((policy, limit)) if at_most.is_none() => {
            conclude(shared, policy, shared.throttler.check(&policy.key(), limit).await)
        }
        _ => ask_for_all(shared, policies, at_most).await,
    }
}

fn undecided(shared: &Shared, error: Error) -> Verdict {
    shared.report(&error);
    Verdict::Rejected(Rejected::Undecided(error))
}

/// Decides a request with a single rate, as most are. This is [`ask_for_all`] without what others
/// need.
fn conclude(
    shared: &Arc<Shared>,
    policy: &LimitedPolicy,
    receipt: Result<Receipt, Error>,
) -> Result<Verdict, Deciding> {
    let receipt = match receipt {
        Ok(receipt) => receipt,
        Err(error) => return Ok(undecided(shared, error)),
    };
    let limits = RateLimits::of_one(policy.decided(*receipt, receipt.is_admitted()));
    let Some(wait) = receipt.wait() else { return Ok(Verdict::limited(limits)) };
    let charged = if shared.may_refund() || !wait.is_zero() {
        Some(Charged::new(shared, Some(receipt.into()), Vec::new()))
    } else {
        None
    };
    Admitted { limits: Some(limits), charged }.after(wait)
}

async fn ask_for_all(
    shared: &Arc<Shared>,
    policies: &Policies,
    at_most: Option<Duration>,
) -> Result<Verdict, Deciding> {
    let Policies { enforced, in_shadow } = policies;
    let Asked { each, wait, charge, permits } = match self::charge(&shared.throttler, enforced, at_most).await {
        Ok(asked) => asked,
        Err(error) => return Ok(undecided(shared, error)),
    };
    let is_charged = wait.is_some();
    let decided = enforced.iter().zip(each.as_slice()).map(|(policy, each)| policy.decided(*each, is_charged));
    let Some(wait) = wait else { return Ok(Verdict::limited(RateLimits::new(decided))) };
    let mut charged = Charged::new(shared, charge, permits);
    let mut decided: Vec<_> = decided.collect();
    for shadow in in_shadow {
        decided.extend(charged.ask_shadow(shadow).await);
    }
    let limits = Some(RateLimits::new(decided));
    Admitted { limits, charged: Some(charged) }.after(wait)
}

/// What the store has answered.
struct Asked {
    each: Each,
    /// How long an admitted request waits before it goes ahead. `None` if it is limited.
    wait: Option<Duration>,
    charge: Option<Charge>,
    permits: Vec<AsyncPermit>,
}

/// What each policy decides alone, in their order.
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

impl Asked {
    fn one(decision: Decision, wait: Option<Duration>, charge: Option<Charge>) -> Self {
        Self { each: Each::One(decision), wait, charge, permits: Vec::new() }
    }
}

/// Charges all policies in one call, or none. Asks again until the request is admitted, if it may
/// wait for at most this time.
async fn charge(
    throttler: &AsyncThrottler,
    policies: &[LimitedPolicy],
    at_most: Option<Duration>,
) -> Result<Asked, Error> {
    let [policy] = policies else { return charge_all(throttler, policies, at_most).await };
    let answer = match (policy.limit(), at_most) {
        (PolicyLimit::Rate(limit), None) => {
            let receipt = throttler.check(&policy.key(), limit).await?;
            return Ok(Asked::one(*receipt, receipt.wait(), Some(receipt.into())));
        }
        (PolicyLimit::Rate(limit), Some(at_most)) => {
            let admission = throttler.acquire(&policy.key(), limit, at_most).await;
            admission.map(|admission| Asked::one(*admission, Some(Duration::ZERO), Some(admission.into())))
        }
        (PolicyLimit::Concurrency(_), None) => return charge_all(throttler, policies, None).await,
        (PolicyLimit::Concurrency(concurrency), Some(at_most)) => {
            let permit = throttler.hold_within(&policy.key(), concurrency, at_most).await;
            permit.map(|permit| {
                let asked = Asked::one(permit.decision(), Some(Duration::ZERO), None);
                Asked { permits: vec![permit], ..asked }
            })
        }
    };
    answer.or_else(|error| match error.decision() {
        Some(limited) => Ok(Asked::one(limited, None, None)),
        None => Err(error),
    })
}

/// [`charge`] for any number of policies.
async fn charge_all(
    throttler: &AsyncThrottler,
    policies: &[LimitedPolicy],
    at_most: Option<Duration>,
) -> Result<Asked, Error> {
    const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
    const LONGEST_PAUSE: Duration = Duration::from_millis(200);
    if policies.is_empty() {
        return Ok(Asked {
            each: Each::Several(Vec::new()),
            wait: Some(Duration::ZERO),
            charge: None,
            permits: Vec::new(),
        });
    }
    let limits = Limits::of(policies);
    let start = Instant::now();
    let left = || at_most.map(|at_most| at_most.saturating_sub(start.elapsed()));
    let mut pause = SHORTEST_PAUSE;
    loop {
        let rates = limits.rates_within(left());
        let (permits, receipt) = match &limits.concurrency[..] {
            [] => (Vec::new(), throttler.check_all(&rates).await?),
            concurrency => throttler.check_and_hold(concurrency, &rates).await?,
        };
        match limits.until_next(receipt.each(), pause, left().unwrap_or_default()) {
            Some(wait) if !receipt.is_admitted() => {
                sleep(wait).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            _ => {
                let each = Each::Several(limits.in_order(receipt.each()));
                return Ok(Asked { each, wait: receipt.decision().wait(), charge: Some(receipt.into()), permits });
            }
        }
    }
}

/// The limits of several policies, as the store takes them.
struct Limits<'a> {
    policies: &'a [LimitedPolicy],
    /// Decided first.
    concurrency: Vec<(Key<'a>, Concurrency)>,
    rates: Vec<(Key<'a>, AnyLimit)>,
}

impl<'a> Limits<'a> {
    fn of(policies: &'a [LimitedPolicy]) -> Self {
        let mut limits = Self { policies, concurrency: Vec::new(), rates: Vec::with_capacity(policies.len()) };
        for policy in policies {
            match policy.limit() {
                PolicyLimit::Rate(limit) => limits.rates.push((policy.key(), limit)),
                PolicyLimit::Concurrency(concurrency) => limits.concurrency.push((policy.key(), concurrency)),
            }
        }
        limits
    }

    /// Returns the rate limits for a request that may wait this long: no bucket gives it a turn
    /// that comes later.
    fn rates_within(&self, time: Option<Duration>) -> Cow<'_, [(Key<'a>, AnyLimit)]> {
        let Some(time) = time else { return Cow::Borrowed(&self.rates) };
        self.rates.iter().map(|(key, limit)| (key.clone(), limit.waiting_at_most(time))).collect()
    }

    /// Puts decisions into the order of the policies.
    fn in_order(&self, each: &[Decision]) -> Vec<Decision> {
        let (places, rates) = each.split_at(self.concurrency.len());
        let (mut places, mut rates) = (places.iter(), rates.iter());
        let decided = |policy: &LimitedPolicy| match policy.limit() {
            PolicyLimit::Rate(_) => rates.next(),
            PolicyLimit::Concurrency(_) => places.next(),
        };
        self.policies.iter().filter_map(decided).copied().collect()
    }

    /// Returns how long a limited request waits before it asks again; `None` if the time that is
    /// left is too short. A place may be given back at any time, so a request asks for one again
    /// after `pause`.
    fn until_next(&self, each: &[Decision], pause: Duration, left: Duration) -> Option<Duration> {
        let (places, rates) = each.split_at(self.concurrency.len());
        let mut wait = Duration::ZERO;
        for retry_after in rates.iter().filter_map(Decision::retry_after) {
            match retry_after {
                RetryAfter::After(after) if after <= left => wait = wait.max(after),
                _ => return None,
            }
        }
        for retry_after in places.iter().filter_map(Decision::retry_after) {
            match retry_after {
                RetryAfter::After(after) if !left.is_zero() => wait = wait.max(after.min(pause).min(left)),
                _ => return None,
            }
        }
        Some(wait)
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
    fn new(shared: &Arc<Shared>, charge: Option<Charge>, permits: Vec<AsyncPermit>) -> Box<Self> {
        let shared = Arc::clone(shared);
        Box::new(Self { shared, charge, shadows: Vec::new(), permits, stage: Stage::Waiting, heeded: None })
    }

    /// Charges a policy that never limits.
    async fn ask_shadow(&mut self, policy: &LimitedPolicy) -> Option<PolicyDecision> {
        let asked = charge(&self.shared.throttler, slice::from_ref(policy), None).await;
        let Asked { each, charge, permits, .. } = asked.inspect_err(|error| self.shared.report(error)).ok()?;
        self.shadows.extend(charge);
        self.permits.extend(permits);
        let [decision] = *each.as_slice() else { unreachable!("one policy has one decision") };
        let decided = policy.decided(decision, decision.is_admitted());
        if let Some(on_shadow) = &self.shared.on_shadow
            && decided.is_violated()
        {
            on_shadow(&decided);
        }
        Some(decided)
    }

    /// Notes that the service works on the request now.
    pub(crate) fn begin(&mut self) {
        self.stage = Stage::Working;
    }

    /// Keeps what was charged, or gives it back, depending on the response. Returns the places of
    /// the request, which its body keeps.
    pub(crate) fn settle(&mut self, reply: Reply<'_>) -> Vec<AsyncPermit> {
        self.stage = Stage::Answered;
        if let Some(heeded) = &self.heeded {
            heeded.learn(reply);
        }
        if self.shared.refund_when.as_ref().is_some_and(|is_refunded| is_refunded(&reply)) {
            self.give_back();
        }
        mem::take(&mut self.permits)
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
