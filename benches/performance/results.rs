//! Result files: docs/performance/*.csv. What they were measured on stands at their top, behind `#`.

use std::fmt::{Display, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use premier_test_server::Server;

use crate::origin::{commit, compiler, output};

/// The lines of a result file so far.
#[derive(Debug)]
pub(crate) struct Results {
    name: &'static str,
    text: String,
}

impl Results {
    /// Begins the result file of that name, measured on such a server, with these columns.
    pub(crate) fn new(name: &'static str, server: &Server, columns: &[&str]) -> Self {
        let mut results = Self { name, text: String::new() };
        let version = |field: &str| info(server, field);
        let server = version("valkey_version:")
            .map(|version| format!("Valkey {version}"))
            .or_else(|| version("redis_version:").map(|version| format!("Redis {version}")));
        for (what, value) in [
            ("commit", commit()),
            ("date", output("date", &["-u", "+%F"])),
            ("server", server.unwrap_or_default()),
            ("compiler", compiler()),
            ("processor", processor()),
        ] {
            writeln!(results.text, "# {what}: {value}").expect("a String takes everything");
        }
        results.text += &columns.join(",");
        results.text.push('\n');
        results
    }

    /// Adds a line, and prints it.
    pub(crate) fn row(&mut self, cells: &[&dyn Display]) {
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        let line = cells.join(",");
        println!("{line}");
        self.text += &line;
        self.text.push('\n');
    }

    /// Writes the file.
    pub(crate) fn write(self) {
        fs::create_dir_all(folder()).expect("docs/ is writable");
        let path = folder().join(self.name).with_extension("csv");
        fs::write(&path, self.text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The middle one; of an even number the higher of the two.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// docs/performance/, where the result files are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance")
}

fn info(server: &Server, field: &str) -> Option<String> {
    let text: String = redis::cmd("INFO").arg("server").query(&mut server.connection()).expect("INFO server");
    text.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned())
}

fn processor() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(": "));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.replace(',', " "))
}
