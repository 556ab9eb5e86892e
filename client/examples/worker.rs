//! Workers that share a pace: ten requests a second to a service that accepts no more, however many
//! workers there are.
//!
//! ```sh
//! # In one terminal.
//! make run
//! # In any number of other terminals; REDIS_URL=redis://… for another server.
//! cargo run -p premier-client --example worker
//! ```

use std::env;
use std::time::{Duration, Instant};

use premier_client::{Backend, Error, Leaky, Limit, Throttler, key};

/// A request every 100 ms, in a queue of 50 places.
const PACE: Limit<Leaky> = Limit::leaky_bucket(10, Duration::from_secs(1)).capacity(50);

const AT_MOST: Duration = Duration::from_secs(10);

fn main() -> Result<(), Error> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let throttler = Throttler::builder(Backend::redis(url)?).build();

    let start = Instant::now();
    for job in 1..=20 {
        // Returns when it is this worker's turn.
        let decision = throttler.acquire(&key!("send"), PACE, AT_MOST)?;
        println!("job {job} after {:.1?}, {} places free", start.elapsed(), decision.remaining());
    }
    Ok(())
}
