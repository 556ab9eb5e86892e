//! The proxy that loses replies.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use premier_test_server::{Proxy, Server};
use redis::{Connection, RedisResult, cmd};

fn connect(proxy: &Proxy) -> RedisResult<Connection> {
    let connection = redis::Client::open(("127.0.0.1", proxy.port()))?.get_connection()?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(connection)
}

fn remaining(connection: &mut Connection, key: &str) -> RedisResult<i64> {
    cmd("PREMIER.FIXED").arg(key).arg(5).arg("1d").query(connection).map(|reply: [i64; 5]| reply[2])
}

/// Whether the other side has closed a socket, which is waited for.
fn is_closed(mut socket: TcpStream) -> bool {
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    match socket.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn calls_pass() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let (mut one, mut other) = (connect(&proxy).unwrap(), connect(&proxy).unwrap());
    assert_eq!(remaining(&mut one, "key"), Ok(4));
    assert_eq!(remaining(&mut other, "key"), Ok(3));
    assert_eq!(remaining(&mut one, "key"), Ok(2));
    assert_eq!(remaining(&mut server.connection(), "key"), Ok(1));
}

#[test]
fn more_than_a_buffer_passes() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let value = "PREMIER".repeat(100_000);
    let echo: String = cmd("ECHO").arg(&value).query(&mut connect(&proxy).unwrap()).unwrap();
    assert!(echo == value);
}

#[test]
fn one_reply_is_lost_and_its_call_is_charged() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let (mut victim, mut bystander) = (connect(&proxy).unwrap(), connect(&proxy).unwrap());
    assert_eq!(remaining(&mut victim, "key"), Ok(4));

    proxy.lose_next_reply();
    // Other commands do not count.
    cmd("PING").exec(&mut victim).unwrap();
    cmd("PING").exec(&mut bystander).unwrap();
    let error = remaining(&mut victim, "key").expect_err("a lost reply");
    assert!(error.is_connection_dropped(), "{error}");
    proxy.wait_until_lost();

    assert_eq!(remaining(&mut server.connection(), "key"), Ok(2));
    assert!(remaining(&mut victim, "key").is_err(), "the connection is closed");
    assert_eq!(remaining(&mut bystander, "key"), Ok(1));
    assert_eq!(remaining(&mut connect(&proxy).unwrap(), "key"), Ok(0));
}

#[test]
fn replies_can_be_lost_again_and_again() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    for left in [3, 1] {
        proxy.lose_next_reply();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                assert!(remaining(&mut connect(&proxy).unwrap(), "key").is_err());
            });
            proxy.wait_until_lost();
            assert_eq!(remaining(&mut server.connection(), "key"), Ok(left));
        });
    }
}

#[test]
fn a_client_that_leaves_leaves_the_server_too() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let mut observer = server.connection();
    let mut clients = || {
        let list: String = cmd("CLIENT").arg("LIST").query(&mut observer).unwrap();
        list.lines().count()
    };
    let mut client = connect(&proxy).unwrap();
    assert_eq!(remaining(&mut client, "key"), Ok(4));
    assert_eq!(clients(), 2);

    drop(client);
    let deadline = Instant::now() + Duration::from_secs(10);
    while clients() > 1 {
        assert!(Instant::now() < deadline, "the proxy keeps the connection");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_call_that_comes_in_pieces_is_recognized() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    proxy.lose_next_reply();
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    client.set_nodelay(true).unwrap();
    client.write_all(b"PREM").unwrap();
    thread::sleep(Duration::from_millis(100));
    client.write_all(b"IER.FIXED key 5 1d\r\n").unwrap();
    proxy.wait_until_lost();
    assert!(is_closed(client));
    assert_eq!(remaining(&mut server.connection(), "key"), Ok(3));
}

#[test]
fn a_client_of_a_dead_server_is_hung_up_on() {
    let mut server = Server::start();
    let proxy = Proxy::start(server.port());
    let mut client = connect(&proxy).unwrap();
    assert_eq!(remaining(&mut client, "key"), Ok(4));

    server.kill();
    assert!(remaining(&mut client, "key").expect_err("a dead server").is_connection_dropped());
    assert!(is_closed(TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap()));

    server.start_again();
    assert_eq!(remaining(&mut connect(&proxy).unwrap(), "key"), Ok(4));
}

#[test]
fn dropping_the_proxy_closes_everything() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let port = proxy.port();
    let mut client = connect(&proxy).unwrap();
    assert_eq!(remaining(&mut client, "key"), Ok(4));
    drop(proxy);
    assert!(remaining(&mut client, "key").expect_err("no proxy").is_connection_dropped());
    let error = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("no proxy");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
