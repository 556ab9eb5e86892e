//! HOLD beside rate limits, in transactions and scripts, in databases, out of memory, and by whom
//! it may be called.

use premier_test_server::Server;
use redis::{Value, pipe};

use crate::tools::call::{LIMITERS, Reply, call, command, error, run};
use crate::tools::hold::{held, holders, release};
use crate::tools::replica::{assert_alike, primary, replica_of};
use crate::tools::snapshot::snapshot;

fn field(reply: &[Value], index: usize) -> i64 {
    redis::from_redis_value(reply[index].clone()).expect("an integer")
}

#[test]
fn a_call_is_charged_to_a_hold_and_to_rates_or_to_none() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in &LIMITERS {
        let () = run(&mut connection, "FLUSHALL");
        let algorithm = limiter.algorithm();
        let all = |holder: &str| {
            format!("PREMIER.ALL hold HOLD 2 1h ID {holder} AND rate {algorithm} 3 3650d COST 1 AND ID FIXED 9 1h")
        };
        for (holder, limited, binding) in [("AND", 0, 0), ("ID", 0, 0), ("c", 1, 0)] {
            let reply: Vec<Value> = run(&mut connection, &all(holder));
            assert_eq!([field(&reply, 0), field(&reply, 5)], [limited, binding], "{holder}: {reply:?}");
        }
        assert_eq!(holders(&mut connection, "hold"), (2, 2));
        assert_eq!(release(&mut connection, "hold", b"AND"), 1);
        // The rate admits one more call, and not two.
        assert_eq!(field(&run::<Vec<Value>>(&mut connection, &all("AND")), 0), 0);
        assert_eq!(release(&mut connection, "hold", b"AND"), 1);
        let before = snapshot(&server);
        let reply: Vec<Value> = run(&mut connection, &all("AND"));
        assert_eq!([field(&reply, 0), field(&reply, 5)], [1, 1], "{reply:?}");
        assert_eq!(snapshot(&server), before, "a limited call changed something");
    }
}

#[test]
fn getkeys_and_acls_see_that_an_id_is_no_key() {
    let server = Server::start();
    let mut connection = server.connection();
    for (line, keys) in [
        ("PREMIER.HOLD the-key 5 1h ID AND COST 3", vec!["the-key"]),
        ("PREMIER.RELEASE the-key AND", vec!["the-key"]),
        ("PREMIER.PEEK the-key HOLD 5 1h ID AND", vec!["the-key"]),
        ("PREMIER.ALL one HOLD 5 1h ID AND AND two FIXED 5 1h", vec!["one", "two"]),
        ("PREMIER.ALL one HOLD 5 1h COST 2 id and KEEP 1 and AND HOLD 5 1h ID AND", vec!["one", "AND"]),
        ("PREMIER.ALL ID HOLD 5 1h ID ID AND ID2 HOLD 5 1h ID x", vec!["ID", "ID2"]),
        ("PREMIER.ALL one FIXED 5 1h AND ID HOLD 5 1h ID AND AND two HOLD 5 1h ID AND", vec!["one", "ID", "two"]),
    ] {
        assert_eq!(run::<Vec<String>>(&mut connection, &format!("COMMAND GETKEYS {line}")), keys, "{line}");
    }
    let () = run(&mut connection, "ACL SETUSER some on nopass +@all ~one");
    let may = "ACL DRYRUN some PREMIER.ALL one HOLD 5 1h ID AND";
    assert_eq!(run::<String>(&mut connection, may), "OK");
    let may_not: String = run(&mut connection, &format!("{may} AND two FIXED 5 1h"));
    assert!(may_not.contains("two"), "{may_not}");
}

#[test]
fn out_of_memory_holds_fail_and_releases_work() {
    let server = Server::builder().config("maxmemory-policy", "noeviction").start();
    let mut connection = server.connection();
    for line in ["key 5 1h ID a COST 3", "key 5 1h ID b", "other 5 1h ID a"] {
        call(&mut connection, &format!("PREMIER.HOLD {line}"));
    }
    let before = snapshot(&server);
    let () = run(&mut connection, "CONFIG SET maxmemory 1");
    for line in ["PREMIER.HOLD key 5 1h ID a", "PREMIER.HOLD fresh 5 1h ID a", "PREMIER.ALL fresh HOLD 5 1h ID a"] {
        let answer = error(&mut connection, &command(line));
        assert!(answer.starts_with("OOM "), "{line}: {answer}");
    }
    assert_eq!(snapshot(&server), before);
    assert_eq!(call(&mut connection, "PREMIER.PEEK key HOLD 5 1h COST 0").remaining, 1);
    assert_eq!(release(&mut connection, "key", b"a"), 3);
    assert_eq!(release(&mut connection, "other", b"a"), 1);
    let () = run(&mut connection, "CONFIG SET maxmemory 0");
    assert_eq!(call(&mut connection, "PREMIER.HOLD key 5 1h ID c").remaining, 3);
    assert_eq!(snapshot(&server).len(), 1);
}

#[test]
fn a_key_has_its_own_holders_in_each_database() {
    let server = Server::start();
    let mut connection = server.connection();
    for database in [0, 3] {
        let () = run(&mut connection, &format!("SELECT {database}"));
        assert_eq!(call(&mut connection, "PREMIER.HOLD key 2 1h ID a").remaining, 1);
    }
    assert_eq!(release(&mut connection, "key", b"a"), 1);
    let () = run(&mut connection, "SELECT 0");
    assert_eq!(held(&mut connection, "key", b"a"), 1);
}

/// Replicas receive effects of all calls in the transaction.
#[test]
fn transactions_and_scripts_hold_and_release() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    let mut transaction = pipe();
    transaction.atomic();
    for holder in ["a", "b", "c"] {
        transaction.add_command(command(&format!("PREMIER.HOLD key 2 1h ID {holder}")));
    }
    transaction.add_command(command("PREMIER.RELEASE key a")).add_command(command("PREMIER.HOLD key 2 1h ID c"));
    let (first, second, third, freed, last): (Reply, Reply, Reply, i64, Reply) =
        transaction.query(&mut connection).expect("EXEC");
    let replies = [first, second, third, last].map(|reply| (reply.limited, reply.remaining));
    assert_eq!((replies, freed), ([(false, 1), (false, 0), (true, 0), (false, 0)], 1));

    let script = "local held = redis.call('PREMIER.HOLD', KEYS[1], 9, '1h', 'ID', ARGV[1], 'COST', 4) \
                  local freed = redis.call('PREMIER.RELEASE', KEYS[1], 'b') \
                  local gone = redis.call('PREMIER.RELEASE', KEYS[2], 'nobody') \
                  return {held[1], held[3], freed, gone}";
    let mut eval = redis::cmd("EVAL");
    eval.arg(script).arg(2).arg(&["key", "other", "d"]);
    assert_eq!(eval.query::<[i64; 4]>(&mut connection).expect("EVAL"), [0, 3, 1, 0]);
    assert_alike(&primary, &replica);

    let () = run(&mut connection, "MULTI");
    let _: Value = run(&mut connection, "PREMIER.HOLD discarded 5 1h ID a");
    let () = run(&mut connection, "DISCARD");
    assert!(!run::<bool>(&mut connection, "EXISTS discarded"));
    for command in ["PREMIER.HOLD key 5 1h ID x", "PREMIER.RELEASE key d"] {
        let words = command.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
        let line = error(&mut connection, redis::cmd("EVAL_RO").arg(format!("return redis.call({words})")).arg(0));
        assert!(line.contains("Write commands are not allowed"), "{line}");
    }
}

#[test]
fn a_replica_answers_questions_and_refuses_holds() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    call(&mut primary.connection(), "PREMIER.HOLD key 3 1h ID a COST 2");
    assert_alike(&primary, &replica);
    let mut connection = replica.connection();
    for line in ["PREMIER.HOLD key 3 1h ID a", "PREMIER.HOLD fresh 0 1h ID a", "PREMIER.ALL key HOLD 3 1h ID a"] {
        let answer = error(&mut connection, &command(line));
        assert!(answer.starts_with("READONLY "), "{line}: {answer}");
    }
    assert_eq!(call(&mut connection, "PREMIER.PEEK key HOLD 3 1h COST 0").remaining, 1);
    assert_eq!(holders(&mut connection, "key"), (1, 2));
}

#[test]
fn a_user_needs_the_right_to_write_the_key() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "ACL SETUSER holder on nopass +premier.hold +premier.release ~jobs:*");
    let () = run(&mut connection, "ACL SETUSER reader on nopass +premier.peek +premier.hold %R~jobs:*");
    for (user, line, may) in [
        ("holder", "PREMIER.HOLD jobs:1 5 1h ID a", true),
        ("holder", "PREMIER.RELEASE jobs:1 a", true),
        ("holder", "PREMIER.HOLD other 5 1h ID jobs:1", false),
        ("holder", "PREMIER.RELEASE other jobs:1", false),
        ("holder", "PREMIER.PEEK jobs:1 HOLD 5 1h", false),
        ("reader", "PREMIER.PEEK jobs:1 HOLD 5 1h", true),
        ("reader", "PREMIER.HOLD jobs:1 5 1h ID a", false),
    ] {
        let answer: String = run(&mut connection, &format!("ACL DRYRUN {user} {line}"));
        assert_eq!(answer == "OK", may, "{user} {line}: {answer}");
    }
}
