//! The time that premier's tower layer adds to a request, beside that of `tower_governor`: by the
//! address of the peer, in memory, around a service that does nothing.
//!
//! ```sh
//! cargo bench -p premier-benches --bench layer
//! ```

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use premier_client::{AsyncBackend, AsyncThrottler, Limit};
use premier_tower::{ClientAddress, Headers, Rule, ThrottleLayer};
use tower::{Layer, Service, service_fn};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

const PEERS: u16 = 10_000;

/// So deep that every request is admitted.
const CAPACITY: u32 = 1_000_000_000;

fn layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    let mut bench = |name: &str, mut service: Box<dyn FnMut(Request<Body>)>| {
        let mut peer = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    peer = (peer + 1) % PEERS;
                    request(peer)
                },
                &mut service,
                BatchSize::SmallInput,
            );
        });
    };
    bench("none", calls(service_fn(answer)));
    let mut governor = GovernorConfigBuilder::default();
    governor.per_millisecond(600).burst_size(CAPACITY);
    let plain = GovernorLayer::new(governor.finish().expect("a valid limit"));
    bench("tower_governor", calls(plain.layer(service_fn(answer))));
    let with_headers = GovernorLayer::new(governor.use_headers().finish().expect("a valid limit"));
    bench("tower_governor, with headers", calls(with_headers.layer(service_fn(answer))));

    let limit = Limit::token_bucket(100, Duration::from_secs(60)).capacity(CAPACITY.into());
    let premier = || {
        let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
        ThrottleLayer::new(throttler).rule(Rule::new("peer", limit).by_client(ClientAddress::peer()))
    };
    for (name, headers) in [
        ("premier, without headers", Headers::None),
        ("premier, with X-RateLimit headers", Headers::XRateLimit),
        ("premier, with the headers of draft 11", Headers::Draft11),
    ] {
        bench(name, calls(premier().headers(headers).layer(service_fn(answer))));
    }
    group.finish();
}

fn request(peer: u16) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let [high, low] = peer.to_be_bytes();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, high, low], 443))));
    request
}

fn answer(_: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Body::empty())))
}

/// Returns what calls a service, which answers at once.
fn calls<S, B>(mut service: S) -> Box<dyn FnMut(Request<Body>)>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
{
    let mut context = Context::from_waker(Waker::noop());
    let _ = service.poll_ready(&mut context);
    Box::new(move |request| {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(answer) = pin!(service.call(request)).poll(&mut context) else { panic!("it waits") };
        black_box(answer.is_ok_and(|response| response.status().is_success()));
    })
}

criterion_group!(benches, layers);
criterion_main!(benches);
