//! Load: clients that keep calling while something else happens.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::thread::{self, ScopedJoinHandle};

use premier_test_server::Server;
use redis::{Connection, ConnectionLike, Value};

use super::call::{LIMITERS, Limiter, Reply, run, send};
use super::waiting::wait_until;

const CLIENTS: u32 = 2;
const KEYS: u32 = 40;
const CALLS_IN_A_PIPELINE: u32 = 20;

/// Runs `body` while clients take turns, at least one of them before `body`. The clients have
/// stopped when this returns. Each turn gets the connection of its client and a number of its own.
pub(crate) fn meanwhile<C: Send, T>(
    connect: impl Fn() -> C,
    turn: impl Fn(&mut C, u32) + Sync,
    body: impl FnOnce() -> T,
) -> T {
    let (is_over, turns) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (is_over, turns, turn, mut connection) = (&is_over, &turns, &turn, connect());
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        turn(&mut connection, turns.fetch_add(1, Ordering::Relaxed));
                    }
                })
            })
            .collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // A client begins its second turn when the server has answered its first.
            wait_until("the clients are calling", || {
                turns.load(Ordering::Relaxed) > CLIENTS || clients.iter().any(ScopedJoinHandle::is_finished)
            });
            body()
        }));
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs `body` while clients keep calling all limiters on the server. Their replies do not matter
/// here: a replica refuses the calls.
pub(crate) fn under_load(server: &Server, body: impl FnOnce()) {
    let turn = |connection: &mut Connection, turn: u32| {
        let first = turn.wrapping_mul(CALLS_IN_A_PIPELINE);
        let lines: Vec<String> = (0..CALLS_IN_A_PIPELINE).map(|call| line(first.wrapping_add(call))).collect();
        send::<Value>(connection, &lines);
    };
    meanwhile(|| server.connection(), turn, body);
}

/// Returns a call by its number: of a limiter, of two limits at once, a refund, a hold or a
/// release. Nothing refills, drains or expires within the test.
fn line(number: u32) -> String {
    let key = number / 8 % KEYS;
    match number % 8 {
        4 => format!("PREMIER.ALL {key}:0 FIXED 1000000 3650d AND {key}:2 TOKEN 1000000 3650d"),
        5 => format!("PREMIER.REFUND {key}:3 1"),
        6 => format!("PREMIER.HOLD {key}:hold 1000000 3650d ID {}", number / 8 % 97),
        7 => format!("PREMIER.RELEASE {key}:hold {}", number / 8 % 89),
        limiter => format!("{} {key}:{limiter} 1000000 3650d", LIMITERS[limiter as usize].command),
    }
}

/// A limit that no test uses up, and of which nothing refills, drains or expires within a test.
pub(crate) const LASTING: &str = "1000000 3650d";

/// Runs `body` while clients keep calling a limiter on a key, and returns how many of their calls
/// were admitted. The server may refuse calls.
pub(crate) fn admitted_meanwhile(server: &Server, limiter: &Limiter, key: &str, body: impl FnOnce()) -> i64 {
    let lines = vec![format!("{} {key} {LASTING}", limiter.command); CALLS_IN_A_PIPELINE as usize];
    let admitted = AtomicI64::new(0);
    let turn = |connection: &mut Connection, _| {
        let replies = send::<Reply>(connection, &lines);
        let count = replies.into_iter().flatten().filter(|reply| !reply.limited).count();
        admitted.fetch_add(i64::try_from(count).expect("pipelines are short"), Ordering::Relaxed);
    };
    meanwhile(|| server.connection(), turn, body);
    admitted.into_inner()
}

/// Returns how many units of [`LASTING`] a key has used.
pub(crate) fn used(connection: &mut dyn ConnectionLike, limiter: &Limiter, key: &str) -> i64 {
    let algorithm = limiter.algorithm();
    let reply: Reply = run(connection, &format!("PREMIER.PEEK {key} {algorithm} {LASTING}"));
    // PEEK returns what would remain after one more call.
    reply.limit - reply.remaining - 1
}
