//! The calls that are measured: every command in every case that takes another path or does more.
//!
//! Durations are so long that nothing expires and no whole unit is refilled meanwhile, as that
//! would depend on how fast valgrind runs. So SLIDING whose old entries expire is not measured. One
//! bucket is the exception: it is full again after 10 µs, always.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use premier_algorithms::{
    Algorithm, Clock, Cost, LimitDuration, Outcome, Quota, Sliding, SlidingLimit, Span, State, Timestamp,
};
use premier_benches::contenders::{Limit, contenders};
use redis::{Cmd, Connection};

use crate::callgrind::Listener;

/// A path of calls through the server.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) name: &'static str,
    pub(crate) is_of_premier: bool,
    /// What the warm keys are called with first. All of these calls are admitted.
    pub(crate) warm_up: Vec<Calls>,
    pub(crate) calls: Calls,
    pub(crate) keys: Keys,
    /// Whether the calls that are measured are all limited, or all admitted.
    pub(crate) limited: bool,
    /// The listeners with which the table has a figure.
    pub(crate) listeners: &'static [Listener],
    /// Those of them with which CI checks the figure.
    pub(crate) gate: &'static [Listener],
}

/// Which keys are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// This many keys, in turns.
    Warm(usize),
    /// A new key for each call.
    New,
}

/// Makes the command for a key and a round.
type MakeCommand = dyn Fn(&str, usize) -> Cmd + Send + Sync;

/// How a key is called in each round, and how many rounds of all warm keys there are.
#[derive(Clone)]
pub(crate) struct Calls {
    make: Arc<MakeCommand>,
    pub(crate) rounds: usize,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

impl Calls {
    pub(crate) fn command(&self, key: &str, round: usize) -> Cmd {
        (self.make)(key, round)
    }

    fn new(rounds: usize, make: impl Fn(&str, usize) -> Cmd + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), rounds }
    }

    /// A command as it is typed, with KEY for the key and ROUND for nine digits, which differ from
    /// round to round.
    fn line(line: &'static str, rounds: usize) -> Self {
        Self::new(rounds, move |key, round| {
            let round = format!("{round:09}");
            let mut words = line.split(' ').map(|word| word.replace("KEY", key).replace("ROUND", &round));
            let mut command = redis::cmd(&words.next().unwrap_or_default());
            command.arg(words.collect::<Vec<_>>());
            command
        })
    }
}

/// How many warm keys a path has, unless it says otherwise.
const MANY_KEYS: usize = 1_000;

const EVERYBODY: &[Listener] = &Listener::ALL;
const NOBODY: &[Listener] = &[Listener::Nobody];

fn path(name: &'static str, line: &'static str) -> Path {
    Path {
        name,
        is_of_premier: true,
        warm_up: Vec::new(),
        calls: Calls::line(line, 1),
        keys: Keys::Warm(MANY_KEYS),
        limited: false,
        listeners: NOBODY,
        gate: &[],
    }
}

impl Path {
    fn after(mut self, line: &'static str, rounds: usize) -> Self {
        self.warm_up.push(Calls::line(line, rounds));
        self
    }

    fn on_new_keys(self) -> Self {
        Self { keys: Keys::New, ..self }
    }

    fn on_keys(self, number: usize) -> Self {
        Self { keys: Keys::Warm(number), ..self }
    }

    fn limited(self) -> Self {
        Self { limited: true, ..self }
    }

    /// Measures the path with an AOF and with a replica too.
    fn heard(self) -> Self {
        Self { listeners: EVERYBODY, ..self }
    }

    fn gated(self, gate: &'static [Listener]) -> Self {
        Self { gate, ..self }
    }

    /// Prepares a server for the calls.
    pub(crate) fn prepare(&self, connection: &mut Connection) {
        if !self.is_of_premier {
            for contender in contenders() {
                contender.prepare(connection);
            }
        }
    }
}

/// The commands of premier, and those of Redis that do the least.
pub(crate) fn of_premier() -> Vec<Path> {
    let (fixed, sliding) = ("PREMIER.FIXED KEY 100 1d", "PREMIER.SLIDING KEY 60 1d");
    let (token, leaky) = ("PREMIER.TOKEN KEY 100 1d", "PREMIER.LEAKY KEY 100 1d");
    let (full_fixed, full_sliding) = ("PREMIER.FIXED KEY 1 1d", "PREMIER.SLIDING KEY 1 1d");
    let (full_token, full_leaky) = ("PREMIER.TOKEN KEY 1 1d", "PREMIER.LEAKY KEY 1 1d");
    let all = "PREMIER.ALL KEY FIXED 100 1d AND everybody FIXED 1000000 1d";
    let full_all = "PREMIER.ALL KEY FIXED 1 1d AND everybody FIXED 1000000 1d";
    let million = "PREMIER.SLIDING KEY 1000000 1d";
    let (hold, release) = ("PREMIER.HOLD KEY 1000000 1d ID holder:ROUND", "PREMIER.RELEASE KEY holder:ROUND");
    let (new_hold, full_hold) =
        ("PREMIER.HOLD KEY 1000000 1d ID new:123ROUND", "PREMIER.HOLD KEY 10 1d ID new:123ROUND");
    vec![
        path("INCR, new key", "INCR KEY").on_new_keys(),
        path("INCR", "INCR KEY").after("INCR KEY", 1).heard(),
        path("SET … PX, new key", "SET KEY 1 PX 86400000").on_new_keys(),
        path("SET … PX", "SET KEY 1 PX 86400000").after("SET KEY 1 PX 86400000", 1).heard(),
        path("FIXED, new key", fixed).on_new_keys().gated(NOBODY),
        path("FIXED admitted", fixed).after(fixed, 1).heard().gated(EVERYBODY),
        path("FIXED limited", full_fixed).after(full_fixed, 1).limited().heard().gated(NOBODY),
        path("TOKEN, new key", token).on_new_keys(),
        path("TOKEN admitted", token).after(token, 1).heard().gated(NOBODY),
        path("TOKEN limited", full_token).after(full_token, 1).limited().heard(),
        path("TOKEN, full again at each call", "PREMIER.TOKEN KEY 100000 1s")
            .after("PREMIER.TOKEN KEY 100000 1s", 1)
            .on_keys(100)
            .heard(),
        path("LEAKY, new key", leaky).on_new_keys(),
        path("LEAKY admitted", leaky).after(leaky, 1).heard().gated(NOBODY),
        path("LEAKY limited", full_leaky).after(full_leaky, 1).limited().heard(),
        path("SLIDING, new key", sliding).on_new_keys(),
        path("SLIDING admitted, 1 to 24 entries", sliding).after(sliding, 1).heard(),
        path("SLIDING admitted, 36 to 60 entries", sliding)
            .after(sliding, 36)
            .heard()
            .gated(&[Listener::Nobody, Listener::Replica]),
        full_log("SLIDING admitted, 960,000 calls in 64 entries", million, 15_000).heard(),
        path("SLIDING limited, 1 entry", full_sliding).after(full_sliding, 1).limited().heard(),
        path("SLIDING limited, 60 entries", sliding).after(sliding, 60).limited().gated(NOBODY),
        full_log("SLIDING limited, 1,000,000 calls in 64 entries", million, 15_625).limited(),
        path("HOLD, new id, 8 to 28 holders", new_hold)
            .after(hold, 4)
            .heard()
            .gated(&[Listener::Nobody, Listener::Replica]),
        path("HOLD, new id, 1,040 to 1,240 holders", new_hold).after(hold, 1_000).on_keys(100),
        path("HOLD, new id, 10,400 to 12,400 holders", new_hold).after(hold, 10_000).on_keys(10),
        path("HOLD renewed, 24 holders", hold).after(hold, 24).heard(),
        path("HOLD renewed, 1,000 holders", hold).after(hold, 1_000).on_keys(100),
        path("HOLD limited, 10 holders", full_hold).after(hold, 10).limited(),
        path("HOLD limited, 1,000 holders", "PREMIER.HOLD KEY 1000 1d ID new:123ROUND")
            .after(hold, 1_000)
            .on_keys(100)
            .limited(),
        path("RELEASE, 36 to 16 holders", release).after(hold, 40).heard().gated(NOBODY),
        path("RELEASE, 10,000 to 8,000 holders", release).after(hold, 10_400).on_keys(10),
        path("TOKEN with COST", "PREMIER.TOKEN KEY 100 1d COST 1").after(token, 1),
        path("TOKEN with KEEP", "PREMIER.TOKEN KEY 100 1d KEEP 1").after(token, 1),
        path("TOKEN with ATMOST", "PREMIER.TOKEN KEY 100 1d ATMOST").after(token, 1),
        path("TOKEN with COST and ATMOST", "PREMIER.TOKEN KEY 100 1d COST 1 ATMOST").after(token, 1),
        path("PEEK", "PREMIER.PEEK KEY FIXED 100 1d").after(fixed, 1),
        path("REFUND", "PREMIER.REFUND KEY 1").after("PREMIER.FIXED KEY 100 1d COST 100", 1).heard(),
        path("ALL of two, admitted", all).after(fixed, 1).heard().gated(NOBODY),
        path("ALL of two, limited", full_all).after(full_fixed, 1).limited(),
        path("TOP", "PREMIER.TOP 10"),
        path("CL.THROTTLE, new key", "CL.THROTTLE KEY 99 100 86400").on_new_keys(),
        path("CL.THROTTLE admitted", "CL.THROTTLE KEY 99 100 86400")
            .after("CL.THROTTLE KEY 99 100 86400", 1)
            .heard()
            .gated(NOBODY),
        path("CL.THROTTLE limited", "CL.THROTTLE KEY 0 1 86400").after("CL.THROTTLE KEY 0 1 86400", 1).limited(),
    ]
}

/// The Lua scripts and redis-cell.
pub(crate) fn of_others() -> Vec<Path> {
    let names = [
        ("Lua FIXED", "Lua FIXED admitted", "Lua FIXED limited"),
        ("Lua TOKEN", "Lua TOKEN admitted", "Lua TOKEN limited"),
        ("Lua LEAKY", "Lua LEAKY admitted", "Lua LEAKY limited"),
        ("Lua SLIDING", "Lua SLIDING admitted, 1 to 24 entries", "Lua SLIDING limited, 1 entry"),
        ("Lua counter", "Lua counter admitted", "Lua counter limited"),
        ("redis-cell", "redis-cell admitted", "redis-cell limited"),
    ];
    let contenders: Vec<_> = contenders().into_iter().map(Arc::new).collect();
    let mut paths = Vec::new();
    for (contender, admitted, limited) in names {
        let Some(contender) = contenders.iter().find(|known| known.name == contender) else { continue };
        let calls = |quota| {
            let contender = Arc::clone(contender);
            Calls::new(1, move |key, _| {
                let words = contender.words(key, Limit { quota, seconds: 24 * 60 * 60 });
                let mut command = redis::cmd(&words[0]);
                command.arg(&words[1..]);
                command
            })
        };
        let path = |name, quota| Path {
            is_of_premier: false,
            calls: calls(quota),
            warm_up: vec![calls(quota)],
            ..path(name, "")
        };
        paths.push(path(admitted, 100).heard());
        paths.push(path(limited, 1).limited());
    }
    paths
}

/// Calls of a window that admitted a number of calls in each of its 64 parts. Making them would
/// take a day, so its state is put there.
fn full_log(name: &'static str, line: &'static str, calls_a_part: u64) -> Path {
    const PARTS: u32 = 64;
    let length = Span::from_secs(24 * 60 * 60);
    let (mut log, mut clock) = (<Sliding as Algorithm>::State::default(), Clock::new());
    let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("this is no more 1970");
    for part in (1..=PARTS).rev() {
        // The oldest part expires in a quarter of an hour, the newest is some time ago.
        let age = Duration::from_micros(length.as_micros()) * part / (PARTS + 1);
        let at = u64::try_from(end.saturating_sub(age).as_micros()).expect("this is before 2540");
        let window = SlidingLimit {
            quota: Quota::new(1_000_000).expect("in bounds"),
            duration: LimitDuration::new(length).expect("in bounds"),
        };
        let now = clock.read(Timestamp::from_micros(at));
        let decision = Sliding::decide(&log, now, &window, Cost::new(calls_a_part).expect("in bounds"));
        let Outcome::Admitted { change, .. } = decision.outcome else { panic!("there is room") };
        log.apply(&change);
    }
    let mut effect = [&[0, b'S'], &(-1_i64).to_le_bytes()[..]].concat();
    log.encode(|bytes| effect.extend_from_slice(bytes));
    let put = Calls::new(1, move |key, _| {
        let mut command = redis::cmd("PREM");
        command.arg(key).arg(&effect);
        command
    });
    Path { warm_up: vec![put], ..path(name, line) }
}
