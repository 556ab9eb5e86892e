//! A router of axum behind the layer, by real connections.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::MockConnectInfo;
use axum::routing::get;
use http::Request;
use premier_tower::{ClientAddress, RateLimits, Rule, ThrottleLayer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::tools::{HOUR, TWO, layer};

/// Serves a router on a free port, as long as the test runs.
async fn serve(layer: ThrottleLayer) -> SocketAddr {
    let handler = async |limits: RateLimits| {
        let policy = &limits.policies()[0];
        format!("{} {}", policy.name(), policy.decision().remaining())
    };
    let app = Router::new().route("/users/{id}", get(handler)).route("/other", get(handler)).layer(layer);
    serve_router(app).await
}

async fn serve_router(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Sends a request on a connection of its own, and returns the response as it came.
async fn fetch(address: SocketAddr, path: &str, header: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{header}\r\n")).await
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    connection.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut response = String::new();
    connection.read_to_string(&mut response).await.expect("the response is text");
    response
}

#[tokio::test]
async fn a_router_is_limited_by_the_address_of_its_clients() {
    let address = serve(layer().rule(Rule::new("address", TWO).by_client(ClientAddress::peer()))).await;
    let first = fetch(address, "/other", "").await;
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.ends_with("address 1"), "{first}");
    fetch(address, "/other", "X-Forwarded-For: 203.0.113.1\r\n").await;
    let limited = fetch(address, "/other", "X-Forwarded-For: 203.0.113.2\r\n").await;
    assert!(limited.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{limited}");
    for header in ["retry-after: 3600", "ratelimit: \"address\";r=0;t=3600", "content-type: application/problem+json"] {
        assert!(limited.contains(&format!("{header}\r\n")), "{limited}");
    }
    assert!(limited.ends_with("\"violated-policies\":[\"address\"]}"), "{limited}");
}

/// In tests of a service, which have no connection.
#[tokio::test]
async fn a_mocked_peer_is_the_client() {
    let limits = layer().rule(Rule::new("address", TWO).by_client(ClientAddress::peer()));
    let router = Router::new().route("/", get(async || "hello")).layer(limits);
    for (peer, statuses) in [([203, 0, 113, 1], [200, 200, 429]), ([203, 0, 113, 2], [200, 200, 429])] {
        let router = router.clone().layer(MockConnectInfo(SocketAddr::from((peer, 1))));
        for status in statuses {
            let response = router.clone().oneshot(Request::new(Body::empty())).await.expect("it never fails");
            assert_eq!(response.status(), status);
        }
    }
}

/// Not by the path that a client makes up.
#[tokio::test]
async fn a_router_is_limited_by_its_routes() {
    let address = serve(layer().rule(Rule::new("route", TWO).by_route())).await;
    for (path, status) in [("/users/1", "200"), ("/users/2", "200"), ("/users/3", "429"), ("/other", "200")] {
        let response = fetch(address, path, "").await;
        assert_eq!(response.split(' ').nth(1), Some(status), "{path}: {response}");
    }
}

/// On a router, a route, a method, in a nested router, and in a stack of layers.
#[tokio::test]
async fn the_layer_goes_wherever_axum_takes_layers() {
    let hello = || get(async || "hello");
    let limited = || layer().rule(Rule::new("route", TWO).by_route());
    let apps = [
        Router::new().route("/{name}", hello()).layer(limited()),
        Router::new().route("/{name}", hello()).route_layer(limited()),
        Router::new().route("/{name}", hello().layer(limited())),
        Router::new().nest("/{name}", Router::new().route("/", hello()).layer(limited())),
        Router::new().nest("/{name}", Router::new().route("/", hello())).layer(limited()),
        Router::new().route("/{name}", hello()).layer(tower::ServiceBuilder::new().layer(limited()).layer(layer())),
    ];
    for (number, app) in apps.into_iter().enumerate() {
        let address = serve_router(app).await;
        for (path, status) in [("/a", "200"), ("/b", "200"), ("/c", "429")] {
            let response = fetch(address, path, "").await;
            assert_eq!(response.split(' ').nth(1), Some(status), "{number}: {response}");
        }
    }
}

/// Such as HEAD, of which a limited one has no body, either.
#[tokio::test]
async fn any_kind_of_request_is_limited() {
    let address = serve(layer().rule(Rule::new("all", TWO))).await;
    for (request, status) in [
        ("HEAD /other HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "200"),
        ("GET /other HTTP/1.0\r\n\r\n", "200"),
        ("HEAD /other HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "429"),
        ("OPTIONS /other HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "429"),
        ("GET /other HTTP/1.0\r\n\r\n", "429"),
    ] {
        let response = exchange(address, request).await;
        assert_eq!(response.split(' ').nth(1), Some(status), "{request}: {response}");
        assert_eq!(response.ends_with("\r\n\r\n"), request.starts_with("HEAD"), "{response}");
    }
}

/// A web socket is a request, and what comes after is not.
#[tokio::test]
async fn an_upgrade_passes() {
    let handler = async |mut request: axum::extract::Request| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut connection = hyper_util::rt::TokioIo::new(upgrade.await.expect("it is upgraded"));
            let mut echo = [0; 4];
            for _ in 0..5 {
                connection.read_exact(&mut echo).await.expect("the client speaks");
                connection.write_all(&echo).await.expect("the client listens");
            }
        });
        let response = axum::response::Response::builder().status(101);
        let response = response.header("connection", "upgrade").header("upgrade", "echo");
        response.body(axum::body::Body::empty()).expect("a response")
    };
    let address = serve_router(Router::new().route("/", get(handler)).layer(layer().rule(Rule::new("all", TWO)))).await;
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    let request = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    connection.write_all(request).await.expect("the request is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.expect("there is a head"));
    }
    let head = String::from_utf8(head).expect("a text");
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("ratelimit: \"all\";r=1;"), "{head}");
    for _ in 0..5 {
        connection.write_all(b"ping").await.expect("the server listens");
        let mut echo = [0; 4];
        connection.read_exact(&mut echo).await.expect("the server speaks");
        assert_eq!(&echo, b"ping");
    }
}

/// axum clones the service for each connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_share_a_limit_under_load() {
    let address = serve(layer().rule(Rule::new("all", premier_client::Limit::fixed_window(50, HOUR)))).await;
    let requests = (0..200).map(|_| tokio::spawn(async move { fetch(address, "/other", "").await }));
    let mut admitted = 0;
    for request in requests.collect::<Vec<_>>() {
        admitted += usize::from(request.await.expect("it does not panic").starts_with("HTTP/1.1 200"));
    }
    assert_eq!(admitted, 50);
}
