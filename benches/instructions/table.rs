//! benches/instructions.md: what was measured last, and on what.

use std::collections::BTreeMap;
use std::env::{self, consts::ARCH};
use std::fmt::Write as _;
use std::fs;

use premier_benches::environment::{commit, compiler, output};
use premier_benches::grouped;

use crate::callgrind::Listener;

/// The figures of each path, in the order of the table.
#[derive(Debug)]
pub(crate) struct Table {
    /// The server that they were measured on.
    server: String,
    names: Vec<String>,
    figures: BTreeMap<(String, Listener), u64>,
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.md");

const TEXT: &str = "# Instructions a call

What one call takes on the server in all: reading the command, deciding, replying, and replicating
to an AOF or a replica. Callgrind counts it over 20,000 calls, pipelined 500 deep on 1,000 keys (100
with 1,000 holders, 10 with 10,000). `make instructions` compares fifteen of these figures with this
table, and CI fails when one has grown by more than 3%; `make instructions WRITE=yes` measures all
of them and writes the table. Figures repeat to half a percent on the same server and compiler,
those of HOLD to a percent, as its tree differs from key to key.
";

impl Table {
    pub(crate) fn new<'name>(names: impl Iterator<Item = &'name str>) -> Self {
        Self { server: server(), names: names.map(str::to_owned).collect(), figures: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, name: &str, listener: Listener, instructions: u64) {
        self.figures.insert((name.to_owned(), listener), instructions);
    }

    /// Reads the table that is kept.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(FILE).expect("benches/instructions.md is there");
        let server =
            text.lines().find_map(|line| line.strip_prefix("Measured on ")?.split_once(": ")?.1.split_once(','));
        let (server, _) = server.expect("benches/instructions.md says what it was measured on");
        let mut table = Self { server: server.to_owned(), names: Vec::new(), figures: BTreeMap::new() };
        let rows = text.lines().skip_while(|line| !line.starts_with('|')).map_while(|line| line.strip_prefix("| "));
        for line in rows {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            table.names.push(cells[0].to_owned());
            for (listener, cell) in Listener::ALL.iter().zip(&cells[1..]) {
                if let Ok(instructions) = cell.replace(',', "").parse() {
                    table.insert(cells[0], *listener, instructions);
                }
            }
        }
        table
    }

    /// Returns the figures that are more than 3% larger than those of the kept table, or missing
    /// there. Figures of another server are not compared.
    pub(crate) fn grown_since(&self, kept: &Self) -> Vec<String> {
        if self.server != kept.server {
            println!("not compared: measured on {}, but benches/instructions.md on {}", self.server, kept.server);
            return Vec::new();
        }
        let grown = self.figures.iter().filter_map(|(path, now)| {
            let (name, listener) = path;
            let what = format!("{name}, {}: {now}", listener.name());
            match kept.figures.get(path) {
                Some(before) if now * 100 <= before * 103 => None,
                Some(before) => Some(format!("{what}, was {before}")),
                None => Some(format!("{what}, missing in benches/instructions.md")),
            }
        });
        grown.collect()
    }

    /// Writes the file, with the profile below the table.
    pub(crate) fn write(&self, profile: &str) {
        let mut text = TEXT.to_owned();
        let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
        line(String::new());
        let (commit, compiler, valgrind) = (commit(), compiler(), output("valgrind", &["--version"]));
        line(format!("Measured on {commit}: {},\n{compiler}, {valgrind}.", self.server));
        line(String::new());
        let columns = Listener::ALL.map(Listener::name).join(" | ");
        line(format!("| call | {columns} |"));
        line("| --- | --- | --- | --- |".to_owned());
        for name in &self.names {
            let cells = Listener::ALL.map(|listener| {
                self.figures.get(&(name.clone(), listener)).map_or_else(|| "–".to_owned(), |figure| grouped(*figure))
            });
            line(format!("| {name} | {} |", cells.join(" | ")));
        }
        line(String::new());
        line("## Where they go".to_owned());
        line(String::new());
        line("Each line includes what is called there, except the last. Functions of the module that are not named\ntake a few dozen more.".to_owned());
        line(String::new());
        text += profile;
        fs::write(FILE, text).expect("benches/ is writable");
    }
}

/// Returns what the measured server calls itself, and the architecture:
/// `Redis server v=7.0.15 on x86_64`.
fn server() -> String {
    let program = env::var("PREMIER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let version = output(&program, &["--version"]);
    let version: Vec<_> = version.split_whitespace().take(3).collect();
    format!("{} on {ARCH}", version.join(" "))
}
