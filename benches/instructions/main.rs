//! Counts the instructions of a call.
//!
//! Compares fifteen figures with benches/instructions.md, and exits with 1 if one has grown by more
//! than 3%. With `-- write`, measures all figures, those of the Lua scripts and redis-cell too, and
//! writes that file.

mod callgrind;
mod paths;
mod profile;
mod table;

use std::env;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use callgrind::Listener;
use paths::Path;
use table::Table;

fn main() -> ExitCode {
    let write = env::args().any(|argument| argument == "write");
    if write {
        let paths = [paths::of_premier(), paths::of_others()].concat();
        let measured = measure(&paths, |path| path.listeners);
        measured.write(&profile::profile(&paths));
        return ExitCode::SUCCESS;
    }
    let grown = measure(&paths::of_premier(), |path| path.gate).grown_since(&Table::read());
    for line in &grown {
        println!("GROWN: {line}");
    }
    if grown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures each path with these listeners, three at a time, which does not change the counts.
fn measure(paths: &[Path], listeners: fn(&Path) -> &'static [Listener]) -> Table {
    let figures = paths.iter().flat_map(|path| listeners(path).iter().map(move |listener| (path, *listener)));
    let waiting = Mutex::new(figures);
    let table = Mutex::new(Table::new(paths.iter().map(|path| path.name)));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no thread panics with it").next();
                    let Some((path, listener)) = next else { break };
                    let instructions = callgrind::instructions_a_call(path, listener);
                    println!("{:<58} {:<10} {instructions:>7}", path.name, listener.name());
                    table.lock().expect("no thread panics with it").insert(path.name, listener, instructions);
                }
            });
        }
    });
    table.into_inner().expect("no thread panicked with it")
}
