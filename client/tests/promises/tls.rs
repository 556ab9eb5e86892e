//! Encrypted connections.

use std::fs;
use std::time::Duration;

use premier_client::{AsyncBackend, AsyncThrottler, Backend, ErrorKind, Limit, Throttler, Token, key};
use premier_test_server::Server;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use redis::{Client, TlsCertificates};

const LIMIT: Limit<Token> = Limit::token_bucket(2, Duration::from_secs(60 * 60));

/// A server with a certificate that signs itself, its `rediss` address, and the certificate.
fn tls_server() -> (Server, String, Vec<u8>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, cert.pem()).expect("the folder is writable");
    fs::write(&key, signing_key.serialize_pem()).expect("the folder is writable");

    let server = Server::start();
    let mut connection = server.connection();
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("tls-cert-file").arg(certificate.display().to_string());
    set.arg("tls-key-file").arg(key.display().to_string()).arg("tls-auth-clients").arg("no");
    set.arg("tls-ca-cert-file").arg(certificate.display().to_string());
    // Another port that is free now: that of a server which ends at once.
    let port = Server::start().port();
    set.arg("tls-port").arg(port).exec(&mut connection).expect("the server knows TLS");
    (server, format!("rediss://localhost:{port}"), cert.pem().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (_server, url, _) = tls_server();
    let throttler = AsyncThrottler::builder(AsyncBackend::redis(url.as_str()).expect("a valid address")).build();
    let error = throttler.check(&key!("f"), LIMIT).await.expect_err("the server is not to be trusted");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");

    let throttler = Throttler::builder(Backend::redis(url.as_str()).expect("a valid address")).build();
    let sync = tokio::task::spawn_blocking(move || throttler.check(&key!("f"), LIMIT));
    let error = sync.await.expect("it does not panic").expect_err("the server is not to be trusted");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[test]
fn a_certificate_of_ones_own_is_taken() {
    let (_server, url, certificate) = tls_server();
    // Chooses the cryptography as well.
    Backend::redis(url.as_str()).expect("a valid address");
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(certificate) };
    let client = Client::build_with_tls(url, certificates).expect("a valid certificate");
    let throttler = Throttler::builder(client).deadline(Duration::from_secs(10)).build();
    assert!(throttler.check(&key!("f"), LIMIT).expect("the server is to be trusted").is_admitted());
}
