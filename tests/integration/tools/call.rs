//! A call of a limiter, and what it answers.

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

impl Limiter {
    /// As PREMIER.PEEK and PREMIER.ALL name it.
    pub(crate) fn algorithm(&self) -> &'static str {
        self.command.trim_start_matches("PREMIER.")
    }
}

/// The five fields.
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
        let Value::Array(fields) = &value else { return Err(format!("a limiter answers an array: {value:?}").into()) };
        let [
            Value::Int(limited @ 0..=1),
            Value::Int(limit),
            Value::Int(remaining),
            Value::Int(wait),
            Value::Int(reset),
        ] = fields[..]
        else {
            return Err(format!("a limiter answers five integers: {fields:?}").into());
        };
        Ok(Self { limited: limited == 1, limit, remaining, wait, reset })
    }
}

impl Reply {
    /// As it was expected, where `wait` and `reset` may be less by the time that has gone by since `started`.
    #[track_caller]
    pub(crate) fn assert(self, expected: [i64; 5], started: Instant) {
        // The server's clock is not the one of `started`: a tick of grace.
        let gone_by = i64::try_from(started.elapsed().as_millis()).expect("tests are short") + 1;
        let [limited, limit, remaining, wait, reset] = expected;
        assert_eq!(
            (i64::from(self.limited), self.limit, self.remaining),
            (limited, limit, remaining),
            "{self:?}, not {expected:?}"
        );
        for (field, expected_field) in [(self.wait, wait), (self.reset, reset)] {
            let earliest = if expected_field > 0 { (expected_field - gone_by).max(0) } else { expected_field };
            assert!((earliest..=expected_field).contains(&field), "{self:?}, not {expected:?} after {gone_by} ms");
        }
    }

    /// What holds for every reply, whatever the key held before.
    #[track_caller]
    pub(crate) fn assert_sane(self) {
        let Self { limited, limit, remaining, wait, reset } = self;
        assert!((0..=limit).contains(&remaining) && reset >= 0, "{self:?}");
        assert!(if limited { wait == -1 || wait > 0 } else { wait >= 0 }, "{self:?}");
    }

    pub(crate) fn wait(self) -> Duration {
        Duration::from_millis(u64::try_from(self.wait).expect("it is not told to never come back"))
    }
}

/// A command as it is typed, its words apart by single spaces.
pub(crate) fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().expect("a split text has a first part"));
    command.arg(words.collect::<Vec<_>>());
    command
}

/// Runs a command as it is typed.
#[track_caller]
pub(crate) fn run<T: FromRedisValue>(connection: &mut dyn ConnectionLike, line: &str) -> T {
    command(line).query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Calls a limiter.
#[track_caller]
pub(crate) fn call(connection: &mut dyn ConnectionLike, line: &str) -> Reply {
    run(connection, line)
}

/// What each command of a pipeline is answered, or refused with.
pub(crate) fn send<T: FromRedisValue>(connection: &mut Connection, lines: &[String]) -> Vec<RedisResult<T>> {
    let mut pipeline = redis::pipe();
    for line in lines {
        pipeline.add_command(command(line));
    }
    pipeline.ignore_errors().query(connection).expect("a pipeline is answered")
}

/// The line of the error that the server answers to this command.
#[track_caller]
pub(crate) fn error(connection: &mut dyn ConnectionLike, command: &Cmd) -> String {
    let answer: RedisResult<Value> = command.query(connection);
    let error = match answer {
        Ok(value) => panic!("no error but {value:?}: {}", command.get_packed_command().escape_ascii()),
        Err(error) => error,
    };
    let code = error.code().unwrap_or_else(|| panic!("no answer of the server's: {error}"));
    format!("{code} {}", error.detail().unwrap_or_default())
}
