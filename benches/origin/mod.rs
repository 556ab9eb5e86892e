//! What figures were measured on.

use std::process::Command;

/// With a mark when what is measured or measures is not as committed; that results have changed says nothing.
pub(crate) fn commit() -> String {
    let commit = output("git", &["describe", "--always"]);
    let changes = output("git", &["diff", "--name-only", "HEAD", "--", "*.rs", "*.lua", "*.toml", "Cargo.lock"]);
    if changes.is_empty() { commit } else { format!("{commit}-dirty") }
}

pub(crate) fn compiler() -> String {
    output("rustc", &["--version"])
}

/// What a program says; "unknown" where it is not there.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
