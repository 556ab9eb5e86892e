//! A tower layer that limits HTTP requests with premier: in Redis or Valkey with the module, in a
//! cluster, or in the memory of this process.
//!
//! ```
//! use std::time::Duration;
//!
//! use premier_client::{AsyncBackend, AsyncThrottler, Limit};
//! use premier_tower::{ClientAddress, Rule, ThrottleLayer};
//!
//! // Or AsyncBackend::redis("redis://127.0.0.1/")?
//! let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
//! let per_minute = Limit::token_bucket(100, Duration::from_secs(60));
//! let layer = ThrottleLayer::new(throttler)
//!     .rule(Rule::new("address", per_minute).by_client(ClientAddress::peer()));
//! # #[cfg(feature = "axum")]
//! let app: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer);
//! # #[cfg(feature = "axum")]
//! // Only servers that are set up to keep the peer's address know it.
//! let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! ```
//!
//! # What happens to a request
//!
//! 1. The rules choose its policies: named limits, each with a key. A [`Rule`] counts requests all
//!    together, or by client address, header, extension or route; a closure can do anything else
//!    ([`Rules`]).
//! 2. All policies are charged in one call, all or none.
//! 3. An admitted request goes to the service. Its extensions have the decisions: [`RateLimits`].
//!    The response has the [headers](Headers) that show the client its limits. If requests in
//!    flight are limited ([`Rule::new`]), the request keeps its place until its response has been
//!    sent.
//! 4. A limited request is answered with 429, `Retry-After`, and a problem in JSON that names the
//!    violated policies; or by [`ThrottleLayer::on_limited`].
//! 5. If the store does not answer, the throttler's [`OnError`](premier_client::OnError) decides.
//!    With `OnError::Fail`, the answer is 503.
//!
//! Around an HTTP client, the same layer paces outgoing requests, and backs off as responses ask:
//! [`ThrottleLayer::heed_responses`].
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `axum` | the peer's address by `ConnectInfo`, routes by `MatchedPath`, [`RateLimits`] as an extractor |
//! | `policies` | `Rule::policy`: limits by name, from a file that is read again when it changes |
//! | `reqwest` | [`ThrottleLayer`] as a middleware of `reqwest_middleware` |
//! | `tonic` | `ThrottleLayer::grpc`: `RESOURCE_EXHAUSTED` with `RetryInfo` |

#![forbid(unsafe_code)]

mod address;
mod body;
mod decide;
#[cfg(feature = "axum")]
mod extract;
mod forwarded;
#[cfg(feature = "tonic")]
mod grpc;
mod head;
mod headers;
mod heed;
mod layer;
mod limits;
#[cfg(feature = "reqwest")]
mod middleware;
mod parts;
mod policy;
mod received;
mod response;
mod rule;
mod service;

pub use address::{Client, ClientAddress, ForwardedBy, PeerAddress};
pub use body::ThrottleBody;
pub use decide::Reply;
pub use head::Head;
pub use headers::Headers;
pub use layer::ThrottleLayer;
pub use limits::RateLimits;
pub use policy::{Policy, PolicyDecision};
#[doc(no_inline)]
pub use premier_client::PolicyLimit;
pub use rule::{IntoPolicies, Missing, Refusal, Rule, Rules};
pub use service::{ResponseFuture, ThrottleService};
