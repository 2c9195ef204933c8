//! A picture of the filled gaps, as SVG.

mod axis;
mod panel;

use std::{fmt::Display, ops::Range};

pub use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use plotters::{
    coord::Shift,
    prelude::{Circle, DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text},
    style::{Color, FontStyle, IntoFont, RGBColor, TextStyle, text_anchor},
};

use self::panel::Panel;
use crate::{
    error::{Error, Result},
    metrics::gaps,
    report::{count, grouped},
};

/// Most columns that a picture shows.
pub const MAX_COLUMNS: usize = 12;

/// A series of more rows is shown whole, small, and in detail around its longest gap.
const WHOLE: usize = 480;
/// The detail shows as many rows, or, if those are more, the longest gap's length times [`AROUND`].
const DETAIL: usize = 240;
const AROUND: usize = 3;

const WIDTH: i32 = 1200;
const LEFT: i32 = 84;
const RIGHT: i32 = WIDTH - 24;
const HEADER: i32 = 74;
const NAME: i32 = 24;
const OVERVIEW: i32 = 44;
const CHART: i32 = 150;
const TICKS: i32 = 22;
const SPACE: i32 = 20;

const INK: RGBColor = RGBColor(31, 41, 55);
const PALE: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
const GAP: RGBColor = RGBColor(243, 239, 226);
const FILLED: RGBColor = RGBColor(29, 78, 216);

/// The clock's time, in UTC, at seconds from 1970-01-01; nothing outside the calendar's years -9999 to 9999.
#[must_use]
pub fn at_seconds(seconds: f64) -> Option<DateTime> {
    let milliseconds = (seconds * 1e3).round();
    // Within 9e15, where a whole number in f64 is exact.
    let stamp = if milliseconds.abs() < 9e15 { Timestamp::from_millisecond(milliseconds as i64).ok() } else { None };
    stamp.map(|stamp| stamp.to_zoned(TimeZone::UTC).datetime())
}

/// A central band.
#[derive(Clone, Copy, Debug)]
pub struct Band<'a> {
    /// Share of values that it should hold, within 0..1.
    pub share: f64,
    /// Its lower edge at each row, in the column's units; read at filled rows only.
    pub lower: &'a [f64],
    /// Its upper edge.
    pub upper: &'a [f64],
}

/// A column to show; every slice has an entry for each row.
#[derive(Clone, Debug)]
pub struct GapPlot<'a> {
    /// Name of the column.
    pub name: &'a str,
    /// Observed values, in the column's units; NaN in holes.
    pub observed: &'a [f64],
    /// Filled values; NaN where a hole was left. Only holes are read.
    pub point: &'a [f64],
    /// Bands, the widest first.
    pub bands: Vec<Band<'a>>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws up to [`MAX_COLUMNS`] columns, those with the most holes first (of equals in the order given); columns without holes are left out.
///
/// `positions` are where the rows lie on the time axis, increasing; `times` what the calendar says there, for labels. Equal input gives equal bytes.
///
/// # Errors
/// Columns or times that have another number of rows than `positions`.
pub fn svg(title: &str, positions: &[f64], times: Option<&[DateTime]>, columns: &[GapPlot<'_>]) -> Result<String> {
    let rows = positions.len();
    let fits = |c: &GapPlot<'_>| {
        c.observed.len() == rows && c.point.len() == rows && c.bands.iter().all(|b| b.lower.len() == rows && b.upper.len() == rows)
    };
    if !columns.iter().all(fits) || times.is_some_and(|t| t.len() != rows) {
        return Err(Error::Setting { name: "the picture's columns", reason: format!("should have {rows} rows each") });
    }
    let missing = |c: &GapPlot<'_>| c.observed.iter().filter(|v| v.is_nan()).count();
    let mut chosen: Vec<(usize, &GapPlot<'_>)> = columns.iter().map(|c| (missing(c), c)).filter(|(missing, _)| *missing > 0).collect();
    chosen.sort_by_key(|(missing, _)| std::cmp::Reverse(*missing));
    let with_gaps = chosen.len();
    chosen.truncate(MAX_COLUMNS);
    let whole = rows <= WHOLE;
    let each = NAME + if whole { 0 } else { OVERVIEW + TICKS } + CHART + TICKS + SPACE;
    let height = HEADER + each * chosen.len().max(1) as i32;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH as u32, height as u32)).into_drawing_area();
        let canvas = Canvas { area, positions, times };
        canvas.area.fill(&plotters::style::WHITE).map_err(failed)?;
        canvas.write(title, (LEFT, 26), 22, INK, Anchor::Left, true)?;
        let shown = match (chosen.len(), with_gaps) {
            (0, _) => "no column has a gap".to_owned(),
            (shown, all) if shown < all => format!("{shown} of {all} columns with gaps, most holes first"),
            (shown, _) => format!("{shown} {} with gaps", if shown == 1 { "column" } else { "columns" }),
        };
        canvas.write(&shown, (LEFT, 50), 15, PALE, Anchor::Left, false)?;
        canvas.legend(chosen.first().map_or(&[], |(_, c)| c.bands.as_slice()))?;
        for (k, (missing, column)) in chosen.iter().enumerate() {
            canvas.column(column, *missing, HEADER + each * k as i32, whole)?;
        }
        canvas.area.present().map_err(failed)?;
    }
    Ok(text)
}

/// The backend writes into a string, which cannot fail; the type can.
fn failed(error: impl Display) -> Error {
    Error::Setting { name: "the picture", reason: format!("could not be drawn: {error}") }
}

#[derive(Clone, Copy, PartialEq)]
enum Anchor {
    Left,
    Centre,
    Right,
}

struct Canvas<'a> {
    area: Area<'a>,
    positions: &'a [f64],
    times: Option<&'a [DateTime]>,
}

impl Canvas<'_> {
    fn write(&self, text: &str, at: (i32, i32), size: u32, colour: RGBColor, anchor: Anchor, bold: bool) -> Result<()> {
        // Control characters are not allowed in XML, and a name may be of any length.
        let mut clean: String = text.chars().take(90).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.chars().count() > 90 {
            clean.push('…');
        }
        let horizontal = match anchor {
            Anchor::Left => text_anchor::HPos::Left,
            Anchor::Centre => text_anchor::HPos::Center,
            Anchor::Right => text_anchor::HPos::Right,
        };
        let font = ("sans-serif", size).into_font().style(if bold { FontStyle::Bold } else { FontStyle::Normal });
        let style = TextStyle::from(font).color(&colour).pos(text_anchor::Pos::new(horizontal, text_anchor::VPos::Center));
        self.area.draw(&Text::new(clean, at, style)).map_err(failed)
    }

    fn rectangle(&self, corners: [(i32, i32); 2], colour: RGBColor, share: f64, fill: bool) -> Result<()> {
        let style = colour.mix(share);
        let style = if fill { style.filled() } else { style.stroke_width(1) };
        self.area.draw(&Rectangle::new(corners, style)).map_err(failed)
    }

    fn line(&self, points: Vec<(i32, i32)>, colour: RGBColor, width: u32) -> Result<()> {
        self.area.draw(&PathElement::new(points, colour.stroke_width(width))).map_err(failed)
    }

    fn dot(&self, at: (i32, i32), radius: i32, colour: RGBColor) -> Result<()> {
        self.area.draw(&Circle::new(at, radius, colour.filled())).map_err(failed)
    }

    fn legend(&self, bands: &[Band<'_>]) -> Result<()> {
        let y = 50;
        let mut x = RIGHT;
        let mut entry = |label: &str| -> Result<i32> {
            self.write(label, (x, y), 15, INK, Anchor::Right, false)?;
            // About the width of the letters, and the sign before them.
            let sign = x - 7 * label.chars().count() as i32 - 32;
            x = sign - 20;
            Ok(sign)
        };
        let sign = entry("gap")?;
        self.rectangle([(sign, y - 8), (sign + 24, y + 8)], GAP, 1.0, true)?;
        for (k, band) in bands.iter().enumerate() {
            let sign = entry(&format!("{} % band", (100.0 * band.share).round()))?;
            // As in the charts, where narrow bands lie on wide ones.
            for under in 0..=k {
                self.rectangle([(sign, y - 8), (sign + 24, y + 8)], FILLED, panel::shade(under), true)?;
            }
        }
        let sign = entry("filled")?;
        self.line(vec![(sign, y), (sign + 24, y)], FILLED, 1)?;
        self.dot((sign + 12, y), 3, FILLED)?;
        let sign = entry("observed")?;
        self.line(vec![(sign, y), (sign + 24, y)], INK, 1)
    }

    fn column(&self, column: &GapPlot<'_>, missing: usize, top: i32, whole: bool) -> Result<()> {
        let rows = self.positions.len();
        let holes: Vec<bool> = column.observed.iter().map(|v| v.is_nan()).collect();
        let longest = gaps(&holes).into_iter().rev().max_by_key(ExactSizeIterator::len).unwrap_or(0..0);
        let detail = if whole { 0..rows } else { around(&longest, rows) };
        let (missing, all, longest) = (grouped(missing), grouped(rows), count(longest.len(), "row"));
        let about = format!("{missing} of {all} missing, longest gap {longest}; shown: {}", self.span(&detail));
        self.write(column.name, (LEFT, top + 8), 17, INK, Anchor::Left, true)?;
        self.write(&about, (RIGHT, top + 8), 15, PALE, Anchor::Right, false)?;
        let mut top = top + NAME;
        if !whole {
            let panel = Panel::new(self.positions, column, 0..rows, (top, top + OVERVIEW));
            panel.overview(self, &detail)?;
            top += OVERVIEW + TICKS;
        }
        Panel::new(self.positions, column, detail, (top, top + CHART)).chart(self)
    }

    /// First and last row of a range in words.
    fn span(&self, rows: &Range<usize>) -> String {
        match (self.times, rows.is_empty()) {
            (Some(times), false) => format!("{} to {}", axis::full(times[rows.start]), axis::full(times[rows.end - 1])),
            _ => format!("rows {} to {}", grouped(rows.start + 1), grouped(rows.end)),
        }
    }
}

/// Rows around a gap.
fn around(gap: &Range<usize>, rows: usize) -> Range<usize> {
    let wanted = DETAIL.max(AROUND * gap.len()).min(rows);
    let start = (gap.start + gap.len() / 2).saturating_sub(wanted / 2).min(rows - wanted);
    start..start + wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wave with holes in it, filled with the wave.
    fn wave(rows: usize, hole: impl Fn(usize) -> bool) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
        let value = |row: usize| (row as f64 / 5.0).sin();
        let observed = (0..rows).map(|row| if hole(row) { f64::NAN } else { value(row) }).collect();
        let point: Vec<f64> = (0..rows).map(value).collect();
        (observed, point.clone(), point.iter().map(|v| v - 0.3).collect(), point.iter().map(|v| v + 0.3).collect())
    }

    fn draw(rows: usize, hole: impl Fn(usize) -> bool + Copy, names: &[&str]) -> String {
        let (observed, point, lower, upper) = wave(rows, hole);
        let bands = vec![Band { share: 0.9, lower: &lower, upper: &upper }];
        let columns: Vec<GapPlot<'_>> =
            names.iter().map(|name| GapPlot { name, observed: &observed, point: &point, bands: bands.clone() }).collect();
        let positions: Vec<f64> = (0..rows).map(|row| row as f64).collect();
        svg("a.csv", &positions, None, &columns).unwrap()
    }

    #[test]
    fn one_dot_for_each_filled_row_and_one_polygon_for_each_gap() {
        let svg = draw(100, |row| (20..25).contains(&row) || row == 60, &["level"]);
        // One more dot is in the legend.
        assert_eq!(svg.matches("<circle").count(), 7);
        assert_eq!(svg.matches("<polygon").count(), 2);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && !svg.contains("NaN"));
        for text in ["level", "a.csv", "90 % band", "6 of 100 missing, longest gap 5 rows; shown: rows 1 to 100"] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg, draw(100, |row| (20..25).contains(&row) || row == 60, &["level"]));
    }

    #[test]
    fn long_series_show_their_longest_gap() {
        let svg = draw(50_000, |row| row % 100 == 0 || (30_000..30_050).contains(&row), &["a"]);
        assert!(svg.contains("longest gap 50 rows; shown: rows 29,906 to 30,145"), "{svg}");
        assert!(svg.len() < 250_000, "{}", svg.len());
        // A picture of any number of rows and gaps has a bounded size.
        let svg = draw(300_000, |row| row % 2 == 0, &["a"]);
        assert!(svg.len() < 250_000, "{}", svg.len());
        assert_eq!((around(&(0..1), 1000), around(&(990..1000), 1000), around(&(100..900), 1000)), (0..240, 760..1000, 0..1000));
    }

    #[test]
    fn most_holes_first_and_no_more_than_fit() {
        let names: Vec<String> = (0..30).map(|k| format!("column{k:02}.")).collect();
        let svg = draw(50, |row| row == 3, &names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(svg.contains("12 of 30 columns with gaps") && svg.contains("column11.") && !svg.contains("column12."));
        let (few, many) = (wave(50, |row| row == 3), wave(50, |row| row < 9));
        let plot = |name, data: &'static str, w: &(Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>)| (name, data, w.0.clone(), w.1.clone());
        let made = [plot("few", "", &few), plot("many", "", &many)];
        let columns: Vec<GapPlot<'_>> =
            made.iter().map(|(name, _, observed, point)| GapPlot { name, observed, point, bands: vec![] }).collect();
        let svg = super::svg("t", &(0..50).map(f64::from).collect::<Vec<_>>(), None, &columns).unwrap();
        assert!(svg.find(">\nmany").unwrap() < svg.find(">\nfew").unwrap());
    }

    #[test]
    fn any_name_is_written_as_text() {
        let svg = draw(20, |row| row == 3, &["<b>&\u{1}\"x"]);
        assert!(svg.contains("&lt;b&gt;&amp; &quot;x") && !svg.contains('\u{1}'));
        let long = "x".repeat(200);
        assert!(draw(20, |row| row == 3, &[&long]).contains(&format!("{}…", "x".repeat(90))));
    }

    #[test]
    fn odd_tables_are_drawn_or_refused() {
        assert!(draw(20, |_| false, &["a"]).contains("no column has a gap"));
        assert!(!draw(20, |_| true, &["a"]).contains("NaN"));
        assert!(draw(1, |_| true, &["a"]).contains("1 of 1 missing"));
        assert!(svg("t", &[], None, &[]).unwrap().contains("no column has a gap"));
        let column = GapPlot { name: "a", observed: &[1.0], point: &[1.0], bands: vec![] };
        assert!(svg("t", &[0.0, 1.0], None, &[column]).unwrap_err().to_string().contains("2 rows"));
        // Values without spread, huge and infinite ones.
        for values in [[1.0, f64::NAN, 1.0], [1e300, f64::NAN, -1e300], [0.0, f64::NAN, 1e-300]] {
            let column = GapPlot { name: "a", observed: &values, point: &[f64::INFINITY; 3], bands: vec![] };
            let svg = svg("t", &[0.0, 1.0, 2.0], None, &[column]).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
