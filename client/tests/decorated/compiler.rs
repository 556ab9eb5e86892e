//! Compiles source that uses the client, against the build of it that this test is linked with.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::SystemTime;
use std::{env, fs};

use serde_json::Value;

/// Returns the compiler's errors: each text, and the line that it is reported at, with the
/// underlined words in «».
pub(crate) fn errors(source: &str) -> Vec<(String, String)> {
    errors_with(&CLIENT, &Package::default(), source)
}

/// [`errors`] of a package that calls the client by another name.
pub(crate) fn errors_in(package: &Package, source: &str) -> Vec<(String, String)> {
    errors_with(&CLIENT, package, source)
}

/// A package that uses the client.
pub(crate) struct Package {
    /// The name of the client in the source.
    pub(crate) name: &'static str,
    /// The folder with its Cargo.toml.
    pub(crate) folder: PathBuf,
}

impl Default for Package {
    fn default() -> Self {
        Self { name: "premier_client", folder: env!("CARGO_MANIFEST_DIR").into() }
    }
}

static CLIENT: LazyLock<PathBuf> = LazyLock::new(client);

/// Source that compiles only with the features that the attributes need.
const ALL_FEATURES: &str = r#"
#[premier_client::cache(ttl = "30s")]
#[premier_client::retry]
#[premier_client::timeout("60s")]
#[premier_client::fixed_window(quota = 3, duration = "5s")]
pub async fn f() -> Result<u8, premier_client::Error> { Ok(1) }
"#;

/// Returns the newest build of the client that has the attributes. It is in the folder of the
/// running test, where cargo has put all that the test is linked with. Of other features or
/// compilers there may be older builds.
fn client() -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let folder = fs::read_dir(test.parent().expect("it is in a folder")).expect("the folder can be read");
    let mut clients: Vec<(SystemTime, PathBuf)> = folder
        .map(|file| file.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpremier_client-")))
        .map(|path| (path.metadata().and_then(|file| file.modified()).expect("a file has a time"), path))
        .collect();
    clients.sort();
    let newest_first = clients.into_iter().rev().map(|(_, client)| client);
    let mut refused_by = Vec::new();
    for client in newest_first {
        let errors = errors_with(&client, &Package::default(), ALL_FEATURES);
        if errors.is_empty() {
            return client;
        }
        refused_by.push((client, errors));
    }
    panic!("no build of premier_client with the attributes is beside {}: {refused_by:#?}", test.display());
}

/// Builds nothing: the compiler only checks the source.
fn errors_with(client: &Path, package: &Package, source: &str) -> Vec<(String, String)> {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json", "-"])
        .arg(option("--out-dir=", Path::new(env!("CARGO_TARGET_TMPDIR"))))
        .arg(option("-Ldependency=", client.parent().expect("it is in a folder")))
        .arg(option(&format!("--extern={}=", package.name), client))
        .env("CARGO_MANIFEST_DIR", &package.folder)
        .env("CARGO_PKG_NAME", "package")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rustc starts");
    rustc.stdin.take().expect("it is piped").write_all(source.as_bytes()).expect("rustc reads it");
    let output = rustc.wait_with_output().expect("rustc ends");
    let messages = String::from_utf8(output.stderr).expect("JSON is UTF-8");
    let messages = messages.lines().map(|line| serde_json::from_str(line).expect("a line is a message"));
    let errors = messages.filter(|message: &Value| message["level"] == "error");
    errors.map(|error| (error["message"].as_str().expect("a text").to_owned(), underlined_line(&error))).collect()
}

/// Returns an empty line if the error has no place.
fn underlined_line(error: &Value) -> String {
    let spans = error["spans"].as_array().expect("a list of places");
    let Some(primary) = spans.iter().find(|span| span["is_primary"] == true) else { return String::new() };
    let line = &primary["text"][0];
    let column = |name: &str| line[name].as_u64().and_then(|column| usize::try_from(column).ok()).expect("a column");
    let mut characters: Vec<char> = line["text"].as_str().expect("a line").chars().collect();
    characters.insert(column("highlight_end") - 1, '»');
    characters.insert(column("highlight_start") - 1, '«');
    characters.into_iter().collect()
}
