//! A sync function that protects a login: five tries a minute for each user, even while the store
//! is down.
//!
//! ```sh
//! # In one terminal.
//! make run
//! # In another terminal; REDIS_URL=redis://… for another server.
//! cargo run -p premier-client --example login
//! ```

use std::env;
use std::time::Duration;

use premier_client::{Backend, Error, Limit, OnError, RetryAfter, Share, Sliding, Throttler, key};

/// Five tries in any minute, not only in each minute of the clock.
const TRIES: Limit<Sliding> = Limit::sliding_window(5, Duration::from_secs(60));

fn main() -> Result<(), Error> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let throttler = Throttler::builder(Backend::redis(url)?).on_error(OnError::Local { share: Share::WHOLE }).build();

    for password in ["123456", "password", "qwerty", "letmein", "dragon", "secret", "ada1815"] {
        println!("{password}: {}", log_in(&throttler, "ada", password)?);
    }
    Ok(())
}

fn log_in(throttler: &Throttler, user: &str, password: &str) -> Result<String, Error> {
    let decision = throttler.check(&key!("log_in", user), TRIES)?;
    Ok(match decision.retry_after() {
        None if password == "secret" => "welcome".to_owned(),
        None => format!("wrong, {} tries left", decision.remaining()),
        Some(RetryAfter::After(wait)) => format!("too many tries, come back in {wait:?}"),
        Some(RetryAfter::Never) => "nobody may log in".to_owned(),
    })
}
