//! What figures were measured on.

use std::fs;
use std::process::Command;

use premier_test_server::Server;

/// The folder of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Returns the commit, marked as dirty if code differs from it. Results may differ.
#[must_use]
pub fn commit() -> String {
    let commit = output("git", &["describe", "--always"]);
    let changes = output("git", &["diff", "--name-only", "HEAD", "--", "*.rs", "*.lua", "*.toml", "Cargo.lock"]);
    if changes.is_empty() { commit } else { format!("{commit}-dirty") }
}

/// Returns the compiler's name and version.
#[must_use]
pub fn compiler() -> String {
    output("rustc", &["--version"])
}

/// Returns the day, as `2026-11-28`.
#[must_use]
pub fn date() -> String {
    output("date", &["-u", "+%F"])
}

/// Returns the name of the processor.
#[must_use]
pub fn processor() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.to_owned())
}

/// Returns the name and version of a running server.
///
/// # Panics
///
/// If the server does not answer.
#[must_use]
pub fn server(server: &Server) -> String {
    let info: String = redis::cmd("INFO").arg("server").query(&mut server.connection()).expect("INFO server");
    let version = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_version:"));
    match (version("valkey"), version("redis")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "unknown server".to_owned(),
    }
}

/// Returns what a program prints, or "unknown" if it cannot be run.
#[must_use]
pub fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(ROOT).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
