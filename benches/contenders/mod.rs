//! The commands that premier is compared with. A contender makes the words of a command for a key
//! and a limit.
//!
//! INCR and SET … PX are the least that a command which writes can cost. The Lua scripts are those
//! of the client, for servers that cannot load the module; the Lua counter is the least that a
//! script can do. redis-cell takes part if `REDIS_CELL_SO` names a build of it
//! (`scripts/redis-cell`).

use std::env;
use std::path::absolute;

use premier_test_server::{Builder, Server};
use redis::{Connection, Script};

/// A quota of units in a number of seconds. Each call takes one unit.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// How many units are admitted.
    pub quota: u64,
    /// In how many seconds.
    pub seconds: u64,
}

/// A command to measure.
#[derive(Debug)]
pub struct Contender {
    /// What reports call it.
    pub name: &'static str,
    call: Call,
}

#[derive(Debug)]
enum Call {
    /// A command that limits nothing: its name, and its arguments behind the key.
    Plain(&'static str, &'static [&'static str]),
    Premier,
    /// A script that takes durations in microseconds.
    Lua(Script),
    LuaCounter(Script),
    RedisCell,
}

/// Returns all contenders. INCR comes first, as the others are compared with it.
#[must_use]
pub fn contenders() -> Vec<Contender> {
    let premier = |name| Contender { name, call: Call::Premier };
    let lua = |name, script| Contender { name, call: Call::Lua(Script::new(premier_client::__script(script))) };
    let mut contenders = vec![
        Contender { name: "INCR", call: Call::Plain("INCR", &[]) },
        Contender { name: "SET PX", call: Call::Plain("SET", &["1", "PX", "86400000"]) },
        premier("PREMIER.FIXED"),
        premier("PREMIER.SLIDING"),
        premier("PREMIER.TOKEN"),
        premier("PREMIER.LEAKY"),
        lua("Lua FIXED", "Fixed"),
        lua("Lua SLIDING", "Sliding"),
        lua("Lua TOKEN", "Token"),
        lua("Lua LEAKY", "Leaky"),
        Contender { name: "Lua counter", call: Call::LuaCounter(Script::new(include_str!("counter.lua"))) },
    ];
    if redis_cell().is_some() {
        contenders.push(Contender { name: "redis-cell", call: Call::RedisCell });
    }
    contenders
}

/// Returns a builder for a server that has the commands of all contenders.
#[must_use]
pub fn server() -> Builder {
    let server = Server::builder();
    match redis_cell() {
        Some(module) => server.config("loadmodule", &module),
        None => server,
    }
}

fn redis_cell() -> Option<String> {
    let path = env::var("REDIS_CELL_SO").ok().filter(|path| !path.is_empty())?;
    Some(absolute(path).expect("REDIS_CELL_SO is a path").display().to_string())
}

impl Contender {
    /// Prepares a server for the calls: loads a script, and checks that exactly three calls of a
    /// quota of 3 are admitted.
    ///
    /// # Panics
    ///
    /// If it limits otherwise.
    pub fn prepare(&self, connection: &mut Connection) {
        if let Call::Lua(script) | Call::LuaCounter(script) = &self.call {
            script.load(connection).expect("the script compiles");
        }
        if let Call::Plain(..) = self.call {
            return;
        }
        let key = "contender:prepare";
        let limited = [(); 5].map(|()| {
            let words = self.words(key, Limit { quota: 3, seconds: 3_600 });
            let reply: [i64; 5] = redis::cmd(&words[0])
                .arg(&words[1..])
                .query(connection)
                .unwrap_or_else(|error| panic!("{}: {error}", self.name));
            reply[0]
        });
        assert_eq!(limited, [0, 0, 0, 1, 1], "{} of a quota of 3", self.name);
        redis::cmd("DEL").arg(key).exec(connection).expect("DEL");
    }

    /// Returns the name of the command and its arguments.
    #[must_use]
    pub fn words(&self, key: &str, limit: Limit) -> Vec<String> {
        let (quota, seconds) = (limit.quota.to_string(), limit.seconds.to_string());
        // A number without a unit is at most a year.
        let duration = format!("{seconds}s");
        let micros = (limit.seconds * 1_000_000).to_string();
        let max_burst = limit.quota.saturating_sub(1).to_string();
        let words: &[&str] = match &self.call {
            Call::Plain(name, arguments) => &[&[name, key], *arguments].concat(),
            Call::Premier => &[self.name, key, &quota, &duration],
            Call::Lua(script) => &["EVALSHA", script.get_hash(), "1", key, &quota, &micros],
            Call::LuaCounter(script) => &["EVALSHA", script.get_hash(), "1", key, &quota, &seconds],
            Call::RedisCell => &["CL.THROTTLE", key, &max_burst, &quota, &seconds],
        };
        words.iter().map(ToString::to_string).collect()
    }
}
