//! What a client sees: the commands beside INCR and SET … PX on the same server, one call at a time and 32 at a time.
//!
//! Wall-clock figures tell little across runs and machines: read them as ratios to INCR within one run.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use premier_test_server::Server;
use redis::{Connection, Value};

/// The commands, and what they get behind the key. The durations are short, so that calls are admitted and limited.
const COMMANDS: &[(&str, &[&str])] = &[
    ("INCR", &[]),
    ("SET", &["1", "PX", "60000"]),
    ("PREMIER.FIXED", &["100", "1s"]),
    ("PREMIER.SLIDING", &["60", "1s"]),
    ("PREMIER.TOKEN", &["100", "1s"]),
    ("PREMIER.LEAKY", &["100", "1s"]),
];

const KEYS: usize = 10_000;

/// Sends a batch, each call to the next key, and reads the replies.
fn call(connection: &mut Connection, next: &mut usize, name: &str, arguments: &[&str], batch: usize) {
    let mut pipeline = redis::pipe();
    for _ in 0..batch {
        *next = (*next + 1) % KEYS;
        pipeline.cmd(name).arg(format!("{name}:{next}")).arg(arguments);
    }
    let replies: Vec<Value> = pipeline.query(connection).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(replies.len(), batch);
}

fn bench_commands(c: &mut Criterion) {
    let server = Server::start();
    let mut connection = server.connection();
    for (depth, batch) in [("lock-step", 1), ("pipelined 32 deep", 32)] {
        let mut group = c.benchmark_group(depth);
        group.measurement_time(Duration::from_secs(3));
        group.throughput(Throughput::Elements(batch as u64));
        for (name, arguments) in COMMANDS {
            let mut next = 0;
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| call(&mut connection, &mut next, name, arguments, batch));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, bench_commands);
criterion_main!(benches);
