//! docs/performance.md and its plots from the result files: the text there is written by hand, and every figure in a table between
//! `<!-- table: … -->` and `<!-- end -->` comes from here.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plot::{Bars, Caption, bars, lines};
use crate::results::folder;
use crate::table::{Row, Table, grouped};

const RESULT_FILES: [&str; 6] = ["throughput", "latency", "memory", "scale", "loading", "volume"];

/// What grows in scale.csv, and in which unit.
const GROWING: [(&str, &str); 4] =
    [("keys", "number of keys"), ("quota", "quota"), ("cost", "units a call"), ("window", "units in the window")];

pub(crate) fn write() {
    plot("throughput", &throughput_plot());
    plot("latency", &latency_plot());
    plot("memory", &memory_plot());
    plot("instructions", &instructions_plot());
    for (growing, unit) in GROWING {
        plot(&format!("scale-{growing}"), &scale_plot(growing, unit));
    }
    write_tables(&root().join("docs/performance.md"));
}

fn table(name: &str) -> Table {
    match name {
        "origin" => origin(),
        "throughput" => results("throughput").pivot("situation", situation, "contender", "ratio_to_incr"),
        name => match name.strip_prefix("scale-") {
            Some(growing) => scale(growing),
            None => results(name),
        },
    }
}

fn origin() -> Table {
    let mut origins =
        RESULT_FILES.map(|name| Table::of_origin(&result_file(name)).labelled("figures", name)).into_iter();
    let mut table = origins.next().expect("there are result files");
    origins.for_each(|origin| table.append(origin));
    table
}

fn throughput_plot() -> String {
    let usual = results("throughput").only("depth", "32").only("keys", "10000").only("spread", "uniform");
    let usual = usual.only("listener", "none").only("half_limited", "false");
    let caption = Caption {
        title: "Throughput: 10,000 keys, 4 connections, 32 calls on the way each",
        unit: "calls a second, as a multiple of INCR's; more is better",
        legend: Vec::new(),
    };
    bars(&caption, &rows(&usual, |row| row.get("contender").to_owned(), &["ratio_to_incr"]))
}

/// What differs from one row of throughput.csv to the next, but for the contender.
fn situation(row: &Row) -> String {
    let pace = if row.get("depth") == "1" { "one call at a time" } else { "pipelined" };
    let listener = match row.get("listener") {
        "none" => String::new(),
        listener => format!(", {listener}"),
    };
    let limited = if row.get("half_limited") == "true" { ", half limited" } else { "" };
    let keys = if row.get("keys") == "1" { "one key".to_owned() } else { format!("{} keys", grouped(row.get("keys"))) };
    format!("{pace}, {keys}, {}{limited}{listener}", row.get("spread"))
}

fn latency_plot() -> String {
    let caption = Caption {
        title: "Latency at half of what the server can take",
        unit: "microseconds, by percentiles of the calls; less is better",
        legend: ["50 %", "99 %", "99.9 %"].map(str::to_owned).into(),
    };
    let contender = |row: &Row| row.get("contender").to_owned();
    bars(&caption, &rows(&results("latency"), contender, &["micros_50", "micros_99", "micros_99.9"]))
}

fn memory_plot() -> String {
    let caption = Caption {
        title: "Memory, with a name of 17 bytes",
        unit: "bytes a key, everything included; less is better",
        legend: Vec::new(),
    };
    let label = |row: &Row| match row.get("entries") {
        "1" => row.get("contender").to_owned(),
        entries => format!("{} of {entries} live entries", row.get("contender")),
    };
    bars(&caption, &rows(&results("memory"), label, &["bytes"]))
}

fn instructions_plot() -> String {
    let caption = Caption {
        title: "Instructions",
        unit: "instructions a call where nobody listens; less is better",
        legend: Vec::new(),
    };
    let table = Table::of_markdown(&root().join("benches/instructions.md"));
    bars(&caption, &rows(&table, |row| row.get("call").to_owned(), &["nobody"]))
}

fn scale_plot(growing: &str, unit: &str) -> String {
    let table = scale(growing);
    let sizes = &table.columns()[1..];
    let figures = |row: Row| sizes.iter().map(|size| row.number(size).expect("a figure for each size")).collect();
    let caption = Caption {
        title: &format!("Cost of a call by {unit}"),
        unit: "time in the server, as a multiple of INCR's",
        legend: table.rows().map(|row| row.get("command").to_owned()).collect(),
    };
    lines(&caption, sizes, unit, &table.rows().map(figures).collect::<Vec<_>>())
}

fn scale(growing: &str) -> Table {
    let results = results("scale").only("growing", growing);
    results.pivot("command", |row| row.get("command").to_owned(), "size", "ratio_to_incr")
}

/// The rows that have all of these figures. Those of premier stand out.
fn rows(table: &Table, label: impl Fn(&Row) -> String, columns: &[&str]) -> Vec<Bars> {
    let bars = |row: Row| {
        let label = label(&row);
        let figures = columns.iter().map(|column| row.number(column)).collect::<Option<_>>()?;
        let stands_out = !["INCR", "SET", "Lua", "redis-cell"].iter().any(|other| label.starts_with(other));
        Some(Bars { label, figures, stands_out })
    };
    table.rows().filter_map(bars).collect()
}

/// Writes each table again that the page has.
fn write_tables(page: &Path) {
    const BEGIN: &str = "<!-- table: ";
    const END: &str = "<!-- end -->";
    let text = fs::read_to_string(page).expect("docs/performance.md is there");
    let mut parts = text.split(BEGIN);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->").expect("the name of a table, and -->");
        let (_, rest) = rest.split_once(END).unwrap_or_else(|| panic!("table {name} has no {END}"));
        written += &[BEGIN, name, " -->\n", &table(name).markdown(), END, rest].concat();
    }
    fs::write(page, written).expect("docs/performance.md is writable");
}

fn plot(name: &str, svg: &str) {
    fs::write(folder().join(name).with_extension("svg"), svg).expect("docs/performance/ is writable");
}

fn results(name: &str) -> Table {
    Table::of_results(&result_file(name))
}

fn result_file(name: &str) -> PathBuf {
    folder().join(name).with_extension("csv")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
