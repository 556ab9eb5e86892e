//! Servers that evict keys to free memory.

use premier_test_server::Server;
use redis::{Connection, RedisResult};

use crate::tools::call::{LIMITERS, Limiter, Reply, call, run, send};
use crate::tools::info::info_number;
use crate::tools::replica::{assert_alike, primary, replica_of};

const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// How much memory the server may use beyond what it used when the limit was set.
const ROOM: i64 = 1 << 18;

/// A number of keys that takes several times as much.
const KEYS: usize = 10_000;

/// Limits the memory to a little more than what is used now. Nothing may still be freed in the
/// background: the limit would be too high.
fn limit_memory(connection: &mut Connection, policy: &str) {
    let () = run(connection, &format!("CONFIG SET maxmemory-policy {policy}"));
    let used = info_number(connection, "memory", "used_memory");
    let () = run(connection, &format!("CONFIG SET maxmemory {}", used + ROOM));
}

/// Calls limiters on this many fresh keys, and returns the replies.
fn flood(connection: &mut Connection, limiters: &[Limiter]) -> Vec<RedisResult<Reply>> {
    let calls = (0..KEYS).zip(limiters.iter().cycle());
    // volatile-ttl cannot tell keys apart that live equally long.
    let lines = calls.map(|(index, limiter)| format!("{} flood:{index} 5 {}h", limiter.command, 1 + index % 1000));
    // In short pipelines: commands that wait in the server take memory too.
    lines.collect::<Vec<_>>().chunks(100).flat_map(|lines| send(connection, lines)).collect()
}

/// Only noeviction refuses calls. Under every policy, replicas hold exactly what the primary holds.
#[test]
fn every_eviction_policy_admits_calls_or_refuses_with_oom() {
    // The replication backlog counts as memory, and evicting keys does not free it.
    let primary = primary().config("repl-backlog-size", "16kb").start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    for policy in POLICIES {
        for limiter in LIMITERS {
            let () = run(&mut connection, &format!("DEL {}", limiter.command));
            call(&mut connection, &format!("{0} {0} 5 3650d COST 2", limiter.command));
            let () = run(&mut connection, &format!("PERSIST {}", limiter.command));
        }
        let evicted_before = info_number(&mut connection, "stats", "evicted_keys");
        limit_memory(&mut connection, policy);
        let (mut admitted, mut refused) = (0, 0);
        for answer in flood(&mut connection, &LIMITERS) {
            match answer {
                Ok(reply) => {
                    reply.assert_sane();
                    assert_eq!((reply.limited, reply.remaining), (false, 4), "{policy}");
                    admitted += 1;
                }
                Err(error) => {
                    assert_eq!(error.code(), Some("OOM"), "{policy}: {error}");
                    refused += 1;
                }
            }
        }
        let evicted = info_number(&mut connection, "stats", "evicted_keys") - evicted_before;
        if policy == "noeviction" {
            assert!(admitted > 0 && refused > 0 && evicted == 0, "{admitted} and {refused}");
        } else {
            assert_eq!(refused, 0, "{policy}");
            assert!(evicted > 0, "{policy}");
        }
        let () = run(&mut connection, "CONFIG SET maxmemory 0");
        // Persisted keys are not volatile, so only allkeys policies evict them.
        if !policy.starts_with("allkeys") {
            for limiter in LIMITERS {
                assert_eq!(
                    call(&mut connection, &format!("{0} {0} 5 3650d", limiter.command)).remaining,
                    2,
                    "{policy}"
                );
            }
        }
        assert_alike(&primary, &replica);
        let () = run(&mut connection, "FLUSHALL SYNC");
    }
}

#[test]
fn lfu_eviction_keeps_a_key_that_limits_often() {
    let server = Server::start();
    let mut connection = server.connection();
    for policy in ["allkeys-lfu", "volatile-lfu"] {
        for limiter in LIMITERS {
            let line = format!("{0} {0} 1 3650d", limiter.command);
            limit_memory(&mut connection, policy);
            send::<Reply>(&mut connection, &vec![line.clone(); 1_000]);
            let evicted_before = info_number(&mut connection, "stats", "evicted_keys");
            flood(&mut connection, &[limiter]);
            assert!(info_number(&mut connection, "stats", "evicted_keys") > evicted_before);
            assert!(call(&mut connection, &line).limited, "{policy}: {line}");
            let () = run(&mut connection, "CONFIG SET maxmemory 0");
            let () = run(&mut connection, "FLUSHALL SYNC");
        }
    }
}
