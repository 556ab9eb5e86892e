//! How many calls a second a server takes, as ratios, and what a call costs it by its own clock.
//!
//! All contenders are on one server, each with the same keys in a database of its own. They take turns: in each round each sends
//! for about 150 ms, beginning with another one, so that what else the machine does, and how warm it is, meets all alike. A ratio is
//! one of two contenders in the same round; reported are the medians of the rounds. `server_micros` is what INFO commandstats
//! counts meanwhile, without reading the request and writing the reply.
//!
//! A depth of 1 is one connection that waits for each reply: what one caller sees, which is the network more than the command. A
//! depth of 32 is four connections with 32 calls on the way each, so that the server always has something to do.
//!
//! Not every combination is measured, as that would take half an hour: around 10,000 keys, called alike, of which none is limited,
//! one thing is varied at a time.
//!
//! A replica runs on the same machine: where that has two cores only, it takes them from the server and the client.
//!
//! Of SLIDING the quotas are large, so that its log has few entries. What entries cost is in `benches/instructions.md`.

#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "these are figures to be read, not decisions"
)]

use std::thread::sleep;
use std::time::Duration;

use premier_test_server::Server;

use crate::calls::server_micros;
use crate::contenders::{self, Limit};
use crate::entrant::{Entrant, LOCK_STEP, PIPELINED, Pace};
use crate::results::{Results, median};
use crate::traffic::{Draw, Sent};

const ROUNDS: usize = 7;

const TURN: Duration = Duration::from_millis(150);

/// Calls before the first round, by which the length of a turn is set.
const WARM_UP_BATCHES: usize = 500;

/// What a server is like, and how it is called.
struct Situation {
    listener: Listener,
    keys: u32,
    half_limited: bool,
    loads: &'static [(Pace, Spread)],
}

/// Who is told what has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Listener {
    None,
    Replica,
    /// The append-only file, written to the disk every second.
    Aof,
}

/// How often each key comes up.
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
    let columns = [
        "listener",
        "depth",
        "keys",
        "spread",
        "half_limited",
        "contender",
        "calls_per_second",
        "ratio_to_incr",
        "ratio_to_lua",
        "ratio_to_redis_cell",
        "server_micros",
    ];
    let mut results = Results::new("throughput", &Server::start(), &columns);
    for situation in SITUATIONS {
        situation.measure(&mut results);
    }
    results.write();
}

impl Situation {
    fn measure(&self, results: &mut Results) {
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
            self.race(&server, &entrants, *pace, *spread, results);
        }
        for entrant in &entrants {
            assert_eq!(entrant.count_keys(&server), self.keys, "{}: keys at the end", entrant.contender.name);
        }
    }

    /// Where half of the calls are to be limited, every other key is used up by its first call.
    fn limit(&self, key: u32) -> Limit {
        if self.is_used_up(key) {
            Limit { quota: 1, seconds: 86_400 }
        } else if self.keys == 1 {
            Limit { quota: 10_000_000, seconds: 86_400 }
        } else {
            // A bucket that was called once is not empty, and so its key is there, as long as is measured.
            Limit { quota: 1_000_000, seconds: 3_650 * 86_400 }
        }
    }

    fn is_used_up(&self, key: u32) -> bool {
        self.half_limited && key % 2 == 1
    }

    fn race(&self, server: &Server, entrants: &[Entrant], pace: Pace, spread: Spread, results: &mut Results) {
        let mut runners: Vec<Runner> =
            entrants.iter().map(|entrant| self.warm_up(server, entrant, pace, spread)).collect();
        for round in 0..ROUNDS {
            for offset in 0..runners.len() {
                let index = (round + offset) % runners.len();
                let Runner { entrant, draw, calls_per_turn, turns } = &mut runners[index];
                turns.push(self.turn(server, entrant, pace, draw, *calls_per_turn));
            }
        }
        for runner in &runners {
            let name = runner.entrant.contender.name;
            let ratio_to = |name: &str| {
                let other = runners.iter().find(|other| other.entrant.contender.name == name);
                other.map_or_else(String::new, |other| format!("{:.2}", runner.ratio_to(other)))
            };
            let algorithm = name.strip_prefix("PREMIER.");
            results.row(&[
                &format!("{:?}", self.listener).to_lowercase(),
                &pace.depth,
                &self.keys,
                &format!("{spread:?}").to_lowercase(),
                &self.half_limited,
                &name,
                &format!("{:.0}", runner.median(|turn| turn.calls_per_second)),
                &ratio_to("INCR"),
                &algorithm.map_or_else(String::new, |algorithm| ratio_to(&format!("Lua {algorithm}"))),
                &algorithm.map_or_else(String::new, |_| ratio_to("redis-cell")),
                &format!("{:.2}", runner.median(|turn| turn.server_micros)),
            ]);
        }
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
        let calls_per_turn = (warm_up.calls_per_second * TURN.as_secs_f64()) as usize;
        Runner { entrant, draw, calls_per_turn, turns: Vec::new() }
    }

    /// Sends so many calls, and makes sure that those were limited that had to be.
    fn turn(&self, server: &Server, entrant: &Entrant, pace: Pace, draw: &mut Draw, calls: usize) -> Turn {
        let calls: Vec<_> = draw.take(calls).map(|key| (key, self.limit(key))).collect();
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut server.connection()).expect("CONFIG RESETSTAT");
        let Sent { elapsed, limited } = entrant.send(server, pace, &calls);
        if entrant.limits() {
            let expected = calls.iter().filter(|(key, _)| self.is_used_up(*key)).count();
            assert_eq!(limited, expected, "{}: limited calls", entrant.contender.name);
        }
        Turn {
            calls_per_second: calls.len() as f64 / elapsed.as_secs_f64(),
            server_micros: server_micros(server, &entrant.command()),
        }
    }
}

/// A replica of this server that has all that is there.
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
    fn command(&self) -> String {
        self.contender.words("", Limit { quota: 1, seconds: 1 }).swap_remove(0)
    }

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
    turns: Vec<Turn>,
}

struct Turn {
    calls_per_second: f64,
    /// Of a call.
    server_micros: f64,
}

impl Runner<'_> {
    fn median(&self, figure: impl Fn(&Turn) -> f64) -> f64 {
        median(self.turns.iter().map(figure))
    }

    fn ratio_to(&self, other: &Self) -> f64 {
        let rounds = self.turns.iter().zip(&other.turns);
        median(rounds.map(|(turn, other)| turn.calls_per_second / other.calls_per_second))
    }
}
