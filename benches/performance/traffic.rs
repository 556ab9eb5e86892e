//! Calls that are drawn and encoded before anything is timed, and connections that only send them
//! and count the lines of the replies. On a machine of two cores, a client that does more would be
//! what is measured.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use premier_benches::contenders::{Contender, Limit};
use premier_test_server::Server;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// Draws the key of the next call, in the same order in each run.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    rng: SmallRng,
    keys: u32,
    /// The key of rank k is drawn 1/k times as often as the first. Without it, all are drawn
    /// equally often.
    zipf: Option<Zipf<f64>>,
}

impl Draw {
    pub(crate) fn uniform(keys: u32) -> Self {
        Self { rng: SmallRng::seed_from_u64(1), keys, zipf: None }
    }

    pub(crate) fn zipf(keys: u32) -> Self {
        let zipf = Zipf::new(keys.into(), 1.0).expect("there are keys");
        Self { zipf: Some(zipf), ..Self::uniform(keys) }
    }
}

impl Iterator for Draw {
    type Item = u32;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is from 1 to the number of keys"
    )]
    fn next(&mut self) -> Option<u32> {
        Some(match self.zipf {
            Some(zipf) => zipf.sample(&mut self.rng) as u32 - 1,
            None => self.rng.random_range(0..self.keys),
        })
    }
}

/// Calls as they are sent, a number of them at a time.
#[derive(Debug)]
pub(crate) struct Batches {
    bytes: Vec<u8>,
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    range: Range<usize>,
    calls: usize,
}

impl Batches {
    pub(crate) fn new(contender: &Contender, depth: usize, calls: &[(u32, Limit)]) -> Self {
        let mut bytes = Vec::new();
        let batches = calls.chunks(depth).map(|calls| {
            let start = bytes.len();
            for (key, limit) in calls {
                encode(&contender.words(&format!("user:{key:07}"), *limit), &mut bytes);
            }
            Batch { range: start..bytes.len(), calls: calls.len() }
        });
        let batches = batches.collect();
        Self { bytes, batches }
    }

    /// Returns what to send, and how many calls that is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.batches.iter().map(|batch| (&self.bytes[batch.range.clone()], batch.calls))
    }
}

fn encode(words: &[String], bytes: &mut Vec<u8>) {
    write!(bytes, "*{}\r\n", words.len()).expect("a Vec takes everything");
    for word in words {
        write!(bytes, "${}\r\n{word}\r\n", word.len()).expect("a Vec takes everything");
    }
}

/// A connection to one of the server's databases.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// How many lines of replies are still to come.
    lines_due: usize,
    never_waits: bool,
    replies: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(server: &Server, database: usize) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).expect("the server accepts connections");
        stream.set_nodelay(true).expect("a TCP option");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a TCP option");
        let mut client = Self { stream, lines_due: 0, never_waits: false, replies: Vec::new() };
        let mut select = Vec::new();
        encode(&["SELECT".to_owned(), database.to_string()], &mut select);
        client.send(&select, 1);
        client.receive();
        client.replies.clear();
        client
    }

    pub(crate) fn send(&mut self, batch: &[u8], lines: usize) {
        self.stream.write_all(batch).expect("the server reads");
        self.lines_due += lines;
    }

    /// Waits for all replies on the way.
    fn receive(&mut self) {
        while self.lines_due > 0 {
            self.receive_some();
        }
    }

    /// Reads what has arrived, and returns how many lines end in it. Waits for something to arrive,
    /// except after [`Self::never_wait`].
    pub(crate) fn receive_some(&mut self) -> usize {
        let mut buffer = [0; 1 << 13];
        let length = match self.stream.read(&mut buffer) {
            Ok(length) if length > 0 => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.never_waits => return 0,
            outcome => panic!("{outcome:?} of reading on after {}", self.tail()),
        };
        let received = &buffer[..length];
        let lines = lines_in(received);
        self.replies.extend_from_slice(received);
        self.lines_due -= lines;
        lines
    }

    pub(crate) fn never_wait(&mut self) {
        self.stream.set_nonblocking(true).expect("a TCP option");
        self.never_waits = true;
    }

    /// Returns the end of what was received. An error has fewer lines than are expected.
    fn tail(&self) -> String {
        String::from_utf8_lossy(&self.replies[self.replies.len().saturating_sub(200)..]).into_owned()
    }
}

#[expect(clippy::naive_bytecount, reason = "of some hundred bytes")]
fn lines_in(replies: &[u8]) -> usize {
    replies.iter().filter(|&&byte| byte == b'\n').count()
}

/// The result of sending batches and receiving the replies.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) elapsed: Duration,
    /// How many replies say that the call was limited.
    pub(crate) limited: usize,
}

/// Sends the batches over these connections in turn, one on the way on each.
pub(crate) fn send(clients: &mut [Client], batches: &Batches, lines_per_reply: usize) -> Sent {
    let start = Instant::now();
    for (index, (batch, calls)) in batches.iter().enumerate() {
        let next = index % clients.len();
        let client = &mut clients[next];
        client.receive();
        client.send(batch, calls * lines_per_reply);
    }
    clients.iter_mut().for_each(Client::receive);
    let elapsed = start.elapsed();
    Sent { elapsed, limited: clients.iter().map(|client| limited_in(&client.replies)).sum() }
}

fn limited_in(replies: &[u8]) -> usize {
    let limited = b"*5\r\n:1\r\n";
    replies.windows(limited.len()).filter(|window| window == limited).count()
}
