//! Figures in rows and columns: read from result files and from markdown, written as markdown.

use std::fs;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A result file without what it was measured on.
    pub(crate) fn of_results(file: &Path) -> Self {
        let text = read(file);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self::of_lines(lines.map(|line| line.split(',').map(str::to_owned).collect()))
    }

    /// What a result file was measured on, as one row.
    pub(crate) fn of_origin(file: &Path) -> Self {
        let text = read(file);
        let fields = text.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(": "));
        let (columns, cells): (Vec<_>, Vec<_>) =
            fields.map(|(what, value)| (what.to_owned(), value.to_owned())).unzip();
        Self { columns, rows: vec![cells] }
    }

    /// The first table of a markdown file.
    pub(crate) fn of_markdown(file: &Path) -> Self {
        let text = read(file);
        let lines = text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let lines = lines.filter(|line| !line.starts_with("| ---"));
        Self::of_lines(lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()))
    }

    fn of_lines(mut lines: impl Iterator<Item = Vec<String>>) -> Self {
        Self { columns: lines.next().expect("a line of titles"), rows: lines.collect() }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }

    /// The rows with that value, without its column.
    pub(crate) fn only(&self, column: &str, value: &str) -> Self {
        let index = self.rows().next().map_or(0, |row| row.index(column));
        let without = |cells: &Vec<String>| {
            let mut cells = cells.clone();
            cells.remove(index);
            cells
        };
        let rows = self.rows.iter().filter(|cells| cells[index] == value).map(without).collect();
        Self { columns: without(&self.columns), rows }
    }

    /// With a row for each subject and a column for each value of that column, all in the order in which they come.
    pub(crate) fn pivot(&self, title: &str, subject: fn(&Row) -> String, column: &str, cell: &str) -> Self {
        let values = distinct(self.rows().map(|row| row.get(column).to_owned()));
        let cell_of = |subject_here: &str, value: &str| {
            let row = self.rows().find(|row| subject(row) == subject_here && row.get(column) == value);
            row.map_or_else(String::new, |row| row.get(cell).to_owned())
        };
        let rows = distinct(self.rows().map(|row| subject(&row))).into_iter().map(|subject| {
            let cells: Vec<String> = values.iter().map(|value| cell_of(&subject, value)).collect();
            [vec![subject], cells].concat()
        });
        Self { rows: rows.collect(), columns: [vec![title.to_owned()], values.clone()].concat() }
    }

    /// Adds the rows of a table with the same columns.
    pub(crate) fn append(&mut self, other: Self) {
        assert_eq!(self.columns, other.columns);
        self.rows.extend(other.rows);
    }

    /// With a first column that says the same in all rows.
    pub(crate) fn labelled(mut self, title: &str, label: &str) -> Self {
        self.columns.insert(0, title.to_owned());
        self.rows.iter_mut().for_each(|cells| cells.insert(0, label.to_owned()));
        self
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(crate) fn markdown(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|title| grouped(&title.replace('_', " "))).collect();
        let alignments = (0..titles.len()).map(|column| if self.is_numeric(column) { "---:" } else { "---" });
        let mut lines = vec![line(titles.iter().map(String::as_str)), line(alignments)];
        for cells in &self.rows {
            let cells: Vec<String> = cells.iter().map(|cell| grouped(cell)).collect();
            lines.push(line(cells.iter().map(String::as_str)));
        }
        lines.concat()
    }

    fn is_numeric(&self, column: usize) -> bool {
        self.rows.iter().all(|cells| cells[column].is_empty() || cells[column].parse::<f64>().is_ok())
    }
}

/// A row whose cells are known by the titles of their columns.
#[derive(Debug)]
pub(crate) struct Row<'table> {
    columns: &'table [String],
    cells: &'table [String],
}

impl Row<'_> {
    pub(crate) fn get(&self, column: &str) -> &str {
        &self.cells[self.index(column)]
    }

    /// Nothing where the cell is empty.
    pub(crate) fn number(&self, column: &str) -> Option<f64> {
        self.get(column).replace(',', "").parse().ok()
    }

    fn index(&self, column: &str) -> usize {
        let index = self.columns.iter().position(|title| title == column);
        index.unwrap_or_else(|| panic!("there is no {column} among {:?}", self.columns))
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}; `make performance` makes it", file.display()))
}

fn line<'cell>(cells: impl Iterator<Item = &'cell str>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A whole number with a comma before each three digits, and any other text as it is.
pub(crate) fn grouped(text: &str) -> String {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let first = (text.len() - 1) % 3 + 1;
    let rest = (first..text.len()).step_by(3).map(|start| &text[start..start + 3]);
    [&text[..first]].into_iter().chain(rest).collect::<Vec<_>>().join(",")
}

fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}
