//! A server that all tests share.

use std::sync::{LazyLock, mpsc};
use std::thread;

use premier_test_server::Server;

/// It dies with the thread that starts it, and so at the end of all tests.
static PORT: LazyLock<u16> = LazyLock::new(|| {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let server = Server::start();
        tell.send(server.port()).expect("somebody waits for it");
        loop {
            thread::park();
        }
    });
    told.recv().expect("the server starts")
});

pub(crate) fn port() -> u16 {
    *PORT
}
