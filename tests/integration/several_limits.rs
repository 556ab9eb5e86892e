//! PREMIER.ALL charges several limits or none.

use std::thread;

use premier_test_server::{Cluster, Server};
use redis::{Connection, FromRedisValue, ParsingError, Value};

use crate::tools::call::{LIMITERS, Reply, call, command, error, run};
use crate::tools::effect::{commands_in_aof, server_with_aof};
use crate::tools::info::info_number;
use crate::tools::replica::{primary, replica_of, wait_until_alike};
use crate::tools::snapshot::snapshot;

#[derive(Debug)]
struct Joint {
    reply: Reply,
    binding: usize,
    each: Vec<Reply>,
}

impl FromRedisValue for Joint {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let Value::Array(mut fields) = value else {
            return Err("PREMIER.ALL must reply with an array".to_owned().into());
        };
        let [binding, each] = <[Value; 2]>::try_from(fields.split_off(5))
            .map_err(|_| "PREMIER.ALL must reply with seven fields".to_owned())?;
        Ok(Self {
            reply: redis::from_redis_value(Value::Array(fields))?,
            binding: redis::from_redis_value(binding)?,
            each: redis::from_redis_value(each)?,
        })
    }
}

fn all(connection: &mut Connection, limits: &str) -> Joint {
    run(connection, &format!("PREMIER.ALL {limits}"))
}

/// Returns one limit of each algorithm, on keys with this prefix.
fn one_of_each(prefix: &str, limit: &str) -> String {
    let limits = LIMITERS.map(|limiter| {
        let algorithm = limiter.algorithm();
        format!("{prefix}{algorithm} {algorithm} {limit}")
    });
    limits.join(" AND ")
}

/// Its wait is the longest of all.
#[test]
fn an_admitted_call_reports_the_limit_with_least_remaining() {
    let server = Server::start();
    let mut connection = server.connection();
    let limits = "f FIXED 5 1h AND l LEAKY 9 90s AND t TOKEN 5 1h and s sliding 7 1h cost 2";
    let first = all(&mut connection, limits);
    assert_eq!((first.reply.limited, first.reply.limit, first.reply.remaining, first.binding), (false, 5, 4, 0));
    assert_eq!(first.reply.wait, 0);
    assert_eq!(first.each.iter().map(|reply| reply.remaining).collect::<Vec<_>>(), [4, 8, 4, 5]);
    assert_eq!(first.reply, first.each[0]);

    let second = all(&mut connection, limits);
    assert_eq!((second.reply.remaining, second.binding), (3, 0));
    assert_eq!(second.each[0].wait, 0);
    assert!((9_000..=10_000).contains(&second.reply.wait), "{second:?}");
    assert_eq!(second.reply.wait, second.each[1].wait);

    let third = all(&mut connection, limits);
    assert_eq!((third.reply.remaining, third.binding), (1, 3), "{third:?}");
}

/// A wait of -1, which means never, counts as the longest.
#[test]
fn a_limited_call_reports_the_limit_with_the_longest_wait() {
    let server = Server::start();
    let mut connection = server.connection();
    let limits = "a FIXED 1 10m AND b FIXED 1 1h AND c FIXED 1 1h AND d TOKEN 9 1h";
    assert!(!all(&mut connection, limits).reply.limited);
    let before = snapshot(&server);
    let limited = all(&mut connection, limits);
    assert_eq!((limited.reply.limited, limited.binding), (true, 1));
    assert_eq!(limited.reply, limited.each[1]);
    // The reply that this limit would have given on its own.
    assert_eq!((limited.each[3].limited, limited.each[3].remaining), (false, 7));

    let never = all(&mut connection, &format!("{limits} AND e FIXED 0 1s AND f FIXED 1 1s COST 2"));
    assert_eq!((never.reply.limited, never.reply.wait, never.binding), (true, -1, 4));
    assert_eq!(snapshot(&server), before, "a limited call changed something");
}

#[test]
fn all_limits_or_none_are_charged_whichever_one_limits() {
    let server = Server::start();
    let mut connection = server.connection();
    for (index, limiter) in LIMITERS.iter().enumerate() {
        let () = run(&mut connection, "FLUSHALL");
        let algorithm = limiter.algorithm();
        assert!(!call(&mut connection, &format!("{} {algorithm} 3 3650d COST 2", limiter.command)).limited);
        let limits = one_of_each("", "3 3650d COST 2");
        let before = snapshot(&server);
        let limited = all(&mut connection, &limits);
        assert_eq!((limited.reply.limited, limited.binding), (true, index));
        assert_eq!(snapshot(&server), before);
        assert!(!all(&mut connection, &one_of_each("", "3 3650d")).reply.limited);
        assert_eq!(snapshot(&server).len(), 4);
    }
}

#[test]
fn an_error_on_one_limit_charges_none() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "SET text 1");
    let before = snapshot(&server);
    for limits in ["a FIXED 5 1h AND text FIXED 5 1h", "text TOKEN 5 1h AND a FIXED 5 1h"] {
        let line = error(&mut connection, &command(&format!("PREMIER.ALL {limits}")));
        assert!(line.starts_with("WRONGTYPE "), "{line}");
    }
    assert_eq!(snapshot(&server), before);
}

#[test]
fn eight_clients_never_charge_one_limit_without_the_others() {
    let server = Server::start();
    // Sooner or later, one of the shared limits limits every client.
    let admitted: u64 = thread::scope(|scope| {
        let client = |client: usize| {
            let mut connection = server.connection();
            let own = format!("client:{client} FIXED 90 3650d");
            let limits = format!("{own} AND {}", one_of_each("", "400 3650d"));
            let calls = (0..120).map(|_| all(&mut connection, &limits));
            u64::try_from(calls.filter(|joint| !joint.reply.limited).count()).expect("there are few")
        };
        let clients: Vec<_> = (0..8).map(|index| scope.spawn(move || client(index))).collect();
        clients.into_iter().map(|client| client.join().expect("no client fails")).sum()
    });
    assert_eq!(admitted, 400);
    let mut connection = server.connection();
    let mut used = |key: &str| run::<u64>(&mut connection, &format!("PREMIER.REFUND {key} 1000"));
    for limiter in LIMITERS {
        assert_eq!(used(limiter.algorithm()), admitted, "{}", limiter.command);
    }
    assert_eq!((0..8).map(|client| used(&format!("client:{client}"))).sum::<u64>(), admitted);
}

#[test]
fn replicas_and_the_aof_receive_all_limits_in_one_command() {
    let mut server = server_with_aof().config("repl-diskless-sync-delay", "0").start();
    let replica = replica_of(&server);
    let mut connection = server.connection();
    assert!(!all(&mut connection, &one_of_each("", "2 3650d COST 2")).reply.limited);
    let [select, effects] = &commands_in_aof(&server)[..] else {
        panic!("the AOF does not have one command after SELECT")
    };
    assert!(select[0].eq_ignore_ascii_case(b"SELECT"));
    assert_eq!(effects[0], b"PREM");
    let keys: Vec<&[u8]> = effects[1..].iter().step_by(2).map(Vec::as_slice).collect();
    assert_eq!(keys, [&b"FIXED"[..], b"SLIDING", b"TOKEN", b"LEAKY"]);

    let offset = info_number(&mut connection, "replication", "master_repl_offset");
    assert!(all(&mut connection, &one_of_each("", "2 3650d")).reply.limited);
    assert_eq!(info_number(&mut connection, "replication", "master_repl_offset"), offset);
    wait_until_alike(&server, &replica);
    let expected = snapshot(&server);
    assert_eq!(expected.len(), 4);
    assert_eq!(snapshot(&replica), expected);
    server.kill();
    server.start_again();
    assert_eq!(snapshot(&server), expected);
}

/// On the primary and on replicas.
#[test]
fn premier_all_breaks_a_watch_of_each_of_its_keys() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let limits = one_of_each("", "2 3650d");
    for limiter in LIMITERS {
        let () = run(&mut primary.connection(), "FLUSHALL");
        for is_limited in [false, false, true] {
            let mut watchers = [&primary, &replica].map(Server::connection);
            for watcher in &mut watchers {
                let () = run(watcher, &format!("WATCH {}", limiter.algorithm()));
            }
            assert_eq!(all(&mut primary.connection(), &limits).reply.limited, is_limited);
            wait_until_alike(&primary, &replica);
            for watcher in &mut watchers {
                let () = run(watcher, "MULTI");
                let () = run(watcher, "PING");
                let answer: Option<Vec<String>> = run(watcher, "EXEC");
                assert_eq!(answer.is_some(), is_limited, "{}", limiter.command);
            }
        }
    }
}

/// Long names are compared by their hashes.
#[test]
fn long_keys_may_be_alike_but_only_one_may_be_named_twice() {
    let server = Server::start();
    let mut connection = server.connection();
    for len in [1_024, 1_025, 100_000] {
        let names: Vec<Vec<u8>> = [0, len / 2, len - 1]
            .map(|different| (0..len).map(|index| if index == different { b'b' } else { b'a' }).collect())
            .into();
        let call = |names: &[&Vec<u8>]| {
            let mut command = redis::cmd("PREMIER.ALL");
            for (index, name) in names.iter().enumerate() {
                command.arg(&["AND"][..index.min(1)]).arg(name).arg(&["FIXED", "5", "1h"]);
            }
            command
        };
        let [first, middle, last] = &names[..] else { unreachable!() };
        let joint: Joint = call(&[first, middle, last]).query(&mut connection).expect("the keys differ");
        assert_eq!(joint.each.len(), 3);
        let line = error(&mut connection, &call(&[first, middle, last, middle]));
        assert_eq!(line, "ERR a key may be named only once");
    }
}

#[test]
fn getkeys_acls_and_the_cluster_find_all_its_keys() {
    let server = Server::start();
    let mut connection = server.connection();
    let limits = "one FIXED 5 1h COST 3 AND two TOKEN 5 1h CAPACITY 9 MAXWAIT 1s and AND LEAKY 5 1h";
    let keys: Vec<String> = run(&mut connection, &format!("COMMAND GETKEYS PREMIER.ALL {limits}"));
    assert_eq!(keys, ["one", "two", "AND"]);
    let () = run(&mut connection, "ACL SETUSER some on nopass +@all ~one ~two");
    let refused: String = run(&mut connection, &format!("ACL DRYRUN some PREMIER.ALL {limits}"));
    assert!(refused.contains("AND"), "{refused}");
    let allowed = "ACL DRYRUN some PREMIER.ALL one FIXED 5 1h AND two TOKEN 5 1h";
    assert_eq!(run::<String>(&mut connection, allowed), "OK");

    let cluster = Cluster::start(1);
    let mut connection = cluster.nodes()[0].connection();
    let line = error(&mut connection, &command("PREMIER.ALL one FIXED 5 1h AND two FIXED 5 1h"));
    assert!(line.starts_with("CROSSSLOT "), "{line}");
    assert!(!all(&mut connection, "{user}:one FIXED 5 1h AND {user}:two FIXED 5 1h").reply.limited);
}

#[test]
fn a_replica_refuses_premier_all() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let line = error(&mut replica.connection(), &command("PREMIER.ALL key FIXED 5 1h"));
    assert!(line.starts_with("READONLY "), "{line}");
}
