//! What a start takes: with a million keys of each kind to load, beside as many plain strings that expire, and with nothing to load,
//! with the module and without.

#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "these are figures to be read, not decisions"
)]

use std::fs;
use std::time::Instant;

use premier_test_server::Server;

use crate::calls::{key, send};
use crate::contenders::{Contender, Limit, contenders};
use crate::results::{Results, median};

const KEYS: usize = 1_000_000;
const LIMIT: Limit = Limit { quota: 64, seconds: 86_400 };

const LOADS: usize = 5;
const EMPTY_STARTS: usize = 51;

pub(crate) fn measure() {
    let columns = ["keys", "kind", "file_bytes_per_key", "save_millis", "load_millis"];
    let mut results = Results::new("loading", &Server::start(), &columns);
    for contender in contenders() {
        if contender.name == "SET PX" || contender.name.starts_with("PREMIER.") {
            measure_loading(&contender, &mut results);
        }
    }
    measure_empty_starts(&mut results);
    results.write();
}

fn measure_loading(contender: &Contender, results: &mut Results) {
    let mut server = Server::start();
    send(&mut server.connection(), (0..KEYS).map(|number| contender.words(&key(number), LIMIT)));
    let start = Instant::now();
    redis::cmd("SAVE").exec(&mut server.connection()).expect("SAVE");
    let saved = start.elapsed();
    let file = fs::metadata(server.dir().join("dump.rdb")).expect("SAVE has written dump.rdb");
    let loaded = median((0..LOADS).map(|_| {
        server.restart();
        seconds_of_loading(&server)
    }));
    let bytes = file.len() as f64 / KEYS as f64;
    results.row(&[
        &KEYS,
        &contender.name,
        &format!("{bytes:.1}"),
        &saved.as_millis(),
        &format!("{:.0}", loaded * 1_000.0),
    ]);
}

/// The latest time that the log tells: `DB loaded from disk: 0.812 seconds`.
fn seconds_of_loading(server: &Server) -> f64 {
    let log = server.log();
    let line = log.lines().rev().find_map(|line| line.split_once("DB loaded from disk: "));
    line.and_then(|(_, time)| time.split(' ').next()?.parse().ok()).expect("the log says how long loading took")
}

/// The mean, not the median: a start takes a few of the milliseconds that the log counts in.
fn measure_empty_starts(results: &mut Results) {
    let (mut without, mut with) = (0.0, 0.0);
    for _ in 0..EMPTY_STARTS {
        without += seconds_of_start(&Server::builder().without_module().start());
        with += seconds_of_start(&Server::start());
    }
    for (kind, seconds) in [("without the module", without), ("with the module", with)] {
        let millis = seconds / EMPTY_STARTS as f64 * 1_000.0;
        results.row(&[&0, &kind, &"", &"", &format!("{millis:.1}")]);
    }
}

/// From the first line of the log to that which says that the server is ready.
fn seconds_of_start(server: &Server) -> f64 {
    let log = server.log();
    let ready = log.lines().find(|line| line.contains("Ready to accept connections"));
    let first = log.lines().find_map(seconds_of_day).expect("the log has lines with times");
    let ready = ready.and_then(seconds_of_day).expect("the log says when the server is ready");
    (ready - first).rem_euclid(86_400.0)
}

/// Of a line like `4711:M 28 Nov 2026 02:11:46.123 * Ready to accept connections`.
fn seconds_of_day(line: &str) -> Option<f64> {
    let mut parts = line.split_whitespace().nth(4)?.split(':').map(str::parse);
    let [Some(Ok(hours)), Some(Ok(minutes)), Some(Ok(seconds))] = [parts.next(), parts.next(), parts.next()] else {
        return None;
    };
    let [hours, minutes, seconds]: [f64; 3] = [hours, minutes, seconds];
    Some((hours * 60.0 + minutes) * 60.0 + seconds)
}
