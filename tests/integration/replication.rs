//! A replica holds exactly what its primary holds, and accepts effects from nobody else.

use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::effect::{fixed_state, lasting_effect, server_with_aof};
use crate::tools::replica::{assert_alike, primary, replica_of, wait_until_alike};
use crate::tools::snapshot::snapshot;
use crate::tools::states::fill;

#[test]
fn a_full_sync_copies_every_state() {
    let primary = primary().start();
    fill(&primary);
    let replica = replica_of(&primary);
    assert_alike(&primary, &replica);
}

#[test]
fn the_replication_stream_copies_every_state() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    fill(&primary);
    assert_alike(&primary, &replica);
    // Again, on states that already exist.
    fill_more(&mut primary.connection());
    assert_alike(&primary, &replica);
}

/// Makes admitted and limited calls on the keys of `fill`: alone, in a transaction and in a script.
fn fill_more(connection: &mut Connection) {
    for limiter in LIMITERS {
        let (name, key) = (limiter.command, limiter.data_type);
        let () = run(connection, &format!("DEL {key}:5:3"));
        let line = format!("{name} {key}:persisted 9 10m");
        assert!(!call(connection, &line).limited);
        let mut transaction = redis::pipe();
        transaction.atomic();
        for _ in 0..20 {
            transaction.add_command(command(&line));
        }
        let _: Vec<Value> = transaction.query(connection).expect("EXEC");
        let script = "for call = 1, 20 do redis.call(ARGV[1], KEYS[1], '9', '20m') end \
                      redis.call('DEL', KEYS[2]) \
                      return redis.call(ARGV[1], KEYS[2], '9', '30m')";
        let mut eval = redis::cmd("EVAL");
        eval.arg(script).arg(2).arg(format!("{key}:expire")).arg(format!("{key}:1:1")).arg(name);
        let _: Value = eval.query(connection).expect("EVAL");
    }
}

#[test]
fn a_replica_of_a_replica_has_every_state() {
    let primary = primary().start();
    let middle = replica_of(&primary);
    let last = replica_of(&middle);
    fill(&primary);
    wait_until_alike(&primary, &middle);
    assert_alike(&primary, &last);
    let later = replica_of(&middle);
    assert_alike(&primary, &later);
}

#[test]
fn a_replica_with_an_aof_has_every_state_after_a_restart() {
    let primary = primary().start();
    let mut replica = server_with_aof()
        .config("replicaof", &format!("127.0.0.1 {}", primary.port()))
        .config("propagation-error-behavior", "panic")
        .start();
    fill(&primary);
    assert_alike(&primary, &replica);
    let expected = snapshot(&primary);
    let () = run(&mut replica.connection(), "REPLICAOF NO ONE");
    // It comes back as a primary, so that it can load only its AOF.
    let () = run(&mut replica.connection(), "CONFIG REWRITE");
    replica.kill();
    replica.start_again();
    assert_eq!(snapshot(&replica), expected);
}

#[test]
fn a_replica_restarts_from_its_aof_without_its_primary() {
    let primary = primary().start();
    let mut replica = server_with_aof().config("replicaof", &format!("127.0.0.1 {}", primary.port())).start();
    fill(&primary);
    assert_alike(&primary, &replica);
    let expected = snapshot(&primary);
    drop(primary);
    // While it loads it is a replica, and accepts from its AOF what it refuses from clients.
    replica.restart();
    assert_eq!(snapshot(&replica), expected);
}

#[test]
fn a_promoted_replica_still_counts_what_was_used() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let lines = LIMITERS.map(|limiter| format!("{0} {0} 5 3650d", limiter.command));
    for line in &lines {
        for _ in 0..3 {
            assert!(!call(&mut primary.connection(), line).limited);
        }
    }
    wait_until_alike(&primary, &replica);
    drop(primary);
    let mut connection = replica.connection();
    let () = run(&mut connection, "REPLICAOF NO ONE");
    for line in &lines {
        let fields = [1, 2, 3].map(|_| {
            let reply = call(&mut connection, line);
            (reply.limited, reply.remaining)
        });
        assert_eq!(fields, [(false, 1), (false, 0), (true, 0)], "{line}");
    }
}

#[test]
fn an_effect_is_applied_whatever_the_replica_holds() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let () = run(&mut replica.connection(), "CONFIG SET replica-read-only no");
    for limiter in LIMITERS {
        for foreign in ["SET key 1", "RPUSH key 1", "PREMIER.SLIDING key 1 1h", "PREMIER.TOKEN key 1 1h CAPACITY 9"] {
            let () = run(&mut replica.connection(), "DEL key");
            let _: Value = run(&mut replica.connection(), foreign);
            assert!(!call(&mut primary.connection(), &format!("{} key 5 1h", limiter.command)).limited);
            assert_alike(&primary, &replica);
            let () = run(&mut primary.connection(), "DEL key");
        }
    }
}

#[test]
fn an_effect_breaks_a_watch_on_a_replica() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut watcher = replica.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 2 3650d", limiter.command);
        for is_limited in [false, false, true] {
            let () = run(&mut watcher, &format!("WATCH {}", limiter.command));
            assert_eq!(call(&mut primary.connection(), &line).limited, is_limited);
            wait_until_alike(&primary, &replica);
            let () = run(&mut watcher, "MULTI");
            let () = run(&mut watcher, "PING");
            let answer: Option<Vec<String>> = run(&mut watcher, "EXEC");
            assert_eq!(answer.is_some(), is_limited, "{line}");
        }
    }
}

#[test]
fn a_replica_refuses_calls_and_effects_of_clients() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    for limiter in LIMITERS {
        call(&mut primary.connection(), &format!("{0} {0} 5 1h", limiter.command));
    }
    wait_until_alike(&primary, &replica);
    let before = snapshot(&replica);
    let mut connection = replica.connection();
    for limiter in LIMITERS {
        for arguments in ["fresh 5 1h".to_owned(), format!("{} 5 1h", limiter.command), "fresh 0 1h".to_owned()] {
            let line = error(&mut connection, &command(&format!("{} {arguments}", limiter.command)));
            assert!(line.starts_with("READONLY "), "{line}");
        }
    }

    let effect = lasting_effect(b'F', &fixed_state(1, 1));
    for key in ["fresh", "PREMIER.FIXED"] {
        let line = error(&mut connection, redis::cmd("PREM").arg(key).arg(&effect));
        assert!(line.starts_with("READONLY "), "{line}");
        let line = error(&mut connection, redis::cmd("PREM").arg(key).arg("malformed"));
        assert!(line.starts_with("READONLY "), "{line}");
        let mut transaction = redis::pipe();
        transaction.atomic().cmd("PREM").arg(key).arg(&effect);
        let refused = transaction.query::<Value>(&mut connection).expect_err("PREM is refused in a transaction");
        assert!(refused.to_string().to_uppercase().replace(' ', "").contains("READONLY"), "{refused}");
        let mut eval = redis::cmd("EVAL");
        eval.arg("return redis.call('PREM', KEYS[1], ARGV[1])").arg(1).arg(key).arg(&effect);
        let line = error(&mut connection, &eval);
        assert!(line.starts_with("READONLY "), "{line}");
    }
    assert_eq!(snapshot(&replica), before);
}

#[test]
fn a_writable_replica_accepts_effects_of_clients() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = replica.connection();
    let () = run(&mut connection, "CONFIG SET replica-read-only no");
    let effect = lasting_effect(b'F', &fixed_state(1, 1));
    let () = redis::cmd("PREM").arg("key").arg(&effect).query(&mut connection).expect("PREM");
    assert_eq!(run::<String>(&mut connection, "TYPE key"), "premfixed");
}
