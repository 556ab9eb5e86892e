//! Holds and releases that were acknowledged before a crash count after it, if the AOF is always
//! synced.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use premier_test_server::Server;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redis::{Cmd, Connection, Value};

use crate::tools::effect::server_with_aof;
use crate::tools::hold::{held, hold};
use crate::tools::random::random;
use crate::tools::strength::at_strength;
use crate::tools::waiting::wait_until;

/// How many commands each client has in flight at once, each for another holder.
const CLIENTS: [usize; 4] = [1, 1, 10, 40];

const KEYS: usize = 5;
const HOLDERS_OF_A_CLIENT: usize = 100;

/// Longer than any test.
const LEASE: &str = "3650d";

/// A holder, and what it holds by its own record.
struct Holder {
    key: String,
    id: String,
    units: i64,
    /// What it holds if the server has done what is in flight.
    in_flight: Option<i64>,
}

/// A client with holders of its own.
struct Client {
    at_once: usize,
    holders: Vec<Holder>,
    random: SmallRng,
}

impl Client {
    fn all(random: &mut SmallRng) -> Vec<Self> {
        let client = |(number, at_once): (usize, usize)| {
            let holders = (0..HOLDERS_OF_A_CLIENT).map(|holder| Holder {
                key: format!("key:{}", holder % KEYS),
                id: format!("{number}:{holder}"),
                units: 0,
                in_flight: None,
            });
            Self { at_once, holders: holders.collect(), random: SmallRng::seed_from_u64(random.random()) }
        };
        CLIENTS.into_iter().enumerate().map(client).collect()
    }

    /// Holds, renews and releases until the server is gone.
    fn keep_calling(&mut self, mut connection: Connection, acknowledged: &AtomicUsize) {
        loop {
            let first = self.random.random_range(0..HOLDERS_OF_A_CLIENT);
            let holders: Vec<usize> = (first..first + self.at_once).map(|index| index % HOLDERS_OF_A_CLIENT).collect();
            let calls = holders.iter().map(|index| self.send(*index).get_packed_command());
            let packed: Vec<u8> = calls.collect::<Vec<_>>().concat();
            if connection.send_packed_command(&packed).is_err() {
                return;
            }
            for index in holders {
                let Ok(answer) = connection.recv_response() else { return };
                self.holders[index].acknowledge(&answer);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn send(&mut self, index: usize) -> Cmd {
        let Holder { key, id, in_flight, .. } = &mut self.holders[index];
        if self.random.random_ratio(1, 3) {
            *in_flight = Some(0);
            return redis::cmd("PREMIER.RELEASE").arg(&*key).arg(&*id).to_owned();
        }
        let units = self.random.random_range(1..=9);
        *in_flight = Some(units);
        hold(key, ["1000000", LEASE], id.as_bytes()).arg("COST").arg(units).to_owned()
    }
}

impl Holder {
    fn acknowledge(&mut self, answer: &Value) {
        match answer {
            Value::Int(freed) => assert_eq!(*freed, self.units, "{} of {}", self.id, self.key),
            Value::Array(fields) => assert_eq!(fields[0], Value::Int(0), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        self.units = self.in_flight.take().expect("it was sent");
    }

    /// Asserts that it holds what was acknowledged, or what was in flight.
    #[track_caller]
    fn settle(&mut self, connection: &mut Connection) {
        let units = held(connection, &self.key, self.id.as_bytes());
        assert!(
            units == self.units || Some(units) == self.in_flight,
            "{} of {} holds {units}: {} were acknowledged, {:?} are in flight",
            self.id,
            self.key,
            self.units,
            self.in_flight
        );
        (self.units, self.in_flight) = (units, None);
    }
}

/// Twenty in a row at full strength.
#[test]
fn crashes_in_a_row_lose_no_acknowledged_hold_or_release() {
    let crashes = at_strength(20);
    let mut random = random();
    let mut server: Server = server_with_aof().start();
    let mut clients = Client::all(&mut random);
    let acknowledged = AtomicUsize::new(0);
    for _ in 0..crashes {
        let enough = acknowledged.load(Ordering::Relaxed) + random.random_range(1..2_000);
        thread::scope(|scope| {
            for client in &mut clients {
                let (connection, acknowledged) = (server.connection(), &acknowledged);
                scope.spawn(move || client.keep_calling(connection, acknowledged));
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                wait_until("calls are acknowledged", || acknowledged.load(Ordering::Relaxed) >= enough);
            }));
            // Kill it in any case: the clients only stop then.
            server.kill();
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
        server.start_again();
        let mut connection = server.connection();
        clients.iter_mut().flat_map(|client| &mut client.holders).for_each(|holder| holder.settle(&mut connection));
    }
    println!("{crashes} crashes, {} holds and releases acknowledged", acknowledged.into_inner());
}
