//! Measures how long a caller waits for a reply from a server that is half busy.
//!
//! Batches are sent by a fixed schedule, whatever the server is doing, and a call waits from the
//! moment when it was due. A client that sent the next call only after the last reply would leave
//! out the calls that would have waited (coordinated omission).
//!
//! In each round each contender sends as fast as it can, and then for a second at half that speed,
//! over the same four connections with 32 calls in a batch. The 32 are due at the same moment, so
//! half of them wait for more than 15 others. The table has the medians over the rounds; contenders
//! take turns as in `throughput`. The client is one thread that never sleeps.

#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "these are figures to be read, not decisions"
)]

use std::collections::VecDeque;
use std::iter::repeat_n;
use std::time::{Duration, Instant};

use premier_benches::contenders::{self, Limit};
use premier_benches::grouped;
use premier_test_server::Server;

use crate::entrant::{Entrant, PIPELINED};
use crate::table::{Table, median};
use crate::traffic::{Batches, Client, Draw};

const CONTENDERS: &[&str] =
    &["INCR", "PREMIER.FIXED", "PREMIER.SLIDING", "PREMIER.TOKEN", "PREMIER.LEAKY", "Lua FIXED", "redis-cell"];

const ROUNDS: usize = 9;

/// How many batches are sent to find the full speed: about 200 ms of them.
const BATCHES_AT_FULL_SPEED: u32 = 2_000;

const TURN: Duration = Duration::from_secs(1);

const KEYS: u32 = 10_000;

/// No call is limited.
const LIMIT: Limit = Limit { quota: 1_000_000, seconds: 3_650 * 86_400 };

pub(crate) fn measure() {
    let server = contenders::server().start();
    let columns = ["command", "calls a second", "µs, median", "µs, 99%", "µs, 99.9%"];
    let mut table = Table::new("latency", &server, &columns);
    let entrants = Entrant::all(&server).into_iter().filter(|entrant| CONTENDERS.contains(&entrant.contender.name));
    let mut runners: Vec<Runner> =
        entrants.map(|entrant| Runner { entrant, draw: Draw::uniform(KEYS), turns: Vec::new() }).collect();
    for round in 0..ROUNDS {
        for offset in 0..runners.len() {
            let index = (round + offset) % runners.len();
            runners[index].take_turn(&server);
        }
    }
    for Runner { entrant, turns, .. } in &runners {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the figures are positive and small"
        )]
        let median_of = |figure: fn(&Turn) -> f64| grouped(median(turns.iter().map(figure)).round() as u64);
        table.row(&[
            entrant.contender.name.to_owned(),
            median_of(|turn| turn.calls_per_second),
            median_of(|turn| turn.micros_of_a_thousand(500)),
            median_of(|turn| turn.micros_of_a_thousand(990)),
            median_of(|turn| turn.micros_of_a_thousand(999)),
        ]);
    }
    table.write();
}

struct Runner {
    entrant: Entrant,
    draw: Draw,
    turns: Vec<Turn>,
}

struct Turn {
    calls_per_second: f64,
    /// How long each call waited, in ascending order.
    waits: Vec<Duration>,
}

impl Turn {
    /// Returns the wait that this number of a thousand calls did not exceed.
    fn micros_of_a_thousand(&self, rank: usize) -> f64 {
        self.waits[(self.waits.len() - 1) * rank / 1_000].as_secs_f64() * 1e6
    }
}

impl Runner {
    fn take_turn(&mut self, server: &Server) {
        let calls = self.draw_calls(BATCHES_AT_FULL_SPEED);
        let at_full_speed = self.entrant.send(server, PIPELINED, &calls).elapsed;
        let interval = 2 * at_full_speed / BATCHES_AT_FULL_SPEED;

        let batches = u32::try_from(TURN.as_nanos() / interval.as_nanos()).expect("no server takes so many batches");
        let calls = self.draw_calls(batches);
        let batches = Batches::new(&self.entrant.contender, PIPELINED.depth, &calls);
        let mut waits = send_by_schedule(&self.entrant, server, &batches, interval);
        assert_eq!(waits.len(), calls.len(), "{}: replies", self.entrant.contender.name);
        waits.sort_unstable();
        self.turns.push(Turn { calls_per_second: PIPELINED.depth as f64 / interval.as_secs_f64(), waits });
    }

    fn draw_calls(&mut self, batches: u32) -> Vec<(u32, Limit)> {
        self.draw.by_ref().take(batches as usize * PIPELINED.depth).map(|key| (key, LIMIT)).collect()
    }
}

/// Sends a batch at each interval, over the connections in turn, and returns how long each call
/// waited for its reply.
fn send_by_schedule(entrant: &Entrant, server: &Server, batches: &Batches, interval: Duration) -> Vec<Duration> {
    let mut connections: Vec<Connection> =
        entrant.connect(server, PIPELINED).into_iter().map(Connection::new).collect();
    let mut turns = (0..connections.len()).cycle();
    let mut batches = batches.iter().peekable();
    let mut waits = Vec::new();
    let mut due = Instant::now();
    while batches.peek().is_some() || connections.iter().any(Connection::is_busy) {
        if due <= Instant::now()
            && let Some((batch, calls)) = batches.next()
            && let Some(turn) = turns.next()
        {
            connections[turn].send(batch, calls, entrant.lines_per_reply, due);
            due += interval;
        }
        for connection in &mut connections {
            connection.receive(entrant.lines_per_reply, &mut waits);
        }
    }
    waits
}

/// A connection, and the calls that are on the way on it.
struct Connection {
    client: Client,
    /// When each call was due, the oldest first.
    due: VecDeque<Instant>,
    /// Lines of a reply that has arrived in part.
    lines: usize,
}

impl Connection {
    fn new(mut client: Client) -> Self {
        client.never_wait();
        Self { client, due: VecDeque::new(), lines: 0 }
    }

    fn is_busy(&self) -> bool {
        !self.due.is_empty()
    }

    fn send(&mut self, batch: &[u8], calls: usize, lines_per_reply: usize, due: Instant) {
        self.client.send(batch, calls * lines_per_reply);
        self.due.extend(repeat_n(due, calls));
    }

    fn receive(&mut self, lines_per_reply: usize, waits: &mut Vec<Duration>) {
        if !self.is_busy() {
            return;
        }
        self.lines += self.client.receive_some();
        let replies = self.lines / lines_per_reply;
        self.lines %= lines_per_reply;
        let now = Instant::now();
        waits.extend(self.due.drain(..replies).map(|due| now - due));
    }
}
