//! Many clients at once are admitted as much as one alone would be, however they call.

use std::thread;

use premier_test_server::{Builder, Server};
use redis::Connection;

use crate::tools::call::{LIMITERS, Reply, call, command, run};
use crate::tools::replica::{assert_alike, primary, replica_of};
use crate::tools::waiting::{blocked_clients, wait_until_blocked};

const CLIENTS: usize = 8;

/// How a client calls.
#[derive(Debug, Clone, Copy)]
enum Way {
    Alone,
    Pipeline,
    Transaction,
    Script,
}

impl Way {
    /// Makes this many calls and returns how many of them were admitted.
    fn admitted(self, connection: &mut Connection, line: &str, calls: usize) -> usize {
        let replies: Vec<Reply> = match self {
            Self::Alone => (0..calls).map(|_| call(connection, line)).collect(),
            Self::Pipeline | Self::Transaction => {
                let mut pipeline = redis::pipe();
                if let Self::Transaction = self {
                    pipeline.atomic();
                }
                for _ in 0..calls {
                    pipeline.add_command(command(line));
                }
                pipeline.query(connection).expect("the server answers a pipeline")
            }
            Self::Script => {
                let words: Vec<&str> = line.split(' ').collect();
                let script = "local replies = {} \
                              for call = 1, tonumber(ARGV[1]) do \
                                  replies[call] = redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3)) \
                              end \
                              return replies";
                let mut eval = redis::cmd("EVAL");
                eval.arg(script).arg(1).arg(words[1]).arg(calls).arg(words[0]).arg(&words[2..]);
                eval.query(connection).expect("the server answers a script")
            }
        };
        replies.iter().filter(|reply| !reply.limited).count()
    }
}

/// Asserts that clients that call in these ways are admitted exactly the quota. Each makes a
/// quarter as many calls as the quota, in turns of `calls_in_a_turn`.
fn assert_admitted_exactly(builder: Builder, ways: [Way; CLIENTS], calls_in_a_turn: usize) {
    let server = builder.start();
    for limiter in LIMITERS {
        for quota in [40_usize, 300] {
            // Nothing refills, drains or expires within the test.
            let line = format!("{} {}:{quota} {quota} 3650d", limiter.command, limiter.data_type);
            let (server, line) = (&server, line.as_str());
            let admitted: usize = thread::scope(|scope| {
                let client = |way: Way| {
                    let mut connection = server.connection();
                    let turns = 0..(quota / 4).div_ceil(calls_in_a_turn);
                    turns.map(|_| way.admitted(&mut connection, line, calls_in_a_turn)).sum::<usize>()
                };
                let clients: Vec<_> = ways.into_iter().map(|way| scope.spawn(move || client(way))).collect();
                clients.into_iter().map(|client| client.join().expect("no client fails")).sum()
            });
            assert_eq!(admitted, quota, "{line}");
        }
    }
}

#[test]
fn eight_clients_on_one_key_are_admitted_exactly_its_quota() {
    assert_admitted_exactly(Server::builder(), [Way::Alone; CLIENTS], 1);
}

#[test]
fn eight_pipelines_on_one_key_are_admitted_exactly_its_quota() {
    assert_admitted_exactly(Server::builder(), [Way::Pipeline; CLIENTS], 10);
}

#[test]
fn pipelines_through_io_threads_are_admitted_exactly_the_quota() {
    let builder = Server::builder().config("io-threads", "3");
    assert_admitted_exactly(builder, [Way::Pipeline; CLIENTS], 10);
}

/// Clients call one by one, in pipelines, in transactions and in scripts.
#[test]
fn calls_of_every_kind_that_race_are_admitted_exactly_the_quota() {
    let [alone, pipeline, transaction, script] = [Way::Alone, Way::Pipeline, Way::Transaction, Way::Script];
    let ways = [alone, pipeline, transaction, script, alone, pipeline, transaction, script];
    assert_admitted_exactly(Server::builder(), ways, 5);
}

#[test]
fn a_key_of_a_limiter_does_not_wake_a_client_blocked_on_a_list() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        thread::scope(|scope| {
            let mut blocked = server.connection();
            let waiting = scope.spawn(move || run::<[String; 2]>(&mut blocked, "BLPOP key 0"));
            wait_until_blocked(&mut connection, 1);
            for limited in [false, false, true] {
                assert_eq!(call(&mut connection, &format!("{} key 2 3650d", limiter.command)).limited, limited);
            }
            // The server serves blocked clients after each command.
            assert_eq!(blocked_clients(&mut connection), 1);
            let () = run(&mut connection, "DEL key");
            let () = run(&mut connection, "RPUSH key job");
            assert_eq!(waiting.join().expect("the client is answered"), ["key", "job"]);
        });
    }
}

/// The clients that it wakes call a limiter as well.
#[test]
fn a_script_wakes_one_blocked_client_per_admitted_call() {
    const WORKERS: usize = 5;
    const QUOTA: usize = 3;
    let primary = primary().start();
    let replica = replica_of(&primary);
    let mut connection = primary.connection();
    let script =
        "if redis.call(ARGV[1], KEYS[1], ARGV[2], '3650d')[1] == 0 then redis.call('RPUSH', KEYS[2], 'job') end";
    for limiter in LIMITERS {
        let name = limiter.command;
        thread::scope(|scope| {
            let worker = || {
                let mut pipeline = redis::pipe();
                pipeline.add_command(command("BLPOP jobs 0")).ignore();
                pipeline.add_command(command(&format!("{name} done:{name} 100 3650d")));
                let [done]: [Reply; 1] = pipeline.query(&mut primary.connection()).expect("a worker is woken");
                done.remaining
            };
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
            wait_until_blocked(&mut connection, WORKERS);
            for _ in 0..2 * QUOTA {
                let mut eval = redis::cmd("EVAL");
                eval.arg(script).arg(2).arg(name).arg("jobs").arg(name).arg(QUOTA);
                let () = eval.query(&mut connection).expect("EVAL");
            }
            assert_eq!(blocked_clients(&mut connection), WORKERS - QUOTA, "{name}");
            for _ in QUOTA..WORKERS {
                let () = run(&mut connection, "RPUSH jobs job");
            }
            let mut left: Vec<i64> =
                workers.into_iter().map(|worker| worker.join().expect("no worker fails")).collect();
            left.sort_unstable();
            assert_eq!(left, [95, 96, 97, 98, 99], "{name}");
        });
    }
    assert_alike(&primary, &replica);
}
