//! Measures what docs/performance.md says about time and memory, and writes its tables.
//!
//! `cargo bench -p premier-benches --bench performance -- memory` measures one table; without a
//! name it measures all of them.

mod entrant;
mod latency;
mod memory;
mod table;
mod throughput;
mod traffic;

use std::env;
use std::process::ExitCode;

/// The measurements, by the names of their tables.
const MEASUREMENTS: [(&str, fn()); 3] =
    [("throughput", throughput::measure), ("latency", latency::measure), ("memory", memory::measure)];

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let names: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(unknown) = names.iter().find(|name| !MEASUREMENTS.iter().any(|(known, _)| known == name)) {
        eprintln!("unknown measurement '{unknown}': expected throughput, latency or memory");
        return ExitCode::FAILURE;
    }
    for (name, measure) in MEASUREMENTS {
        if names.is_empty() || names.iter().any(|chosen| chosen == name) {
            eprintln!("=== {name}");
            measure();
        }
    }
    ExitCode::SUCCESS
}
