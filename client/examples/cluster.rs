//! Limits in a cluster: each key is on the node that has its slot.
//!
//! ```sh
//! # In one terminal.
//! make run CLUSTER=yes
//! # In another terminal; REDIS_URLS=redis://…,redis://… for other nodes.
//! cargo run -p premier-client --features cluster --example cluster
//! ```

use std::env;
use std::time::Duration;

use premier_client::{AsyncBackend, AsyncThrottler, Error, Fixed, Limit, key};

/// The quota of a free plan.
const CALLS: Limit<Fixed> = Limit::fixed_window(1_000, Duration::from_secs(24 * 60 * 60));

#[tokio::main]
async fn main() -> Result<(), Error> {
    let urls = env::var("REDIS_URLS").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let throttler = AsyncThrottler::builder(AsyncBackend::cluster(urls.split(','))?).build();

    for customer in ["acme", "globex", "initech", "umbrella"] {
        let cost = customer.len() as u64;
        let decision = throttler.check_n(&key!("translate", customer), CALLS, cost).await?;
        let (remaining, reset) = (decision.remaining(), decision.reset_after());
        println!("{customer}: {cost} pages, {remaining} left, full quota in {reset:?}");
    }
    Ok(())
}
