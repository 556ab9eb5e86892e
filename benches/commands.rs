//! Times what a client sees: premier's commands and those that they compare with, one call at a
//! time and 32 at a time, on the same server.
//!
//! Wall-clock figures differ between runs and machines: read them as ratios to INCR within one run.
//! All calls are admitted.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use premier_benches::contenders::{self, Contender, Limit};
use redis::{Connection, Value};

const LIMIT: Limit = Limit { quota: 10_000_000, seconds: 600 };

const KEYS: usize = 10_000;

/// Sends a batch, each call to the next key, and reads the replies.
fn call(connection: &mut Connection, contender: &Contender, next: &mut usize, batch: usize) {
    let mut pipeline = redis::pipe();
    for _ in 0..batch {
        *next = (*next + 1) % KEYS;
        let words = contender.words(&format!("{}:{next}", contender.name), LIMIT);
        pipeline.cmd(&words[0]).arg(&words[1..]);
    }
    let replies: Vec<Value> = pipeline.query(connection).unwrap_or_else(|error| panic!("{}: {error}", contender.name));
    assert_eq!(replies.len(), batch);
}

fn bench_commands(c: &mut Criterion) {
    let server = contenders::server().start();
    let mut connection = server.connection();
    let contenders = contenders::contenders();
    for contender in &contenders {
        contender.prepare(&mut connection);
    }
    for (depth, batch) in [("lock-step", 1), ("pipelined 32 deep", 32)] {
        let mut group = c.benchmark_group(depth);
        group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        group.throughput(Throughput::Elements(batch as u64));
        for contender in &contenders {
            let mut next = 0;
            group.bench_function(BenchmarkId::from_parameter(contender.name), |bencher| {
                bencher.iter(|| call(&mut connection, contender, &mut next, batch));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, bench_commands);
criterion_main!(benches);
