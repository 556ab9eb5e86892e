//! Random numbers that differ from run to run.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// Returns random numbers from a seed that it prints and that `PREMIER_SEED` may set.
pub(crate) fn random() -> SmallRng {
    let seed = env::var("PREMIER_SEED").map_or_else(
        |_| SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs(),
        |seed| seed.parse().expect("PREMIER_SEED is a number"),
    );
    println!("PREMIER_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}
