//! Decisions and store calls a second on one key: each call asking the store, leased units, and the
//! keyed limiter of `governor` in memory. Then limits in memory on many keys beside `governor`, and
//! what a flood on a used-up key costs the store, with remembered denials and without.
//!
//! Each figure is the median of five rounds, in which the contenders take turns. Ratios compare
//! figures of the same round. Where other programs use the machine too, what a decision costs in
//! CPU time says more than how many there are a second.
//!
//! ```sh
//! cargo bench -p premier-client --bench scale
//! ```

mod tools;

use std::env;
use std::hint::black_box;
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use governor::{Quota, RateLimiter};
use premier_client::{Backend, Lease, Limit, Throttler, Token, key};
use premier_test_server::Server;

use crate::tools::{cpu_nanos, median};

const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_millis(500);

/// So deep that every call is admitted.
const LIMIT: Limit<Token> = Limit::token_bucket(100, Duration::from_secs(1)).capacity(1_000_000_000_000);

/// How many keys there are where there are many.
const KEYS: u64 = 10_000;

const LEASE: Lease = Lease::of(10_000_000);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match &arguments[1..] {
        [port, name] if port.parse::<u16>().is_ok() => {
            // One of the four processes: it begins when it is started.
            let throttler = throttler(port, name == "leased");
            let check = |_| throttler.check(&key!("everyone"), LIMIT).is_ok_and(|call| call.is_admitted());
            let (calls, _) = on_threads(1, check);
            println!("{calls}");
        }
        // `cargo test` asks for nothing.
        arguments if arguments.iter().any(|argument| argument == "--bench") => {
            let server = Server::start();
            let port = server.port().to_string();
            one_key(&server, &port);
            in_memory();
            flood(&server, &port);
        }
        _ => {}
    }
}

fn throttler(port: &str, leases: bool) -> Throttler {
    let backend = Backend::redis(format!("redis://127.0.0.1:{port}/")).expect("an address");
    let backend = backend.max_connections(const { NonZero::new(16).unwrap() });
    let builder = Throttler::builder(backend).deadline(Duration::from_secs(5));
    if leases { builder.leases(LEASE).build() } else { builder.build() }
}

/// Returns how many calls threads make in the time of a measurement, and the nanoseconds of CPU
/// time that they took in all. Each call has a number, from which the threads count far apart.
fn on_threads(threads: u64, call: impl Fn(u64) -> bool + Sync) -> (u64, u64) {
    let (calls, nanos, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for thread in 0..threads {
            let (call, calls, nanos, is_over) = (&call, &calls, &nanos, &is_over);
            scope.spawn(move || {
                let (mut made, before) = (0, cpu_nanos());
                while !is_over.load(Ordering::Relaxed) {
                    black_box(call(thread * KEYS / threads + made));
                    made += 1;
                }
                calls.fetch_add(made, Ordering::Relaxed);
                nanos.fetch_add(cpu_nanos() - before, Ordering::Relaxed);
            });
        }
        thread::sleep(LENGTH);
        is_over.store(true, Ordering::Relaxed);
    });
    (calls.into_inner(), nanos.into_inner())
}

/// What one contender did in a round.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    calls: u64,
    cpu_nanos: u64,
    commands: u64,
}

impl Round {
    fn measure(server: &Server, run: impl FnOnce() -> (u64, u64)) -> Self {
        let before = server.calls_of("PREMIER.");
        let (calls, cpu_nanos) = run();
        Self { calls, cpu_nanos, commands: server.calls_of("PREMIER.") - before }
    }

    fn nanos_a_call(&self) -> u64 {
        self.cpu_nanos / self.calls.max(1)
    }
}

/// The rounds of the contenders: each call asking, leased, governor.
type Row = (String, [Vec<Round>; 3]);

fn one_key(server: &Server, port: &str) {
    const THREADS: [u64; 3] = [1, 4, 16];
    let (each_call, leasing) = (throttler(port, false), throttler(port, true));
    let governor = RateLimiter::keyed(quota());
    let by = |throttler: &Throttler| throttler.check(&key!("everyone"), LIMIT).is_ok_and(|call| call.is_admitted());
    let by_governor = |_| {
        // As a service does, whose keys are not there before the call.
        governor.check_key(&format!("premier:everyone:token:{}", black_box("all"))).is_ok()
    };
    let measure = |run: &dyn Fn() -> (u64, u64)| Round::measure(server, run);
    let mut rows: Vec<Row> = THREADS.iter().map(|threads| (format!("{threads} threads"), Default::default())).collect();
    rows.push(("4 processes".to_owned(), Default::default()));
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (index, (_, contenders)) in rows.iter_mut().enumerate() {
            let rounds = match THREADS.get(index) {
                Some(&threads) => [
                    measure(&|| on_threads(threads, |_| by(&each_call))),
                    measure(&|| on_threads(threads, |_| by(&leasing))),
                    measure(&|| on_threads(threads, by_governor)),
                ],
                None => {
                    [measure(&|| processes(port, "each")), measure(&|| processes(port, "leased")), Round::default()]
                }
            };
            if round > 0 {
                contenders.iter_mut().zip(rounds).for_each(|(rounds, round)| rounds.push(round));
            }
        }
    }
    print(&rows);
}

fn quota() -> Quota {
    Quota::per_second(const { NonZero::new(100).unwrap() }).allow_burst(NonZero::<u32>::MAX)
}

/// Measures limits in the memory of this process, on many keys, which are made for each call.
fn in_memory() {
    const THREADS: [u64; 2] = [1, 4];
    let (throttler, governor) = (Throttler::builder(Backend::memory()).build(), RateLimiter::keyed(quota()));
    let by_throttler = |call: u64| {
        let user = call % KEYS;
        throttler.check(&key!("user", user), LIMIT).is_ok_and(|call| call.is_admitted())
    };
    let by_governor = |call: u64| governor.check_key(&format!("premier:user:token:{}", call % KEYS)).is_ok();
    let mut rows = THREADS.map(|threads| (threads, [const { Vec::new() }; 2]));
    for round in 0..=ROUNDS {
        for (threads, contenders) in &mut rows {
            let measured = [on_threads(*threads, by_throttler), on_threads(*threads, by_governor)];
            if round > 0 {
                contenders.iter_mut().zip(measured).for_each(|(rounds, measured)| rounds.push(measured));
            }
        }
    }
    println!("\n| {KEYS} keys in memory | check, a second | governor, a second | ns of CPU | of governor | ratio |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (threads, [ours, governor]) in &rows {
        let a_second = |rounds: &[(u64, u64)]| median(rounds.iter().map(|(calls, _)| calls * 1_000 / millis()));
        let nanos = |(calls, nanos): &(u64, u64)| nanos * 100 / calls.max(&1);
        let to_governor =
            median(ours.iter().zip(governor).map(|(ours, other)| nanos(ours) * 100 / nanos(other).max(1)));
        println!(
            "| {threads} threads | {} | {} | {} | {} | {}.{:02}× |",
            a_second(ours),
            a_second(governor),
            median(ours.iter().map(nanos)) / 100,
            median(governor.iter().map(nanos)) / 100,
            to_governor / 100,
            to_governor % 100,
        );
    }
}

/// Returns how many calls four processes make.
fn processes(port: &str, name: &str) -> (u64, u64) {
    let start = || {
        let mut process = Command::new(env::current_exe().expect("this program has a path"));
        process.args([port, name]).stdout(Stdio::piped()).spawn().expect("this program starts")
    };
    let started: Vec<Child> = (0..4).map(|_| start()).collect();
    let calls = |process: Child| {
        let output = process.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("a number")
    };
    (started.into_iter().map(calls).sum(), 0)
}

fn print(rows: &[Row]) {
    println!("| one key | check, a second | its store calls | leased, a second | its store calls | to check |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (name, [each_call, leased, _]) in rows {
        let a_second = |rounds: &[Round], of: fn(&Round) -> u64| median(rounds.iter().map(of)) * 1_000 / millis();
        let to_check = median(leased.iter().zip(each_call).map(|(leased, each)| leased.calls / each.calls.max(1)));
        println!(
            "| {name} | {} | {} | {} | {} | {to_check}× |",
            a_second(each_call, |round| round.calls),
            a_second(each_call, |round| round.commands),
            a_second(leased, |round| round.calls),
            a_second(leased, |round| round.commands),
        );
    }
    println!("\n| ns of CPU a decision | check | leased | governor | leased to governor |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, [each_call, leased, governor]) in &rows[..3] {
        let nanos = |rounds: &[Round]| median(rounds.iter().map(Round::nanos_a_call));
        let ratio = |(leased, governor): (&Round, &Round)| leased.nanos_a_call() * 100 / governor.nanos_a_call().max(1);
        let to_governor = median(leased.iter().zip(governor).map(ratio));
        println!(
            "| {name} | {} | {} | {} | {}.{:02}× |",
            nanos(each_call),
            nanos(leased),
            nanos(governor),
            to_governor / 100,
            to_governor % 100,
        );
    }
}

fn flood(server: &Server, port: &str) {
    const THREADS: u64 = 16;
    let limit = Limit::sliding_window(10, Duration::from_millis(200));
    let builder = || {
        let backend = Backend::redis(format!("redis://127.0.0.1:{port}/")).expect("an address");
        Throttler::builder(backend.max_connections(const { NonZero::new(16).unwrap() }))
    };
    let throttlers = [
        ("asked each time", builder().build()),
        ("remembered", builder().remember_denials(Duration::from_secs(1)).build()),
    ];
    let mut rounds = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        for ((name, throttler), rounds) in throttlers.iter().zip(&mut rounds) {
            let measured = Round::measure(server, || {
                on_threads(THREADS, |_| throttler.check(&key!("flood", name), limit).is_ok())
            });
            if round > 0 {
                rounds.push(measured);
            }
        }
    }
    println!("\n| a used-up key, 16 threads | calls a second | store calls a second |");
    println!("| --- | ---: | ---: |");
    for ((name, _), rounds) in throttlers.iter().zip(&rounds) {
        let a_second = |of: fn(&Round) -> u64| median(rounds.iter().map(of)) * 1_000 / millis();
        println!("| {name} | {} | {} |", a_second(|round| round.calls), a_second(|round| round.commands));
    }
}

fn millis() -> u64 {
    u64::try_from(LENGTH.as_millis()).expect("it is short")
}
