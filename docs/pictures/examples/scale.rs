//! Simulates 2,000 processes that share one limit, by the client and its algorithms in virtual
//! time, and draws `docs/scale.svg`: how many calls are admitted, how many ask the store, and how
//! full the limit is used, for leases of 1, 10, 100 and 1,000 units.
//!
//! ```sh
//! cargo run --release -p premier-pictures --example scale
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plotters::prelude::*;
use premier_client::{Backend, DecidedBy, Lease, Limit, MemoryBackend, Sliding, Throttler, key};

const PROCESSES: u64 = 2_000;

/// Each process makes a call every 4 ms: half a million calls a second in all.
const PAUSE: u64 = 4_000;

/// Between the calls of two processes, in microseconds.
const STEP: usize = (PAUSE / PROCESSES) as usize;

/// So two thirds of them are admitted.
const LIMIT: Limit<Sliding> = Limit::sliding_window(QUOTA, Duration::from_secs(SECONDS));
const QUOTA: u64 = 6_666_666;
const SECONDS: u64 = 20;

/// In microseconds. What is counted is one duration, after a first one.
const WARM_UP: u64 = 1_100_000 * SECONDS;
const LENGTH: u64 = WARM_UP + 1_000_000 * SECONDS;

const SIZES: [u64; 4] = [1, 10, 100, 1_000];
const HELD_FOR: Duration = Duration::from_secs(1);

const BLUE: RGBColor = RGBColor(0, 114, 178);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// What a simulation has counted, a second.
#[derive(Debug, Default)]
struct Counts {
    admitted: u64,
    store_calls: u64,
    /// In percent of the limit.
    used: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut all = Vec::new();
    println!("| lease | calls admitted a second | store calls a second | limit used |");
    println!("| ---: | ---: | ---: | ---: |");
    for size in SIZES {
        let counts = simulate(size);
        println!("| {size} | {} | {} | {}% |", counts.admitted, counts.store_calls, counts.used);
        all.push(counts);
    }
    draw(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scale.svg"), &all)
}

fn simulate(size: u64) -> Counts {
    // The number of clock readings gives the number of leases that are asked for. Asking for a
    // lease reads the clock three times. A call reads it once if leased units decide it, twice if a
    // remembered denial does, and four times if the store does.
    let (micros, readings) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (time, count) = (Arc::clone(&micros), Arc::clone(&readings));
    let memory = MemoryBackend::with_clock(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Duration::from_micros(time.load(Ordering::Relaxed))
    });
    let lease = Lease::of(size).held_for(HELD_FOR);
    let process = |_| {
        let builder = Throttler::builder(Backend::from(memory.clone())).leases(lease);
        builder.remember_denials(Duration::from_secs(1)).build()
    };
    let processes: Vec<Throttler> = (0..PROCESSES).map(process).collect();
    let key = key!("everyone");
    let (mut admitted, mut store_calls) = (0, 0);
    let mut callers = processes.iter().cycle();
    for at in (0..LENGTH).step_by(STEP) {
        micros.store(at, Ordering::Relaxed);
        let Some(process) = callers.next() else { break };
        let before = readings.load(Ordering::Relaxed);
        let Ok(decision) = process.check(&key, LIMIT) else { continue };
        let (asked, of_the_call) = match decision.decided_by() {
            DecidedBy::Lease => (0, 1),
            DecidedBy::Remembered => (0, 2),
            _ => (1, 4),
        };
        let leases = (readings.load(Ordering::Relaxed) - before).saturating_sub(of_the_call) / 3;
        if at >= WARM_UP {
            admitted += u64::from(decision.is_admitted());
            store_calls += asked + leases;
        }
    }
    Counts { admitted: admitted / SECONDS, store_calls: store_calls / SECONDS, used: admitted * 100 / QUOTA }
}

/// What a chart shows: its title, its figure, and the top of its axis.
type Figure = (&'static str, fn(&Counts) -> u64, u64);

fn draw(path: &Path, all: &[Counts]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (960, 260)).into_drawing_area();
    root.fill(&WHITE)?;
    let figures: [Figure; 3] = [
        ("calls admitted a second", |counts| counts.admitted, 400_000),
        ("store calls a second", |counts| counts.store_calls, 400_000),
        ("limit used, in percent", |counts| counts.used, 110),
    ];
    for (area, (title, figure, top)) in root.split_evenly((1, 3)).iter().zip(figures) {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, 70)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(0..400, 0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .label_style(("sans-serif", 14))
            .x_labels(0)
            .x_desc("leases of 1, 10, 100 and 1,000 units")
            .y_labels(5)
            .draw()?;
        let bars = all.iter().zip((0..).step_by(100));
        chart.draw_series(
            bars.map(|(counts, left)| Rectangle::new([(left + 15, 0), (left + 85, figure(counts))], BLUE.filled())),
        )?;
    }
    root.present()?;
    Ok(())
}
