//! Many clients at once get no more than one alone would.

use std::thread;

use premier_test_server::Server;

use crate::call::{LIMITERS, call};

const CLIENTS: usize = 8;

#[test]
fn eight_clients_on_one_key_are_admitted_exactly_its_quota() {
    let server = Server::start();
    for limiter in LIMITERS {
        for quota in [40, 300] {
            // Nothing is refilled, drained or over within the test.
            let line = format!("{} {}:{quota} {quota} 3650d", limiter.command, limiter.data_type);
            let admitted: usize = thread::scope(|scope| {
                let client = || {
                    let mut connection = server.connection();
                    (0..quota / 4).filter(|_| !call(&mut connection, &line).limited).count()
                };
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
                clients.into_iter().map(|client| client.join().expect("no client fails")).sum()
            });
            assert_eq!(admitted, quota, "{line}");
        }
    }
}
