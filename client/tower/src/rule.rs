use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::Arc;

use crate::{ClientAddress, Head, Policy, PolicyLimit};
use http::{HeaderName, Method, StatusCode};

/// What limits a request: a [`Rule`], or a closure over the head of the request that returns
/// [policies](IntoPolicies).
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{AsyncBackend, AsyncThrottler, Limit};
/// use premier_tower::{Head, Policy, ThrottleLayer};
///
/// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
/// let layer = ThrottleLayer::new(throttler).rule(|head: &Head| {
///     let is_search = head.uri().path().starts_with("/search");
///     is_search.then(|| Policy::new("search", Limit::token_bucket(10, Duration::from_secs(1))))
/// });
/// # let _ = layer;
/// ```
pub trait Rules: Send + Sync + 'static {
    /// Adds the policies of a request. It is asked once for each request, in the task that serves
    /// it, so it should return soon.
    ///
    /// # Errors
    /// If the request is refused, whatever its limits are.
    fn choose(&self, head: &Head<'_>, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal>;
}

impl<F, P> Rules for F
where
    F: Fn(&Head<'_>) -> P + Send + Sync + 'static,
    P: IntoPolicies,
{
    fn choose(&self, head: &Head<'_>, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        self(head).add_to(add)
    }
}

/// What a closure returns as [`Rules`]: one policy, or none (`Option`), or several (`Vec` or an
/// array), or a `Result` of these whose error refuses the request.
///
/// ```
/// use std::time::Duration;
///
/// use http::StatusCode;
/// use premier_client::{AsyncBackend, AsyncThrottler, Limit};
/// use premier_tower::{Head, Policy, Refusal, ThrottleLayer};
///
/// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
/// let layer = ThrottleLayer::new(throttler).rule(|head: &Head| {
///     let tenant = head.headers().get("x-tenant").and_then(|tenant| tenant.to_str().ok());
///     let tenant = tenant.ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "the header x-tenant is missing"))?;
///     Ok::<_, Refusal>(Policy::new("tenant", Limit::token_bucket(100, Duration::from_secs(1))).by(tenant))
/// });
/// # let _ = layer;
/// ```
#[diagnostic::on_unimplemented(
    message = "a closure that is a rule must return policies, not `{Self}`",
    note = "return a `Policy`, an `Option`, a `Vec` or an array of policies, or a `Result` of these with a `Refusal`"
)]
pub trait IntoPolicies {
    /// Adds the policies.
    ///
    /// # Errors
    /// If the request is refused.
    fn add_to(self, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal>;
}

impl IntoPolicies for Policy {
    fn add_to(self, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        add(self);
        Ok(())
    }
}

impl<P: IntoPolicies> IntoPolicies for Option<P> {
    fn add_to(self, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        self.map_or(Ok(()), |policies| policies.add_to(add))
    }
}

impl<P: IntoPolicies> IntoPolicies for Vec<P> {
    fn add_to(self, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        self.into_iter().try_for_each(|policies| policies.add_to(add))
    }
}

impl<P: IntoPolicies, const N: usize> IntoPolicies for [P; N] {
    fn add_to(self, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        self.into_iter().try_for_each(|policies| policies.add_to(add))
    }
}

impl<P: IntoPolicies> IntoPolicies for Result<P, Refusal> {
    fn add_to(self, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        self?.add_to(add)
    }
}

/// Why a request is refused before it is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
}

impl Refusal {
    /// Makes a refusal with this status, for this reason, which the client sees.
    pub fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// Returns the status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What happens to a request that lacks what a rule counts by: a header, an extension, an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Missing {
    /// The request is refused: with 400 if a header is missing, and with 500 if the server has not
    /// provided an address or an extension.
    #[default]
    Refuse,
    /// The rule does not apply to the request.
    Admit,
    /// All such requests are counted together, and apart from all others.
    Share,
}

/// A named limit for requests, counted all together or by something that they have.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{Limit, Token};
/// use premier_tower::{ClientAddress, Missing, Rule};
///
/// const PER_MINUTE: Limit<Token> = Limit::token_bucket(60, Duration::from_secs(60));
///
/// let everybody = Rule::new("all", Limit::sliding_window(10_000, Duration::from_secs(1)));
/// let by_address = Rule::new("address", PER_MINUTE).by_client(ClientAddress::peer());
/// let by_key = Rule::new("key", PER_MINUTE).by_header(http::header::AUTHORIZATION).missing(Missing::Admit);
/// # let _ = (everybody, by_address, by_key);
/// ```
#[derive(Clone)]
pub struct Rule {
    policy: Policy,
    parts: Vec<Part>,
    missing: Missing,
    cost: Option<Cost>,
}

type Find = Arc<dyn Fn(&Head<'_>) -> Option<String> + Send + Sync>;
type Cost = Arc<dyn Fn(&Head<'_>) -> u64 + Send + Sync>;

/// What requests are counted by.
#[derive(Clone)]
enum Part {
    Client(ClientAddress),
    Header(HeaderName),
    Route,
    /// What it is called, and how it is found.
    Value(&'static str, Find),
}

impl Rule {
    /// Makes a rule that counts all requests together.
    ///
    /// The limit is one of a rate, or of requests in flight. For the latter, a request takes a
    /// place when it is admitted, and gives it back when the body of the response has been sent or
    /// dropped, when the service returns an error or panics, or when the client hangs up. The
    /// place's lease is renewed in the background until then. If the store does not answer for a
    /// whole lease, others may take the place while the response goes on.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::Limit;
    /// use premier_tower::{ClientAddress, Rule};
    ///
    /// let downloads = Limit::concurrency(4, Duration::from_secs(30));
    /// let rule = Rule::new("downloads", downloads).by_client(ClientAddress::peer());
    /// # let _ = rule;
    /// ```
    pub fn new(name: impl Into<Cow<'static, str>>, limit: impl Into<PolicyLimit>) -> Self {
        Self::of(Policy::new(name, limit))
    }

    /// Makes a rule whose limit has this name in the file of the throttler's
    /// [`Policies`](premier_client::Policies). A change of the file applies to later requests.
    ///
    /// An override applies to requests whose parts match it. They are written as in keys: joined by
    /// colons, with a backslash before each colon and backslash of a part. So the override of an
    /// IPv6 network is that of `'2001\:db8\:\:/64'`.
    ///
    /// ```
    /// use premier_client::{AsyncBackend, AsyncThrottler, Policies};
    /// use premier_tower::{Rule, ThrottleLayer};
    ///
    /// # let file = std::env::temp_dir().join(format!("premier-tower-doc-{}.toml", std::process::id()));
    /// # std::fs::write(&file, "[user]\nlimit = \"100/1m\"\noverrides = { ada = \"1000/1m\" }\n")?;
    /// // [user]
    /// // limit = "100/1m"
    /// // overrides = { ada = "1000/1m" }
    /// let policies = Policies::from_file(&file)?;
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).policies(policies).build();
    /// let layer = ThrottleLayer::new(throttler)
    ///     .rule(Rule::policy("user").by_header(http::HeaderName::from_static("x-user")));
    /// # let _ = layer;
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A policy like `"hold 4/30s"` limits how many requests are under way, as for
    /// [`new`](Self::new).
    ///
    /// If the throttler has no policies, or none of this name, requests are answered with 500, and
    /// [`on_error`](crate::ThrottleLayer::on_error) gets the error.
    #[cfg(feature = "policies")]
    pub fn policy(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Policy::named(name))
    }

    fn of(policy: Policy) -> Self {
        Self { policy, parts: Vec::new(), missing: Missing::default(), cost: None }
    }

    /// Counts by the address of the client.
    #[must_use]
    pub fn by_client(self, address: ClientAddress) -> Self {
        self.by_part(Part::Client(address))
    }

    /// Counts by the value of a header. A request that has the header several times is refused with
    /// 400: the service might believe another one than this rule.
    ///
    /// The key in the store has the whole value. Count by something else where it is long or
    /// secret: [`by_extension`](Self::by_extension), or [`by`](Self::by) a hash of it.
    #[must_use]
    pub fn by_header(self, name: HeaderName) -> Self {
        self.by_part(Part::Header(name))
    }

    /// Counts by an extension, like the user that an outer layer has authenticated.
    #[must_use]
    pub fn by_extension<T, P>(self, part: impl Fn(&T) -> P + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
        P: Display,
    {
        let find = move |head: &Head<'_>| Some(part(head.extensions().get::<T>()?).to_string());
        self.by_part(Part::Value(std::any::type_name::<T>(), Arc::new(find)))
    }

    /// Counts by method and path. With the feature `axum` the path is that of the route, like
    /// `/users/{id}`, where the layer is added to a route. Otherwise, and where no route matches,
    /// the path is that of the request, so a client can make as many keys as paths: add the layer
    /// by `Router::route_layer`, which leaves out requests that no route matches.
    ///
    /// `HEAD` counts as `GET`, as the same handler answers both. Methods that are not in RFC 9110
    /// or 5789 count as one method, written `*`, so that a client cannot make a key by making up a
    /// method.
    #[must_use]
    pub fn by_route(self) -> Self {
        self.by_part(Part::Route)
    }

    /// Counts by what a closure finds in the head of a request.
    #[must_use]
    pub fn by(self, part: impl Fn(&Head<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        self.by_part(Part::Value("what the request is counted by", Arc::new(part)))
    }

    /// Sets what happens to a request that lacks what this rule counts by; it is refused by
    /// default.
    #[must_use]
    pub fn missing(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }

    /// Sets the units that each request takes: 1 to 10¹². Others are cut to these bounds.
    #[must_use]
    pub fn cost(self, cost: impl Fn(&Head<'_>) -> u64 + Send + Sync + 'static) -> Self {
        Self { cost: Some(Arc::new(cost)), ..self }
    }

    /// Charges requests, but never limits them, to try a limit on real traffic. What it would have
    /// limited is in [`RateLimits`](crate::RateLimits), and is reported to
    /// [`on_shadow`](crate::ThrottleLayer::on_shadow).
    ///
    /// A limited call changes nothing in the store, so a rule in shadow reports exactly what its
    /// limit would limit. It is asked alone, after all others have admitted the request, so it
    /// never hides another limit. A request beyond a concurrency limit in shadow takes no place.
    /// The metrics and events of premier-client show such a request as `limited`, as for any limit.
    ///
    /// Where [`missing`](Self::missing) would refuse a request, it goes ahead without being
    /// counted. Each rule in shadow asks the store by itself, so each may delay a request by the
    /// throttler's deadline while the store does not answer.
    #[must_use]
    pub fn shadow(self) -> Self {
        Self { policy: self.policy.shadow(), ..self }
    }

    fn by_part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }
}

impl Rules for Rule {
    fn choose(&self, head: &Head<'_>, add: &mut dyn FnMut(Policy)) -> Result<(), Refusal> {
        const MAX_COST: u64 = 1_000_000_000_000;
        let mut policy = self.policy.clone();
        for part in &self.parts {
            let Err(lack) = part.add_to(&mut policy, head) else { continue };
            match (lack, self.missing) {
                (Lack::Missing(_), Missing::Share) => policy.add_none(),
                (Lack::Missing(_), Missing::Admit) => return Ok(()),
                // A rule in shadow refuses nothing.
                _ if policy.is_shadow() => return Ok(()),
                (Lack::Missing(refusal) | Lack::Ambiguous(refusal), _) => return Err(refusal),
            }
        }
        if let Some(cost) = &self.cost {
            policy = policy.try_cost(cost(head).clamp(1, MAX_COST)).expect("the cost is in bounds");
        }
        add(policy);
        Ok(())
    }
}

/// Why a request has no part.
enum Lack {
    Missing(Refusal),
    /// It has several.
    Ambiguous(Refusal),
}

impl Part {
    /// Finds the part in a request, and adds it to the policy.
    fn add_to(&self, policy: &mut Policy, head: &Head<'_>) -> Result<(), Lack> {
        match self {
            Self::Client(address) => policy.add_text(&address.of(head).map_err(Lack::Missing)?.text()),
            Self::Header(name) => {
                let mut values = head.headers().get_all(name).iter();
                let refusal = |why| Refusal::new(StatusCode::BAD_REQUEST, format!("the header {name} is {why}"));
                match (values.next(), values.next()) {
                    (Some(value), None) => policy.add_part(value.as_bytes().escape_ascii()),
                    (None, _) => return Err(Lack::Missing(refusal("missing"))),
                    (Some(_), Some(_)) => return Err(Lack::Ambiguous(refusal("given more than once"))),
                }
            }
            Self::Route => policy.add_part(format_args!("{} {}", method(head), path(head))),
            Self::Value(name, find) => {
                let missing = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the request lacks {name}"));
                policy.add_text(&find(head).ok_or_else(|| Lack::Missing(missing()))?);
            }
        }
        Ok(())
    }
}

/// Returns the method that a request counts as.
fn method<'a>(head: &Head<'a>) -> &'a str {
    match head.method() {
        &Method::HEAD => Method::GET.as_str(),
        method @ (&Method::GET
        | &Method::POST
        | &Method::PUT
        | &Method::PATCH
        | &Method::DELETE
        | &Method::OPTIONS
        | &Method::CONNECT
        | &Method::TRACE) => method.as_str(),
        _ => "*",
    }
}

#[cfg(feature = "axum")]
fn path<'a>(head: &Head<'a>) -> &'a str {
    let route = head.extensions().get::<axum::extract::MatchedPath>();
    route.map_or_else(|| head.uri().path(), |route| route.as_str())
}

#[cfg(not(feature = "axum"))]
fn path<'a>(head: &Head<'a>) -> &'a str {
    head.uri().path()
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("policy", &self.policy).field("missing", &self.missing).finish_non_exhaustive()
    }
}
