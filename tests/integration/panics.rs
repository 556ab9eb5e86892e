//! A bug in a command does not end the server.

use premier_test_server::{Server, panicking_module_path};

#[test]
fn a_panic_answers_an_error_and_is_logged_and_the_server_lives_on() {
    let server = Server::builder().module(panicking_module_path()).start();
    let mut connection = server.connection();

    for _ in 0..2 {
        let answer: redis::RedisResult<redis::Value> = redis::cmd("PREMIER.PANIC").arg("key").query(&mut connection);
        let error = answer.expect_err("a panic answers an error").to_string();
        assert!(error.contains("premier has an internal error"), "{error}");
    }

    let pong: String = redis::cmd("PING").query(&mut connection).expect("the server lives on");
    assert_eq!(pong, "PONG");
    let log = server.log();
    assert!(log.contains("this is what a bug would do") && log.contains("panicking/lib.rs"), "{log}");
}
