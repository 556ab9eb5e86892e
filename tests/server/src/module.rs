//! Builds the module under test.

use std::env;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;
use std::sync::LazyLock;

/// Returns the libpremier that [`Server`](crate::Server) loads: what `PREMIER_MODULE` names, or
/// that of this repository, built like the running test or bench, with or without optimizations.
///
/// Cargo builds no cdylib for the tests and benches of its package: without this they would find
/// none, or, worse, one from before the last change.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn module_path() -> PathBuf {
    static MODULE: LazyLock<PathBuf> = LazyLock::new(|| match env::var_os("PREMIER_MODULE") {
        Some(path) => absolute(path).expect("PREMIER_MODULE is a path"),
        None => build("premier", "premier"),
    });
    MODULE.clone()
}

/// Returns a module whose command `PREMIER.PANIC key` panics.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn panicking_module_path() -> PathBuf {
    build("premier-panicking", "panicking")
}

/// Returns a library which, preloaded into a server, makes its random numbers start alike each
/// time.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn fixed_seed_path() -> PathBuf {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| build("premier-fixed-seed", "fixed_seed"));
    LIBRARY.clone()
}

/// Builds the library of a package and returns its file.
fn build(package: &str, library: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--lib", "--package", package, "--profile", profile]).current_dir(workspace);
    // Cargo sets these for a test. Some build scripts, such as ring's, depend on them: they would
    // run again each time, and everything that depends on ring would be built again.
    for (name, _) in env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|of| name.as_encoded_bytes().starts_with(of.as_bytes())) {
            command.env_remove(name);
        }
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "{package} does not build");

    // The running test is in target/<profile>/deps.
    let test = env::current_exe().expect("the running test is a file");
    let profile_dir = test.ancestors().nth(2).expect("it is in a folder of cargo's");
    profile_dir.join(format!("{}{library}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX))
}
