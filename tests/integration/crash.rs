//! What was acknowledged before a crash is counted after it, where the AOF is always synced.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;

use premier_test_server::{Builder, Server};
use rand::RngExt;
use rand::rngs::SmallRng;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, Limiter, call, command, run};
use crate::tools::effect::server_with_aof;
use crate::tools::info::info_number;
use crate::tools::load::{LASTING, used};
use crate::tools::patience::wait_until;
use crate::tools::random::random;
use crate::tools::strength::at_strength;

/// How many commands each client has on their way at once.
const CLIENTS: [usize; 4] = [1, 1, 10, 40];

/// Of each kind.
const KEYS: usize = 50;

/// How many calls a client makes before it goes on to the next key. Keys are left alone for long, as what is written of a key
/// later would make good for what was lost.
const CALLS_OF_A_KEY: usize = 240;

/// What a key may have used: no less than what was acknowledged, and no more than what was sent. What was given back is the
/// other way around.
#[derive(Debug, Default)]
struct Bounds {
    least: AtomicI64,
    most: AtomicI64,
}

impl Bounds {
    /// Counts a change that may happen from now on.
    fn sent(&self, change: i64) {
        if change < 0 { &self.least } else { &self.most }.fetch_add(change, Ordering::Relaxed);
    }

    /// Counts what has happened of it for sure.
    fn acknowledged(&self, change: i64) {
        if change < 0 { &self.most } else { &self.least }.fetch_add(change, Ordering::Relaxed);
    }

    /// Nothing is on its way any more, and the key has been looked at.
    fn settle(&mut self, used: i64) {
        *self = Self { least: used.into(), most: used.into() };
    }
}

/// Keys under load, and what is known of them.
struct Ledger {
    bounds: BTreeMap<String, Bounds>,
    acknowledged: AtomicUsize,
}

/// A command, and by how much it changes which keys.
struct Call {
    line: String,
    changes: Vec<(String, i64)>,
}

impl Call {
    /// By its number: of each algorithm, of two limits at once, and giving back.
    fn new(number: usize) -> Self {
        let limiter = &LIMITERS[number / 6 % 4];
        let key = number / CALLS_OF_A_KEY % KEYS;
        let name = alone(key, limiter);
        match number % 6 {
            4 => {
                let keys = both_of_pair(key);
                let [fixed, leaky] = &keys;
                let line = format!("PREMIER.ALL {fixed} FIXED {LASTING} COST 2 AND {leaky} LEAKY {LASTING} COST 2");
                Self { line, changes: keys.map(|key| (key, 2)).to_vec() }
            }
            5 => Self { line: format!("PREMIER.REFUND {name} 1"), changes: vec![(name, -1)] },
            _ => Self { line: format!("{} {name} {LASTING} COST 3", limiter.command), changes: vec![(name, 3)] },
        }
    }
}

fn alone(key: usize, limiter: &Limiter) -> String {
    format!("alone:{key}:{}", limiter.data_type)
}

/// Two keys that are never charged but together.
fn both_of_pair(key: usize) -> [String; 2] {
    [format!("pair:{key}:premfixed"), format!("pair:{key}:premleaky")]
}

/// The type stands behind the last colon.
fn limiter_of(key: &str) -> &'static Limiter {
    LIMITERS.iter().find(|limiter| key.ends_with(limiter.data_type)).expect("a type")
}

impl Ledger {
    /// With something used of each key, so that there is something to give back.
    fn new(server: &Server) -> Self {
        let mut connection = server.connection();
        let mut bounds = BTreeMap::new();
        let keys = (0..KEYS)
            .flat_map(|key| [both_of_pair(key).to_vec(), LIMITERS.iter().map(|limiter| alone(key, limiter)).collect()]);
        for name in keys.flatten() {
            let limiter = limiter_of(&name);
            call(&mut connection, &format!("{} {name} {LASTING} COST 1000", limiter.command));
            let mut known = Bounds::default();
            known.settle(1_000);
            bounds.insert(name, known);
        }
        Self { bounds, acknowledged: AtomicUsize::new(0) }
    }

    /// Calls until the server is gone.
    fn keep_calling(&self, mut connection: Connection, first: usize, at_once: usize) {
        let mut number = first;
        loop {
            let calls: Vec<Call> = (0..at_once).map(|index| Call::new(number + index)).collect();
            number += at_once;
            let packed: Vec<u8> = calls.iter().flat_map(|call| command(&call.line).get_packed_command()).collect();
            for (key, change) in calls.iter().flat_map(|call| &call.changes) {
                self.bounds[key].sent(*change);
            }
            if connection.send_packed_command(&packed).is_err() {
                return;
            }
            for call in &calls {
                let Ok(answer) = connection.recv_response() else { return };
                self.take_note(call, &answer);
            }
        }
    }

    fn take_note(&self, call: &Call, answer: &Value) {
        match answer {
            // What was given back.
            Value::Int(units) => assert_eq!(*units, 1, "{}", call.line),
            Value::Array(fields) => assert_eq!(fields[0], Value::Int(0), "{}: {answer:?}", call.line),
            _ => panic!("{}: {answer:?}", call.line),
        }
        for (key, change) in &call.changes {
            self.bounds[key].acknowledged(*change);
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    fn wait_until_acknowledged(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        wait_until("calls are acknowledged", || self.acknowledged.load(Ordering::Relaxed) >= enough);
    }

    /// Kills the server under load, when `until` returns, and starts it again.
    fn crash(&self, server: &mut Server, random: &mut SmallRng, until: impl FnOnce(&Server, &mut SmallRng)) {
        thread::scope(|scope| {
            for at_once in CLIENTS {
                let (connection, first) = (server.connection(), random.random_range(0..KEYS * CALLS_OF_A_KEY));
                scope.spawn(move || self.keep_calling(connection, first, at_once));
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| until(server, random)));
            // In any case, as the clients go on until then.
            server.kill();
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
        server.start_again();
    }

    /// Every key has used what it must have.
    #[track_caller]
    fn settle(&mut self, server: &Server) {
        let mut connection = server.connection();
        for (key, bounds) in &mut self.bounds {
            let used = used(&mut connection, limiter_of(key), key);
            let (least, most) = (bounds.least.load(Ordering::Relaxed), bounds.most.load(Ordering::Relaxed));
            assert!((least..=most).contains(&used), "{key}: {used} used, of {least} acknowledged and {most} sent");
            bounds.settle(used);
        }
        for [fixed, leaky] in (0..KEYS).map(both_of_pair) {
            let [fixed, leaky] = [&fixed, &leaky].map(|key| self.bounds[key].least.load(Ordering::Relaxed));
            assert_eq!(fixed, leaky, "of a call of two limits one was forgotten");
        }
    }
}

#[test]
fn twenty_crashes_in_a_row_lose_no_acknowledged_call() {
    let crashes = at_strength(20);
    let mut random = random();
    let mut server = server_with_aof().start();
    let mut ledger = Ledger::new(&server);
    for _ in 0..crashes {
        ledger
            .crash(&mut server, &mut random, |_, random| ledger.wait_until_acknowledged(random.random_range(1..2_000)));
        ledger.settle(&server);
    }
    println!("{crashes} crashes, {} calls acknowledged", ledger.acknowledged.into_inner());
}

/// When a server crashes that has begun to rewrite its AOF.
#[derive(Clone, Copy)]
enum Moment {
    /// Before it is through.
    Within,
    /// Under further load on what was rewritten.
    Afterwards,
    Whenever,
}

#[test]
fn crashes_while_the_aof_is_rewritten_lose_no_acknowledged_call() {
    let mut random = random();
    for preamble in ["yes", "no"] {
        let mut server = slowly_rewriting().config("aof-use-rdb-preamble", preamble).start();
        let mut ledger = Ledger::new(&server);
        let moments = [Moment::Within, Moment::Whenever, Moment::Afterwards, Moment::Within, Moment::Whenever];
        for moment in &moments[..at_strength(moments.len())] {
            ledger.crash(&mut server, &mut random, |server, random| {
                let mut connection = server.connection();
                let mut is_rewriting = || info_number(&mut connection, "persistence", "aof_rewrite_in_progress") == 1;
                ledger.wait_until_acknowledged(100);
                let () = run(&mut server.connection(), "BGREWRITEAOF");
                match moment {
                    Moment::Within => assert!(is_rewriting(), "it was over too soon to crash within"),
                    Moment::Afterwards => {
                        wait_until("the AOF is rewritten", || !is_rewriting());
                        ledger.wait_until_acknowledged(100);
                    }
                    Moment::Whenever => ledger.wait_until_acknowledged(random.random_range(1..2_000)),
                }
            });
            ledger.settle(&server);
        }
    }
}

/// Each key takes 2 ms, and all of them 600.
fn slowly_rewriting() -> Builder {
    server_with_aof().config("rdb-key-save-delay", "2000")
}
