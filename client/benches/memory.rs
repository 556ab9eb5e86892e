//! The time of a call in memory beside that of the keyed limiter of `governor`: a token bucket, on
//! one core and on every core.
//!
//! ```sh
//! cargo bench -p premier-client --bench memory
//! ```

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use governor::{Quota, RateLimiter};
use premier_client::{Backend, Key, Limit, MemoryBackend, Throttler, Token};

const KEYS: usize = 10_000;

/// So slow that keys stay in use, and so deep that every call is admitted: a limited call takes
/// less time.
const QUOTA: u32 = 100;
const CAPACITY: u32 = 1_000_000_000;

const LIMIT: Limit<Token> = Limit::token_bucket(QUOTA as u64, Duration::from_secs(1)).capacity(CAPACITY as u64);

fn memory(criterion: &mut Criterion) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut group = criterion.benchmark_group("memory");
    for threads in [1, cores] {
        let [quota, capacity] = [QUOTA, CAPACITY].map(|units| NonZeroU32::new(units).expect("it is not zero"));
        let limiter = RateLimiter::keyed(Quota::per_second(quota).allow_burst(capacity));
        let keys: Vec<String> = (0..KEYS).map(|user| format!("premier:memory:bench:token:{user}")).collect();
        group.bench_function(BenchmarkId::new("governor", threads), |bencher| {
            bencher.iter_custom(|calls| {
                on(threads, calls, |call| limiter.check_key(black_box(&keys[call % KEYS])).is_ok())
            });
        });

        let backend = MemoryBackend::new();
        group.bench_function(BenchmarkId::new("premier", threads), |bencher| {
            bencher.iter_custom(|calls| {
                on(threads, calls, |call| {
                    backend.decide(black_box(&keys[call % KEYS]), LIMIT).is_ok_and(|decision| decision.is_admitted())
                })
            });
        });

        let throttler = Throttler::builder(Backend::memory()).build();
        let keys: Vec<Key> = (0..KEYS).map(|user| Key::new("memory", "bench").custom(user)).collect();
        group.bench_function(BenchmarkId::new("premier, with its key made", threads), |bencher| {
            bencher.iter_custom(|calls| {
                on(threads, calls, |call| {
                    throttler.check(black_box(&keys[call % KEYS]), LIMIT).is_ok_and(|decision| decision.is_admitted())
                })
            });
        });
    }
    group.finish();
}

/// Measures the time in which each thread makes this number of calls, all threads at once.
fn on(threads: usize, calls: u64, call: impl Fn(usize) -> bool + Sync) -> Duration {
    let ready = Barrier::new(threads + 1);
    let calls = usize::try_from(calls).expect("the number fits");
    thread::scope(|scope| {
        for thread in 0..threads {
            let (ready, call) = (&ready, &call);
            scope.spawn(move || {
                ready.wait();
                for index in 0..calls {
                    black_box(call(index + thread * KEYS / 2));
                }
            });
        }
        ready.wait();
        Instant::now()
    })
    .elapsed()
}

criterion_group!(benches, memory);
criterion_main!(benches);
