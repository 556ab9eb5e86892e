//! Measures how many calls a second a server takes, as a multiple of INCR.
//!
//! All contenders are on one server, each with the same keys in a database of its own. They take
//! turns: in each round each sends for about 150 ms, and each round starts with another one, so
//! that what else the machine does affects all alike. A ratio compares two contenders in the same
//! round, and the table has the medians over the rounds.
//!
//! One call at a time is one connection that waits for each reply: what a single caller sees, which
//! is the network more than the command. Pipelined is four connections with 32 calls on the way
//! each, so that the server is always busy.
//!
//! Measuring all combinations would take half an hour. One thing is varied at a time, from 10,000
//! keys that are called equally often, none of which is limited.
//!
//! A replica runs on the same machine. On two cores, it takes time from the server and the client.
//!
//! Quotas of SLIDING are large, so that its log has few entries. benches/instructions.md says what
//! entries cost.

#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "these are figures to be read, not decisions"
)]

use std::thread::sleep;
use std::time::Duration;

use premier_benches::contenders::{self, Limit, contenders};
use premier_benches::grouped;
use premier_test_server::Server;

use crate::entrant::{Entrant, LOCK_STEP, PIPELINED, Pace};
use crate::table::{Table, median};
use crate::traffic::{Draw, Sent};

const ROUNDS: usize = 7;

const TURN: Duration = Duration::from_millis(150);

/// How many batches are sent before the first round, to find out how many make a turn.
const WARM_UP_BATCHES: usize = 500;

/// What is measured at once: a kind of server, its keys, and how they are called.
struct Situation {
    listener: Listener,
    keys: u32,
    half_limited: bool,
    loads: &'static [(Pace, Spread)],
}

/// What receives the changes of admitted calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Listener {
    None,
    Replica,
    /// An append-only file, synced every second.
    Aof,
}

/// How often each key is called.
#[derive(Debug, Clone, Copy)]
enum Spread {
    Uniform,
    Zipf,
}

const USUAL: Situation =
    Situation { listener: Listener::None, keys: 10_000, half_limited: false, loads: &[(PIPELINED, Spread::Uniform)] };

const SITUATIONS: &[Situation] = &[
    Situation {
        loads: &[(LOCK_STEP, Spread::Uniform), (PIPELINED, Spread::Uniform), (PIPELINED, Spread::Zipf)],
        ..USUAL
    },
    Situation { half_limited: true, loads: &[(LOCK_STEP, Spread::Uniform), (PIPELINED, Spread::Uniform)], ..USUAL },
    Situation { listener: Listener::Replica, ..USUAL },
    Situation { listener: Listener::Aof, ..USUAL },
    Situation { keys: 1, ..USUAL },
    Situation { keys: 1_000_000, loads: &[(PIPELINED, Spread::Uniform), (PIPELINED, Spread::Zipf)], ..USUAL },
];

pub(crate) fn measure() {
    let names = contenders().into_iter().map(|contender| contender.name);
    let columns: Vec<_> = ["situation"].into_iter().chain(names).collect();
    let mut table = Table::new("throughput", &Server::start(), &columns);
    for situation in SITUATIONS {
        situation.measure(&mut table);
    }
    table.write();
}

impl Situation {
    fn measure(&self, table: &mut Table) {
        let server = match self.listener {
            Listener::None => contenders::server(),
            Listener::Replica => contenders::server().config("repl-diskless-sync-delay", "0"),
            Listener::Aof => {
                contenders::server().config("appendonly", "yes").config("auto-aof-rewrite-percentage", "0")
            }
        };
        let server = server.start();
        let _replica = (self.listener == Listener::Replica).then(|| start_replica(&server));

        let entrants = Entrant::all(&server);
        let every_key: Vec<_> = (0..self.keys).map(|key| (key, self.limit(key))).collect();
        for entrant in &entrants {
            entrant.send(&server, PIPELINED, &every_key);
        }
        for (pace, spread) in self.loads {
            self.race(&server, &entrants, *pace, *spread, table);
        }
        for entrant in &entrants {
            assert_eq!(entrant.count_keys(&server), self.keys, "{}: keys at the end", entrant.contender.name);
        }
    }

    /// Returns the limit of a key. Where half of the calls are to be limited, the first call uses
    /// up every other key.
    fn limit(&self, key: u32) -> Limit {
        if self.is_used_up(key) {
            Limit { quota: 1, seconds: 86_400 }
        } else if self.keys == 1 {
            Limit { quota: 10_000_000, seconds: 86_400 }
        } else {
            // A bucket that was called stays non-empty, so its key exists, for as long as this
            // takes.
            Limit { quota: 1_000_000, seconds: 3_650 * 86_400 }
        }
    }

    fn is_used_up(&self, key: u32) -> bool {
        self.half_limited && key % 2 == 1
    }

    fn race(&self, server: &Server, entrants: &[Entrant], pace: Pace, spread: Spread, table: &mut Table) {
        let mut runners: Vec<Runner> =
            entrants.iter().map(|entrant| self.warm_up(server, entrant, pace, spread)).collect();
        for round in 0..ROUNDS {
            for offset in 0..runners.len() {
                let index = (round + offset) % runners.len();
                let Runner { entrant, draw, calls_per_turn, turns } = &mut runners[index];
                turns.push(self.turn(server, entrant, pace, draw, *calls_per_turn));
            }
        }
        let incr = &runners[0];
        let ratios = runners.iter().map(|runner| format!("{:.2}", runner.ratio_to(incr)));
        table.row(&[self.name(pace, spread)].into_iter().chain(ratios).collect::<Vec<_>>());
    }

    fn name(&self, pace: Pace, spread: Spread) -> String {
        let pace = if pace.depth == 1 { "one call at a time" } else { "pipelined" };
        let keys = if self.keys == 1 { "one key".to_owned() } else { format!("{} keys", grouped(self.keys.into())) };
        let spread = match spread {
            Spread::Uniform => "uniform",
            Spread::Zipf => "zipf",
        };
        let limited = if self.half_limited { ", half limited" } else { "" };
        let listener = match self.listener {
            Listener::None => "",
            Listener::Replica => ", replica",
            Listener::Aof => ", AOF",
        };
        format!("{pace}, {keys}, {spread}{limited}{listener}")
    }

    fn warm_up<'entrant>(
        &self,
        server: &Server,
        entrant: &'entrant Entrant,
        pace: Pace,
        spread: Spread,
    ) -> Runner<'entrant> {
        let mut draw = match spread {
            Spread::Uniform => Draw::uniform(self.keys),
            Spread::Zipf => Draw::zipf(self.keys),
        };
        let warm_up = self.turn(server, entrant, pace, &mut draw, WARM_UP_BATCHES * pace.depth);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no server takes so many calls")]
        let calls_per_turn = (warm_up * TURN.as_secs_f64()) as usize;
        Runner { entrant, draw, calls_per_turn, turns: Vec::new() }
    }

    /// Sends this number of calls, checks that the right ones were limited, and returns the calls a
    /// second.
    fn turn(&self, server: &Server, entrant: &Entrant, pace: Pace, draw: &mut Draw, calls: usize) -> f64 {
        let calls: Vec<_> = draw.take(calls).map(|key| (key, self.limit(key))).collect();
        let Sent { elapsed, limited } = entrant.send(server, pace, &calls);
        if entrant.limits() {
            let expected = calls.iter().filter(|(key, _)| self.is_used_up(*key)).count();
            assert_eq!(limited, expected, "{}: limited calls", entrant.contender.name);
        }
        calls.len() as f64 / elapsed.as_secs_f64()
    }
}

/// Starts a replica of a server, and waits until it has all of the data.
fn start_replica(primary: &Server) -> Server {
    let replica = contenders::server().config("replicaof", &format!("127.0.0.1 {}", primary.port())).start();
    let is_linked = || -> bool {
        let info: redis::InfoDict =
            redis::cmd("INFO").arg("replication").query(&mut replica.connection()).expect("INFO replication");
        info.get::<String>("master_link_status").is_some_and(|status| status == "up")
    };
    while !is_linked() {
        sleep(Duration::from_millis(10));
    }
    replica
}

impl Entrant {
    fn count_keys(&self, server: &Server) -> u32 {
        let mut connection = server.connection();
        redis::cmd("SELECT").arg(self.database).exec(&mut connection).expect("SELECT");
        redis::cmd("DBSIZE").query(&mut connection).expect("DBSIZE")
    }
}

/// An entrant in a race.
struct Runner<'entrant> {
    entrant: &'entrant Entrant,
    draw: Draw,
    calls_per_turn: usize,
    /// Calls a second in each round.
    turns: Vec<f64>,
}

impl Runner<'_> {
    fn ratio_to(&self, other: &Self) -> f64 {
        median(self.turns.iter().zip(&other.turns).map(|(turn, other)| turn / other))
    }
}
