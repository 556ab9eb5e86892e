use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Response};
use premier_client::{AnyLimit, AsyncThrottler, Error};
use smallvec::SmallVec;
use tower_layer::Layer;

use crate::decide::Rejected;
use crate::headers::Headers;
use crate::heed::Heeding;
use crate::policy::LimitedPolicy;
use crate::{Head, Policy, PolicyDecision, RateLimits, Reply, Rules, ThrottleService, response};

/// Limits the requests of a service by rules.
///
/// All rules that apply to a request are charged in one call, all or none of them.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{AsyncBackend, AsyncThrottler, Limit};
/// use premier_tower::{ClientAddress, Rule, ThrottleLayer};
///
/// // Or AsyncBackend::redis("redis://127.0.0.1/")?
/// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
/// let layer = ThrottleLayer::new(throttler)
///     .rule(Rule::new("all", Limit::sliding_window(10_000, Duration::from_secs(1))))
///     .rule(Rule::new("address", Limit::token_bucket(100, Duration::from_secs(60))).by_client(ClientAddress::peer()));
/// # let _ = layer;
/// ```
#[derive(Debug, Clone)]
pub struct ThrottleLayer {
    shared: Arc<Shared>,
}

/// What all services of a layer share.
pub(crate) struct Shared {
    pub(crate) throttler: AsyncThrottler,
    rules: Vec<Arc<dyn Rules>>,
    is_shadow: bool,
    pub(crate) headers: Headers,
    pub(crate) wait_up_to: Option<Duration>,
    heeding: Option<Arc<Heeding>>,
    answers: Answers,
    on_limited: Option<OnLimited>,
    pub(crate) on_shadow: Option<OnShadow>,
    on_error: Option<OnError>,
    pub(crate) refund_when: Option<RefundWhen>,
    pub(crate) refund_unanswered: bool,
}

/// The policies of a request, of which most have one.
#[derive(Default)]
pub(crate) struct Policies {
    pub(crate) enforced: SmallVec<[LimitedPolicy; 1]>,
    pub(crate) in_shadow: Vec<LimitedPolicy>,
}

impl Policies {
    pub(crate) fn is_empty(&self) -> bool {
        self.enforced.is_empty() && self.in_shadow.is_empty()
    }

    /// Returns the only policy, if its limit is one of a rate.
    pub(crate) fn single_rate(&self) -> Option<(&LimitedPolicy, AnyLimit)> {
        match &self.enforced[..] {
            [policy] if self.in_shadow.is_empty() => policy.rate().map(|limit| (policy, limit)),
            _ => None,
        }
    }
}

type OnShadow = Arc<dyn Fn(&PolicyDecision) + Send + Sync>;
type OnError = Arc<dyn Fn(&Error) + Send + Sync>;
type RefundWhen = Arc<dyn Fn(&Reply<'_>) -> bool + Send + Sync>;
type OnLimited = Arc<dyn Fn(&RateLimits) -> Response<Bytes> + Send + Sync>;

/// The form of the responses to requests that do not reach the service.
#[derive(Debug, Clone, Copy, Default)]
enum Answers {
    #[default]
    Http,
    #[cfg(feature = "tonic")]
    Grpc,
}

impl ThrottleLayer {
    /// Makes a layer without rules, which admits all requests.
    #[must_use]
    pub fn new(throttler: AsyncThrottler) -> Self {
        let shared = Shared {
            throttler,
            rules: Vec::new(),
            is_shadow: false,
            headers: Headers::default(),
            wait_up_to: None,
            heeding: None,
            answers: Answers::default(),
            on_limited: None,
            on_shadow: None,
            on_error: None,
            refund_when: None,
            refund_unanswered: false,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a rule. A request may have 16 policies at most, and no two with the same key.
    #[must_use]
    pub fn rule(self, rule: impl Rules) -> Self {
        self.with(|shared| shared.rules.push(Arc::new(rule)))
    }

    /// Sets the headers that show clients their limits: those of draft 11 by default.
    #[must_use]
    pub fn headers(self, headers: Headers) -> Self {
        self.with(|shared| shared.headers = headers)
    }

    /// Waits for this time at most until a request is admitted, instead of answering it at once.
    ///
    /// A request that would have to wait longer, for any of its policies, is answered as soon as
    /// that is known. Requests with
    /// one policy, those in shadow aside, [queue up](AsyncThrottler::acquire): they are admitted in
    /// the order in which they came. Requests with several policies ask again, each by itself and
    /// in no order. For a place of a concurrency limit they ask again after 25 ms, and then after
    /// longer pauses of up to 200 ms.
    ///
    /// A request that waits keeps the inner service that was ready for it, and so a place of a
    /// `tower::limit::ConcurrencyLimit`, whether that is inside of this layer or around it. A
    /// [concurrency limit](premier_client::Limit::concurrency) as a rule of this layer gives
    /// requests a place only when they go ahead.
    ///
    /// Without this, requests that a leaky bucket has admitted still wait for their turn, for the
    /// [maximum wait](premier_client::Limit::max_wait) of their limit at most.
    #[must_use]
    pub fn wait_up_to(self, time: Duration) -> Self {
        self.with(|shared| shared.wait_up_to = Some(time))
    }

    /// Backs off as responses ask, when the layer is around an HTTP client.
    ///
    /// After a response with 429 or 503 and `Retry-After`, or one whose `RateLimit` shows that a
    /// policy has no units left, further requests are held back for as long as the response asks,
    /// but no longer than `at_most`. With the feature `tonic`, the same holds after `RetryInfo`
    /// with `RESOURCE_EXHAUSTED` or `UNAVAILABLE`. This applies to requests with the same policies
    /// and keys: with a rule by host, to the same host; without rules, to all requests. They wait
    /// if [`wait_up_to`] is long enough, and are otherwise answered with 429.
    ///
    /// Each process backs off by itself, by the responses that it has received.
    ///
    /// [`wait_up_to`]: Self::wait_up_to
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit};
    /// use premier_tower::{Head, Headers, Rule, ThrottleLayer};
    ///
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let by_host = |head: &Head<'_>| head.uri().host().map(str::to_owned);
    /// let layer = ThrottleLayer::new(throttler)
    ///     .rule(Rule::new("partner", Limit::token_bucket(10, Duration::from_secs(1))).by(by_host))
    ///     .wait_up_to(Duration::from_secs(5))
    ///     .heed_responses(Duration::from_secs(60))
    ///     // Responses keep the headers of the partner.
    ///     .headers(Headers::None);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn heed_responses(self, at_most: Duration) -> Self {
        self.with(|shared| shared.heeding = Some(Arc::new(Heeding::new(at_most))))
    }

    /// Answers limited requests. The [headers](Self::headers) are added to the response, and
    /// `Retry-After` unless it has one.
    #[must_use]
    pub fn on_limited(self, answer: impl Fn(&RateLimits) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.on_limited = Some(Arc::new(answer)))
    }

    /// Puts all rules in [shadow](crate::Rule::shadow): the layer limits, refuses and holds back
    /// nothing, and reports what it would limit. Each policy is then charged by itself, so a
    /// request is charged to one policy even if another would have limited it.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.with(|shared| shared.is_shadow = true)
    }

    /// Reports each violation of a policy in [shadow](crate::Rule::shadow). What a whole
    /// [throttler](premier_client::Builder::shadow) in shadow would have limited is only in the
    /// metrics and events of premier-client.
    #[must_use]
    pub fn on_shadow(self, report: impl Fn(&PolicyDecision) + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.on_shadow = Some(Arc::new(report)))
    }

    /// Reports why a request could not be decided. The request is answered with 503 if the store
    /// does not answer and the throttler's [`OnError`](premier_client::OnError) does not decide
    /// instead, and with 500 after any other error.
    #[must_use]
    pub fn on_error(self, report: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.on_error = Some(Arc::new(report)))
    }

    /// Gives back what a request was charged, if the closure returns `true` for its response: a
    /// failed upload, for example, then costs nothing.
    ///
    /// The response does not wait for that. Nothing is given back twice, nor after the store's
    /// reply was lost.
    ///
    /// ```
    /// # use premier_client::{AsyncBackend, AsyncThrottler};
    /// # use premier_tower::ThrottleLayer;
    /// # let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let layer = ThrottleLayer::new(throttler).refund_when(|reply| reply.status().is_server_error());
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn refund_when(self, is_refunded: impl Fn(&Reply<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.refund_when = Some(Arc::new(is_refunded)))
    }

    /// Gives back what a request was charged if it gets no response, because the client hangs up
    /// while the service works, or the service returns an error.
    ///
    /// If the client hangs up earlier, while the request waits for its turn, the request costs
    /// nothing in any case. If it hangs up while the store is being asked, the request may have
    /// been charged, and nobody knows: nothing is given back.
    #[must_use]
    pub fn refund_unanswered(self) -> Self {
        self.with(|shared| shared.refund_unanswered = true)
    }

    /// Answers gRPC calls: limited ones with the status `RESOURCE_EXHAUSTED` and `RetryInfo`.
    #[cfg(feature = "tonic")]
    #[must_use]
    pub fn grpc(self) -> Self {
        self.with(|shared| shared.answers = Answers::Grpc)
    }

    #[cfg(feature = "reqwest")]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        // A clone of the layer keeps its own settings.
        let mut shared = Arc::try_unwrap(self.shared).unwrap_or_else(|shared| (*shared).clone());
        change(&mut shared);
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = ThrottleService<S>;

    fn layer(&self, inner: S) -> ThrottleService<S> {
        ThrottleService::new(inner, Arc::clone(&self.shared))
    }
}

impl Shared {
    /// Adds the policies of a request.
    ///
    /// # Errors
    /// If the request is refused, or a policy has no limit.
    pub(crate) fn choose(&self, head: &Head<'_>, policies: &mut Policies) -> Result<(), Rejected> {
        let mut unknown = None;
        let mut add = |policy: Policy| {
            let is_shadow = self.is_shadow || policy.is_shadow();
            let policy = if is_shadow { policy.shadow() } else { policy };
            match policy.limited(&self.throttler) {
                Ok(policy) if is_shadow => policies.in_shadow.push(policy),
                Ok(policy) => policies.enforced.push(policy),
                Err(error) => {
                    self.report(&error);
                    if !is_shadow {
                        unknown = Some(error);
                    }
                }
            }
        };
        for rule in &self.rules {
            if let Err(refusal) = rule.choose(head, &mut add)
                && !self.is_shadow
            {
                return Err(Rejected::Refused(refusal));
            }
        }
        unknown.map_or(Ok(()), |error| Err(Rejected::Undecided(error)))
    }

    /// Returns whether what an admitted request was charged may be given back.
    pub(crate) fn may_refund(&self) -> bool {
        self.refund_when.is_some() || self.refund_unanswered || self.heeding().is_some()
    }

    /// Returns what responses have asked for, if that is heeded.
    pub(crate) fn heeding(&self) -> Option<&Arc<Heeding>> {
        self.heeding.as_ref().filter(|_| !self.is_shadow)
    }

    pub(crate) fn report(&self, error: &Error) {
        if let Some(report) = &self.on_error {
            report(error);
        }
    }

    /// Answers a request that the service does not see, which has these extensions.
    pub(crate) fn answer(&self, rejected: &Rejected, extensions: &Extensions) -> Response<Bytes> {
        match (rejected, self.answers) {
            (Rejected::Limited(limits), _) => self.answer_limited(limits, extensions.get()),
            (Rejected::Refused(refusal), Answers::Http) => response::refused(refusal),
            (Rejected::Undecided(error), Answers::Http) => response::undecided(error),
            #[cfg(feature = "tonic")]
            (Rejected::Refused(refusal), Answers::Grpc) => crate::grpc::refused(refusal),
            #[cfg(feature = "tonic")]
            (Rejected::Undecided(error), Answers::Grpc) => crate::grpc::undecided(error),
        }
    }

    /// Answers a limited request. `outer` are the decisions of outer layers.
    fn answer_limited(&self, limits: &RateLimits, outer: Option<&RateLimits>) -> Response<Bytes> {
        let all = outer.map_or_else(|| limits.clone(), |outer| limits.after(outer));
        let mut response = match (&self.on_limited, self.answers) {
            (Some(answer), _) => answer(limits),
            (None, Answers::Http) => response::limited(limits),
            #[cfg(feature = "tonic")]
            (None, Answers::Grpc) => crate::grpc::limited(limits),
        };
        response::show_limited(limits, &all, self.headers, &mut response);
        response.extensions_mut().insert(all);
        response
    }
}

impl Clone for Shared {
    fn clone(&self) -> Self {
        let Self { throttler, rules, headers, wait_up_to, answers, on_limited, on_shadow, on_error, .. } = self;
        Self {
            throttler: throttler.clone(),
            rules: rules.clone(),
            is_shadow: self.is_shadow,
            headers: *headers,
            wait_up_to: *wait_up_to,
            heeding: self.heeding.clone(),
            answers: *answers,
            on_limited: on_limited.clone(),
            on_shadow: on_shadow.clone(),
            on_error: on_error.clone(),
            refund_when: self.refund_when.clone(),
            refund_unanswered: self.refund_unanswered,
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("throttler", &self.throttler)
            .field("rules", &self.rules.len())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
