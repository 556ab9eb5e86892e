//! Plots as SVG, light or dark as their reader likes it.

#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "these are figures to be looked at, not decisions"
)]

use std::fmt::Write as _;

use crate::table::grouped;

const WIDTH: f64 = 760.0;
const LINE: f64 = 20.0;

/// Where the bars and lines begin; to the left of it is what they are called.
const LEFT: f64 = 300.0;
const RIGHT: f64 = WIDTH - 80.0;

/// What a plot says beside its figures.
#[derive(Debug)]
pub(crate) struct Caption<'text> {
    pub(crate) title: &'text str,
    /// Along the figures: what they are, and in which unit.
    pub(crate) unit: &'text str,
    /// What the figures of each row, or the lines, are called.
    pub(crate) legend: Vec<String>,
}

/// A row of bars for each label, with a bar for each entry of the legend. Of one bar a row, those of premier stand out.
pub(crate) fn bars(caption: &Caption, rows: &[(String, Vec<f64>)]) -> String {
    let all = || rows.iter().flat_map(|(_, figures)| figures);
    let (longest, decimals) = (largest(all()), decimals(all()));
    let thickness = if caption.legend.len() > 1 { 12.0 } else { 16.0 };
    let mut shapes = String::new();
    let mut top = if caption.legend.len() > 1 { 3.5 * LINE } else { 2.2 * LINE };
    for (label, figures) in rows {
        let middle = top + thickness * figures.len() as f64 / 2.0 + 4.0;
        text(&mut shapes, LEFT - 8.0, middle, "end", label);
        for (series, figure) in figures.iter().enumerate() {
            let colour = if caption.legend.len() > 1 || label.contains("PREMIER") { series } else { COLOURS - 1 };
            let length = (RIGHT - LEFT) * figure / longest;
            write_to(
                &mut shapes,
                format_args!(
                    r#"<rect class="c{colour}" x="{LEFT}" y="{top:.1}" width="{length:.1}" height="{:.1}"/>"#,
                    thickness - 2.0
                ),
            );
            text(&mut shapes, LEFT + length + 5.0, top + thickness - 4.0, "start", &number(*figure, decimals));
            top += thickness;
        }
        top += 6.0;
    }
    text(&mut shapes, LEFT, top + LINE, "start", caption.unit);
    document(caption, top + 2.0 * LINE, &shapes)
}

/// A line for each entry of the legend over places that are equally far from each other.
pub(crate) fn lines(caption: &Caption, places: &[String], what_places_are: &str, series: &[Vec<f64>]) -> String {
    const LEFT: f64 = 60.0;
    const TOP: f64 = 4.7 * LINE;
    const HEIGHT: f64 = 240.0;
    let bottom = TOP + HEIGHT;
    let highest = largest(series.iter().flatten()).ceil();
    let step = (highest / 6.0).ceil();
    let y = |figure: f64| bottom - HEIGHT * figure / highest;
    let x = |place: usize| LEFT + (RIGHT - LEFT) * (place as f64 + 0.5) / places.len() as f64;

    let mut shapes = String::new();
    let mut mark = 0.0;
    while mark <= highest {
        let y = y(mark);
        write_to(&mut shapes, format_args!(r#"<line x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/>"#));
        text(&mut shapes, LEFT - 8.0, y + 4.0, "end", &number(mark, 0));
        mark += step;
    }
    for (place, label) in places.iter().enumerate() {
        text(&mut shapes, x(place), bottom + LINE, "middle", &grouped(label));
    }
    for (colour, figures) in series.iter().enumerate() {
        let points: Vec<String> =
            figures.iter().enumerate().map(|(place, figure)| format!("{:.1},{:.1}", x(place), y(*figure))).collect();
        write_to(&mut shapes, format_args!(r#"<polyline class="l{colour}" points="{}"/>"#, points.join(" ")));
    }
    text(&mut shapes, f64::midpoint(LEFT, RIGHT), bottom + 2.0 * LINE, "middle", what_places_are);
    text(&mut shapes, LEFT - 40.0, TOP - 0.6 * LINE, "start", caption.unit);
    document(caption, bottom + 3.0 * LINE, &shapes)
}

/// The last is for what does not stand out.
const COLOURS: usize = 5;

/// Blue, orange, green, purple and grey: each stands out from white and from near black.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}\
     .ground{fill:#fff}line{stroke:#d1d9e0}polyline{fill:none;stroke-width:2.5}\
     .c0{fill:#3b82f6}.c1{fill:#f08030}.c2{fill:#2da44e}.c3{fill:#a371f7}.c4{fill:#8b949e}\
     .l0{stroke:#3b82f6}.l1{stroke:#f08030}.l2{stroke:#2da44e}.l3{stroke:#a371f7}.l4{stroke:#8b949e}\
     @media(prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#0d1117}line{stroke:#3d444d}}";

fn document(caption: &Caption, height: f64, shapes: &str) -> String {
    let mut svg = String::new();
    write_to(
        &mut svg,
        format_args!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img">"#),
    );
    write_to(&mut svg, format_args!("<title>{}</title>", escaped(caption.title)));
    write_to(&mut svg, format_args!("<style>{STYLE}</style>"));
    write_to(&mut svg, format_args!(r#"<rect class="ground" width="100%" height="100%"/>"#));
    write_to(
        &mut svg,
        format_args!(r#"<text class="title" x="20" y="{:.0}">{}</text>"#, 1.2 * LINE, escaped(caption.title)),
    );
    let entries = if caption.legend.len() > 1 { caption.legend.as_slice() } else { &[] };
    let mut left = 20.0;
    for (colour, entry) in entries.iter().enumerate() {
        let top = 1.7 * LINE;
        write_to(
            &mut svg,
            format_args!(r#"<rect class="c{colour}" x="{left:.0}" y="{top:.0}" width="12" height="12"/>"#),
        );
        text(&mut svg, left + 18.0, top + 11.0, "start", entry);
        left += 40.0 + 8.5 * entry.chars().count() as f64;
    }
    svg + shapes + "</svg>\n"
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escaped(text);
    write_to(svg, format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
}

fn write_to(svg: &mut String, element: std::fmt::Arguments) {
    writeln!(svg, "{element}").expect("a String takes everything");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn number(figure: f64, decimals: usize) -> String {
    grouped(&format!("{figure:.decimals$}"))
}

/// Two, unless all figures are whole.
fn decimals<'figure>(mut figures: impl Iterator<Item = &'figure f64>) -> usize {
    if figures.all(|figure| figure.fract() == 0.0) { 0 } else { 2 }
}

fn largest<'figure>(figures: impl Iterator<Item = &'figure f64>) -> f64 {
    figures.copied().fold(f64::MIN_POSITIVE, f64::max)
}
