//! What the benches of calls to a server share.

use std::fs;

/// Returns for how long this thread has used a core.
pub(crate) fn cpu_nanos() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts that");
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number")
}

pub(crate) fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut figures: Vec<u64> = figures.collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}
