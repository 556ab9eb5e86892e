//! Calls within transactions and scripts.

use premier_test_server::Server;
use redis::{Connection, ConnectionLike, Value};

use crate::tools::call::{LIMITERS, Reply, call, command, error, run};
use crate::tools::info::is_at_least;
use crate::tools::snapshot::snapshot;

/// A script that runs the command in its first argument on its key and its other arguments.
const CALL: &str = "return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))";

fn eval(connection: &mut Connection, script: &str, line: &str) -> Reply {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(1).arg(words[1]).arg(words[0]).arg(&words[2..]);
    command.query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn a_transaction_charges_and_answers_each_of_its_calls() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 2 3650d", limiter.command);
        let mut transaction = redis::pipe();
        transaction.atomic();
        for _ in 0..3 {
            transaction.add_command(command(&line));
        }
        let replies: Vec<Reply> = transaction.query(&mut connection).expect("EXEC");
        let fields: Vec<_> = replies.iter().map(|reply| (reply.limited, reply.remaining)).collect();
        assert_eq!(fields, [(false, 1), (false, 0), (true, 0)], "{line}");
        assert!(call(&mut connection, &line).limited, "{line}");
    }
}

#[test]
fn a_discarded_transaction_charges_nothing() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 2 1h", limiter.command);
        let () = run(&mut connection, "MULTI");
        assert_eq!(run::<String>(&mut connection, &line), "QUEUED");
        let () = run(&mut connection, "DISCARD");
    }
    assert!(snapshot(&server).is_empty());
}

#[test]
fn a_call_with_too_few_arguments_aborts_its_transaction() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let () = run(&mut connection, "MULTI");
        let _: Value = run(&mut connection, &format!("{0} {0} 2 1h", limiter.command));
        let line = error(&mut connection, &command(&format!("{0} {0}", limiter.command)));
        assert!(line.starts_with("ERR "), "{line}");
        let line = error(&mut connection, &command("EXEC"));
        assert!(line.starts_with("EXECABORT "), "{line}");
    }
    assert!(snapshot(&server).is_empty());
}

#[test]
fn an_error_in_a_transaction_does_not_stop_its_other_calls() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let name = limiter.command;
        let () = run(&mut connection, "MULTI");
        for arguments in ["5 3650d", "5 never", "5 3650d"] {
            let _: Value = run(&mut connection, &format!("{name} {name} {arguments}"));
        }
        let answer = connection.req_packed_command(&redis::cmd("EXEC").get_packed_command()).expect("EXEC");
        let Value::Array(replies) = answer else { panic!("EXEC must reply with an array: {answer:?}") };
        let remaining = |reply: &Value| redis::from_redis_value::<Reply>(reply.clone()).map(|reply| reply.remaining);
        assert_eq!(remaining(&replies[0]).expect("a reply"), 4);
        assert!(matches!(replies[1], Value::ServerError(_)), "{replies:?}");
        assert_eq!(remaining(&replies[2]).expect("a reply"), 3);
    }
}

#[test]
fn a_script_gets_the_five_fields_and_is_charged() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("{0} {0} 2 3650d", limiter.command);
        let fields = [1, 2, 3].map(|_| {
            let reply = eval(&mut connection, CALL, &line);
            (reply.limited, reply.limit, reply.remaining)
        });
        assert_eq!(fields, [(false, 2, 1), (false, 2, 0), (true, 2, 0)], "{line}");
        assert!(call(&mut connection, &line).limited, "{line}");
    }
}

#[test]
fn a_script_can_catch_the_error_of_an_invalid_call() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "SET string 1");
    let script = "return redis.pcall(ARGV[1], KEYS[1], ARGV[2], ARGV[3]).err";
    for limiter in LIMITERS {
        let mut caught = |key: &str, duration: &str| -> String {
            let mut command = redis::cmd("EVAL");
            command.arg(script).arg(1).arg(key).arg(limiter.command).arg("5").arg(duration);
            command.query(&mut connection).expect("the script catches it")
        };
        // Redis 7.0 and newer give scripts the error line with its code.
        assert!(caught("key", "never").starts_with("ERR duration must be "), "{}", limiter.command);
        assert!(caught("string", "1h").starts_with("WRONGTYPE "), "{}", limiter.command);
    }
}

#[test]
fn a_read_only_script_cannot_call_a_limiter() {
    let server = Server::start();
    let mut connection = server.connection();
    for name in LIMITERS.map(|limiter| limiter.command) {
        let mut command = redis::cmd("EVAL_RO");
        command.arg("return redis.call(ARGV[1], KEYS[1], '5', '1h')").arg(1).arg("key").arg(name);
        let line = error(&mut connection, &command);
        assert!(line.contains("Write commands are not allowed"), "{line}");
    }
    let mut command = redis::cmd("EVAL_RO");
    command.arg("return redis.call('PREM', KEYS[1], 'effect')").arg(1).arg("key");
    let line = error(&mut connection, &command);
    assert!(line.contains("Write commands are not allowed"), "{line}");
    assert!(snapshot(&server).is_empty());
}

/// What `reset` may be for a window of an hour, if time has passed since it opened.
const LATER: std::ops::Range<i64> = 0..3_600_000;

/// Asserts that no time passed before the second call. The module interface of Redis 7.0 lacks the
/// cached clock that this needs (`CachedMicroseconds`, in Redis 7.2 and Valkey).
fn assert_time_is_frozen_where_supported(connection: &mut Connection, second: Reply) {
    if is_at_least(connection, (7, 2)) {
        assert_eq!(second.reset, 3_600_000, "time passed");
    } else {
        assert!(LATER.contains(&second.reset), "no time passed, so the note on Redis 7.0 is out of date: {second:?}");
    }
}

/// On servers whose modules can read the cached clock: Redis 7.2 and newer, and Valkey.
#[test]
fn time_is_frozen_within_a_transaction() {
    let server = Server::start();
    let mut connection = server.connection();
    let (_, (), second): (Reply, (), Reply) = redis::pipe()
        .atomic()
        .add_command(command("PREMIER.FIXED key 5 1h"))
        .add_command(command("DEBUG SLEEP 0.02"))
        .add_command(command("PREMIER.FIXED key 5 1h"))
        .query(&mut connection)
        .expect("EXEC");
    assert_time_is_frozen_where_supported(&mut connection, second);
    // After the transaction, time has passed.
    assert!(LATER.contains(&call(&mut connection, "PREMIER.FIXED key 5 1h").reset));
}

/// On servers whose modules can read the cached clock: Redis 7.2 and newer, and Valkey.
#[test]
fn time_is_frozen_within_a_script() {
    let server = Server::start();
    let mut connection = server.connection();
    let script = "redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3]) \
                  for turn = 1, 10000000 do end \
                  return redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3])";
    let second = eval(&mut connection, script, "PREMIER.FIXED key 5 1h");
    assert_time_is_frozen_where_supported(&mut connection, second);
    assert!(LATER.contains(&call(&mut connection, "PREMIER.FIXED key 5 1h").reset));
}
