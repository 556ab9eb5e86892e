//! Draws the pictures of docs/algorithms.md: `make pictures` writes docs/algorithms/*.svg.
//!
//! Each picture shows one algorithm under three kinds of traffic. Traffic and limit are the same in
//! all pictures, and the algorithms are those that the server runs.

mod draw;
mod replay;
mod traffic;

use std::error::Error;
use std::path::Path;

use premier_algorithms::{
    Algorithm, BucketLimit, Fixed, FixedLimit, Leaky, LimitDuration, Quota, Sliding, SlidingLimit, Span, Token, Window,
};

use draw::{Picture, Row};
use replay::Replay;
use traffic::Traffic;

/// The limit in every picture: 10 units per 10 seconds.
const QUOTA: i32 = 10;
const DURATION_MILLIS: i32 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let quota = Quota::new(QUOTA.unsigned_abs().into())?;
    let duration = LimitDuration::new(Span::from_millis(DURATION_MILLIS.unsigned_abs().into()))?;
    let fixed = FixedLimit { quota, window: Window::FromFirstCall(duration) };
    let sliding = SlidingLimit { quota, duration };
    let bucket = BucketLimit { quota, duration, capacity: None, max_wait: None };

    write::<Fixed>("fixed.svg", &fixed, &[Row::Requests, Row::Remaining], true)?;
    write::<Sliding>("sliding.svg", &sliding, &[Row::Requests, Row::Remaining], false)?;
    write::<Token>("token.svg", &bucket, &[Row::Requests, Row::Remaining], false)?;
    write::<Leaky>("leaky.svg", &bucket, &[Row::Requests, Row::GoingAhead, Row::Remaining], false)
}

/// Replays all traffic by one algorithm, and draws it.
fn write<A: Algorithm>(
    file: &str,
    limit: &A::Limit<'_>,
    rows: &[Row],
    with_windows: bool,
) -> Result<(), Box<dyn Error>> {
    let columns = Traffic::ALL.map(|traffic| (traffic.title, Replay::new::<A>(limit, &traffic.requests())));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../algorithms").join(file);
    Picture { rows, columns: &columns, with_windows }.write(&path)?;
    Ok(())
}
