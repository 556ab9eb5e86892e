//! What a call costs the client: CPU time and allocations of `AsyncThrottler::check` beside the
//! bare typed command and INCR, by 256 tasks on one connection.
//!
//! Each figure is the median of nine rounds, in which the contenders take turns; the ratio is that
//! of the same round. The server and the client share the machine, but CPU time is that of the one
//! thread in which all tasks run.
//!
//! ```sh
//! cargo bench -p premier-client --bench cost
//! ```

mod tools;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use premier_client::{AsyncBackend, AsyncPremierCommands, AsyncThrottler, Keyspace, Limit, Token, key, redis};
use premier_test_server::Server;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::task::LocalSet;

use crate::tools::{cpu_nanos, median};

const ROUNDS: usize = 9;
const TASKS: u64 = 256;
const CALLS_OF_A_TASK: u64 = 400;
const DEADLINE: Duration = Duration::from_secs(30);

/// So deep that every call is admitted.
const LIMIT: Limit<Token> = Limit::token_bucket(100, Duration::from_secs(1)).capacity(1_000_000_000);

type Call = Pin<Box<dyn Future<Output = ()>>>;

fn main() {
    // `cargo test` asks for nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let server = Server::start();
    let url = format!("redis://127.0.0.1:{}/", server.port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = redis::Client::open(url.as_str()).expect("an address");
    // A loaded machine is slow.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(DEADLINE));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let connection = runtime.block_on(connection).expect("the server answers");
    let backend = AsyncBackend::redis(url.as_str()).expect("an address");
    let throttler = AsyncThrottler::builder(backend).deadline(DEADLINE).build();

    let contenders: [(&str, &dyn Fn(u64) -> Call); 3] = [
        ("INCR", &|task| Box::pin(incr(connection.clone(), task))),
        ("bare command", &|task| Box::pin(bare(connection.clone(), task))),
        ("AsyncThrottler::check", &|task| Box::pin(check(throttler.clone(), task))),
    ];
    let mut rounds = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        for ((_, call), rounds) in contenders.iter().zip(&mut rounds) {
            let before = cpu_nanos();
            let local = LocalSet::new();
            let allocations = allocation_counter::measure(|| {
                for task in 0..TASKS {
                    drop(local.spawn_local(call(task)));
                }
                runtime.block_on(local);
            });
            let calls = TASKS * CALLS_OF_A_TASK;
            // The first round warms up.
            if round > 0 {
                rounds.push(((cpu_nanos() - before) / calls, allocations.count_total * 10 / calls));
            }
        }
    }
    println!("| {TASKS} tasks on one connection | ns of CPU | to the bare command | allocations |");
    println!("| --- | ---: | ---: | ---: |");
    for (index, (name, _)) in contenders.iter().enumerate() {
        let nanos = median(rounds[index].iter().map(|round| round.0));
        let percent = median(rounds[index].iter().zip(&rounds[1]).map(|(round, bare)| round.0 * 100 / bare.0));
        let allocations = median(rounds[index].iter().map(|round| round.1));
        println!("| {name} | {nanos} | {percent}% | {}.{} |", allocations / 10, allocations % 10);
    }
}

async fn incr(mut connection: MultiplexedConnection, task: u64) {
    let key = format!("premier:counter:{task}");
    for _ in 0..CALLS_OF_A_TASK {
        let count: u64 = redis::cmd("INCR").arg(&key).query_async(&mut connection).await.expect("INCR");
        assert!(count > 0);
    }
}

async fn bare(mut connection: MultiplexedConnection, task: u64) {
    let key = Keyspace::default().key(&key!("api", task), premier_client::Algorithm::TokenBucket);
    for _ in 0..CALLS_OF_A_TASK {
        assert!(connection.premier_token(&key, LIMIT).await.is_ok_and(|decision| decision.is_admitted()));
    }
}

async fn check(throttler: AsyncThrottler, task: u64) {
    let key = key!("api", task);
    for _ in 0..CALLS_OF_A_TASK {
        assert!(throttler.check(&key, LIMIT).await.is_ok_and(|decision| decision.is_admitted()));
    }
}
