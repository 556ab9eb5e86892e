//! What premier is compared with: a contender makes the words of a command for a key and a limit.
//!
//! INCR and SET … PX are the least that a command which writes can cost. The Lua scripts are the same algorithms with the same
//! reply, as fast as we could make them. redis-cell takes part where `REDIS_CELL_SO` names a build of it (`scripts/redis-cell`).

use std::env;
use std::path::absolute;

use premier_test_server::{Builder, Server};
use redis::{Connection, Script};

/// So many units in so many seconds; each call takes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) quota: u64,
    pub(crate) seconds: u64,
}

/// How a key is called.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    call: Call,
}

#[derive(Debug)]
enum Call {
    /// A command that limits nothing: its name, and what it gets behind the key.
    Plain(&'static str, &'static [&'static str]),
    Premier,
    Lua(Script),
    RedisCell,
}

/// INCR first: the others are measured by it.
pub(crate) fn contenders() -> Vec<Contender> {
    let premier = |name| Contender { name, call: Call::Premier };
    let lua = |name, code| Contender { name, call: Call::Lua(Script::new(code)) };
    let mut contenders = vec![
        Contender { name: "INCR", call: Call::Plain("INCR", &[]) },
        Contender { name: "SET PX", call: Call::Plain("SET", &["1", "PX", "86400000"]) },
        premier("PREMIER.FIXED"),
        premier("PREMIER.SLIDING"),
        premier("PREMIER.TOKEN"),
        premier("PREMIER.LEAKY"),
        lua("Lua FIXED", include_str!("fixed.lua")),
        lua("Lua SLIDING", include_str!("sliding.lua")),
        lua("Lua TOKEN", include_str!("token.lua")),
        lua("Lua LEAKY", include_str!("leaky.lua")),
        lua("Lua counter", include_str!("counter.lua")),
    ];
    if redis_cell().is_some() {
        contenders.push(Contender { name: "redis-cell", call: Call::RedisCell });
    }
    contenders
}

/// A server for all of them.
pub(crate) fn server() -> Builder {
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
    /// To be called once on each server: loads what the calls need, and tries that of a quota of 3 the first three are admitted.
    pub(crate) fn prepare(&self, connection: &mut Connection) {
        if let Call::Lua(script) = &self.call {
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

    /// The command's name and arguments.
    pub(crate) fn words(&self, key: &str, limit: Limit) -> Vec<String> {
        let (quota, seconds) = (limit.quota.to_string(), limit.seconds.to_string());
        let max_burst = limit.quota.saturating_sub(1).to_string();
        let words: &[&str] = match &self.call {
            Call::Plain(name, arguments) => &[&[name, key], *arguments].concat(),
            Call::Premier => &[self.name, key, &quota, &seconds],
            Call::Lua(script) => &["EVALSHA", script.get_hash(), "1", key, &quota, &seconds],
            Call::RedisCell => &["CL.THROTTLE", key, &max_burst, &quota, &seconds],
        };
        words.iter().map(ToString::to_string).collect()
    }
}
