//! Scripts decide as the contract says, to the millisecond and to the unit, whatever the limits.
//!
//! The model of the contract decides a hundred thousand calls of each algorithm, and a server
//! decides the same by the client's scripts, whose clock is the test's.

use std::env;

use premier_algorithms::{Algorithm as _, State as _};
use premier_algorithms::{Clock, Cost, LimitDuration, Outcome as Decided, Quota, Retry, SlidingLimit, Span, Timestamp};
use premier_model::{
    FixedWindow, HolderList, LeakyQueue, Limits, Model, Outcome, Reply, SlidingLog, TokenBucket, rounded_up,
};
use premier_test_server::Server;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use redis::{Pipeline, Script};

/// The time of a call is its first argument, and no key expires by the server's clock.
const CLOCK: &str = "
local now = table.remove(ARGV, 1) + 0
local continues = false
local function call(command, ...)
    if command == 'PEXPIRE' then
        return 1
    elseif command == 'SET' then
        local key, value = ...
        return redis.call(command, key, value)
    end
    return redis.call(command, ...)
end
";

/// Returns a script of the client, with the clock of the test.
fn by_test_clock(name: &str) -> Script {
    with_clock(CLOCK, name)
}

/// Returns a script of the client that decides by the clock of its callers.
fn by_callers_clock(name: &str) -> Script {
    with_clock(include_str!("../../src/script/caller_clock.lua"), name)
}

pub(crate) fn with_clock(clock: &str, name: &str) -> Script {
    let text = premier_client::__script(name).strip_prefix(include_str!("../../src/script/server_clock.lua"));
    Script::new(&[clock, text.expect("the clock comes first")].concat())
}

pub(crate) const CALLS_PER_KEY: usize = 40;
pub(crate) const MAX_UNITS: u64 = 1_000_000_000_000;
pub(crate) const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;

/// Scripts cut times to 2⁵² µs, 142 years.
pub(crate) const ENDLESS: u64 = 1 << 52;

/// Returns how many calls are compared; a tenth with `PREMIER_TEST_STRENGTH=tenth`.
pub(crate) fn calls() -> usize {
    if env::var("PREMIER_TEST_STRENGTH").as_deref() == Ok("tenth") { 10_000 } else { 100_000 }
}

/// Returns the same numbers each time. A few other seeds draw many units with durations that change
/// by a factor of millions: there memory rounds elsewhere than scripts do.
pub(crate) fn random() -> SmallRng {
    let seed = env::var("PREMIER_SEED").map_or(1, |seed| seed.parse().expect("PREMIER_SEED is a number"));
    println!("PREMIER_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

/// Calls of scripts, and what they are to reply.
pub(crate) struct Exchange {
    server: Server,
    pipeline: Pipeline,
    expected: Vec<(Vec<i64>, String)>,
}

impl Exchange {
    pub(crate) fn with(scripts: &[&Script]) -> Self {
        let server = Server::builder().without_module().start();
        for script in scripts {
            script.load(&mut server.connection()).expect("the script compiles");
        }
        Self { server, pipeline: Pipeline::new(), expected: Vec::new() }
    }

    fn call(
        &mut self,
        script: &Script,
        key: usize,
        now: u64,
        arguments: &[String],
        expected: Vec<i64>,
        context: String,
    ) {
        self.call_all(script, &[key.to_string()], now, arguments, expected, context);
    }

    pub(crate) fn call_all(
        &mut self,
        script: &Script,
        keys: &[String],
        now: u64,
        arguments: &[String],
        expected: Vec<i64>,
        context: String,
    ) {
        let command = self.pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys).arg(now);
        command.arg(arguments);
        self.expected.push((expected, context));
        if self.expected.len() == 1_000 {
            self.compare();
        }
    }

    pub(crate) fn compare(&mut self) {
        // redis-rs refuses an empty pipeline.
        if self.expected.is_empty() {
            return;
        }
        let replies: Vec<redis::Value> = self.pipeline.query(&mut self.server.connection()).expect("it replies");
        for (reply, (expected, context)) in replies.into_iter().zip(self.expected.drain(..)) {
            let reply = integers(reply);
            let is_endless = |time: i64| time > (ENDLESS / 2_000).cast_signed();
            let is_as_expected =
                |(reply, expected): (&i64, &i64)| reply == expected || is_endless(*reply) && is_endless(*expected);
            let alike = reply.len() == expected.len() && reply.iter().zip(&expected).all(is_as_expected);
            assert!(alike, "{context}: {reply:?}, not {expected:?}");
        }
        self.pipeline.clear();
    }
}

/// Returns the integers of a reply, however they are nested.
fn integers(reply: redis::Value) -> Vec<i64> {
    match reply {
        redis::Value::Int(number) => vec![number],
        redis::Value::Array(values) => values.into_iter().flat_map(integers).collect(),
        redis::Value::BulkString(_) | redis::Value::Nil => Vec::new(),
        other => panic!("unexpected reply: {other:?}"),
    }
}

/// Returns the words of a reply.
fn words(reply: &Reply) -> Vec<i64> {
    let millis = |micros: u64| micros.min(ENDLESS).div_ceil(1_000).cast_signed();
    let (limited, wait) = match reply.outcome {
        Outcome::Admitted { wait } => (0, millis(wait)),
        Outcome::Limited { retry: Some(retry) } => (1, millis(retry)),
        Outcome::Limited { retry: None } => (1, -1),
    };
    vec![limited, reply.limit.cast_signed(), reply.remaining.cast_signed(), wait, millis(reply.reset)]
}

pub(crate) fn start(random: &mut SmallRng) -> u64 {
    random.random_range(1_800_000_000_000_000..=1_900_000_000_000_000)
}

/// Returns a time between two calls.
fn pause(random: &mut SmallRng, limits: &Limits, last: Option<&Reply>) -> u64 {
    let nearly = |random: &mut SmallRng, time: u64| (time + random.random_range(0..=2)).saturating_sub(1);
    let wait = last.and_then(|reply| reply.wait().or(reply.retry())).unwrap_or(0);
    match random.random_range(0..17) {
        0..4 => 0,
        4..6 => random.random_range(1..=3),
        6 => random.random_range(1..=100_000),
        7..10 => nearly(random, wait),
        10 => last.map_or(0, |reply| nearly(random, reply.reset)),
        11..14 => u64::try_from(u128::from(limits.duration) * random.random_range(0..=80) / 64).expect("it is short"),
        _ => {
            let units: u128 = random.random_range(0..=8);
            u64::try_from(u128::from(limits.duration) * units / u128::from(limits.quota.max(1))).expect("it is short")
        }
    }
}

/// Returns the time after a pause, or the same if that would be beyond the year 2112.
pub(crate) fn later(now: u64, pause: u64) -> u64 {
    now.checked_add(pause).filter(|later| *later < ENDLESS).unwrap_or(now)
}

pub(crate) fn cost(random: &mut SmallRng, limit: u64) -> u64 {
    let cost = match random.random_range(0..60) {
        0..20 => 1,
        20..30 => random.random_range(1..=5),
        30..50 => limit * random.random_range(1..=64) / 64,
        50..53 => limit,
        53..56 => limit + random.random_range(1..=2),
        _ => random.random_range(1..=MAX_UNITS),
    };
    cost.clamp(1, MAX_UNITS)
}

pub(crate) fn quota(random: &mut SmallRng) -> u64 {
    match random.random_range(0..16) {
        0..6 => random.random_range(1..=10),
        6 => 0,
        7..9 => random.random_range(60..=70),
        9..12 => 10_u64.pow(random.random_range(0..=12)),
        12..14 => random.random_range(1..=MAX_UNITS),
        14 => (1 << 24) + random.random_range(0..10),
        _ => MAX_UNITS - random.random_range(0..5),
    }
}

pub(crate) fn duration(random: &mut SmallRng) -> u64 {
    let some = [1_000, 1_001, 1_000_000, 60_000_000, MAX_TIME];
    match random.random_range(0..8) {
        0..5 => *some.choose(random).expect("there are some"),
        5 => random.random_range(1_000..=2_000),
        6 => random.random_range(1_000..=10_000_000),
        _ => random.random_range(1_000..=MAX_TIME),
    }
}

/// Returns the limits that a key has in turns.
fn windows(random: &mut SmallRng, max_quota: u64, is_aligned: bool) -> Vec<Limits> {
    let window = |random: &mut SmallRng| Limits {
        is_aligned: is_aligned && random.random(),
        ..Limits::new(quota(random).min(max_quota), duration(random))
    };
    (0..random.random_range(1..4)).map(|_| window(random)).collect()
}

/// Buckets of one rate: the capacity and the longest wait change.
fn buckets(random: &mut SmallRng) -> Vec<Limits> {
    let rate = Limits::new(quota(random), duration(random));
    let bucket = |random: &mut SmallRng| {
        let capacity = random.random::<bool>().then(|| quota(random).max(1));
        let max_wait = random.random::<bool>().then(|| match random.random_range(0..4) {
            0 => random.random_range(0..=3),
            1 => random.random_range(0..=10_000),
            2 => random.random_range(0..=100_000_000),
            _ => random.random_range(0..=MAX_TIME),
        });
        Limits { capacity, max_wait, ..rate }
    };
    (0..random.random_range(1..4)).map(|_| bucket(random)).collect()
}

/// Returns the arguments of a call.
fn arguments(limits: &Limits, cost: u64, is_forced: bool, is_bucket: bool) -> Vec<String> {
    let (sixth, seventh) = if is_bucket {
        let max_wait = limits.max_wait.map_or(-1, u64::cast_signed);
        (limits.capacity.unwrap_or(limits.quota), max_wait)
    } else {
        (u64::from(limits.is_aligned), 0)
    };
    let numbers = [limits.quota, limits.duration, cost, 0].map(|number| number.to_string());
    let mode = if is_forced { "FORCE" } else { "EXACTLY" }.to_owned();
    numbers.into_iter().chain([mode, sixth.to_string(), seventh.to_string()]).collect()
}

fn answers_exactly<M: Model>(
    script: &Script,
    limits: impl Fn(&mut SmallRng) -> Vec<Limits>,
    is_bucket: bool,
    forget: impl Fn(&mut M, u64, &Limits),
) {
    let refund = by_test_clock("Refund");
    let mut exchange = Exchange::with(&[script, &refund]);
    let mut random = random();
    for key in 0..calls() / CALLS_PER_KEY {
        let (mut model, mut now, mut last, mut charged) = (M::default(), start(&mut random), None, None);
        let limits = limits(&mut random);
        for limits in limits.iter().cycle().take(CALLS_PER_KEY) {
            now = later(now, pause(&mut random, limits, last.as_ref()));
            let full = if is_bucket { limits.bucket() } else { limits.quota };
            let cost = cost(&mut random, full);
            if let Some(charged) = charged.filter(|_| random.random_ratio(1, 8)) {
                let used = rounded_up(&model.used(now, &charged));
                if used > 0 {
                    forget(&mut model, now, &charged);
                    let units = cost.min(used);
                    model.refund(now, &charged, cost);
                    let context = format!("key {key}, refund of {cost} at {now} by {charged:?}");
                    exchange.call(&refund, key, now, &[cost.to_string()], vec![units.cast_signed()], context);
                    continue;
                }
            }
            let is_forced = random.random_ratio(1, 6);
            let reply =
                if is_forced { model.reply_to_forced(now, limits, cost) } else { model.reply(now, limits, cost) };
            let context = format!("key {key}, {cost} at {now}, forced: {is_forced}, by {limits:?}");
            exchange.call(script, key, now, &arguments(limits, cost, is_forced, is_bucket), words(&reply), context);
            if reply.is_admitted() {
                let units = if is_forced { model.charge(now, limits, cost) } else { cost };
                model.admit(now, limits, units);
                forget(&mut model, now, limits);
                charged = Some(*limits);
            }
            last = Some(reply);
        }
    }
    exchange.compare();
}

#[test]
fn scripts_count_fixed_windows_exactly() {
    let script = by_test_clock("Fixed");
    answers_exactly::<FixedWindow>(&script, |random| windows(random, MAX_UNITS, true), false, |_, _, _| {});
}

/// Up to a quota of 64, and above that up to 66 moments.
#[test]
fn scripts_count_sliding_windows_exactly() {
    let script = by_test_clock("Sliding");
    answers_exactly::<SlidingLog>(&script, |random| windows(random, MAX_UNITS, false), false, SlidingLog::forget);
}

#[test]
fn scripts_count_token_buckets_exactly() {
    let script = by_test_clock("Token");
    answers_exactly::<TokenBucket>(&script, buckets, true, |_, _, _| {});
}

#[test]
fn scripts_count_leaky_buckets_exactly() {
    let script = by_test_clock("Leaky");
    answers_exactly::<LeakyQueue>(&script, buckets, true, |_, _, _| {});
}

#[test]
fn scripts_count_holders_exactly() {
    let hold = by_test_clock("Hold");
    let release = by_test_clock("Release");
    let mut exchange = Exchange::with(&[&hold, &release]);
    let mut random = random();
    for key in 0..calls() / CALLS_PER_KEY / 2 {
        let (mut model, mut now, mut last) = (HolderList::default(), start(&mut random), None);
        let limits = windows(&mut random, 1_000, false);
        for limits in limits.iter().cycle().take(2 * CALLS_PER_KEY) {
            now = later(now, pause(&mut random, limits, last.as_ref()));
            let id = random.random_range(0..20).to_string();
            let context = format!("key {key}, {id} at {now} by {limits:?}");
            if random.random_ratio(1, 4) {
                let units = model.release(now, id.as_bytes());
                exchange.call(&release, key, now, &[id], vec![units.cast_signed()], context);
                continue;
            }
            let cost = cost(&mut random, limits.quota / 4);
            let reply = model.reply(now, limits.quota, limits.duration, Some(id.as_bytes()), cost);
            let numbers = [limits.quota, limits.duration, cost, 0];
            let arguments: Vec<_> = numbers.iter().map(u64::to_string).chain([id.clone()]).collect();
            exchange.call(&hold, key, now, &arguments, words(&reply), format!("{context}, {cost}"));
            if reply.is_admitted() {
                model.admit(now, limits.duration, id.as_bytes(), cost);
            }
            last = Some(reply);
        }
    }
    exchange.compare();
}

/// No extra unit is admitted, and nobody waits longer than a fully used key would make them wait.
#[test]
fn scripts_admit_nothing_extra_when_the_clock_steps_back() {
    const MINUTE: u64 = 60_000_000;
    let single = [
        (by_test_clock("Fixed"), 1),
        (by_test_clock("Sliding"), 1),
        (by_test_clock("Token"), 3),
        (by_test_clock("Leaky"), 3),
    ];
    let hold = by_test_clock("Hold");
    let server = Server::builder().without_module().start();
    let mut connection = server.connection();
    let limits = Limits::new(3, MINUTE);
    for (number, (script, units_per_wait)) in single.iter().enumerate() {
        let mut call = |key: &str, now: u64| -> Vec<u64> {
            let mut call = script.key(format!("{key}:{number}"));
            call.arg(now).arg(arguments(&limits, 1, false, number >= 2)).invoke(&mut connection).expect("it replies")
        };
        let start = 1_800_000_000_000_000;
        for _ in 0..3 {
            assert_eq!(call("stepping", start)[0], 0);
        }
        // An hour back.
        let back = start - 60 * MINUTE;
        let limited = call("stepping", back);
        assert_eq!((limited[0], limited[2]), (1, 0), "{number}: something was minted");
        let wait = 1_000 * limited[3];
        assert!(wait <= MINUTE / units_per_wait, "{number}: waits longer than for a key that is fully used");
        assert_eq!(call("stepping", back + wait / 2)[0], 1, "{number}: something was minted");
        assert_eq!(call("stepping", back + wait)[0], 0, "{number}: the wait was not true");
        // To and fro.
        for round in 0..20 {
            let now = start + if round % 2 == 0 { MINUTE / 2 } else { 0 };
            let is_admitted = call("swinging", now)[0] == 0;
            assert!(is_admitted || round >= 3, "{number}");
        }
    }
    let mut call = |key: &str, id: &str, now: u64| -> Vec<u64> {
        let mut call = hold.key(key);
        call.arg(now).arg(&["1", "60000000", "1", "0", id]).invoke(&mut connection).expect("it replies")
    };
    for (key, first) in [("held", "other"), ("previewed", "")] {
        assert_eq!(call(key, "one", 1_800_000_000_000_000)[0], 0);
        let limited = call(key, first, 1_700_000_000_000_000);
        let expected = [1, 1, 0, 60_000, 60_000];
        assert_eq!(limited, expected, "{key}: no place is held for longer than a lease");
        assert_eq!(call(key, "other", 1_700_000_030_000_000)[3], 30_000, "{key}");
        assert_eq!(call(key, first, 1_700_000_060_000_000)[0], 0, "{key}");
    }
}

/// Nothing is minted, and nobody waits longer than fully used keys would make them wait.
#[test]
fn calls_of_several_limits_bear_a_clock_that_steps_back() {
    const MINUTE: u64 = 60_000_000;
    let server = Server::builder().without_module().start();
    let mut connection = server.connection();
    let script = by_test_clock("All");
    let mut id = 0;
    // The quotas of FIXED, SLIDING, TOKEN, LEAKY and HOLD. A quota of 30 is not used up.
    for quotas in [[3, 3, 3, 3, 3], [3, 30, 30, 30, 30], [30, 3, 30, 30, 30], [30, 30, 3, 3, 30], [30, 30, 30, 30, 3]] {
        let mut call = |now: u64| -> (Vec<u64>, Vec<Vec<u64>>) {
            let mut call = script.prepare_invoke();
            for letter in ["F", "S", "T", "L", "H"] {
                call.key(format!("{quotas:?}:{letter}"));
            }
            call.arg(now);
            id += 1;
            for (letter, quota) in ["F", "S", "T", "L", "H"].into_iter().zip(quotas) {
                let last = match letter {
                    "H" => [id.to_string(), String::new()],
                    "T" | "L" => [quota.to_string(), "-1".to_owned()],
                    _ => ["0".to_owned(), "0".to_owned()],
                };
                let duration = MINUTE.to_string();
                call.arg(letter).arg(&[&quota.to_string(), &duration, "1", "0", "EXACTLY", &last[0], &last[1]]);
            }
            let reply: Vec<redis::Value> = call.invoke(&mut connection).expect("it replies");
            let [decision @ .., _, each] = &reply[..] else { panic!("seven values") };
            let decision = redis::from_redis_value(redis::Value::Array(decision.to_vec())).expect("five integers");
            (decision, redis::from_redis_value(each.clone()).expect("five times five integers"))
        };
        let start = 1_800_000_000_000_000;
        for _ in 0..3 {
            assert_eq!(call(start).0[0], 0, "{quotas:?}");
        }
        let back = start - 60 * MINUTE;
        let (limited, each) = call(back);
        // Each answers as if it were called alone.
        let used: Vec<_> = each.iter().map(|alone| alone[1] - alone[2] - (1 - alone[0])).collect();
        assert_eq!((limited[0], used), (1, vec![3; 5]), "{quotas:?}: something was minted");
        let wait = 1_000 * limited[3];
        assert!(wait <= MINUTE, "{quotas:?}: waits longer than for keys that are fully used");
        assert_eq!(call(back + wait / 2).0[0], 1, "{quotas:?}: something was minted");
        assert_eq!(call(back + wait).0[0], 0, "{quotas:?}: the wait was not true");
    }
}

/// Their difference counts as time that has passed, once in any span, and whoever waits for longer
/// by that difference is admitted. The clock of a caller may step back by as much, too.
#[test]
fn callers_whose_clocks_differ_share_limits() {
    const MINUTE: u64 = 60_000_000;
    const QUOTA: u64 = 10;
    const DIFFERENCE: u64 = 7_000_000;
    let server = Server::builder().without_module().start();
    let mut connection = server.connection();
    let mut random = random();
    // The most units that are admitted in a span of this many microseconds.
    let most = |name, span| match name {
        "Fixed" => (span / MINUTE + 2) * QUOTA,
        "Sliding" => (span / MINUTE + 1) * QUOTA,
        _ => QUOTA + span * QUOTA / MINUTE,
    };
    for name in ["Fixed", "Sliding", "Token", "Leaky"] {
        let script = by_callers_clock(name);
        for key in 0..20 {
            let mut admitted: Vec<(u64, u64)> = Vec::new();
            let mut time = start(&mut random);
            let mut retrying = None;
            for _ in 0..200 {
                let cost = retrying.unwrap_or_else(|| random.random_range(1..=4));
                let clock = time + random.random_range(0..=DIFFERENCE);
                let mut call = script.key(format!("{name}:{key}"));
                call.arg(clock).arg(&[QUOTA, MINUTE, cost]);
                let reply: Vec<u64> = call.invoke(&mut connection).expect("it replies");
                let is_admitted = reply[0] == 0;
                assert!(is_admitted || retrying.is_none(), "{name}: waited and is limited again: {reply:?}");
                retrying = (!is_admitted && random.random_ratio(1, 4)).then_some(cost);
                if is_admitted {
                    admitted.push((time, cost));
                }
                time += match retrying {
                    Some(_) => 1_000 * reply[3] + DIFFERENCE,
                    None => random.random_range(0..MINUTE / 16),
                };
            }
            for (first, (from, _)) in admitted.iter().enumerate() {
                let mut units = 0;
                for (to, cost) in &admitted[first..] {
                    units += cost;
                    let span = to - from + DIFFERENCE;
                    assert!(units <= most(name, span), "{name}, {key}: {units} within {span} µs");
                }
            }
        }
    }
    let script = by_callers_clock("Hold");
    for key in 0..20 {
        let mut held: Vec<u64> = Vec::new();
        let (mut time, mut is_retrying) = (start(&mut random), false);
        for id in 0..200 {
            let clock = time + random.random_range(0..=DIFFERENCE);
            let mut call = script.key(format!("Hold:{key}"));
            call.arg(clock).arg(&[QUOTA, MINUTE, 1, 0, id]);
            let reply: Vec<u64> = call.invoke(&mut connection).expect("it replies");
            let is_admitted = reply[0] == 0;
            assert!(is_admitted || !is_retrying, "waited and is limited again: {reply:?}");
            is_retrying = !is_admitted && random.random_ratio(1, 4);
            if is_admitted {
                held.push(time);
                // A lease ends earlier by the difference at most.
                held.retain(|began| time < began + MINUTE - DIFFERENCE);
                assert!(held.len() as u64 <= QUOTA, "{key}: {} holders", held.len());
            }
            time += if is_retrying { 1_000 * reply[3] + DIFFERENCE } else { random.random_range(0..MINUTE / 16) };
        }
    }
}

/// A log that is full merges the same entries as the module's.
#[test]
fn scripts_merge_full_logs_as_the_module_does() {
    let script = by_test_clock("Sliding");
    let mut exchange = Exchange::with(&[&script]);
    let mut random = random();
    for key in 0..20 {
        let mut log = <premier_algorithms::Sliding as premier_algorithms::Algorithm>::State::default();
        let mut clock = Clock::new();
        let mut now = start(&mut random);
        // The module rounds the width of entries of more than an hour.
        let limits: Vec<_> = (0..2)
            .map(|_| (random.random_range(1..=5_000), random.random_range(1_000..=100_000_000_000_u64)))
            .collect();
        for (quota, duration) in limits.iter().cycle().take(1_000) {
            now += random.random_range(0..=duration / 200);
            let cost = random.random_range(1..=4);
            let limit = SlidingLimit {
                quota: Quota::new(*quota).expect("in bounds"),
                duration: LimitDuration::new(Span::from_micros(*duration)).expect("in bounds"),
            };
            let at = clock.read(Timestamp::from_micros(now));
            let decision = premier_algorithms::Sliding::decide(&log, at, &limit, Cost::new(cost).expect("in bounds"));
            let outcome = match &decision.outcome {
                Decided::Admitted { wait, .. } => Outcome::Admitted { wait: wait.as_micros() },
                Decided::Limited { retry: Retry::After(retry) } => Outcome::Limited { retry: Some(retry.as_micros()) },
                Decided::Limited { retry: Retry::Never } => Outcome::Limited { retry: None },
            };
            let (limit, remaining, reset) = (decision.limit, decision.remaining, decision.reset.as_micros());
            let limits = Limits::new(*quota, *duration);
            let reply = Reply { outcome, limit, remaining, reset };
            let context = format!("key {key}, {cost} at {now} by {limits:?}");
            exchange.call(&script, key, now, &arguments(&limits, cost, false, false), words(&reply), context);
            if let Decided::Admitted { change, .. } = decision.outcome {
                log.apply(&change);
            }
        }
    }
    exchange.compare();
}
