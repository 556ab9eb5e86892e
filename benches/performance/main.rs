//! Everything in docs/performance.md that goes by the wall clock or by memory: `cargo bench --bench performance -- throughput`
//! measures one thing and writes its result file, docs/performance/throughput.csv; without an argument all are measured.
//! `… -- report` makes the page's tables and plots of the result files, and `make performance` everything.

mod calls;
#[path = "../contenders/mod.rs"]
mod contenders;
mod entrant;
mod latency;
mod loading;
mod memory;
#[path = "../origin/mod.rs"]
mod origin;
mod plot;
mod report;
mod results;
mod scale;
mod table;
mod throughput;
mod traffic;
mod volume;

use std::env;
use std::process::ExitCode;

/// What can be measured, by the name of its result file.
const MEASUREMENTS: &[(&str, fn())] = &[
    ("throughput", throughput::measure),
    ("latency", latency::measure),
    ("memory", memory::measure),
    ("scale", scale::measure),
    ("loading", loading::measure),
    ("volume", volume::measure),
];

fn main() -> ExitCode {
    // Cargo adds `--bench` to what it is told.
    let names: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if names == ["report"] {
        report::write();
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = names.iter().find(|name| !MEASUREMENTS.iter().any(|(known, _)| known == name)) {
        eprintln!("{unknown} is nothing that can be measured");
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
