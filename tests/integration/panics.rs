//! A bug in a command does not stop the server.

use premier_test_server::{Server, panicking_module_path};

/// The server keeps running.
#[test]
fn a_panic_returns_an_error_and_is_logged() {
    let server = Server::builder().module(panicking_module_path()).start();
    let mut connection = server.connection();

    for _ in 0..2 {
        let answer: redis::RedisResult<redis::Value> = redis::cmd("PREMIER.PANIC").arg("key").query(&mut connection);
        let error = answer.expect_err("a panic returns an error").to_string();
        assert!(error.contains("premier has an internal error"), "{error}");
    }

    let pong: String = redis::cmd("PING").query(&mut connection).expect("the server keeps running");
    assert_eq!(pong, "PONG");
    let log = server.log();
    assert!(log.contains("this is what a bug would do") && log.contains("panicking/lib.rs"), "{log}");
}
