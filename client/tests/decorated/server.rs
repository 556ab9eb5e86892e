//! A server that all tests share.

use std::sync::{LazyLock, mpsc};
use std::thread;

use premier_test_server::Server;

/// The server ends with the thread that starts it: when all tests have run.
static PORT: LazyLock<u16> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let server = Server::start();
        sender.send(server.port()).expect("the receiver waits");
        loop {
            thread::park();
        }
    });
    receiver.recv().expect("the server starts")
});

pub(crate) fn port() -> u16 {
    *PORT
}
