//! A picture: a column for each kind of traffic, with bars of requests above what remains.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordi32;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::replay::Replay;
use crate::traffic::LENGTH;
use crate::{DURATION_MILLIS, QUOTA};

// Blue and vermilion of Okabe and Ito, which people can tell apart however they see colours.
const ADMITTED: RGBColor = RGBColor(0, 114, 178);
const LIMITED: RGBColor = RGBColor(213, 94, 0);
const REMAINING: RGBColor = RGBColor(90, 90, 90);
const REMAINING_AREA: RGBColor = RGBColor(222, 222, 222);
const WINDOW_EDGE: RGBColor = BLACK;
const GRID: RGBColor = RGBColor(225, 225, 225);

// Pixels.
const WIDTH: u32 = 960;
const LEGEND_HEIGHT: u32 = 34;
const TITLE_HEIGHT: u32 = 24;
const ROW_HEIGHT: u32 = 130;
const AXIS_HEIGHT: u32 = 44;
const LEFT: i32 = 8;
const LABELS_WIDTH: i32 = 46;
const DASH: i32 = 6;

/// In the unit of plotters, of which a pixel has 1.24.
const FONT_SIZE: i32 = 16;

/// How long a bar is, in milliseconds, and the gap on each of its sides.
const BIN: i32 = 500;
const GAP: i32 = 40;
const BINS: usize = (LENGTH / BIN) as usize;

/// The tops of the vertical axes: a little above the most requests in a bar, and above the quota.
const TOP_OF_REQUESTS: i32 = 6;
const TOP_OF_REMAINING: i32 = QUOTA + 1;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordi32, RangedCoordi32>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// An algorithm under several kinds of traffic, each with its title.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) columns: &'a [(&'static str, Replay)],
    /// Whether to draw where fixed windows begin and end.
    pub(crate) with_windows: bool,
}

/// One row of a picture.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row {
    /// When requests come: those admitted, and on top of them those limited.
    Requests,
    /// When admitted calls go ahead.
    GoingAhead,
    /// The units that remain.
    Remaining,
}

impl Picture<'_> {
    pub(crate) fn write(&self, path: &Path) -> Drawn {
        let rows = u32::try_from(self.rows.len())?;
        let height = LEGEND_HEIGHT + TITLE_HEIGHT + rows * ROW_HEIGHT + AXIS_HEIGHT;
        let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (legend, below) = root.split_vertically(LEGEND_HEIGHT);
        self.draw_legend(&legend)?;
        let columns = below.split_evenly((1, self.columns.len()));
        for (index, ((title, replay), column)) in self.columns.iter().zip(&columns).enumerate() {
            let (heading, mut below) = column.split_vertically(TITLE_HEIGHT);
            heading.draw(&Text::new(*title, (LEFT + LABELS_WIDTH, 8), font().style(FontStyle::Bold)))?;
            for (number, row) in self.rows.iter().enumerate() {
                let is_last = number + 1 == self.rows.len();
                let (area, rest) = below.split_vertically(ROW_HEIGHT + if is_last { AXIS_HEIGHT } else { 0 });
                let mut chart = row.chart(&area, index == 0, is_last)?;
                row.draw(&mut chart, replay)?;
                if self.with_windows {
                    draw_window_edges(&mut chart, row.top(), replay)?;
                }
                below = rest;
            }
        }
        root.present()?;
        Ok(())
    }

    fn draw_legend(&self, area: &Area) -> Drawn {
        let mut left = LEFT + LABELS_WIDTH;
        for (name, colour) in [("admitted", ADMITTED), ("limited", LIMITED), ("units remaining", REMAINING)] {
            area.draw(&Rectangle::new([(left, 10), (left + 12, 22)], colour.filled()))?;
            area.draw(&Text::new(name, (left + 18, 10), font()))?;
            left += 150;
        }
        if self.with_windows {
            area.draw(&dashed([(left, 8), (left, 24)]))?;
            area.draw(&Text::new("a window begins or ends", (left + 10, 10), font()))?;
        }
        Ok(())
    }
}

impl Row {
    /// An empty chart with its axes.
    fn chart<'a, 'b>(
        self,
        area: &'a Area<'b>,
        is_first_column: bool,
        is_last: bool,
    ) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(12)
            .margin_right(12)
            .margin_left(LEFT)
            .set_label_area_size(LabelAreaPosition::Left, LABELS_WIDTH)
            .set_label_area_size(LabelAreaPosition::Bottom, if is_last { AXIS_HEIGHT } else { 0 })
            .build_cartesian_2d(0..LENGTH, 0..self.top())?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .label_style(font())
            .axis_desc_style(font())
            .x_labels(5)
            .x_label_formatter(&|millis| (millis / 1_000).to_string())
            .x_desc("seconds")
            .y_labels(3);
        if is_first_column {
            mesh.y_desc(self.axis());
        }
        mesh.draw()?;
        Ok(chart)
    }

    /// What the vertical axis counts.
    fn axis(self) -> &'static str {
        match self {
            Self::Requests => "requests per 0.5 s",
            Self::GoingAhead => "go ahead per 0.5 s",
            Self::Remaining => "units remaining",
        }
    }

    fn top(self) -> i32 {
        match self {
            Self::Requests | Self::GoingAhead => TOP_OF_REQUESTS,
            Self::Remaining => TOP_OF_REMAINING,
        }
    }

    fn draw(self, chart: &mut Chart, replay: &Replay) -> Drawn {
        match self {
            Self::Requests => {
                let admitted = bins(replay.admitted.iter().map(|call| call.at));
                let all = bins(replay.admitted.iter().map(|call| call.at).chain(replay.limited.iter().copied()));
                draw_bars(chart, &[0; BINS], &admitted, ADMITTED)?;
                draw_bars(chart, &admitted, &all, LIMITED)
            }
            Self::GoingAhead => {
                let going_ahead = bins(replay.admitted.iter().map(|call| call.goes_ahead));
                draw_bars(chart, &[0; BINS], &going_ahead, ADMITTED)
            }
            Self::Remaining => draw_remaining(chart, replay),
        }
    }
}

/// Counts what happens in each bar of the picture.
fn bins(moments: impl Iterator<Item = i32>) -> [i32; BINS] {
    let mut bins = [0; BINS];
    for moment in moments.filter(|moment| (0..LENGTH).contains(moment)) {
        bins[(moment / BIN).unsigned_abs() as usize] += 1;
    }
    bins
}

fn draw_bars(chart: &mut Chart, from: &[i32; BINS], to: &[i32; BINS], colour: RGBColor) -> Drawn {
    let lefts = (0..LENGTH).step_by(BIN as usize);
    let bars = lefts.zip(from.iter().zip(to)).filter(|(_, (from, to))| from < to);
    chart.draw_series(
        bars.map(|(left, (from, to))| Rectangle::new([(left + GAP, *from), (left + BIN - GAP, *to)], colour.filled())),
    )?;
    Ok(())
}

fn draw_remaining(chart: &mut Chart, replay: &Replay) -> Drawn {
    let mut corners = Vec::new();
    let mut before = None;
    for (at, remaining) in replay.remaining.iter().copied() {
        corners.extend(before.map(|before| (at, before)));
        corners.push((at, remaining));
        before = Some(remaining);
    }
    corners.extend(before.map(|before| (LENGTH, before)));
    chart.draw_series(AreaSeries::new(corners, 0, REMAINING_AREA).border_style(REMAINING.stroke_width(2)))?;
    Ok(())
}

fn draw_window_edges(chart: &mut Chart, top: i32, replay: &Replay) -> Drawn {
    let ends: BTreeSet<i32> = replay.admitted.iter().map(|call| call.resets).collect();
    let edges: BTreeSet<i32> = ends.iter().flat_map(|end| [end - DURATION_MILLIS, *end]).collect();
    chart.draw_series(edges.range(..LENGTH).map(|edge| dashed([(*edge, 0), (*edge, top)])))?;
    Ok(())
}

fn dashed(line: [(i32, i32); 2]) -> DashedPathElement<std::array::IntoIter<(i32, i32), 2>, i32> {
    DashedPathElement::new(line, DASH, DASH, WINDOW_EDGE.stroke_width(2))
}

fn font() -> FontDesc<'static> {
    ("sans-serif", FONT_SIZE).into_font()
}
