//! Requests, services and throttlers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use premier_client::{AsyncBackend, AsyncThrottler, Fixed, Limit};
use premier_tower::{PeerAddress, ThrottleLayer};
use tower::{Layer, Service, ServiceExt as _, service_fn};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) const TWO: Limit<Fixed> = Limit::fixed_window(2, HOUR);

pub(crate) fn throttler() -> AsyncThrottler {
    AsyncThrottler::builder(AsyncBackend::memory()).build()
}

pub(crate) fn layer() -> ThrottleLayer {
    ThrottleLayer::new(throttler())
}

pub(crate) fn request() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

pub(crate) fn request_from(peer: &str) -> Request<Full<Bytes>> {
    let mut request = request();
    let peer: SocketAddr = peer.parse().expect("an address with a port");
    request.extensions_mut().insert(PeerAddress(peer));
    request
}

/// Returns a service that answers all requests with this status.
pub(crate) fn answering(
    status: StatusCode,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone {
    service_fn(move |_| async move {
        let mut response = Response::new(Full::from("hello"));
        *response.status_mut() = status;
        Ok(response)
    })
}

/// Sends a request through the layer to a service that answers with 200.
pub(crate) async fn send(layer: &ThrottleLayer, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let response = layer.layer(answering(StatusCode::OK)).oneshot(request).await.expect("the service never fails");
    collected(response).await
}

pub(crate) async fn collected<B>(response: Response<B>) -> Response<Bytes>
where
    B: http_body::Body<Data = Bytes>,
{
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { panic!("a body can be read") };
    Response::from_parts(parts, body.to_bytes())
}

/// Sends requests, and returns their statuses.
pub(crate) async fn statuses(
    layer: &ThrottleLayer,
    requests: impl IntoIterator<Item = Request<Full<Bytes>>>,
) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(send(layer, request).await.status().as_u16());
    }
    statuses
}
