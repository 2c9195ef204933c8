//! One chart: from rows and values to pixels.

use std::ops::Range;

use plotters::{prelude::Polygon, style::Color};

use super::{Anchor, Canvas, FILLED, GAP, GRID, GapPlot, INK, LEFT, PALE, RIGHT, axis, failed};
use crate::{error::Result, metrics::gaps};

/// Rows at least so many pixels apart get a dot each.
const DOTS: f64 = 3.0;
/// Bands are shown up to this many spreads of the column beyond the values.
const BEYOND: f64 = 0.5;

/// How dark the k-th band is, the widest being the first.
pub(super) fn shade(band: usize) -> f64 {
    0.16 + 0.18 * band.min(3) as f64
}

pub(super) struct Panel<'a> {
    positions: &'a [f64],
    column: &'a GapPlot<'a>,
    rows: Range<usize>,
    /// Pixels.
    top: i32,
    bottom: i32,
    /// Positions at the left and right edge.
    ends: (f64, f64),
    /// Values at the bottom and top edge.
    values: (f64, f64),
}

impl<'a> Panel<'a> {
    pub(super) fn new(positions: &'a [f64], column: &'a GapPlot<'a>, rows: Range<usize>, (top, bottom): (i32, i32)) -> Self {
        let seen = &positions[rows.clone()];
        let (first, last) = (seen.first().copied().unwrap_or(0.0), seen.last().copied().unwrap_or(0.0));
        // Half a row of air on either side.
        let half = 0.5 * ((last - first) / seen.len().saturating_sub(1).max(1) as f64).max(f64::MIN_POSITIVE);
        let values = extent(column, rows.clone());
        Self { positions, column, rows, top, bottom, ends: (first - half, last + half), values }
    }

    fn x(&self, position: f64) -> i32 {
        let share = (position - self.ends.0) / (self.ends.1 - self.ends.0);
        if share.is_finite() { LEFT + (share.clamp(0.0, 1.0) * f64::from(RIGHT - LEFT)).round() as i32 } else { (LEFT + RIGHT) / 2 }
    }

    fn y(&self, value: f64) -> i32 {
        // Halved first, because the span of two finite numbers need not be finite.
        let share = (0.5 * value - 0.5 * self.values.0) / (0.5 * self.values.1 - 0.5 * self.values.0);
        self.bottom - (share.clamp(0.0, 1.0) * f64::from(self.bottom - self.top)).round() as i32
    }

    fn at(&self, row: usize, value: f64) -> (i32, i32) {
        (self.x(self.positions[row]), self.y(value))
    }

    /// Maximal runs of rows of the panel.
    fn runs(&self, of: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
        let chosen: Vec<bool> = self.rows.clone().map(of).collect();
        gaps(&chosen).into_iter().map(|run| run.start + self.rows.start..run.end + self.rows.start).collect()
    }

    /// Runs with those joined that are less than two pixels apart, so that a picture has no more of them than pixels.
    fn merged(&self, runs: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let mut merged: Vec<Range<usize>> = Vec::new();
        for run in runs {
            match merged.last_mut() {
                Some(last) if self.x(self.positions[run.start]) - self.x(self.positions[last.end - 1]) < 2 => last.end = run.end,
                _ => merged.push(run),
            }
        }
        merged
    }

    fn filled(&self, row: usize) -> bool {
        self.column.observed[row].is_nan() && self.column.point[row].is_finite()
    }

    /// The filled rows with the observed ones at both ends, and `value` there.
    fn joined(&self, run: &Range<usize>, value: &[f64]) -> Vec<(usize, f64)> {
        let observed = |row: usize| self.rows.contains(&row).then(|| (row, self.column.observed[row])).filter(|(_, v)| v.is_finite());
        let before = run.start.checked_sub(1).and_then(observed);
        before.into_iter().chain(run.clone().map(|row| (row, value[row]))).chain(observed(run.end)).collect()
    }

    fn shade_gaps(&self, canvas: &Canvas<'_>) -> Result<()> {
        for gap in self.merged(self.runs(|row| self.column.observed[row].is_nan())) {
            let middle = |a: usize, b: usize| self.x(0.5 * (self.positions[a] + self.positions[b]));
            let left = if gap.start > self.rows.start { middle(gap.start - 1, gap.start) } else { LEFT };
            let right = if gap.end < self.rows.end { middle(gap.end - 1, gap.end) } else { RIGHT };
            canvas.rectangle([(left, self.top), (right.max(left + 1), self.bottom)], GAP, 1.0, true)?;
        }
        Ok(())
    }

    fn observed(&self, canvas: &Canvas<'_>) -> Result<()> {
        let known = |row: usize| self.column.observed[row].is_finite();
        for run in self.merged(self.runs(known)) {
            let points = thin(run.filter(|row| known(*row)).map(|row| self.at(row, self.column.observed[row])));
            match points.as_slice() {
                [alone] => canvas.dot(*alone, 1, INK)?,
                _ => canvas.line(points, INK, 1)?,
            }
        }
        Ok(())
    }

    /// The whole series, small, with the window that is shown in detail.
    pub(super) fn overview(&self, canvas: &Canvas<'_>, detail: &Range<usize>) -> Result<()> {
        self.shade_gaps(canvas)?;
        for run in self.merged(self.runs(|row| self.filled(row))) {
            let points = run.filter(|row| self.filled(*row)).map(|row| self.at(row, self.column.point[row]));
            canvas.line(thin(points), FILLED, 1)?;
        }
        self.observed(canvas)?;
        self.time_ticks(canvas)?;
        let edge = |row: usize| self.x(self.positions[row]);
        canvas.rectangle([(edge(detail.start), self.top - 2), (edge(detail.end - 1), self.bottom + 2)], PALE, 1.0, false)
    }

    /// Everything about the rows of the panel.
    pub(super) fn chart(&self, canvas: &Canvas<'_>) -> Result<()> {
        self.shade_gaps(canvas)?;
        for (value, label) in axis::values(self.values, 5) {
            let y = self.y(value);
            canvas.line(vec![(LEFT, y), (RIGHT, y)], GRID, 1)?;
            canvas.write(&label, (LEFT - 8, y), 14, PALE, Anchor::Right, false)?;
        }
        let filled = self.runs(|row| self.filled(row));
        for (k, band) in self.column.bands.iter().enumerate() {
            let finite = |row: usize| band.lower[row].is_finite() && band.upper[row].is_finite();
            for run in filled.iter().filter(|run| (run.start..run.end).all(finite)) {
                let edge = |value: &[f64]| thin(self.joined(run, value).into_iter().map(|(row, v)| self.at(row, v)));
                let mut outline = edge(band.upper);
                if !spans_pixels(&outline) {
                    continue;
                }
                outline.extend(edge(band.lower).into_iter().rev());
                canvas.area.draw(&Polygon::new(outline, FILLED.mix(shade(k)))).map_err(failed)?;
            }
        }
        self.observed(canvas)?;
        let apart = f64::from(RIGHT - LEFT) / self.rows.len().max(1) as f64;
        // Dots that do not touch, or else a line that is stronger than the observed one.
        let (width, radius) = if apart < DOTS { (2, 0) } else { (1, ((apart - 1.0) / 2.0).clamp(1.0, 3.0) as i32) };
        for run in &filled {
            let points = thin(self.joined(run, self.column.point).into_iter().map(|(row, v)| self.at(row, v)));
            if spans_pixels(&points) {
                canvas.line(points, FILLED, width)?;
            }
            for row in run.clone().filter(|_| radius > 0) {
                canvas.dot(self.at(row, self.column.point[row]), radius, FILLED)?;
            }
        }
        self.time_ticks(canvas)
    }

    fn time_ticks(&self, canvas: &Canvas<'_>) -> Result<()> {
        canvas.line(vec![(LEFT, self.bottom), (RIGHT, self.bottom)], PALE, 1)?;
        let ticks = match canvas.times {
            Some(times) => axis::times(&times[self.rows.clone()]),
            None => axis::rows(self.rows.clone()),
        };
        for (offset, label) in ticks {
            let x = self.x(self.positions[self.rows.start + offset]);
            canvas.line(vec![(x, self.bottom), (x, self.bottom + 4)], PALE, 1)?;
            canvas.write(&label, (x, self.bottom + 13), 14, PALE, Anchor::Centre, false)?;
        }
        Ok(())
    }
}

/// Range of values to show: all that is observed or filled, and bands as far as they do not dwarf it.
fn extent(column: &GapPlot<'_>, rows: Range<usize>) -> (f64, f64) {
    let values = rows.clone().map(|row| if column.observed[row].is_nan() { column.point[row] } else { column.observed[row] });
    let (low, high) = span(values);
    if low > high {
        return (0.0, 1.0);
    }
    let edges = column
        .bands
        .iter()
        .flat_map(|band| rows.clone().filter(|row| column.observed[*row].is_nan()).flat_map(|row| [band.lower[row], band.upper[row]]));
    let (lowest, highest) = span(edges);
    // The whole column's spread: where it happens to be level, its bands need not be.
    let (least, greatest) = span(column.observed.iter().copied());
    let size = if greatest > least { greatest - least } else { low.abs().max(1.0) };
    let (low, high) = (low.min(lowest.max(low - BEYOND * size)), high.max(highest.min(high + BEYOND * size)));
    let air = if high > low { 0.05 * (high - low) } else { 0.5 * size };
    ((low - air).max(f64::MIN), (high + air).min(f64::MAX))
}

fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// Whether there is anything to see: more than one column of pixels. What is left out keeps a picture small.
fn spans_pixels(points: &[(i32, i32)]) -> bool {
    points.first().zip(points.last()).is_some_and(|(first, last)| first.0 < last.0)
}

/// Of points with the same horizontal pixel the first, the extremes and the last: the same picture from less.
fn thin(points: impl Iterator<Item = (i32, i32)>) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::new();
    let mut column: Option<(i32, [i32; 4])> = None;
    let flush = |kept: &mut Vec<(i32, i32)>, column: Option<(i32, [i32; 4])>| {
        let Some((x, ys)) = column else { return };
        for y in ys {
            if kept.last() != Some(&(x, y)) {
                kept.push((x, y));
            }
        }
    };
    for (x, y) in points {
        match &mut column {
            Some((at, [_, low, high, last])) if *at == x => (*low, *high, *last) = ((*low).min(y), (*high).max(y), y),
            _ => {
                flush(&mut kept, column);
                column = Some((x, [y; 4]));
            }
        }
    }
    flush(&mut kept, column);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_extremes() {
        assert_eq!(thin([(0, 1), (1, 2), (2, 2)].into_iter()), [(0, 1), (1, 2), (2, 2)]);
        assert_eq!(thin([(0, 5), (0, 9), (0, 7), (0, 1), (0, 6), (1, 0)].into_iter()), [(0, 5), (0, 1), (0, 9), (0, 6), (1, 0)]);
        assert_eq!(thin(std::iter::empty()), []);
    }

    #[test]
    fn bands_do_not_dwarf_values() {
        let (observed, point) = ([0.0, f64::NAN, 10.0], [0.0, 5.0, 0.0]);
        let (lower, upper) = ([0.0, 4.0, 0.0], [0.0, 1000.0, 0.0]);
        let bands = vec![super::super::Band { share: 0.9, lower: &lower, upper: &upper }];
        let column = GapPlot { name: "a", observed: &observed, point: &point, bands };
        assert_eq!(extent(&column, 0..3), (-0.75, 15.75));
        assert_eq!(extent(&column, 0..1), (-5.0, 5.0));
        assert_eq!(extent(&column, 0..0), (0.0, 1.0));
    }
}
