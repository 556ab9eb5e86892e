//! Clients that keep calling while something else happens.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::thread::{self, ScopedJoinHandle};

use premier_test_server::Server;
use redis::{Connection, ConnectionLike, Value};

use super::call::{LIMITERS, Limiter, Reply, run, send};
use super::patience::wait_until;

const CLIENTS: u32 = 2;
const KEYS: u32 = 40;
const CALLS_IN_A_PIPELINE: u32 = 20;

/// Runs this while clients take turns at a server, at least one before it begins. They are quiet again when it has returned.
/// A turn gets the connection of its client, and a number that no other turn has.
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
            // Each client begins its second turn when it has been answered at the first.
            wait_until("the clients call", || {
                turns.load(Ordering::Relaxed) > CLIENTS || clients.iter().any(ScopedJoinHandle::is_finished)
            });
            body()
        }));
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs this while clients keep calling all limiters on the server. What the calls are answered does not matter here: a
/// replica refuses them.
pub(crate) fn under_load(server: &Server, body: impl FnOnce()) {
    let turn = |connection: &mut Connection, turn: u32| {
        let first = turn.wrapping_mul(CALLS_IN_A_PIPELINE);
        let lines: Vec<String> = (0..CALLS_IN_A_PIPELINE).map(|call| line(first.wrapping_add(call))).collect();
        send::<Value>(connection, &lines);
    };
    meanwhile(|| server.connection(), turn, body);
}

/// A call by its number, of which nothing is refilled, drained or over within the test: of all limiters, of two at once, and
/// now and then a refund.
fn line(number: u32) -> String {
    let key = number / 6 % KEYS;
    match number % 6 {
        4 => format!("PREMIER.ALL {key}:0 FIXED 1000000 3650d AND {key}:2 TOKEN 1000000 3650d"),
        5 => format!("PREMIER.REFUND {key}:3 1"),
        limiter => format!("{} {key}:{limiter} 1000000 3650d", LIMITERS[limiter as usize].command),
    }
}

/// A limit of which nothing is refilled, drained or over within a test, and which no test uses up.
pub(crate) const LASTING: &str = "1000000 3650d";

/// Runs this while clients keep calling a limiter on a key, and answers how many of their calls were admitted. A call may be
/// refused.
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

/// How much of [`LASTING`] a key has used.
pub(crate) fn used(connection: &mut dyn ConnectionLike, limiter: &Limiter, key: &str) -> i64 {
    let algorithm = limiter.algorithm();
    let reply: Reply = run(connection, &format!("PREMIER.PEEK {key} {algorithm} {LASTING}"));
    // It tells what would remain behind one more call.
    reply.limit - reply.remaining - 1
}
