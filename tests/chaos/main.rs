//! Eight processes share 50 places for a minute, and one of them dies every now and then by
//! `kill -9`. By their own records, no more than 50 places are ever in use at once, and no place of
//! a dead process is held for longer than its lease. `make chaos` runs this.
//!
//! A worker takes a place, works for a while, renews its lease as it works, and releases the place.
//! It writes each of these steps to a file of its own before it takes the next one. A place is in
//! use from the reply that grants it until the worker begins to release it, its lease has ended
//! since it was asked for, or the worker is killed. Each process has more workers than its share of
//! the places, so somebody always waits.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use premier_test_server::Server;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redis::Connection;

const PROCESSES: usize = 8;
const WORKERS_OF_A_PROCESS: usize = 12;
const QUOTA: usize = 50;
const LEASE: Duration = Duration::from_secs(1);
const LENGTH: Duration = Duration::from_secs(60);

/// How long a process lives before it is killed, at random.
const PAUSE_MILLIS: std::ops::Range<u64> = 50..900;

/// How late a check may come.
const TICK: Duration = Duration::from_millis(20);

const KEY: &str = "places";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match &arguments[1..] {
        [port, records, seed] => work(port, Path::new(records), seed.parse().expect("a number")),
        _ => watch(),
    }
}

fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(now.as_micros()).expect("it is earlier than 2540")
}

/// What a process does until it is killed.
fn work(port: &str, records: &Path, seed: u64) {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address");
    thread::scope(|scope| {
        for worker in 0..WORKERS_OF_A_PROCESS {
            let mut connection = client.get_connection().expect("the server accepts connections");
            let mut records = File::create(records.with_extension(worker.to_string())).expect("a file of its own");
            let mut random = SmallRng::seed_from_u64(seed ^ (worker as u64) << 32);
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("{seed:x}:{worker}:{number}");
                    use_a_place(&mut connection, &mut records, &mut random, &id);
                }
            });
        }
    });
}

/// Takes a place as soon as there is one, uses it, and gives it back, unless it is late.
fn use_a_place(connection: &mut Connection, records: &mut File, random: &mut SmallRng, id: &str) {
    let mut record = |what: &str, until: u64| {
        writeln!(records, "{what} {id} {} {until}", now_micros()).expect("records can be written");
    };
    let mut deadline = loop {
        match hold(connection, id) {
            Ok(deadline) => break deadline,
            // It waits no longer than a few turns: a release comes sooner than the end of a lease.
            Err(wait) => sleep(wait.min(Duration::from_millis(random.random_range(1..10)))),
        }
    };
    record("hold", deadline);
    for _ in 0..random.random_range(0..6) {
        sleep(Duration::from_millis(random.random_range(0..150)));
        if now_micros() >= deadline {
            return;
        }
        match hold(connection, id) {
            Ok(later) => deadline = later,
            Err(_) => panic!("a renewal of the same units is limited: {id}"),
        }
        record("hold", deadline);
    }
    record("release", deadline);
    // A few workers forget it, and most do it twice.
    for _ in 0..random.random_range(0..50).min(2) {
        redis::cmd("PREMIER.RELEASE").arg(KEY).arg(id).exec(connection).expect("PREMIER.RELEASE");
    }
}

/// Takes a place or renews its lease. Returns until when it may be used, or how long to wait.
fn hold(connection: &mut Connection, id: &str) -> Result<u64, Duration> {
    // The lease begins when the server decides, which is later than this.
    let asked = now_micros();
    let lease = LEASE.as_millis();
    let mut command = redis::cmd("PREMIER.HOLD");
    command.arg(KEY).arg(QUOTA).arg(format!("{lease}ms")).arg("ID").arg(id);
    let [limited, _, _, wait, _]: [i64; 5] = command.query(connection).expect("PREMIER.HOLD");
    match limited {
        0 => Ok(asked + u64::try_from(LEASE.as_micros()).expect("it is short")),
        _ => Err(Duration::from_millis(wait.unsigned_abs())),
    }
}

/// A process, and where it writes its records.
struct Process {
    child: Child,
    records: PathBuf,
}

impl Process {
    fn start(server: &Server, seed: u64) -> Self {
        let records = server.dir().join(format!("records-{seed}"));
        let program = env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(server.port().to_string()).arg(&records).arg(seed.to_string());
        Self { child: command.spawn().expect("this program starts"), records }
    }

    /// Kills the process. Returns the places that it used, each with when it began and ended to.
    fn kill(mut self) -> Vec<Use> {
        self.child.kill().expect("it is our own");
        self.child.wait().expect("it is our own");
        let killed = now_micros();
        (0..WORKERS_OF_A_PROCESS).flat_map(|worker| uses(&self.records, worker, killed)).collect()
    }
}

impl Drop for Process {
    /// None outlives a check that fails.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The use of a place, in microseconds.
#[derive(Debug)]
struct Use {
    id: String,
    from: u64,
    to: u64,
    /// Whether the worker was killed before it released the place.
    is_cut: bool,
}

/// Reads the records of a worker that was killed at this time.
fn uses(records: &Path, worker: usize, killed: u64) -> Vec<Use> {
    let text = fs::read_to_string(records.with_extension(worker.to_string())).unwrap_or_default();
    let mut uses = BTreeMap::new();
    // The last line may have been cut.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, id, at, until] = words[..] else { panic!("four words: {line}") };
        let [at, until] = [at, until].map(|number| number.parse::<u64>().expect("a number"));
        let end = if what == "release" { at.min(until) } else { until.min(killed) };
        let id = id.to_owned();
        let entry = uses.entry(id.clone()).or_insert(Use { id, from: at, to: end, is_cut: true });
        (entry.to, entry.is_cut) = (end, what != "release");
    }
    uses.into_values().collect()
}

/// Starts and kills the processes, and checks their records.
fn watch() {
    let seed = env::var("PREMIER_SEED").map_or_else(|_| now_micros(), |seed| seed.parse().expect("a number"));
    println!("PREMIER_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let server = Server::start();
    let mut connection = server.connection();
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| Process::start(&server, random.random())).collect();
    let (mut uses, mut deaths, mut freed) = (Vec::new(), 0, 0);
    // The holders of dead processes, and when their leases must have ended.
    let mut dead: Vec<(Instant, Vec<String>)> = Vec::new();
    let started = Instant::now();
    let mut next_death = started + Duration::from_millis(500);
    while started.elapsed() < LENGTH || !dead.is_empty() {
        sleep(Duration::from_millis(1));
        if Instant::now() >= next_death && started.elapsed() < LENGTH {
            next_death = Instant::now() + Duration::from_millis(random.random_range(PAUSE_MILLIS));
            let new = Process::start(&server, random.random());
            let process = std::mem::replace(&mut processes[random.random_range(0..PROCESSES)], new);
            let of_process = process.kill();
            let cut = of_process.iter().filter(|used| used.is_cut).map(|used| used.id.clone()).collect();
            dead.push((Instant::now() + LEASE + TICK, cut));
            uses.extend(of_process);
            deaths += 1;
        }
        while let Some((_, ids)) = dead.first().filter(|(at, _)| Instant::now() >= *at) {
            let lost: Vec<&String> = ids.iter().filter(|id| holds(&mut connection, id)).collect();
            assert!(lost.is_empty(), "a lease ago their process died, and they hold their places: {lost:?}");
            freed += ids.len();
            dead.remove(0);
        }
    }
    uses.extend(processes.into_iter().flat_map(Process::kill));
    let most = most_at_once(&uses);
    let busy: u64 = uses.iter().map(|used| used.to - used.from).sum();
    let length = u64::try_from(started.elapsed().as_micros()).expect("it is short");
    println!("{deaths} deaths, {} places used, {freed} of them by processes that died meanwhile", uses.len());
    println!("at most {most} of {QUOTA} at once, {} on average", busy / length);
    assert!(deaths > 60 && uses.len() > 5_000 && freed > 100, "too little happened");
    assert!(most <= QUOTA, "{most} places were used at once");
    assert!(most > QUOTA * 9 / 10, "the quota was never used up");

    sleep(LEASE + TICK);
    let places: i64 = redis::cmd("EXISTS").arg(KEY).query(&mut connection).expect("EXISTS");
    assert_eq!(places, 0, "a lease after the last death, places are still held");
}

/// Returns whether a holder has a place.
fn holds(connection: &mut Connection, id: &str) -> bool {
    let mut look = redis::cmd("PREMIER.PEEK");
    look.arg(KEY).arg("HOLD").arg(1_000).arg("1s").arg("COST").arg(0);
    let mut look_beside = look.clone();
    look_beside.arg("ID").arg(id);
    let mut pair = redis::pipe();
    pair.atomic().add_command(look).add_command(look_beside);
    let [all, beside]: [[i64; 5]; 2] = pair.query(connection).expect("PREMIER.PEEK");
    all[2] != beside[2]
}

/// Returns how many places were in use at the same time, at most. One that ends as another begins
/// is not in use with it.
fn most_at_once(uses: &[Use]) -> usize {
    let mut changes: Vec<(u64, i64)> = uses.iter().flat_map(|used| [(used.from, 1), (used.to, -1)]).collect();
    changes.sort_unstable();
    let (mut now, mut most) = (0_i64, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).expect("it is not negative")
}
