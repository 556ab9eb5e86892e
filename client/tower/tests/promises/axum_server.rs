//! A router of axum behind the layer, by real connections.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use premier_tower::{ClientAddress, RateLimits, Rule, ThrottleLayer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::tools::{TWO, layer};

/// Serves a router on a free port, as long as the test runs.
async fn serve(layer: ThrottleLayer) -> SocketAddr {
    let handler = async |limits: RateLimits| {
        let policy = &limits.policies()[0];
        format!("{} {}", policy.name(), policy.decision().remaining())
    };
    let app = Router::new().route("/users/{id}", get(handler)).route("/other", get(handler)).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Sends a request on a connection of its own, and returns the response as it came.
async fn fetch(address: SocketAddr, path: &str, header: &str) -> String {
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{header}\r\n");
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

/// Not by the path that a client makes up.
#[tokio::test]
async fn a_router_is_limited_by_its_routes() {
    let address = serve(layer().rule(Rule::new("route", TWO).by_route())).await;
    for (path, status) in [("/users/1", "200"), ("/users/2", "200"), ("/users/3", "429"), ("/other", "200")] {
        let response = fetch(address, path, "").await;
        assert_eq!(response.split(' ').nth(1), Some(status), "{path}: {response}");
    }
}
