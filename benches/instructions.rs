//! What a call costs in instructions, beside their budgets; exits 1 when one is exceeded.
//!
//! Instructions are counted by callgrind, so they hardly depend on the machine or on what else runs there. Each figure is
//! (Ir of 24,000 calls − Ir of 4,000 calls) / 20,000, both on a fresh server, pipelined, going round 1,000 keys; start,
//! warm-up and stop are in both and cancel out. What the server does by the clock, beside calls, it does once a second: valgrind
//! gives it many times the time for it. The budgets are for Redis 7.0.
//!
//! SLIDING whose entries expire while new ones come is not here: how many do would depend on how fast valgrind runs.

use std::fs;
use std::process::ExitCode;

use premier_test_server::Server;
use redis::{Connection, Value};

const FEW_CALLS: usize = 4_000;
const MANY_CALLS: usize = 24_000;
const WARM_KEYS: usize = 1_000;

/// How many commands are sent before their replies are read.
const BATCH: usize = 500;

/// The durations are so long that nothing expires or is refilled by a whole unit while it is measured.
const CALL_COSTS: &[CallCost] = &[
    CallCost { path: "INCR", command: Command("INCR", &[]), warm_up_rounds: 1, limited: false, budget: None },
    CallCost {
        path: "FIXED admitted",
        command: Command("PREMIER.FIXED", &["100", "1d"]),
        warm_up_rounds: 1,
        limited: false,
        budget: Some(10_000),
    },
    CallCost {
        path: "SLIDING admitted, quota 60, 1 to 25 live entries",
        command: Command("PREMIER.SLIDING", &["60", "1d"]),
        warm_up_rounds: 1,
        limited: false,
        budget: Some(11_000),
    },
    CallCost {
        path: "SLIDING admitted, quota 60, 36 to 60 live entries",
        command: Command("PREMIER.SLIDING", &["60", "1d"]),
        warm_up_rounds: 36,
        limited: false,
        budget: Some(11_000),
    },
    CallCost {
        path: "TOKEN admitted",
        command: Command("PREMIER.TOKEN", &["100", "1d"]),
        warm_up_rounds: 1,
        limited: false,
        budget: Some(10_000),
    },
    CallCost {
        path: "LEAKY admitted",
        command: Command("PREMIER.LEAKY", &["100", "1d"]),
        warm_up_rounds: 1,
        limited: false,
        budget: Some(10_000),
    },
    CallCost {
        path: "FIXED limited",
        command: Command("PREMIER.FIXED", &["1", "1d"]),
        warm_up_rounds: 1,
        limited: true,
        budget: Some(6_800),
    },
    CallCost {
        path: "SLIDING limited, quota 1",
        command: Command("PREMIER.SLIDING", &["1", "1d"]),
        warm_up_rounds: 1,
        limited: true,
        budget: Some(6_800),
    },
    CallCost {
        path: "SLIDING limited, quota 60, 60 live entries",
        command: Command("PREMIER.SLIDING", &["60", "1d"]),
        warm_up_rounds: 60,
        limited: true,
        budget: Some(6_800),
    },
    CallCost {
        path: "TOKEN limited",
        command: Command("PREMIER.TOKEN", &["1", "1d"]),
        warm_up_rounds: 1,
        limited: true,
        budget: Some(6_800),
    },
    CallCost {
        path: "LEAKY limited",
        command: Command("PREMIER.LEAKY", &["1", "1d"]),
        warm_up_rounds: 1,
        limited: true,
        budget: Some(6_800),
    },
    CallCost {
        path: "PEEK",
        command: Command("PREMIER.PEEK", &["FIXED", "100", "1d"]),
        warm_up_rounds: 1,
        limited: false,
        budget: Some(6_500),
    },
    CallCost {
        path: "ALL of two limits",
        command: Command("PREMIER.ALL", &["FIXED", "100", "1d", "AND", "everybody", "FIXED", "1000000", "1d"]),
        warm_up_rounds: 1,
        limited: false,
        budget: Some(18_000),
    },
];

fn main() -> ExitCode {
    let mut within_budget = true;

    println!("{:<52} {:>12} {:>8}", "path", "instructions", "budget");
    for cost in CALL_COSTS {
        within_budget &= report(cost.path, cost.measure(), cost.budget);
    }

    if within_budget { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line of the table; false when the figure exceeds its budget.
fn report(title: &str, figure: u64, budget: Option<u64>) -> bool {
    let within_budget = budget.is_none_or(|budget| figure <= budget);
    let budget = budget.map_or("-".to_owned(), |budget| budget.to_string());
    let verdict = if within_budget { "" } else { "  EXCEEDED" };
    println!("{title:<52} {figure:>12} {budget:>8}{verdict}");
    within_budget
}

/// A command's name, and its arguments after the key.
struct Command(&'static str, &'static [&'static str]);

impl Command {
    /// Sends the command `calls` times, going round 1,000 keys, and counts the replies that say limited.
    fn call(&self, connection: &mut Connection, calls: usize) -> usize {
        let mut limited = 0;
        let mut next = 0;
        while next < calls {
            let end = calls.min(next + BATCH);
            let mut pipeline = redis::pipe();
            for call in next..end {
                let key = format!("premier:{:09}", call % WARM_KEYS);
                pipeline.cmd(self.0).arg(key).arg(self.1);
            }
            let replies: Vec<Value> = pipeline.query(connection).unwrap_or_else(|error| panic!("{}: {error}", self.0));
            limited += replies.iter().filter(|reply| says_limited(reply)).count();
            next = end;
        }
        limited
    }
}

/// The replies of Redis' own commands never do.
fn says_limited(reply: &Value) -> bool {
    matches!(reply, Value::Array(fields) if fields.first() == Some(&Value::Int(1)))
}

struct CallCost {
    path: &'static str,
    command: Command,
    /// How often each key is called first; these calls are all admitted.
    warm_up_rounds: usize,
    /// Whether the calls that count have to be limited or admitted.
    limited: bool,
    budget: Option<u64>,
}

impl CallCost {
    fn measure(&self) -> u64 {
        let difference = self.instructions_of(MANY_CALLS) - self.instructions_of(FEW_CALLS);
        difference / (MANY_CALLS - FEW_CALLS) as u64
    }

    /// The instructions of a server's whole life with that many calls in it.
    fn instructions_of(&self, calls: usize) -> u64 {
        let mut server = Server::builder()
            .config("hz", "1")
            .config("dynamic-hz", "no")
            .wrapper(&["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out"])
            .start();
        let mut connection = server.connection();

        let warm_up_calls = self.warm_up_rounds * WARM_KEYS;
        let limited = self.command.call(&mut connection, warm_up_calls);
        assert_eq!(limited, 0, "{}: limited during warm-up", self.path);

        let limited = self.command.call(&mut connection, calls);
        let expected = if self.limited { calls } else { 0 };
        assert_eq!(limited, expected, "{}: limited calls", self.path);

        server.stop();
        let counts = fs::read_to_string(server.dir().join("callgrind.out"))
            .expect("callgrind writes its counts when the server exits");
        counts
            .lines()
            .find_map(|line| line.strip_prefix("totals: "))
            .and_then(|total| total.trim().parse().ok())
            .expect("callgrind's counts end in a total")
    }
}
