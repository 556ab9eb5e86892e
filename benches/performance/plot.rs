//! Plots as SVG, light or dark as their reader has it.

#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "these are figures to be looked at, not decisions"
)]

use std::fmt::{Arguments, Write as _};

use crate::table::grouped;

/// What a plot says beside its figures.
#[derive(Debug)]
pub(crate) struct Caption<'text> {
    pub(crate) title: &'text str,
    /// What the figures are, and in which unit.
    pub(crate) unit: &'text str,
    /// What the bars of each row, or the lines, are called; nothing where there is one of them.
    pub(crate) legend: Vec<String>,
}

/// A bar for each figure, beside what they are of.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) label: String,
    pub(crate) figures: Vec<f64>,
    /// Of rows of one bar, whether this one is what the plot is about.
    pub(crate) stands_out: bool,
}

const WIDTH: f64 = 800.0;
const LINE: f64 = 20.0;
const RIGHT: f64 = WIDTH - 80.0;

/// Blue, orange, green, purple and grey: each stands out from white and from near black.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}\
     .ground{fill:#fff}line{stroke:#d1d9e0}polyline{fill:none;stroke-width:2.5}\
     .c0{fill:#3b82f6}.c1{fill:#f08030}.c2{fill:#2da44e}.c3{fill:#a371f7}.grey{fill:#8b949e}\
     .l0{stroke:#3b82f6}.l1{stroke:#f08030}.l2{stroke:#2da44e}.l3{stroke:#a371f7}\
     @media(prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#0d1117}line{stroke:#3d444d}}";

/// Bars from left to right, each with its figure behind it.
pub(crate) fn bars(caption: &Caption, rows: &[Bars]) -> String {
    const LEFT: f64 = 350.0;
    let all = || rows.iter().flat_map(|row| &row.figures).copied();
    let decimals = if all().all(|figure| figure.fract() == 0.0) { 0 } else { 2 };
    let scale = (RIGHT - LEFT) / largest(all());
    let has_legend = !caption.legend.is_empty();
    let thickness = if has_legend { 12.0 } else { 16.0 };

    let mut shapes = Shapes::captioned(caption);
    let mut top = if has_legend { 3.5 * LINE } else { 2.2 * LINE };
    for Bars { label, figures, stands_out } in rows {
        let middle = top + thickness * figures.len() as f64 / 2.0;
        shapes.text(LEFT - 8.0, middle + 4.0, "end", label);
        for (index, figure) in figures.iter().enumerate() {
            let class = if has_legend || *stands_out { format!("c{index}") } else { "grey".to_owned() };
            shapes.rectangle(&class, LEFT, top, scale * figure, thickness - 2.0);
            let text = grouped(&format!("{figure:.decimals$}"));
            shapes.text(LEFT + scale * figure + 5.0, top + thickness - 4.0, "start", &text);
            top += thickness;
        }
        top += 6.0;
    }
    shapes.text(LEFT, top + LINE, "start", caption.unit);
    shapes.into_svg(top + 2.0 * LINE)
}

/// A line for each entry of the legend, through its figures at places that are equally far from each other.
pub(crate) fn lines(caption: &Caption, places: &[String], what_places_are: &str, series: &[Vec<f64>]) -> String {
    const LEFT: f64 = 60.0;
    const TOP: f64 = 4.7 * LINE;
    const BOTTOM: f64 = TOP + 240.0;
    let highest = largest(series.iter().flatten().copied()).ceil();
    let x = |place: usize| LEFT + (RIGHT - LEFT) * (place as f64 + 0.5) / places.len() as f64;
    let y = |figure: f64| BOTTOM - (BOTTOM - TOP) * figure / highest;

    let mut shapes = Shapes::captioned(caption);
    let mut mark = 0.0;
    while mark <= highest {
        shapes.level(LEFT, y(mark));
        shapes.text(LEFT - 8.0, y(mark) + 4.0, "end", &format!("{mark:.0}"));
        mark += (highest / 6.0).ceil();
    }
    for (place, label) in places.iter().enumerate() {
        shapes.text(x(place), BOTTOM + LINE, "middle", &grouped(label));
    }
    for (index, figures) in series.iter().enumerate() {
        let points = figures.iter().enumerate().map(|(place, figure)| format!("{:.1},{:.1}", x(place), y(*figure)));
        shapes.line(index, &points.collect::<Vec<_>>().join(" "));
    }
    shapes.text(20.0, TOP - 0.6 * LINE, "start", caption.unit);
    shapes.text(f64::midpoint(LEFT, RIGHT), BOTTOM + 2.0 * LINE, "middle", what_places_are);
    shapes.into_svg(BOTTOM + 3.0 * LINE)
}

fn largest(figures: impl Iterator<Item = f64>) -> f64 {
    figures.fold(f64::MIN_POSITIVE, f64::max)
}

/// The elements of a plot so far.
struct Shapes(String);

impl Shapes {
    fn captioned(caption: &Caption) -> Self {
        let mut shapes = Self(String::new());
        let title = escaped(caption.title);
        shapes.add(format_args!(r#"<title>{title}</title><text class="title" x="20" y="{LINE}">{title}</text>"#));
        let mut left = 20.0;
        for (index, entry) in caption.legend.iter().enumerate() {
            shapes.rectangle(&format!("c{index}"), left, 1.6 * LINE, 12.0, 12.0);
            shapes.text(left + 18.0, 1.6 * LINE + 11.0, "start", entry);
            left += 40.0 + 8.5 * entry.chars().count() as f64;
        }
        shapes
    }

    fn rectangle(&mut self, class: &str, left: f64, top: f64, width: f64, height: f64) {
        self.add(format_args!(
            r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
    }

    fn level(&mut self, left: f64, y: f64) {
        self.add(format_args!(r#"<line x1="{left}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/>"#));
    }

    fn line(&mut self, index: usize, points: &str) {
        self.add(format_args!(r#"<polyline class="l{index}" points="{points}"/>"#));
    }

    fn add(&mut self, element: Arguments) {
        writeln!(self.0, "{element}").expect("a String takes everything");
    }

    fn into_svg(self, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">\n\
             <style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n\
             {}</svg>\n",
            self.0
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
