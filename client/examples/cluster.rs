//! Limits in a cluster: each key on the node that has its slot.
//!
//! ```sh
//! make run CLUSTER=yes                                                # in one terminal
//! cargo run -p premier-client --features cluster --example cluster    # in another; REDIS_URLS=redis://…,redis://… for other nodes
//! ```

use std::env;
use std::time::Duration;

use premier_client::{AsyncBackend, AsyncThrottler, Error, Fixed, Limit, key};

/// What a free plan has.
const CALLS: Limit<Fixed> = Limit::fixed_window(1_000, Duration::from_secs(24 * 60 * 60));

#[tokio::main]
async fn main() -> Result<(), Error> {
    let urls = env::var("REDIS_URLS").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let throttler = AsyncThrottler::builder(AsyncBackend::cluster(urls.split(','))?).build();

    for customer in ["acme", "globex", "initech", "umbrella"] {
        let cost = customer.len() as u64;
        let decision = throttler.check_n(&key!("translate", customer), CALLS, cost).await?;
        let (remaining, reset) = (decision.remaining(), decision.reset_after());
        println!("{customer}: {cost} pages, {remaining} left, all of them again in {reset:?}");
    }
    Ok(())
}
