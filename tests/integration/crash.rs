//! Calls that were acknowledged before a crash count after it, if the AOF is always synced.

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
use crate::tools::random::random;
use crate::tools::strength::at_strength;
use crate::tools::waiting::wait_until;

/// How many commands each client has in flight at once.
const CLIENTS: [usize; 4] = [1, 1, 10, 40];

/// The number of keys of each kind.
const KEYS: usize = 50;

/// How many calls a client makes before it moves on to the next key. A key then rests for long, as
/// a later write to it would hide that an earlier one was lost.
const CALLS_OF_A_KEY: usize = 240;

/// What a key may have used: no less than was acknowledged, and no more than was sent. For refunds
/// it is the other way around.
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

    /// Counts a change that has happened for certain.
    fn acknowledged(&self, change: i64) {
        if change < 0 { &self.most } else { &self.least }.fetch_add(change, Ordering::Relaxed);
    }

    /// Sets both bounds to what the key has used, when nothing is in flight any more.
    fn settle(&mut self, used: i64) {
        *self = Self { least: used.into(), most: used.into() };
    }
}

/// Keys under load, and what is known of them.
struct Ledger {
    bounds: BTreeMap<String, Bounds>,
    acknowledged: AtomicUsize,
}

/// A command, the keys that it changes, and by how many units.
struct Call {
    line: String,
    changes: Vec<(String, i64)>,
}

impl Call {
    /// Returns a call by its number: of one limiter, of two limits at once, or a refund.
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

/// Returns two keys that are only charged together.
fn both_of_pair(key: usize) -> [String; 2] {
    [format!("pair:{key}:premfixed"), format!("pair:{key}:premleaky")]
}

/// Returns the limiter of a key, whose type comes after the last colon.
fn limiter_of(key: &str) -> &'static Limiter {
    LIMITERS.iter().find(|limiter| key.ends_with(limiter.data_type)).expect("a type")
}

impl Ledger {
    /// Charges every key, so that there is something to refund.
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
                self.record(call, &answer);
            }
        }
    }

    fn record(&self, call: &Call, answer: &Value) {
        match answer {
            // The units of a refund.
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

    /// Kills the server under load when `until` returns, and starts it again.
    fn crash(&self, server: &mut Server, random: &mut SmallRng, until: impl FnOnce(&Server, &mut SmallRng)) {
        thread::scope(|scope| {
            for at_once in CLIENTS {
                let (connection, first) = (server.connection(), random.random_range(0..KEYS * CALLS_OF_A_KEY));
                scope.spawn(move || self.keep_calling(connection, first, at_once));
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| until(server, random)));
            // Kill it in any case: the clients only stop then.
            server.kill();
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
        server.start_again();
    }

    /// Asserts that every key has used what it must have.
    #[track_caller]
    fn settle(&mut self, server: &Server) {
        let mut connection = server.connection();
        for (key, bounds) in &mut self.bounds {
            let used = used(&mut connection, limiter_of(key), key);
            let (least, most) = (bounds.least.load(Ordering::Relaxed), bounds.most.load(Ordering::Relaxed));
            assert!((least..=most).contains(&used), "{key}: {used} used, {least} acknowledged, {most} sent");
            bounds.settle(used);
        }
        for [fixed, leaky] in (0..KEYS).map(both_of_pair) {
            let [fixed, leaky] = [&fixed, &leaky].map(|key| self.bounds[key].least.load(Ordering::Relaxed));
            assert_eq!(fixed, leaky, "a call of two limits lost one of them");
        }
    }
}

/// Twenty in a row at full strength.
#[test]
fn crashes_in_a_row_lose_no_acknowledged_call() {
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

/// When a server crashes after it has begun to rewrite its AOF.
#[derive(Clone, Copy)]
enum Moment {
    /// During the rewrite.
    Within,
    /// After the rewrite, under further load.
    Afterwards,
    Whenever,
}

#[test]
fn crashes_during_an_aof_rewrite_lose_no_acknowledged_call() {
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
                    Moment::Within => assert!(is_rewriting(), "the rewrite ended too soon to crash during it"),
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

/// Configures a server whose rewrite of the AOF takes 2 ms a key, 600 ms in all.
fn slowly_rewriting() -> Builder {
    server_with_aof().config("rdb-key-save-delay", "2000")
}
