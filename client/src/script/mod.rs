//! Limits with Lua scripts, for servers that cannot load the module.
//!
//! A script decides as the module's command does, and its reply has the same fields. Its text is
//! made of the files beside this one: a clock, what all scripts share, the algorithms that it
//! needs, and the call. The keys of scripts are strings and sorted sets, so the module and scripts
//! refuse each other's keys.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use premier_algorithms::{AT_MOST, Demand, FORCE, Period, Units};
use redis::{Arg, Cmd, Script};

use crate::connection::Call;
use crate::limit::Window;
use crate::{Algorithm, AnyLimit, Concurrency};

/// The clock by which a script decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ScriptClock {
    /// The clock of the server, by `TIME`, as in the module.
    #[default]
    Server,
    /// The clock of the caller, for services that refuse `TIME` in scripts.
    ///
    /// A key follows the caller whose clock is furthest ahead. In any span, callers are admitted at
    /// most what the limit admits in a span that is longer by the difference of their clocks, and a
    /// lease may end earlier by the same difference. A caller whose clock is behind may have to
    /// wait longer than its decision says, by the difference.
    Caller,
}

/// A script: its text, and the hash by which a server knows it.
pub(crate) struct Text {
    text: &'static str,
    hash: String,
}

impl Text {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }

    /// Returns a call with the text in it, for a server that does not know the hash.
    pub(crate) fn call_by_text(&self, by_hash: &Cmd) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.text);
        for argument in by_hash.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        command
    }
}

/// A decision: how many units fit, how many of them the call takes, and whether it is admitted.
macro_rules! decision {
    ($room:literal, $decision:literal) => {
        concat!(include_str!($room), include_str!("at_most.lua"), include_str!($decision))
    };
}

/// The decision of FIXED.
macro_rules! fixed {
    () => {
        concat!(include_str!("calendar.lua"), decision!("fixed_room.lua", "fixed.lua"))
    };
}

/// The decision of SLIDING.
macro_rules! sliding {
    () => {
        decision!("sliding_room.lua", "sliding.lua")
    };
}

/// The decision of TOKEN.
macro_rules! token {
    () => {
        concat!("local tag = '\\255T0'\n", include_str!("level.lua"), decision!("token_room.lua", "token.lua"))
    };
}

/// The decision of LEAKY.
macro_rules! leaky {
    () => {
        concat!("local tag = '\\255L0'\n", include_str!("level.lua"), decision!("leaky_room.lua", "leaky.lua"))
    };
}

/// Makes a decision a function, for a call of several keys.
macro_rules! function {
    ($name:literal, $decision:expr) => {
        concat!(
            "local function ",
            $name,
            "(key, quota, duration, cost, keep, mode, sixth, seventh)\n",
            "local limited, limit, remaining, wait, reset, granted, state\n",
            $decision,
            "return limited, limit, remaining, wait, reset, granted, state\nend\n\n",
        )
    };
}

/// Defines the scripts: each with the parts of its text that come behind the clock.
macro_rules! scripts {
    ($($name:ident: $($part:expr),+;)+) => {
        #[derive(Debug, Clone, Copy)]
        enum Name {
            $($name,)+
        }

        impl Name {
            const ALL: &[Self] = &[$(Self::$name),+];

            fn text(self, clock: ScriptClock) -> &'static Text {
                match (self, clock) {
                    $(
                        (Self::$name, ScriptClock::Server) => text!("server_clock.lua", $($part),+),
                        (Self::$name, ScriptClock::Caller) => text!("caller_clock.lua", $($part),+),
                    )+
                }
            }
        }
    };
}

macro_rules! text {
    ($clock:literal, $($part:expr),+) => {{
        static TEXT: LazyLock<Text> =
            LazyLock::new(|| Text::new(concat!(include_str!($clock), include_str!("terms.lua"), $($part),+)));
        &TEXT
    }};
}

scripts! {
    Fixed: include_str!("single.lua"), fixed!(), include_str!("single_reply.lua");
    Sliding: include_str!("single.lua"), sliding!(), include_str!("single_reply.lua");
    Token: include_str!("bucket.lua"), include_str!("single.lua"), token!(), include_str!("single_reply.lua");
    Leaky: include_str!("bucket.lua"), include_str!("single.lua"), leaky!(), include_str!("single_reply.lua");
    Hold: include_str!("hold.lua"), include_str!("hold_single.lua");
    Release: include_str!("hold.lua"), include_str!("release.lua");
    Refund: include_str!("bucket.lua"), include_str!("known.lua"), include_str!("refund.lua");
    Inspect: include_str!("bucket.lua"), include_str!("known.lua"), include_str!("hold.lua"), include_str!("inspect.lua");
    All: include_str!("bucket.lua"), function!("fixed", fixed!()), function!("sliding", sliding!()),
        function!("token", token!()), function!("leaky", leaky!()), include_str!("hold.lua"), include_str!("joint.lua");
}

impl Name {
    const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::FixedWindow => Self::Fixed,
            Algorithm::SlidingWindow => Self::Sliding,
            Algorithm::TokenBucket => Self::Token,
            Algorithm::LeakyBucket => Self::Leaky,
        }
    }

    /// Begins a call, to which its arguments are then added.
    fn call<'a>(
        self,
        clock: ScriptClock,
        keys: impl IntoIterator<Item = &'a str, IntoIter: ExactSizeIterator>,
    ) -> Call {
        let text = self.text(clock);
        let keys = keys.into_iter();
        let mut command = redis::cmd("EVALSHA");
        command.arg(&text.hash).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        if clock == ScriptClock::Caller {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            command.arg(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        }
        Call::of_script(command, text)
    }

    fn call_one(self, clock: ScriptClock, key: &str) -> Call {
        self.call(clock, [key])
    }
}

/// Returns the script of this name, for tests and benchmarks.
///
/// # Panics
/// If there is none.
#[doc(hidden)]
#[must_use]
pub fn __script(name: &str) -> &'static str {
    let name = Name::ALL.iter().find(|known| format!("{known:?}") == name);
    name.expect("there is a script of this name").text(ScriptClock::Server).text
}

/// Decides a call, and charges it if it is admitted.
pub(crate) fn check(clock: ScriptClock, key: &str, limit: &AnyLimit) -> Call {
    let words = Words::of(limit);
    let mut call = Name::of(limit.algorithm()).call_one(clock, key);
    words.write_first(words.said(), &mut call);
    call
}

/// Decides a call without charging it.
pub(crate) fn peek(clock: ScriptClock, key: &str, limit: &AnyLimit) -> Call {
    let mut call = Name::of(limit.algorithm()).call_one(clock, key);
    Words::of(limit).write_first(Words::COUNT, &mut call);
    call.arg("PEEK");
    call
}

/// Decides a call by several limits, and charges it to all of them or to none.
pub(crate) fn all(clock: ScriptClock, limits: &[(String, AnyLimit)]) -> Call {
    let mut call = Name::All.call(clock, limits.iter().map(|(key, _)| key.as_str()));
    for (_, limit) in limits {
        write_limit(limit, &mut call);
    }
    call
}

/// Holds units, or renews the lease of their holder.
pub(crate) fn hold(clock: ScriptClock, key: &str, id: &[u8], concurrency: &Concurrency) -> Call {
    let mut call = Name::Hold.call_one(clock, key);
    write_bounds(concurrency, &mut call);
    call.arg(id);
    call
}

/// Decides the call of a new holder, which then holds nothing.
pub(crate) fn peek_hold(clock: ScriptClock, key: &str, concurrency: &Concurrency) -> Call {
    hold(clock, key, b"", concurrency)
}

/// Frees what a holder holds.
pub(crate) fn release(clock: ScriptClock, key: &str, id: &[u8]) -> Call {
    let mut call = Name::Release.call_one(clock, key);
    call.arg(id);
    call
}

/// Holds units of several keys and charges rate limits, all of them or none.
pub(crate) fn hold_all(
    clock: ScriptClock,
    id: &[u8],
    holds: &[(String, Concurrency)],
    limits: &[(String, AnyLimit)],
) -> Call {
    let keys: Vec<_> = holds.iter().map(|(key, _)| key).chain(limits.iter().map(|(key, _)| key)).collect();
    let mut call = Name::All.call(clock, keys.into_iter().map(String::as_str));
    for (_, concurrency) in holds {
        call.arg("H");
        write_bounds(concurrency, &mut call);
        call.arg(EXACTLY);
        call.arg(id);
        call.arg("");
    }
    for (_, limit) in limits {
        write_limit(limit, &mut call);
    }
    call
}

/// Gives used units back.
pub(crate) fn refund(clock: ScriptClock, key: &str, units: Units) -> Call {
    let mut call = Name::Refund.call_one(clock, key);
    call.arg(units.get());
    call
}

/// Reports what is known of a key.
pub(crate) fn inspect(clock: ScriptClock, key: &str) -> Call {
    Name::Inspect.call_one(clock, key)
}

/// Writes a limit for a call of several.
fn write_limit(limit: &AnyLimit, call: &mut Call) {
    call.arg(&limit.algorithm().word()[..1]);
    Words::of(limit).write_first(Words::COUNT, call);
}

/// Writes the quota, the lease, the cost and the reserve.
fn write_bounds(concurrency: &Concurrency, call: &mut Call) {
    call.arg(concurrency.quota());
    call.arg(concurrency.lease.get().as_micros());
    call.arg(concurrency.units());
    call.arg(concurrency.reserve());
}

/// The mode of a call that takes all of its cost or nothing.
const EXACTLY: &str = "EXACTLY";

/// The words of a limit, in the order in which scripts take them.
struct Words {
    quota: u64,
    /// In microseconds, or in months.
    duration: u64,
    cost: u64,
    keep: u64,
    mode: &'static str,
    /// The period of a window, or the capacity of a bucket.
    sixth: u64,
    /// The offset of a window, or the longest wait of a caller of a bucket (−1 if none is set), in
    /// µs.
    seventh: i64,
    /// The sixth and the seventh word if they are left out.
    unsaid: (u64, i64),
}

impl Words {
    const COUNT: usize = 7;

    fn of(limit: &AnyLimit) -> Self {
        let terms = limit.terms();
        let quota = terms.quota();
        let mode = match terms.demand {
            Demand::Exactly(..) => EXACTLY,
            Demand::AtMost(..) => AT_MOST.name,
            Demand::Forced(_) => FORCE.name,
        };
        let (duration, period, offset) = match terms.window {
            Window::FromFirstCall(duration) => (duration.get().as_micros(), 0, 0),
            Window::Aligned { period, zone } => {
                let (duration, period) = match period {
                    Period::Time(duration) => (duration.get().as_micros(), 1),
                    Period::Weeks(weeks) => (weeks.time().get().as_micros(), 2),
                    Period::Months(months) => (months.get(), 3),
                };
                (duration, period, i64::from(zone.now().get()) * MICROS_PER_MINUTE)
            }
        };
        let (sixth, seventh, unsaid) = if limit.algorithm().is_bucket() {
            let max_wait = terms.max_wait.map_or(-1, |wait| wait.get().as_micros().cast_signed());
            (terms.capacity().unwrap_or(quota), max_wait, (quota, -1))
        } else {
            (period, offset, (0, 0))
        };
        Self { quota, duration, cost: terms.cost(), keep: terms.keep(), mode, sixth, seventh, unsaid }
    }

    /// Returns how many of the words have to be sent. Those at the end may be left out.
    fn said(&self) -> usize {
        let are_said = [
            true,
            true,
            self.cost != 1,
            self.keep != 0,
            self.mode != EXACTLY,
            self.sixth != self.unsaid.0,
            self.seventh != self.unsaid.1,
        ];
        are_said.iter().rposition(|is_said| *is_said).map_or(0, |last| last + 1)
    }

    fn write_first(&self, count: usize, call: &mut Call) {
        let Self { quota, duration, cost, keep, mode, sixth, seventh, .. } = self;
        let [quota, duration, cost, keep, sixth] = [quota, duration, cost, keep, sixth].map(u64::to_string);
        let words: [String; Self::COUNT] =
            [quota, duration, cost, keep, (*mode).to_owned(), sixth, seventh.to_string()];
        for word in &words[..count] {
            call.arg(word);
        }
    }
}

const MICROS_PER_MINUTE: i64 = 60_000_000;
