//! What does not compile is reported at the user's own words.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;
use std::{env, fs};

use serde_json::Value;

/// What the attributes refuse. The words that are underlined are in «».
const BY_THE_ATTRIBUTES: &str = include_str!("../../macros/src/refusals.txt");

/// What the compiler refuses in the code that the attributes write.
const BY_THE_COMPILER: &str = r#"
#[fixed_window(quota = 3, duration = "5s")]
fn f() -> «u8» { 1 }
error: `u8` can't be made of the error of a call that is not admitted

#[retry]
fn f() -> «u8» { 1 }
error: a call that returns `u8` can't fail, and be tried again

#[timeout("60s")]
async fn f() -> «u8» { 1 }
error: `u8` can't be made of the error of a call that takes too long

«#[retry]»
fn f(text: String) -> Result<String, ()> { Ok(text) }
error: use of moved value: `text`
"#;

/// What needs each feature that the refusals need.
const BY_NOBODY: &str = r#"
#[premier_client::cache(ttl = "30s")]
#[premier_client::retry]
#[premier_client::timeout("60s")]
#[premier_client::fixed_window(quota = 3, duration = "5s")]
pub async fn f() -> Result<u8, premier_client::Error> { Ok(1) }
"#;

#[test]
fn errors_are_reported_at_the_users_words() {
    let client = client();
    for refusals in [BY_THE_ATTRIBUTES, BY_THE_COMPILER] {
        let mut cases = Vec::new();
        let mut expected = BTreeSet::new();
        for (number, refusal) in refusals.trim().split("\n\n").enumerate() {
            let (item, text) = refusal.split_once("\nerror: ").expect("an error follows the item");
            let line = item.lines().find(|line| line.contains('«')).expect("words are underlined");
            expected.insert((text, line.to_owned()));
            let item = item.replace(['«', '»'], "");
            let function = if item.ends_with(']') { "async fn f() -> Result<(), Error> { Ok(()) }" } else { "" };
            cases.push(format!("mod case_{number} {{ use premier_client::*;\n{item}\n{function}\n}}\n"));
        }
        let errors = errors(&cases.concat(), &client);
        // The compiler has more to say of an item that is left as it was, such as of a `self` outside a type.
        let found: BTreeSet<_> = errors
            .iter()
            .map(|(text, line)| (text.as_str(), line.clone()))
            .filter(|(text, _)| expected.iter().any(|(expected, _)| text == expected))
            .collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        let misplaced: Vec<_> = found.difference(&expected).collect();
        assert!(missing.is_empty() && misplaced.is_empty(), "missing: {missing:#?}\nmisplaced: {misplaced:#?}");
    }
}

/// The newest build of the client beside this test that has the attributes: the one that this test is linked with, or its like.
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
        let errors = errors(BY_NOBODY, &client);
        if errors.is_empty() {
            return client;
        }
        refused_by.push((client, errors));
    }
    panic!("no build of premier_client with the attributes is beside {}: {refused_by:#?}", test.display());
}

/// The compiler's errors: each text, and the line that it is reported at, with the underlined words in «». Nothing is built: the
/// compiler stops when it has checked the source, against the client that is built already.
fn errors(source: &str, client: &Path) -> Vec<(String, String)> {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json", "-"])
        .arg(option("--out-dir=", Path::new(env!("CARGO_TARGET_TMPDIR"))))
        .arg(option("-Ldependency=", client.parent().expect("it is in a folder")))
        .arg(option("--extern=premier_client=", client))
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

/// Empty if the error has no place.
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
