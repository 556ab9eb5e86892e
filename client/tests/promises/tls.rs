//! Encrypted connections.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use premier_client::{AsyncBackend, AsyncThrottler, Backend, Error, ErrorKind, Limit, Receipt, Throttler, Token, key};
use premier_test_server::Server;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use redis::{Client, TlsCertificates};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const LIMIT: Limit<Token> = Limit::token_bucket(2, Duration::from_secs(60 * 60));

/// Decrypts in front of a server, as not every build of Redis supports TLS. Returns a `rediss`
/// address and a self-signed certificate.
pub(crate) async fn decrypt_in_front_of(server: &Server) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())
        .expect("the key belongs to the certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("rediss://127.0.0.1:{}", listener.local_addr().expect("it is bound").port());
    let server = ("127.0.0.1", server.port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // When one side closes, so does the other.
                if let (Ok(mut client), Ok(mut server)) =
                    (acceptor.accept(client).await, TcpStream::connect(server).await)
                {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    (url, cert.pem())
}

async fn check(throttler: Throttler) -> Result<Receipt, Error> {
    let check = tokio::task::spawn_blocking(move || throttler.check(&key!("f"), LIMIT));
    check.await.expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_refused() {
    let server = Server::start();
    let (url, _) = decrypt_in_front_of(&server).await;
    let backend = AsyncBackend::redis(url.as_str()).expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).deadline(Duration::from_secs(10)).build();
    let error = throttler.check(&key!("f"), LIMIT).await.expect_err("the certificate is not trusted");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(format!("{error:#}").contains("invalid peer certificate"), "{error:#}");

    let backend = Backend::redis(url).expect("a valid address");
    let throttler = Throttler::builder(backend).deadline(Duration::from_secs(10)).build();
    let error = check(throttler).await.expect_err("the certificate is not trusted");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(format!("{error:#}").contains("invalid peer certificate"), "{error:#}");
}

/// Closes all connections from the server's side.
fn close_connections(server: &Server) {
    let mut connection = server.connection();
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut connection).expect("the server answers");
    // The decrypting proxy closes its side a moment later.
    thread::sleep(Duration::from_millis(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_encrypted_connection_loses_no_call() {
    // So slow that nothing refills during the test.
    const LIMIT: Limit<Token> = Limit::token_bucket(1_000, Duration::from_secs(365 * 24 * 60 * 60));
    let server = Server::start();
    let (url, certificate) = decrypt_in_front_of(&server).await;
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(certificate.into_bytes()) };
    let client = Client::build_with_tls(url, certificates).expect("a valid certificate");
    let calls = move || {
        let deadline = Duration::from_secs(10);
        let sync = Throttler::builder(client.clone()).deadline(deadline).build();
        let asynchronous = AsyncThrottler::builder(client).deadline(deadline).build();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        for call in 1..=5 {
            let decision = sync.check(&key!("sync"), LIMIT).expect("the server answers");
            assert_eq!(decision.remaining(), 1_000 - call, "a call was charged twice, or not");
            let decision = runtime.block_on(asynchronous.check(&key!("async"), LIMIT)).expect("the server answers");
            assert_eq!(decision.remaining(), 1_000 - call, "a call was charged twice, or not");
            close_connections(&server);
        }
    };
    tokio::task::spawn_blocking(calls).await.expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_is_accepted() {
    let server = Server::start();
    let (url, certificate) = decrypt_in_front_of(&server).await;
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(certificate.into_bytes()) };
    let client = Client::build_with_tls(url, certificates).expect("a valid certificate");
    let manager = client.get_connection_manager().await.expect("the certificate is trusted");
    let throttler = AsyncThrottler::builder(manager).build();
    assert!(throttler.check(&key!("f"), LIMIT).await.expect("the server answers").is_admitted());

    let throttler = Throttler::builder(client.clone()).deadline(Duration::from_secs(10)).build();
    assert_eq!(check(throttler).await.expect("the certificate is trusted").remaining(), 0);
    let throttler = AsyncThrottler::builder(client).deadline(Duration::from_secs(10)).build();
    assert!(!throttler.check(&key!("f"), LIMIT).await.expect("the certificate is trusted").is_admitted());
}
