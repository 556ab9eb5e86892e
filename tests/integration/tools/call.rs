//! Calling limiters and reading their replies.

use std::time::{Duration, Instant};

use redis::{Cmd, Connection, ConnectionLike, FromRedisValue, ParsingError, RedisResult, Value};

pub(crate) struct Limiter {
    pub(crate) command: &'static str,
    pub(crate) data_type: &'static str,
    /// Whether it takes CAPACITY and MAXWAIT.
    pub(crate) has_bucket: bool,
}

pub(crate) const LIMITERS: [Limiter; 4] = [
    Limiter { command: "PREMIER.FIXED", data_type: "premfixed", has_bucket: false },
    Limiter { command: "PREMIER.SLIDING", data_type: "premslide", has_bucket: false },
    Limiter { command: "PREMIER.TOKEN", data_type: "premtoken", has_bucket: true },
    Limiter { command: "PREMIER.LEAKY", data_type: "premleaky", has_bucket: true },
];

/// The limiter of concurrency. It is not among the others, as its calls name a holder.
pub(crate) const HOLD: Limiter = Limiter { command: "PREMIER.HOLD", data_type: "premholds", has_bucket: false };

impl Limiter {
    /// Returns the algorithm as PREMIER.PEEK and PREMIER.ALL take it.
    pub(crate) fn algorithm(&self) -> &'static str {
        self.command.trim_start_matches("PREMIER.")
    }
}

/// How long a key stays after it is fully reset, in milliseconds.
pub(crate) const LINGER: i64 = 1_000;

/// The five fields of a limiter's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) limited: bool,
    pub(crate) limit: i64,
    pub(crate) remaining: i64,
    pub(crate) wait: i64,
    pub(crate) reset: i64,
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let Value::Array(fields) = &value else {
            return Err(format!("a limiter must reply with an array, not {value:?}").into());
        };
        let [
            Value::Int(limited @ 0..=1),
            Value::Int(limit),
            Value::Int(remaining),
            Value::Int(wait),
            Value::Int(reset),
        ] = fields[..]
        else {
            return Err(format!("a limiter must reply with five integers, not {fields:?}").into());
        };
        Ok(Self { limited: limited == 1, limit, remaining, wait, reset })
    }
}

impl Reply {
    /// Asserts that the reply is the expected one. `wait` and `reset` may be shorter by the time
    /// since `started`.
    #[track_caller]
    pub(crate) fn assert(self, expected: [i64; 5], started: Instant) {
        // The server reads another clock than `started`: allow for one tick.
        let elapsed = i64::try_from(started.elapsed().as_millis()).expect("tests are short") + 1;
        let [limited, limit, remaining, wait, reset] = expected;
        assert_eq!(
            (i64::from(self.limited), self.limit, self.remaining),
            (limited, limit, remaining),
            "{self:?}, expected {expected:?}"
        );
        for (field, expected_field) in [(self.wait, wait), (self.reset, reset)] {
            let earliest = if expected_field > 0 { (expected_field - elapsed).max(0) } else { expected_field };
            assert!((earliest..=expected_field).contains(&field), "{self:?}, expected {expected:?} less {elapsed} ms");
        }
    }

    /// Asserts what holds for every reply, whatever the key held before.
    #[track_caller]
    pub(crate) fn assert_sane(self) {
        let Self { limited, limit, remaining, wait, reset } = self;
        assert!((0..=limit).contains(&remaining) && reset >= 0, "{self:?}");
        assert!(if limited { wait == -1 || wait > 0 } else { wait >= 0 }, "{self:?}");
    }

    pub(crate) fn wait(self) -> Duration {
        Duration::from_millis(u64::try_from(self.wait).expect("a wait is not -1, which means never"))
    }
}

/// Returns the command in a line whose words are separated by single spaces.
pub(crate) fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().expect("a line has a first word"));
    command.arg(words.collect::<Vec<_>>());
    command
}

/// Runs the command in a line.
#[track_caller]
pub(crate) fn run<T: FromRedisValue>(connection: &mut dyn ConnectionLike, line: &str) -> T {
    command(line).query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Runs the call in a line and returns the reply of the limiter.
#[track_caller]
pub(crate) fn call(connection: &mut dyn ConnectionLike, line: &str) -> Reply {
    run(connection, line)
}

/// Sends commands in a pipeline and returns the reply or the error of each.
pub(crate) fn send<T: FromRedisValue>(connection: &mut Connection, lines: &[String]) -> Vec<RedisResult<T>> {
    let mut pipeline = redis::pipe();
    for line in lines {
        pipeline.add_command(command(line));
    }
    pipeline.ignore_errors().query(connection).expect("the server answers a pipeline")
}

/// Returns the line of the server's error for this command.
#[track_caller]
pub(crate) fn error(connection: &mut dyn ConnectionLike, command: &Cmd) -> String {
    let answer: RedisResult<Value> = command.query(connection);
    let error = match answer {
        Ok(value) => panic!("expected an error, not {value:?}: {}", command.get_packed_command().escape_ascii()),
        Err(error) => error,
    };
    let code = error.code().unwrap_or_else(|| panic!("the server did not reply: {error}"));
    format!("{code} {}", error.detail().unwrap_or_default())
}
