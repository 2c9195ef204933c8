//! What `langevin info` says of a table.

use std::{fs::File, io::Read as _, path::Path};

use langevin_series::io::{Calendar, GAP_LABELS, Profile, ReadOptions, Table};
use serde::Serialize;

use crate::report::Failure;

/// Bytes that are looked at to tell a table from other files.
const START: u64 = 4096;

#[derive(Serialize)]
pub(super) struct OfTable {
    source: String,
    #[serde(flatten)]
    profile: Profile,
    /// Seconds; see its fields.
    calendar: Calendar,
    /// Periods of the calendar, in rows.
    seasons: Vec<(&'static str, f64)>,
}

/// By content: text whose first line is split by a delimiter; and by name for files whose content is damaged.
pub(super) fn is_table(path: &Path) -> Result<bool, Failure> {
    if !path.is_file() {
        return Ok(false);
    }
    let named = |names: &[&str]| path.extension().is_some_and(|e| names.iter().any(|n| e.eq_ignore_ascii_case(n)));
    let mut start = Vec::new();
    File::open(path).and_then(|f| f.take(START).read_to_end(&mut start)).map_err(|e| Failure::io(path, e))?;
    let text = start.iter().all(|&b| b >= b' ' || b"\t\r\n".contains(&b));
    let split = start.split(|&b| b == b'\n').next().is_some_and(|line| line.iter().any(|b| b",;\t|".contains(b)));
    // A damaged checkpoint or a JSON document is no table.
    let other = named(&["safetensors", "json", "toml", "md"]) || start.first().is_some_and(|b| b"{[".contains(b));
    Ok(named(&["csv", "tsv", "tab", "psv"]) || (text && split && !other))
}

pub(super) fn read(path: &Path) -> Result<OfTable, Failure> {
    let table = Table::open(path, &ReadOptions::default())?;
    let calendar = table.calendar();
    Ok(OfTable { source: path.display().to_string(), profile: table.profile().clone(), calendar, seasons: calendar.seasons() })
}

/// The first lines, as pairs of a name and what it is.
pub(super) fn rows(table: &OfTable) -> Vec<(&'static str, String)> {
    let p = &table.profile;
    let delimiter = if p.delimiter == '\t' { "tab".to_owned() } else { format!("'{}'", p.delimiter) };
    let mut rows = vec![
        ("file", table.source.clone()),
        ("kind", format!("table, {} layout, {delimiter} between fields, '{}' before decimals", p.layout, p.decimal)),
        ("rows", p.rows.to_string()),
        ("columns", format!("{} of numbers", p.columns.len())),
    ];
    if let Some(time) = &p.time {
        let step = p.frequency.as_deref().map_or("steps that differ".to_owned(), |f| format!("every {f}"));
        let [first, last] = p.span.clone().unwrap_or_default();
        rows.push(("time", format!("'{time}', {step}, {first} to {last}")));
    }
    if let Some(id) = &p.id {
        rows.push(("series", format!("{}, told apart by '{id}'", p.series)));
    }
    let fields: u64 = p.columns.iter().map(|c| c.count + c.missing).sum();
    rows.push(("missing", format!("{} of {fields} fields ({:.2} %)", p.missing(), percent(p.missing(), fields))));
    if p.layout == "wide" && p.grid_rows > p.rows {
        rows.push(("lacking", format!("{} rows between the first and the last time", p.grid_rows - p.rows)));
    }
    if p.blackout_rows > 0 {
        rows.push(("blackouts", format!("{} of {} points of time have no value at all", p.blackout_rows, p.grid_rows)));
    }
    if !p.untouched.is_empty() {
        rows.push(("untouched", p.untouched.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")));
    }
    rows
}

/// A line per column, and the lengths of gaps.
pub(super) fn columns(table: &OfTable) -> String {
    let mut lines = vec![["column", "missing", "min", "max", "mean", "deviation", "decimals", "longest"].map(str::to_owned).to_vec()];
    let mut gaps = vec![std::iter::once("gaps of rows").chain(GAP_LABELS).map(str::to_owned).collect::<Vec<_>>()];
    for c in &table.profile.columns {
        let number = |v: f64| format!("{v:.*}", usize::from(c.decimals.clamp(1, 4)));
        let exact = |v: f64| format!("{v:.*}", usize::from(c.decimals.min(6)));
        let missing = format!("{:.2} %", percent(c.missing, c.count + c.missing));
        let decimals = if c.integer { "whole".to_owned() } else { c.decimals.to_string() };
        let longest = c.longest_gap.to_string();
        lines.push(vec![c.name.clone(), missing, exact(c.min), exact(c.max), number(c.mean), number(c.deviation), decimals, longest]);
        gaps.push(std::iter::once(c.name.clone()).chain(c.gaps.map(|n| n.to_string())).collect());
    }
    let blackouts = table.profile.blackouts;
    gaps.push(std::iter::once("all at once".to_owned()).chain(blackouts.map(|n| n.to_string())).collect());
    format!("\n{}\n{}", aligned(&lines), aligned(&gaps))
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Names to the left, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let width = |i: usize| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        text += &format!("{:<w$}", line[0], w = widths[0]);
        for (cell, w) in line.iter().zip(&widths).skip(1) {
            text += &format!("  {cell:>w$}");
        }
        text.push('\n');
    }
    text
}
