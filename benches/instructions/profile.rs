//! Where the instructions of a call go.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::process::Command;

use premier_benches::grouped;

use crate::callgrind::{Listener, per_call};
use crate::paths::Path;

/// The calls whose instructions are broken down.
const CALLS: [(&str, Listener); 4] = [
    ("FIXED admitted", Listener::Nobody),
    ("FIXED admitted", Listener::Replica),
    ("SLIDING admitted, 36 to 60 entries", Listener::Nobody),
    ("FIXED limited", Listener::Nobody),
];

/// The parts of a call, with the functions that make up each, including what they call.
const PARTS: [(&str, &[&str]); 11] = [
    ("all of the call", &["main"]),
    ("the server reads and parses the words", &["processMultibulkBuffer"]),
    (
        "looks up the command, checks permissions, counts it, calls the module, replicates",
        &["processCommand", "-premier_server::command::run"],
    ),
    ("frees the words", &["commandProcessed"]),
    ("`OpenKey`", &["RM_OpenKey"]),
    ("`CloseKey`", &["RM_CloseKey"]),
    ("`SetAbsExpire`", &["RM_SetAbsExpire"]),
    ("`Replicate`", &["RM_Replicate"]),
    ("`ReplicateVerbatim` and `SignalModifiedKey`", &["RM_ReplicateVerbatim", "RM_SignalModifiedKey"]),
    ("the reply", &["RM_ReplyWithArray", "RM_ReplyWithLongLong"]),
    ("**premier's own**", &[OWN]),
];

/// The functions of the module, without what they call.
const OWN: &str = "libpremier.so";

/// Returns a table in Markdown.
pub(crate) fn profile(paths: &[Path]) -> String {
    let profiles = CALLS.map(|(name, listener)| {
        let path = paths.iter().find(|path| path.name == name).expect("these are measured");
        per_call(path, listener, instructions_by_function)
    });
    let titles = CALLS.map(|(name, listener)| format!("{name} ({})", listener.name()));
    let head = format!("| part | {} |\n| --- | --- | --- | --- | --- |\n", titles.join(" | "));
    let rows = PARTS.map(|(part, functions)| {
        let cells = profiles.each_ref().map(|profile| {
            let of = |function: &str| profile.get(function).copied().unwrap_or(0);
            let part = functions.iter().map(|function| match function.strip_prefix('-') {
                Some(function) => -of(function),
                None => of(function),
            });
            grouped(part.sum::<i64>().unsigned_abs())
        });
        format!("| {part} | {} |\n", cells.join(" | "))
    });
    head + &rows.concat()
}

/// Returns the instructions of each function with what it calls, and of the module without.
fn instructions_by_function(counts: &FilePath) -> HashMap<String, i64> {
    let mut instructions = annotated(counts, "yes", |function, _| function.to_owned());
    let own = annotated(counts, "no", |_, library| library.to_owned());
    instructions
        .extend(own.into_iter().filter(|(library, _)| library.ends_with(OWN)).map(|(_, own)| (OWN.to_owned(), own)));
    instructions
}

/// Returns what callgrind's own reader prints, added up by the name that `name` gives to a function
/// and its library.
fn annotated(counts: &FilePath, inclusive: &str, name: impl Fn(&str, &str) -> String) -> HashMap<String, i64> {
    let inclusive = format!("--inclusive={inclusive}");
    let output = Command::new("callgrind_annotate").args(["--threshold=100", &inclusive]).arg(counts).output();
    let output = output.expect("callgrind_annotate comes with valgrind");
    let mut instructions = HashMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // "  1,234 ( 5.67%)  file.c:function [library]"
        let Some((count, rest)) = line.split_once('(') else { continue };
        let (Ok(count), Some((_, rest))) = (count.trim().replace(',', "").parse::<i64>(), rest.split_once(')')) else {
            continue;
        };
        let (function, library) = rest.trim().rsplit_once(" [").unwrap_or((rest.trim(), ""));
        let function = function.split_once(':').map_or(function, |(_, function)| function);
        *instructions.entry(name(function, library.trim_end_matches(']'))).or_default() += count;
    }
    instructions
}
