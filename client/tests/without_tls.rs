//! Without the feature `tls`, an address that needs it says so.
#![cfg(not(feature = "tls"))]

use premier_client::{Backend, ErrorKind};

#[test]
fn a_tls_address_names_the_missing_feature() {
    let error = Backend::redis("rediss://127.0.0.1").expect_err("TLS is not compiled in");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("turn on the feature `tls` of premier-client"), "{error}");
    #[cfg(feature = "tokio")]
    {
        let error = premier_client::AsyncBackend::redis("rediss://127.0.0.1").expect_err("likewise");
        assert!(error.to_string().contains("turn on the feature `tls` of premier-client"), "{error}");
    }
}
