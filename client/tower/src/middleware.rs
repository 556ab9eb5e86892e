//! The layer as a middleware of reqwest.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Body, ResponseBuilderExt as _, Url};
use reqwest_middleware::{Error, Middleware, Next};
use tower_service::Service;

use crate::service::ResponseFuture;
use crate::{RateLimits, ThrottleLayer};

/// Limits the requests of a `reqwest_middleware` client, like those of any other service.
///
/// Rules see the extensions that `RequestBuilder::with_extension` adds to a request, and later
/// middlewares see its [`RateLimits`]. Add the layer after a middleware that retries, and each
/// attempt is limited.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{AsyncBackend, AsyncThrottler, Limit};
/// use premier_tower::{Headers, Rule, ThrottleLayer};
///
/// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
/// let limits = ThrottleLayer::new(throttler)
///     .rule(Rule::new("partner", Limit::token_bucket(10, Duration::from_secs(1))))
///     .wait_up_to(Duration::from_secs(5))
///     .heed_responses(Duration::from_secs(60))
///     .headers(Headers::None);
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(limits).build();
/// # let _ = client;
/// ```
#[async_trait]
impl Middleware for ThrottleLayer {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response, Error> {
        let url = request.url().clone();
        let mut request = http::Request::<Body>::try_from(request)?;
        request.extensions_mut().extend(extensions.clone());
        let mut sending = Sending(Some((next, extensions)));
        let response = ResponseFuture::new(self.shared(), &mut sending, Sending::take, request).await?;
        Ok(with_url(response, url).map(Body::wrap).into())
    }
}

/// The later middlewares, as a service that is called once.
struct Sending<'a>(Option<(Next<'a>, &'a mut Extensions)>);

impl Sending<'_> {
    fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Error>> + Send + 'a>>;

impl<'a> Service<http::Request<Body>> for Sending<'a> {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Sent<'a>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Sent<'a> {
        let sending = mem::take(&mut self.0);
        Box::pin(async move {
            let (next, extensions) = sending.expect("it is called once");
            if let Some(limits) = request.extensions_mut().remove::<RateLimits>() {
                extensions.insert(limits);
            }
            let response = next.run(request.try_into()?, extensions).await?;
            let url = response.url().clone();
            Ok(with_url(response.into(), url))
        })
    }
}

/// Keeps the URL of a response, which is no part of it for `http`.
fn with_url<B>(mut response: http::Response<B>, url: Url) -> http::Response<B> {
    if let Ok(named) = http::Response::builder().url(url).body(()) {
        let (named, ()) = named.into_parts();
        let extensions = mem::replace(response.extensions_mut(), named.extensions);
        // If the response has a URL, it is that of the last redirect.
        response.extensions_mut().extend(extensions);
    }
    response
}
