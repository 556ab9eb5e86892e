use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use premier_client::AnyLimit;

use crate::{Client, ClientAddress, Head, Policy};

/// What limits a request: a [`Rule`], or a closure over the head of the request that returns any
/// number of policies.
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
///
/// A closure may also look up its limit by name, in a file that is read again when it changes, by
/// the feature `policies` of premier-client. A name that is missing there must not go unnoticed:
///
/// ```
/// use http::StatusCode;
/// use premier_client::{Policies, key};
/// use premier_tower::{Head, Policy, Refusal, Rules};
///
/// /// Limits each user by the policy `api`.
/// struct ByUser(Policies);
///
/// impl Rules for ByUser {
///     fn policies(&self, head: &Head<'_>) -> Result<Vec<Policy>, Refusal> {
///         let user = head.extensions().get::<String>().map_or("", String::as_str);
///         let limit = self.0.limit("api", &key!("api", user));
///         let limit = limit.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
///         Ok(vec![Policy::new("api", limit).by(user)])
///     }
/// }
/// ```
pub trait Rules: Send + Sync + 'static {
    /// Returns the policies of a request. It is asked once for each request, in the task that
    /// serves it, so it should return soon.
    ///
    /// # Errors
    /// If the request is refused, whatever its limits are.
    fn policies(&self, head: &Head<'_>) -> Result<Vec<Policy>, Refusal>;
}

impl<F, P> Rules for F
where
    F: Fn(&Head<'_>) -> P + Send + Sync + 'static,
    P: IntoIterator<Item = Policy>,
{
    fn policies(&self, head: &Head<'_>) -> Result<Vec<Policy>, Refusal> {
        Ok(self(head).into_iter().collect())
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

/// What becomes of a request that lacks what a rule counts by: a header, an extension, an address.
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
    pub fn new(name: impl Into<Cow<'static, str>>, limit: impl Into<AnyLimit>) -> Self {
        Self { policy: Policy::new(name, limit), parts: Vec::new(), missing: Missing::default(), cost: None }
    }

    /// Counts by the address of the client.
    #[must_use]
    pub fn by_client(self, address: ClientAddress) -> Self {
        self.by_part(Part::Client(address))
    }

    /// Counts by the value of a header. A request that has the header several times is refused with
    /// 400: the service might believe another one than this rule.
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
    /// `/users/{id}`, where the layer is added to a route: otherwise a client makes as many keys as
    /// it can make paths. So it does where no route matches: `Router::route_layer` leaves those
    /// requests out.
    #[must_use]
    pub fn by_route(self) -> Self {
        self.by_part(Part::Route)
    }

    /// Counts by what a closure finds in the head of a request.
    #[must_use]
    pub fn by(self, part: impl Fn(&Head<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        self.by_part(Part::Value("what the request is counted by", Arc::new(part)))
    }

    /// Sets what becomes of a request that lacks what this rule counts by; it is refused by
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
    /// A limited call changes nothing in the store, so a shadow limits exactly what the limit
    /// would. It is asked alone, after all others have admitted the request: it never hides another
    /// limit. The metrics and events of premier-client show it as any limit: as `limited`.
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
    fn policies(&self, head: &Head<'_>) -> Result<Vec<Policy>, Refusal> {
        const MAX_COST: u64 = 1_000_000_000_000;
        let mut policy = self.policy.clone();
        for part in &self.parts {
            policy = match (part.find(head), self.missing) {
                (Ok(found), _) => policy.by(found),
                (Err(Lack::Ambiguous(refusal)), _) | (Err(Lack::Missing(refusal)), Missing::Refuse) => {
                    return Err(refusal);
                }
                (Err(Lack::Missing(_)), Missing::Admit) => return Ok(Vec::new()),
                (Err(Lack::Missing(_)), Missing::Share) => policy.by_none(),
            };
        }
        if let Some(cost) = &self.cost {
            policy = policy.try_cost(cost(head).clamp(1, MAX_COST)).expect("the cost is in bounds");
        }
        Ok(vec![policy])
    }
}

/// What a part is in a request.
enum Found<'a> {
    Client(Client),
    Header(&'a HeaderValue),
    Route(&'a Method, &'a str),
    Value(String),
}

/// Why a request has no part.
enum Lack {
    Missing(Refusal),
    /// It has several.
    Ambiguous(Refusal),
}

impl Part {
    fn find<'a>(&self, head: &Head<'a>) -> Result<Found<'a>, Lack> {
        match self {
            Self::Client(address) => address.of(head).map(Found::Client).map_err(Lack::Missing),
            Self::Header(name) => {
                let mut values = head.headers().get_all(name).iter();
                let refusal = |why| Refusal::new(StatusCode::BAD_REQUEST, format!("the header {name} is {why}"));
                match (values.next(), values.next()) {
                    (Some(value), None) => Ok(Found::Header(value)),
                    (None, _) => Err(Lack::Missing(refusal("missing"))),
                    (Some(_), Some(_)) => Err(Lack::Ambiguous(refusal("there several times"))),
                }
            }
            Self::Route => Ok(Found::Route(head.method(), path(head))),
            Self::Value(name, find) => find(head).map(Found::Value).ok_or_else(|| {
                Lack::Missing(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the request lacks {name}")))
            }),
        }
    }
}

impl Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Header(value) => value.as_bytes().escape_ascii().fmt(f),
            Self::Route(method, path) => write!(f, "{method} {path}"),
            Self::Value(value) => value.fmt(f),
        }
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
