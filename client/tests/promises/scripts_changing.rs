//! Scripts answer as memory does, to the millisecond and to the unit, whatever the limits and
//! however they change from call to call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use premier_client::{
    Algorithm, AnyLimit, Backend, Decision, Key, Limit, MemoryBackend, RetryAfter, Throttler, Usage, Zone, key,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use redis::Script;

use crate::scripts_exactly::{
    CALLS_PER_KEY, ENDLESS, Exchange, MAX_TIME, MAX_UNITS, calls, cost, duration, later, quota, random, start,
    with_clock,
};

/// The time of a call is its first argument, and keys expire by it. It is in whole milliseconds, as
/// servers expire keys. Some servers may delete a key almost a millisecond early, as here.
const CLOCK: &str = "
local now = table.remove(ARGV, 1) + 0
local continues = false
local function call(command, key, ...)
    local expiry = redis.call('GET', 'expiry of ' .. key)
    if expiry and expiry + 0 <= now then
        redis.call('DEL', key, 'expiry of ' .. key)
        expiry = false
    end
    if command == 'PTTL' then
        return (expiry - now) / 1000 + 1
    elseif command == 'PEXPIRE' then
        redis.call('SET', 'expiry of ' .. key, string.format('%d', now + (... - 1) * 1000))
        return 1
    elseif command == 'SET' then
        local value, option, rest = ...
        if option == 'PX' then
            redis.call('SET', 'expiry of ' .. key, string.format('%d', now + (rest - 1) * 1000))
        end
        return redis.call('SET', key, value)
    end
    return redis.call(command, key, ...)
end
";

/// The longest duration in which memory counts each tick of a large bucket: an hour.
const LONGEST_EXACT: u64 = 3_600_000_000;

fn by_test_clock(name: &str) -> Script {
    with_clock(CLOCK, name)
}

/// A limit, and its words as scripts take them.
#[derive(Debug, Clone)]
struct Asked {
    limit: AnyLimit,
    quota: u64,
    /// In microseconds.
    duration: u64,
    /// How many units are wanted at most, of a call that takes what fits.
    at_most: Option<u64>,
    words: Vec<String>,
}

fn asked(random: &mut SmallRng, algorithm: Algorithm) -> Asked {
    let quota = quota(random);
    let mut micros = duration(random);
    if matches!(algorithm, Algorithm::TokenBucket | Algorithm::LeakyBucket) {
        micros = micros.min(LONGEST_EXACT);
    }
    let mut words = [quota, micros, 1, 0].map(|number| number.to_string()).to_vec();
    words.push("EXACTLY".to_owned());
    let time = Duration::from_micros(micros);
    let limit: AnyLimit = match algorithm {
        Algorithm::FixedWindow => {
            let offset: i16 = if random.random() { random.random_range(-72..=72) * 15 } else { 0 };
            let (period, limit) = match random.random_range(0..6) {
                0..3 => (0, Limit::fixed_window(quota, time)),
                3 => (1, Limit::fixed_window(quota, time).aligned()),
                4 => {
                    let weeks = random.random_range(1..=5);
                    micros = weeks * 7 * 24 * 60 * 60 * 1_000_000;
                    words[1] = micros.to_string();
                    (2, Limit::per_weeks(quota, weeks))
                }
                _ => {
                    let months = *[1, 2, 3, 12, 120].choose(random).expect("there are some");
                    micros = months * 31 * 24 * 60 * 60 * 1_000_000;
                    words[1] = months.to_string();
                    (3, Limit::per_months(quota, months))
                }
            };
            let limit = if period == 0 { limit } else { limit.in_zone(Zone::offset(offset)) };
            words.push(period.to_string());
            words.push(if period == 0 { 0 } else { i64::from(offset) * 60_000_000 }.to_string());
            limit.into()
        }
        Algorithm::SlidingWindow => {
            words.extend(["0".to_owned(), "0".to_owned()]);
            Limit::sliding_window(quota, time).into()
        }
        _ => {
            let capacity = random.random::<bool>().then(|| self::quota(random).max(1));
            let longest = *[3, 10_000, 100_000_000, MAX_TIME].choose(random).expect("there are some");
            let max_wait = random.random::<bool>().then(|| random.random_range(0..=longest));
            words.push(capacity.unwrap_or(quota).to_string());
            words.push(max_wait.map_or(-1, u64::cast_signed).to_string());
            if algorithm == Algorithm::TokenBucket {
                let limit = Limit::token_bucket(quota, time);
                let limit = capacity.map_or(limit, |capacity| limit.capacity(capacity));
                max_wait.map_or(limit, |wait| limit.max_wait(Duration::from_micros(wait))).into()
            } else {
                let limit = Limit::leaky_bucket(quota, time);
                let limit = capacity.map_or(limit, |capacity| limit.capacity(capacity));
                max_wait.map_or(limit, |wait| limit.max_wait(Duration::from_micros(wait))).into()
            }
        }
    };
    Asked { limit, quota, duration: micros, at_most: None, words }
}

impl Asked {
    /// Adds a cost and a reserve, or forces the call.
    fn with_demand(mut self, random: &mut SmallRng, may_take_what_fits: bool) -> Self {
        let cost = cost(random, self.quota);
        self.words[2] = cost.to_string();
        self.limit = self.limit.try_cost(cost).expect("in bounds");
        if random.random_ratio(1, 4) {
            let keep = if random.random_ratio(1, 20) {
                random.random_range(0..=MAX_UNITS)
            } else {
                random.random_range(0..=self.quota / 2)
            };
            self.words[3] = keep.to_string();
            self.limit = self.limit.try_keep(keep).expect("in bounds");
        }
        if may_take_what_fits && random.random_ratio(1, 4) {
            self.at_most = Some(cost);
            "ATMOST".clone_into(&mut self.words[4]);
        } else if random.random_ratio(1, 6) {
            "FORCE".clone_into(&mut self.words[4]);
            "0".clone_into(&mut self.words[3]);
            self.limit = self.limit.forced();
        }
        self
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_micros().div_ceil(1_000)).expect("a time")
}

fn words(decision: &Decision) -> Vec<i64> {
    let wait = match decision.retry_after() {
        Some(RetryAfter::Never) => -1,
        Some(RetryAfter::After(after)) => millis(after),
        None => millis(decision.wait().expect("it is admitted")),
    };
    let numbers = [u64::from(!decision.is_admitted()), decision.limit(), decision.remaining()].map(u64::cast_signed);
    let granted = decision.granted().map(u64::cast_signed);
    numbers.into_iter().chain([wait, millis(decision.reset_after())]).chain(granted).collect()
}

fn usage(usage: Option<Usage>) -> Vec<i64> {
    usage.map_or(Vec::new(), |usage| vec![usage.used().cast_signed(), millis(usage.reset_after())])
}

/// Returns memory with a clock that is set by hand.
fn memory() -> (MemoryBackend, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(0));
    let time = Arc::clone(&clock);
    (MemoryBackend::with_clock(move || Duration::from_micros(time.load(Ordering::Relaxed))), clock)
}

fn throttler(memory: MemoryBackend) -> Throttler {
    Throttler::builder(Backend::from(memory)).build()
}

fn pause(random: &mut impl Rng, duration: u64, last: Option<&Decision>) -> u64 {
    let nearly = |random: &mut _, time: Duration| {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        micros.saturating_add(RngExt::random_range(random, 0..=2_000)).saturating_sub(1_000)
    };
    match random.random_range(0..12) {
        0..4 => 0,
        4..6 => random.random_range(1..=3_000),
        6..8 => last.map_or(0, |last| match last.retry_after() {
            Some(RetryAfter::After(after)) => nearly(random, after),
            _ => nearly(random, last.wait().unwrap_or_default()),
        }),
        8 => last.map_or(0, |last| nearly(random, last.reset_after())),
        _ => u64::try_from(u128::from(duration) * random.random_range(0..=80_u128) / 64).expect("it is short"),
    }
}

#[test]
fn scripts_answer_as_memory_does_while_limits_change() {
    let (refund, inspect, all) = (by_test_clock("Refund"), by_test_clock("Inspect"), by_test_clock("All"));
    let mut random = random();
    for (algorithm, name) in [
        (Algorithm::FixedWindow, "Fixed"),
        (Algorithm::SlidingWindow, "Sliding"),
        (Algorithm::TokenBucket, "Token"),
        (Algorithm::LeakyBucket, "Leaky"),
    ] {
        let script = by_test_clock(name);
        let mut exchange = Exchange::with(&[&script, &refund, &inspect, &all]);
        for number in 0..calls() / CALLS_PER_KEY / 4 {
            let (memory, clock) = memory();
            let memory = throttler(memory);
            let (mut now, mut last) = (start(&mut random) / 1_000 * 1_000, None);
            let limits: Vec<_> = (0..random.random_range(1..4)).map(|_| asked(&mut random, algorithm)).collect();
            let key: Key<'_> = key!("changing", number);
            let stored = [number.to_string()];
            for limit in limits.iter().cycle().take(CALLS_PER_KEY) {
                now = later(now, pause(&mut random, limit.duration, last.as_ref()) / 1_000 * 1_000);
                clock.store(now, Ordering::Relaxed);
                let asked = limit.clone().with_demand(&mut random, true);
                let context = format!("{name} {number} at {now}, {asked:?}");
                match random.random_range(0..10) {
                    0 => {
                        let asked = limit.clone().with_demand(&mut random, false);
                        let context = format!("{name} {number} at {now}, peek {asked:?}");
                        let decision = memory.peek(&key, asked.limit).expect("it answers");
                        let mut arguments = asked.words;
                        arguments.push("PEEK".to_owned());
                        exchange.call_all(&script, &stored, now, &arguments, words(&decision), context);
                    }
                    // Memory estimates what is left of a bucket without its limit.
                    1 | 2 if matches!(name, "Token" | "Leaky") => {}
                    1 => {
                        let found = memory.inspect(&key, algorithm).expect("it answers");
                        exchange.call_all(&inspect, &stored, now, &[], usage(found), format!("inspect, {context}"));
                    }
                    2 => {
                        let units = cost(&mut random, limit.quota);
                        let given = memory.refund_key(&key, asked.limit, units).expect("it answers").cast_signed();
                        exchange.call_all(
                            &refund,
                            &stored,
                            now,
                            &[units.to_string()],
                            vec![given],
                            format!("refund {units}, {context}"),
                        );
                    }
                    3 => {
                        let asked = limit.clone().with_demand(&mut random, false);
                        let other = limits[0].clone().with_demand(&mut random, false);
                        let keys = [key.clone(), key!("other", number)];
                        let joint = memory.check_all(&[(keys[0].clone(), asked.limit), (keys[1].clone(), other.limit)]);
                        let joint = joint.expect("it answers");
                        let mut expected = words(&joint.decision());
                        expected.push(i64::try_from(joint.binding()).expect("a small index"));
                        expected.extend(joint.each().iter().flat_map(words));
                        // Of times that a script cuts it can't say which is the longest.
                        let is_cut = |time: &i64| *time > (ENDLESS / 2_000).cast_signed();
                        if !joint.is_admitted() && expected.iter().any(is_cut) {
                            continue;
                        }
                        let letter = name[..1].to_owned();
                        let arguments: Vec<_> = [letter.clone()]
                            .into_iter()
                            .chain(asked.words.clone())
                            .chain([letter])
                            .chain(other.words.clone())
                            .collect();
                        let stored = [stored[0].clone(), format!("other {number}")];
                        exchange.call_all(
                            &all,
                            &stored,
                            now,
                            &arguments,
                            expected,
                            format!("{name} {number} at {now}: {asked:?} and {other:?}"),
                        );
                    }
                    _ => {
                        let decision = match asked.at_most {
                            Some(most) => *memory.check_at_most(&key, asked.limit, most).expect("it answers"),
                            None => *memory.check(&key, asked.limit).expect("it answers"),
                        };
                        exchange.call_all(&script, &stored, now, &asked.words, words(&decision), context);
                        last = Some(decision);
                    }
                }
            }
        }
        exchange.compare();
    }
}

/// The time since the last admitted call is settled at the rate of the next one.
#[test]
fn scripts_refund_as_memory_does_while_rates_change() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let (token, leaky, refund) = (by_test_clock("Token"), by_test_clock("Leaky"), by_test_clock("Refund"));
    let mut exchange = Exchange::with(&[&token, &leaky, &refund]);
    let limit = |number, quota| -> AnyLimit {
        match number {
            0 => Limit::token_bucket(quota, HOUR).capacity(100).into(),
            _ => Limit::leaky_bucket(quota, HOUR).capacity(100).into(),
        }
    };
    let start = 1_800_000_000_000_000;
    for (number, script) in [&token, &leaky].into_iter().enumerate() {
        let (memory, clock) = memory();
        let memory = throttler(memory);
        let stored = [number.to_string()];
        let key = key!("refunded", number);
        // A hundred units an hour, then ten.
        for (minutes, quota, cost, units) in [(0, 100, 60, 0), (12, 0, 0, 10), (12, 10, 1, 0), (18, 100, 1, 0)] {
            let now = start + minutes * 60_000_000;
            clock.store(now, Ordering::Relaxed);
            let context = format!("{number} after {minutes} minutes");
            if units > 0 {
                let given = memory.refund_key(&key, limit(number, 100), units).expect("it answers");
                exchange.call_all(&refund, &stored, now, &[units.to_string()], vec![given.cast_signed()], context);
            } else {
                let decision = memory.check_n(&key, limit(number, quota), cost).expect("it answers");
                let words_of_call = [quota, 3_600_000_000, cost, 0].map(|number| number.to_string()).into_iter();
                let arguments: Vec<_> = words_of_call.chain(["EXACTLY", "100", "-1"].map(str::to_owned)).collect();
                exchange.call_all(script, &stored, now, &arguments, words(&decision), context);
            }
        }
    }
    exchange.compare();
}

#[test]
fn scripts_hold_as_memory_does_while_limits_change() {
    let (hold, release, inspect) = (by_test_clock("Hold"), by_test_clock("Release"), by_test_clock("Inspect"));
    let mut exchange = Exchange::with(&[&hold, &release, &inspect]);
    let mut random = random();
    for number in 0..calls() / CALLS_PER_KEY {
        let (memory, clock) = memory();
        let (mut now, mut last) = (start(&mut random) / 1_000 * 1_000, None);
        let stored = [number.to_string()];
        let limits: Vec<_> =
            (0..random.random_range(1..4)).map(|_| (quota(&mut random), duration(&mut random))).collect();
        for (quota, lease) in limits.iter().cycle().take(CALLS_PER_KEY) {
            now = later(now, pause(&mut random, *lease, last.as_ref()) / 1_000 * 1_000);
            clock.store(now, Ordering::Relaxed);
            let cost = cost(&mut random, quota / 3);
            let keep = if random.random_ratio(1, 4) { random.random_range(0..=quota / 2) } else { 0 };
            let concurrency = Limit::concurrency(*quota, Duration::from_micros(*lease)).cost(cost).keep(keep);
            let id = random.random_range(0..6).to_string();
            let mut arguments = [*quota, *lease, cost, keep].map(|number| number.to_string()).to_vec();
            let context = format!("{number} at {now}: {id}, {concurrency}");
            match random.random_range(0..8) {
                0 => {
                    let decision = memory.peek_hold(&stored[0], concurrency).expect("it answers");
                    arguments.push(String::new());
                    exchange.call_all(&hold, &stored, now, &arguments, words(&decision), format!("peek {context}"));
                }
                1 => {
                    let found = usage(memory.inspect(&stored[0]));
                    exchange.call_all(&inspect, &stored, now, &[], found, format!("inspect {context}"));
                }
                2 | 3 => {
                    let freed = memory.release(&stored[0], &id).expect("the id is valid").cast_signed();
                    exchange.call_all(&release, &stored, now, &[id], vec![freed], format!("release {context}"));
                }
                _ => {
                    let decision = memory.hold(&stored[0], &id, concurrency).expect("it answers");
                    arguments.push(id);
                    exchange.call_all(&hold, &stored, now, &arguments, words(&decision), context);
                    last = Some(decision);
                }
            }
        }
    }
    exchange.compare();
}
