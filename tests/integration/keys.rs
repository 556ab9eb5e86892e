//! A key may be any bytes, and a key of another type is left alone.

use premier_test_server::Server;
use redis::Connection;

use crate::tools::call::{LIMITERS, Reply, call, command, error, run};
use crate::tools::snapshot::{Name, snapshot};

fn call_on(connection: &mut Connection, limiter: &str, key: &[u8]) -> Reply {
    redis::cmd(limiter).arg(key).arg(&["5", "3650d"]).query(connection).expect("a key may be any bytes")
}

#[test]
fn a_key_may_be_any_bytes() {
    let server = Server::start();
    let mut connection = server.connection();
    let long = vec![b'k'; 1 << 20];
    let keys: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\0\0",
        b"a\0b",
        b"a\0c",
        b"a",
        b"\r\n",
        b"a\r\n$1\r\n",
        b"\xff\xfe",
        b"\xc3\x28",
        "ключ ☃".as_bytes(),
        &long,
    ];
    for limiter in LIMITERS {
        for remaining in (0..5).rev() {
            for key in keys {
                let reply = call_on(&mut connection, limiter.command, key);
                assert_eq!((reply.limited, reply.remaining), (false, remaining), "{:?}", Name(key.to_vec()));
            }
        }
        for key in keys {
            assert!(call_on(&mut connection, limiter.command, key).limited, "{:?}", Name(key.to_vec()));
        }
        let states = snapshot(&server);
        assert_eq!(states.len(), keys.len());
        assert!(states.values().all(|state| state.data_type == limiter.data_type));
        let () = run(&mut connection, "FLUSHALL");
    }
}

#[test]
fn calls_on_other_types_fail_with_wrongtype_and_change_nothing() {
    let server = Server::start();
    let mut connection = server.connection();
    for line in [
        "SET string 5",
        "SET text hello",
        "RPUSH list 1",
        "HSET hash field 1",
        "SADD set 1",
        "ZADD zset 1 1",
        "XADD stream * field 1",
        "PFADD hyperloglog 1",
        "SETBIT bitmap 5 1",
    ] {
        let () = run(&mut connection, line);
    }
    let foreign = snapshot(&server).into_keys().map(|(_, name)| name.0);
    let mut keys: Vec<(Vec<u8>, &str)> = foreign.map(|key| (key, "")).collect();
    for limiter in LIMITERS {
        call(&mut connection, &format!("{} {} 5 1h", limiter.command, limiter.data_type));
        keys.push((limiter.data_type.into(), limiter.data_type));
    }
    let before = snapshot(&server);
    assert_eq!(before.len(), 13);

    for limiter in LIMITERS {
        for (key, _) in keys.iter().filter(|(_, data_type)| *data_type != limiter.data_type) {
            for limits in [["5", "1h"], ["0", "1h"]] {
                let line = error(&mut connection, redis::cmd(limiter.command).arg(key).arg(&limits));
                assert_eq!(line, "WRONGTYPE Operation against a key holding the wrong kind of value");
            }
        }
    }
    assert_eq!(snapshot(&server), before);
}

#[test]
fn commands_of_other_types_fail_with_wrongtype_on_ours() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        call(&mut connection, &format!("{} key 5 1h", limiter.command));
        for line in ["GET key", "INCR key", "LPUSH key 1", "HGETALL key", "ZCARD key"] {
            let line = error(&mut connection, &command(line));
            assert!(line.starts_with("WRONGTYPE "), "{line}");
        }
        let () = run(&mut connection, "SET key 1");
        assert_eq!(run::<String>(&mut connection, "GETDEL key"), "1");
    }
}

#[test]
fn type_and_scan_distinguish_the_algorithms() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "SET string 1");
    for limiter in LIMITERS {
        for index in 0..3 {
            call(&mut connection, &format!("{} {}:{index} 5 1h", limiter.command, limiter.data_type));
        }
    }
    for limiter in LIMITERS {
        let data_type = limiter.data_type;
        let names: Vec<String> = (0..3).map(|index| format!("{data_type}:{index}")).collect();
        for name in &names {
            assert_eq!(run::<String>(&mut connection, &format!("TYPE {name}")), data_type);
        }
        let (_, mut scanned): (u64, Vec<String>) = run(&mut connection, &format!("SCAN 0 TYPE {data_type} COUNT 1000"));
        scanned.sort();
        assert_eq!(scanned, names);
    }
}

#[test]
fn a_key_counts_separately_in_each_database() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 2 3650d", limiter.command);
        for database in [0, 3] {
            let () = run(&mut connection, &format!("SELECT {database}"));
            assert_eq!(call(&mut connection, &line).remaining, 1, "{line} in db {database}");
        }
        let () = run(&mut connection, "SELECT 0");
        assert_eq!(call(&mut connection, &line).remaining, 0, "{line}");
    }
}
