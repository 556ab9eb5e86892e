//! What a call costs in instructions, beside what it did when benches/instructions.md was last written: exits 1 when a figure has
//! grown by more than 3%. With `-- write` that file is written anew, with the Lua scripts and redis-cell in it.

mod callgrind;
#[path = "../contenders/mod.rs"]
mod contenders;
#[path = "../origin/mod.rs"]
mod origin;
mod paths;
mod profile;
mod table;

use std::env;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use paths::Path;
use table::Table;

fn main() -> ExitCode {
    let write = env::args().any(|argument| argument == "write");
    let paths = if write { [paths::of_premier(), paths::of_others()].concat() } else { paths::of_premier() };
    let measured = measure(&paths);
    if write {
        measured.write(&profile::profile(&paths));
        return ExitCode::SUCCESS;
    }
    let grown = measured.grown_since(&Table::read());
    for line in &grown {
        println!("GROWN: {line}");
    }
    if grown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Two at a time, which does not change the counts.
fn measure(paths: &[Path]) -> Table {
    let figures = paths.iter().flat_map(|path| path.listeners.iter().map(move |listener| (path, *listener)));
    let waiting = Mutex::new(figures);
    let table = Mutex::new(Table::new(paths.iter().map(|path| path.name)));
    thread::scope(|scope| {
        for _ in 0..2 {
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
