//! The contenders on one server. Each has the same keys, in a database of its own.

use premier_benches::contenders::{self, Contender, Limit};
use premier_test_server::Server;
use redis::Value;

use crate::traffic::{Batches, Client, Sent, send};

/// How many calls are sent at a time, over how many connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) depth: usize,
    pub(crate) connections: usize,
}

pub(crate) const LOCK_STEP: Pace = Pace { depth: 1, connections: 1 };
pub(crate) const PIPELINED: Pace = Pace { depth: 32, connections: 4 };

#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) contender: Contender,
    pub(crate) database: usize,
    pub(crate) lines_per_reply: usize,
}

impl Entrant {
    pub(crate) fn all(server: &Server) -> Vec<Self> {
        let contenders = contenders::contenders().into_iter().enumerate();
        contenders.map(|(database, contender)| Self::new(server, contender, database)).collect()
    }

    fn new(server: &Server, contender: Contender, database: usize) -> Self {
        let mut connection = server.connection();
        contender.prepare(&mut connection);
        let key = "entrant:reply";
        let words = contender.words(key, Limit { quota: 1, seconds: 1 });
        let reply = redis::cmd(&words[0]).arg(&words[1..]).query(&mut connection).expect("the first call is admitted");
        redis::cmd("DEL").arg(key).exec(&mut connection).expect("DEL");
        let lines_per_reply = match reply {
            Value::Array(fields) => 1 + fields.len(),
            _ => 1,
        };
        Self { contender, database, lines_per_reply }
    }

    /// Returns whether its replies say that a call is limited.
    pub(crate) fn limits(&self) -> bool {
        self.lines_per_reply > 1
    }

    pub(crate) fn connect(&self, server: &Server, pace: Pace) -> Vec<Client> {
        (0..pace.connections).map(|_| Client::connect(server, self.database)).collect()
    }

    /// Sends calls of these keys.
    pub(crate) fn send(&self, server: &Server, pace: Pace, calls: &[(u32, Limit)]) -> Sent {
        let batches = Batches::new(&self.contender, pace.depth, calls);
        send(&mut self.connect(server, pace), &batches, self.lines_per_reply)
    }
}
