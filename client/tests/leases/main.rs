//! Eight processes lease the units of one key, and one of them dies every now and then by
//! `kill -9`. By their own records, a sliding window, a token bucket and a fixed window never admit
//! more than the limit, and hardly less. `make leases` runs this.
//!
//! A process makes calls as fast as it can, and counts those that are admitted in each fraction of
//! a millisecond. It writes each count to a file of its own before it goes on, with a moment before
//! the first of these calls and one after the last. Units count as admitted within a span of time
//! only if both moments are in it, so what is reported as too much is too much.
//!
//! Limits are a third of what this machine decides, so each of them is used up all the time.

use std::env;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use premier_client::{AnyLimit, Backend, Lease, Limit, Throttler, key};
use premier_test_server::Server;

const PROCESSES: usize = 8;

/// How many calls are admitted in all, by the three algorithms together.
const CALLS: u64 = 100_000_000;

/// How many durations an algorithm is tried for, at least.
const DURATIONS: u64 = 6;

/// The duration of the limits, in microseconds.
const DURATION: u64 = 5_000_000;

const LEASE: Lease = Lease::of(5_000).held_for(Duration::from_millis(60));

/// How long calls are counted together, in microseconds.
const COUNTED_FOR: u64 = 200;

/// How long a process lives before it is killed, at least and at most, in milliseconds.
const PAUSE: (u64, u64) = (200, 900);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sliding,
    Token,
    Fixed,
}

impl Kind {
    const ALL: [(&'static str, Self); 3] = [("sliding", Self::Sliding), ("token", Self::Token), ("fixed", Self::Fixed)];

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|(of_kind, _)| *of_kind == name).expect("an algorithm").1
    }

    fn limit(self, quota: u64) -> AnyLimit {
        let duration = Duration::from_micros(DURATION);
        match self {
            Self::Sliding => Limit::sliding_window(quota, duration).into(),
            Self::Token => Limit::token_bucket(quota, duration).capacity(capacity(quota)).into(),
            Self::Fixed => Limit::fixed_window(quota, duration).aligned().into(),
        }
    }
}

/// What refills in a tenth of the duration.
fn capacity(quota: u64) -> u64 {
    quota / 10
}

/// Units that were admitted between two moments, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
struct Record {
    from: u64,
    to: u64,
    units: u64,
}

impl Record {
    const LEN: usize = 24;

    fn encode(self) -> Vec<u8> {
        [self.from, self.to, self.units].into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |index: usize| {
            let bytes = &bytes[index * 8..][..8];
            u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
        };
        Self { from: number(0), to: number(1), units: number(2) }
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match &arguments[1..] {
        [port, kind, quota, records] => {
            work(port, Kind::named(kind), quota.parse().expect("a number"), Path::new(records));
        }
        _ => watch(),
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(now.as_micros()).expect("it is earlier than 2540")
}

/// What a process does until it is killed.
fn work(port: &str, kind: Kind, quota: u64, records: &Path) {
    let backend = Backend::redis(format!("redis://127.0.0.1:{port}/")).expect("an address");
    let throttler = Throttler::builder(backend).leases(LEASE).remember_denials(Duration::from_millis(100)).build();
    let (key, limit) = (key!("shared", format!("{kind:?}")), kind.limit(quota));
    let mut file = File::create(records).expect("a file of its own");
    let mut record = Record { from: now(), to: 0, units: 0 };
    loop {
        // On a loaded machine the store may not answer in time.
        let is_admitted = throttler.check(&key, limit).is_ok_and(|decision| decision.is_admitted());
        let at = now();
        (record.to, record.units) = (at, record.units + u64::from(is_admitted));
        if at - record.from >= COUNTED_FOR || !is_admitted {
            if record.units > 0 {
                file.write_all(&record.encode()).expect("records can be written");
            }
            if !is_admitted {
                sleep(Duration::from_millis(1));
            }
            record = Record { from: now(), to: 0, units: 0 };
        }
    }
}

/// A process, and where it writes its records.
struct Process {
    child: Child,
    records: PathBuf,
}

impl Process {
    fn start(server: &Server, kind: &str, quota: u64, number: usize) -> Self {
        let records = server.dir().join(format!("records-{kind}-{number}"));
        let program = env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(server.port().to_string()).arg(kind).arg(quota.to_string()).arg(&records);
        Self { child: command.spawn().expect("this program starts"), records }
    }

    /// Returns how many units it has admitted by now.
    fn admitted(&self) -> u64 {
        self.read().iter().map(|record| record.units).sum()
    }

    fn read(&self) -> Vec<Record> {
        let bytes = fs::read(&self.records).unwrap_or_default();
        // The last record may have been cut.
        bytes.chunks_exact(Record::LEN).map(Record::decode).collect()
    }

    fn kill(mut self) -> Vec<Record> {
        self.child.kill().and_then(|()| self.child.wait()).expect("it is our own");
        self.read()
    }
}

impl Drop for Process {
    /// No process outlives a check that fails.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Draws numbers that differ from run to run.
#[derive(Default)]
struct Random(RandomState, u64);

impl Random {
    fn within(&mut self, (least, most): (u64, u64)) -> u64 {
        self.1 += 1;
        least + self.0.hash_one(self.1) % (most - least)
    }
}

fn watch() {
    let calls = env::var("PREMIER_CALLS").map_or(CALLS, |calls| calls.parse().expect("a number")) / 3;
    let server = Server::start();
    let mut random = Random::default();
    let quota = quota_of_this_machine(&server, &mut random);
    println!("{quota} units in {} s, {calls} calls admitted by each algorithm", DURATION / 1_000_000);
    let mut failed = Vec::new();
    for (name, kind) in Kind::ALL {
        let (records, deaths) = run(&server, name, quota, calls, DURATIONS, &mut random);
        let admitted: u64 = records.iter().map(|record| record.units).sum();
        let (most, allowed) = match kind {
            Kind::Sliding => (most_in_any_span(&records), u128::from(quota)),
            Kind::Token => (most_beyond_refill(&records, quota), u128::from(capacity(quota))),
            Kind::Fixed => (most_in_a_window(&records), u128::from(quota)),
        };
        let usage = usage(&records, quota);
        println!("{name}: {admitted} admitted, {deaths} deaths, at most {most} of {allowed}, {usage}% used");
        if most > allowed || usage < 95 {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "too much or too little was admitted: {failed:?}");
}

/// Returns a third of the units that are admitted in the duration if there are enough.
fn quota_of_this_machine(server: &Server, random: &mut Random) -> u64 {
    const UNLIMITED: u64 = 1_000_000_000_000;
    let started = now();
    let (records, _) = run(server, "token", UNLIMITED, 2_000_000, 0, random);
    let admitted: u64 = records.iter().map(|record| record.units).sum();
    redis::cmd("FLUSHALL").exec(&mut server.connection()).expect("FLUSHALL");
    admitted * DURATION / (now() - started) / 3
}

/// Runs processes until this many calls were admitted, and for at least this many durations.
/// Returns their records, and how many processes died.
fn run(
    server: &Server,
    name: &str,
    quota: u64,
    calls: u64,
    durations: u64,
    random: &mut Random,
) -> (Vec<Record>, usize) {
    let end = now() + durations * DURATION;
    let mut started = 0;
    let mut start = || {
        started += 1;
        Process::start(server, name, quota, started)
    };
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    let (mut records, mut deaths) = (Vec::new(), 0);
    while records.iter().map(|record: &Record| record.units).sum::<u64>()
        + processes.iter().map(Process::admitted).sum::<u64>()
        < calls
        || now() < end
    {
        sleep(Duration::from_millis(random.within(PAUSE)));
        let victim = usize::try_from(random.within((0, PROCESSES as u64))).expect("a small number");
        records.extend(std::mem::replace(&mut processes[victim], start()).kill());
        deaths += 1;
    }
    records.extend(processes.into_iter().flat_map(Process::kill));
    (records, deaths)
}

/// What happens at a moment: units are admitted from then on, or were until then.
fn changes(records: &[Record]) -> Vec<(u64, bool, u64)> {
    let begin_and_end = |record: &Record| [(record.from, false, record.units), (record.to, true, record.units)];
    let mut changes: Vec<_> = records.iter().flat_map(begin_and_end).collect();
    changes.sort_unstable();
    changes
}

/// Returns the most units that were surely admitted in a span of the duration.
fn most_in_any_span(records: &[Record]) -> u128 {
    let (mut begun, mut ended): (Vec<_>, Vec<_>) =
        records.iter().map(|record| ((record.from, record.units), (record.to, record.units))).unzip();
    begun.sort_unstable();
    ended.sort_unstable();
    let (mut before, mut within, mut end, mut most) = (0, 0, 0, 0_u128);
    for (from, units) in begun {
        while let Some((_, units)) = ended.get(end).filter(|(to, _)| *to < from + DURATION) {
            within += u128::from(*units);
            end += 1;
        }
        most = most.max(within - before);
        before += u128::from(units);
    }
    most
}

/// Returns the most units that were surely admitted between two moments beyond what refilled
/// between them.
fn most_beyond_refill(records: &[Record], quota: u64) -> u128 {
    // In parts of a unit, as many as the duration has microseconds.
    let parts = |units: u64, at: u64| i128::from(units) * i128::from(DURATION) - i128::from(quota) * i128::from(at);
    let (mut begun, mut ended, mut least, mut most) = (0, 0, i128::MAX, 0);
    for (at, is_end, units) in changes(records) {
        if is_end {
            ended += units;
            most = most.max(parts(ended, at) - least);
        } else {
            least = least.min(parts(begun, at));
            begun += units;
        }
    }
    u128::try_from(most).expect("nothing admits nothing").div_ceil(u128::from(DURATION))
}

/// Returns the most units that were surely admitted in a window of the calendar.
fn most_in_a_window(records: &[Record]) -> u128 {
    let mut windows = std::collections::BTreeMap::new();
    for Record { from, to, units } in records {
        if from / DURATION == to / DURATION {
            *windows.entry(from / DURATION).or_insert(0) += u128::from(*units);
        }
    }
    windows.into_values().max().unwrap_or(0)
}

/// Returns the percentage of the quota that was admitted, in whole windows between the first and
/// the last.
fn usage(records: &[Record], quota: u64) -> u64 {
    let first = records.iter().map(|record| record.from).min().unwrap_or(0) / DURATION + 2;
    let last = records.iter().map(|record| record.to).max().unwrap_or(0) / DURATION;
    let is_within = |record: &&Record| (first..last).contains(&(record.from / DURATION));
    let admitted: u64 = records.iter().filter(is_within).map(|record| record.units).sum();
    admitted * 100 / (quota * last.saturating_sub(first).max(1))
}
