//! The tables of docs/performance.md, each between `<!-- table: NAME -->` and `<!-- end -->`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use premier_benches::environment::{self, ROOT};
use premier_test_server::Server;

#[derive(Debug)]
pub(crate) struct Table {
    name: &'static str,
    markdown: String,
}

impl Table {
    /// Begins a table of figures that are measured on such a server.
    pub(crate) fn new(name: &'static str, server: &Server, columns: &[&str]) -> Self {
        let (commit, date, server) = (environment::commit(), environment::date(), environment::server(server));
        let (compiler, processor) = (environment::compiler(), environment::processor());
        let mut table =
            Self { name, markdown: format!("Measured on {commit}, {date}: {server},\n{compiler}, {processor}.\n\n") };
        table.row(columns);
        let figures = " ---: |".repeat(columns.len() - 1);
        writeln!(table.markdown, "| --- |{figures}").expect("a String takes everything");
        table
    }

    /// Adds a row, and prints it.
    pub(crate) fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let row = format!("| {} |", cells.join(" | "));
        println!("{row}");
        self.markdown += &row;
        self.markdown.push('\n');
    }

    /// Replaces the table in the page.
    pub(crate) fn write(self) {
        let page = Path::new(ROOT).join("docs/performance.md");
        let text = fs::read_to_string(&page).expect("docs/performance.md is there");
        let begin = format!("<!-- table: {} -->\n", self.name);
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
        let (_, after) = rest.split_once("<!-- end -->").expect("the table has an end");
        let text = [before, &begin, &self.markdown, "<!-- end -->", after].concat();
        fs::write(&page, text).expect("docs/performance.md is writable");
    }
}

/// Returns the median, of an even number of figures the higher one in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
