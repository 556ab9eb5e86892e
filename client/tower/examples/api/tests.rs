//! The service, called over HTTP: in memory, by two instances that share a server, and while that
//! is killed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use premier_client::AsyncBackend;
use premier_test_server::Server;

use crate::{fetch, start, throttler};

async fn on(backend: AsyncBackend) -> SocketAddr {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    start(0, throttler(backend).expect("valid policies"), metrics).await.expect("there is a port")
}

async fn status(address: SocketAddr, path: &str, user: &str) -> u16 {
    let response = fetch(address, path, user).await.expect("the service answers");
    response[9..12].parse().unwrap_or_else(|_| panic!("{response}"))
}

#[tokio::test]
async fn users_are_limited_and_failures_cost_nothing() {
    let address = on(AsyncBackend::memory()).await;
    for _ in 0..5 {
        assert_eq!(status(address, "/broken", "ada").await, 502);
    }
    for left in [2, 1, 0] {
        let response = fetch(address, "/hello", "ada").await.expect("the service answers");
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with(&format!("hello, you have {left} more\n")), "{response}");
        let policies = r#""user";q=3;w=60, "address";q=600;w=60, "open";q=10;qu="concurrent-requests", "all";"#;
        assert!(response.contains(&format!("\r\nratelimit-policy: {policies}")), "{response}");
    }
    let response = fetch(address, "/hello", "ada").await.expect("the service answers");
    assert!(response.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{response}");
    assert!(response.contains("\r\nretry-after: ") && response.ends_with("\"violated-policies\":[\"user\"]}"));
    assert_eq!(status(address, "/hello", "bob").await, 200);
    for _ in 0..5 {
        assert_eq!(status(address, "/hello", "partner-a").await, 200, "an override");
    }
    assert_eq!(status(address, "/metrics", "ada").await, 200);
}

/// Instances of a service share limits. When the server is killed under load, no request fails, and
/// requests beyond the limits are still limited, before, during and after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_when_the_server_is_killed() {
    let mut server = Server::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let backend = || AsyncBackend::redis(url.as_str()).expect("an address");
    let instances = [on(backend()).await, on(backend()).await];
    let mut statuses = Vec::new();
    for instance in [0, 1, 0, 1] {
        statuses.push(status(instances[instance], "/hello", "ada").await);
    }
    assert_eq!(statuses, [200, 200, 200, 429], "they share the limits of a user");

    // 16 clients, each with a user of its own at a time, who asks four times.
    let begin = Instant::now();
    let end = begin + Duration::from_secs(6);
    let load = |client: usize| {
        tokio::spawn(async move {
            let mut statuses = Vec::new();
            for user in 0.. {
                if Instant::now() > end {
                    break;
                }
                for _ in 0..4 {
                    let name = format!("{client}-{user}");
                    statuses.push((Instant::now(), status(instances[client % 2], "/hello", &name).await));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            statuses
        })
    };
    let clients: Vec<_> = (0..16).map(load).collect();
    let (_server, killed, started) = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(2));
        let killed = Instant::now();
        server.kill();
        std::thread::sleep(Duration::from_secs(2));
        server.start_again();
        (server, killed, Instant::now())
    })
    .await
    .expect("the server starts again");

    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await.expect("a client does not fail"));
    }
    let count = |from: Instant, to: Instant, status: u16| {
        answers.iter().filter(|(at, answered)| (from..to).contains(at) && *answered == status).count()
    };
    for (from, to) in [(begin, killed), (killed, started), (started, end)] {
        let (admitted, limited) = (count(from, to, 200), count(from, to, 429));
        assert!(admitted > 0 && limited > 0, "{admitted} admitted, {limited} limited");
    }
    // By address: 20 at once, and 10 a second. Two memories and a server that has forgotten admit
    // 20 at once again.
    let admitted = answers.iter().filter(|(_, status)| *status == 200).count();
    assert!(admitted <= 5 * 20 + 4 * 6 * 10, "{admitted} were admitted");
    assert_eq!(answers.iter().filter(|(_, status)| ![200, 429].contains(status)).count(), 0);
}
