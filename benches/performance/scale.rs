//! That a call costs the same whatever the sizes: how many keys there are, the quota, the cost, and what is in a sliding window.
//!
//! By the time that the server spends in the command itself (INFO commandstats), without network and parsing, as a multiple of that
//! of INCR in the same round and on keys of the same names: a larger table of keys misses more caches for INCR too.
//! Sizes take turns in each round, so that what else the machine does meets all of them. Medians over the rounds.

#![expect(clippy::float_arithmetic, reason = "these are figures to be read, not decisions")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use premier_test_server::Server;
use redis::Connection;

use crate::calls::{count_keys, key, send, server_micros};
use crate::results::{Results, median};

const ALGORITHMS: [&str; 4] = ["PREMIER.FIXED", "PREMIER.SLIDING", "PREMIER.TOKEN", "PREMIER.LEAKY"];
const ROUNDS: usize = 11;
const CALLS: usize = 10_000;

/// What does not grow. So long a duration keeps the key of a bucket for minutes after a single call.
const USUAL: Load = Load { keys: 1_000, quota: 1_000_000, duration: "3650d", cost: 1 };

pub(crate) fn measure() {
    let columns = ["growing", "command", "size", "server_micros", "ratio_to_incr"];
    let mut results = Results::new("scale", &Server::start(), &columns);
    measure_calls(&mut results, "keys", [1_000, 10_000, 100_000, 1_000_000], |keys| Load { keys, ..USUAL });
    measure_calls(&mut results, "quota", [1_000, 10_000, 100_000, 1_000_000], |quota| Load { quota, ..USUAL });
    measure_calls(&mut results, "cost", [1, 10, 100, 1_000], |cost| Load { cost, ..USUAL });
    measure_windows(&mut results, [1_000, 10_000, 100_000, 1_000_000]);
    results.write();
}

/// What the calls are; all are admitted.
#[derive(Clone, Copy)]
struct Load {
    keys: usize,
    quota: usize,
    duration: &'static str,
    cost: usize,
}

/// A command with a load.
struct Case<'server> {
    command: &'static str,
    size: usize,
    load: Load,
    server: &'server Server,
    /// To a database of its own.
    connection: Connection,
    /// To a database with keys of the same names for INCR.
    incr: Connection,
    rounds: Vec<Round>,
}

struct Round {
    server_micros: f64,
    ratio_to_incr: f64,
}

fn measure_calls(results: &mut Results, growing: &str, sizes: [usize; 4], load: fn(usize) -> Load) {
    let server = server();
    let mut cases = Vec::new();
    for command in ALGORITHMS {
        for size in sizes {
            let mut case = Case::new(command, size, load(size), &server, cases.len());
            send(&mut case.connection, (0..case.load.keys).map(|number| case.load.words(command, number)));
            cases.push(case);
        }
    }
    for _ in 0..ROUNDS {
        for case in &mut cases {
            case.round(CALLS);
        }
    }
    for case in &mut cases {
        assert_eq!(count_keys(&mut case.connection), case.load.keys, "{}: keys at the end", case.command);
    }
    write(results, growing, &cases);
}

/// Windows as full as their quota allows, and calls that go on at that very pace, as old ones leave.
///
/// Above 64 units a window keeps one entry for each 64th of its length, 66 at most. In each 64th every key takes a 66th of
/// the quota: five units by calls that are measured, the rest by one call that is not.
fn measure_windows(results: &mut Results, sizes: [usize; 4]) {
    const PART: Duration = Duration::from_millis(250);
    const PARTS: usize = 64;
    const CALLS_A_PART: usize = 5;
    let load = |quota| Load { keys: 400, quota, duration: "16s", cost: 1 };
    let server = server();
    let case = |(number, size)| Case::new("PREMIER.SLIDING", size, load(size), &server, number);
    let mut cases: Vec<_> = (0..).zip(sizes).map(case).collect();
    for _ in 0..PARTS + PARTS / 2 {
        let start = Instant::now();
        for case in &mut cases {
            let rest = Load { cost: case.size / 66 - CALLS_A_PART, ..case.load };
            send(&mut case.connection, (0..rest.keys).map(|number| rest.words(case.command, number)));
            case.round(CALLS_A_PART * rest.keys);
        }
        sleep(PART.saturating_sub(start.elapsed()));
    }
    for case in &mut cases {
        case.rounds.drain(..PARTS); // while the windows filled
    }
    write(results, "window", &cases);
}

/// One for all sizes, as two servers are never quite as fast.
fn server() -> Server {
    Server::builder().config("databases", "64").start()
}

fn write(results: &mut Results, growing: &str, cases: &[Case]) {
    for case in cases {
        let server_micros = median(case.rounds.iter().map(|round| round.server_micros));
        let ratio_to_incr = median(case.rounds.iter().map(|round| round.ratio_to_incr));
        results.row(&[
            &growing,
            &case.command,
            &case.size,
            &format!("{server_micros:.2}"),
            &format!("{ratio_to_incr:.2}"),
        ]);
    }
}

impl Load {
    /// The cost is always said, so that it is the only thing that differs where it grows.
    fn words(&self, command: &str, number: usize) -> Vec<String> {
        let (quota, cost) = (self.quota.to_string(), self.cost.to_string());
        [command, &key(number), &quota, self.duration, "COST", &cost].map(str::to_owned).into()
    }
}

impl<'server> Case<'server> {
    /// Makes the keys of INCR, which expire as all others do.
    fn new(command: &'static str, size: usize, load: Load, server: &'server Server, number: usize) -> Self {
        let connect = |database: usize| {
            let mut connection = server.connection();
            redis::cmd("SELECT").arg(database).exec(&mut connection).expect("SELECT");
            connection
        };
        let (connection, mut incr) = (connect(2 * number), connect(2 * number + 1));
        let keys = (0..load.keys).map(|number| ["SET", &key(number), "1", "PX", "86400000"].map(str::to_owned).into());
        send(&mut incr, keys);
        Self { command, size, load, server, connection, incr, rounds: Vec::new() }
    }

    /// INCR and then the command, each on so many keys.
    fn round(&mut self, calls: usize) {
        // Where the last round ended, and scattered: keys that were made together lie together.
        let start = self.rounds.len() * calls;
        let numbers = (start..start + calls).map(|call| call * 514_229 % self.load.keys);
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut self.incr).expect("CONFIG RESETSTAT");
        send(&mut self.incr, numbers.clone().map(|number| ["INCR", &key(number)].map(str::to_owned).into()));
        send(&mut self.connection, numbers.map(|number| self.load.words(self.command, number)));
        let [of_incr, server_micros] = ["INCR", self.command].map(|command| server_micros(self.server, command));
        self.rounds.push(Round { server_micros, ratio_to_incr: server_micros / of_incr });
    }
}
