//! Pass 1: the file once from its start, row after row.

use std::{
    collections::HashSet,
    fs::File,
    hash::{BuildHasher, RandomState},
};

use super::{
    cell::Cell,
    grid::{Grid, Steps},
    plan::{Plan, ragged},
    profile::{GapCounts, Moments},
    raw::{Record, Records},
    source::Source,
    time::Clock,
};
use crate::{Error, Result};

/// The rows of a file behind its header, with their times.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    source: &'a Source,
    plan: &'a Plan,
    records: Records<File>,
    /// The row that was read last; at the end, blank lines that the file ends with.
    pub(crate) record: Record,
    /// The byte order mark and the header as they stand in the file.
    pub(crate) mark: &'static [u8],
    pub(crate) header: Record,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(source: &'a Source, plan: &'a Plan) -> Result<Self> {
        let mut records = source.records(plan.delimiter)?;
        let mut header = Record::default();
        let mark = records.skip_mark().map_err(|e| source.io(e))?;
        records.read(&mut header).map_err(|e| source.io(e))?;
        records.keep_blank = plan.header.len() == 1;
        Ok(Self { source, plan, records, record: Record::default(), mark, header })
    }

    /// Reads the next row, `false` at the end.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let more = self.records.read(&mut self.record).map_err(|e| self.source.io(e))?;
        if more && (self.record.len() != self.plan.header.len() || self.record.unclosed) {
            return Err(ragged(self.source, &self.record, self.plan.header.len(), self.plan.delimiter));
        }
        Ok(more)
    }

    /// The time of the row in ticks; `None` without a column of times.
    pub(crate) fn ticks(&self) -> Result<Option<i64>> {
        let Some((_, clock)) = self.plan.time else { return Ok(None) };
        let text = self.plan.time_text(&self.record);
        if let Some(ticks) = clock.ticks(&text) {
            return Ok(Some(ticks));
        }
        let reason = if text.is_empty() {
            "has no time; fill it in, remove the row, or give --time-col none".to_owned()
        } else {
            let like =
                if matches!(clock, Clock::Calendar { .. }) { "a date such as 2020-01-31 23:59:59" } else { "a number like those above" };
            format!("'{}' is no time: {like} was expected", String::from_utf8_lossy(&text))
        };
        Err(self.source.wrong(self.plan.place(self.record.row, self.plan.time_column()), reason))
    }

    /// The value of a column; infinite numbers are errors.
    pub(crate) fn cell(&self, column: usize) -> Result<Cell> {
        let text = self.record.text(column);
        match self.plan.dialect.cell(&text) {
            Cell::Infinite => {
                let token = String::from_utf8_lossy(&text).into_owned();
                let reason = format!("'{token}' is infinite; correct it, or give --na '{token}' if it means \"not observed\"");
                Err(self.source.wrong(self.plan.place(self.record.row, column), reason))
            }
            cell => Ok(cell),
        }
    }
}

/// What pass 1 found.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) rows: u64,
    pub(crate) series: u64,
    /// Ticks of the first row.
    pub(crate) origin: i64,
    pub(crate) span: Option<[String; 2]>,
    pub(crate) moments: Vec<Moments>,
    pub(crate) gaps: GapCounts,
    pub(crate) steps: Steps,
    /// Rows lie beside the grid that was tried.
    pub(crate) off_grid: bool,
}

/// How pass 1 ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Box<Scan>),
    /// Rows of one series are not together: they have to be sorted.
    Interleaved,
    /// Times do not run on; the error says where.
    Disorder(Error),
}

/// Where a series stands.
#[derive(Clone, Copy, Debug)]
struct Last {
    first: i64,
    ticks: i64,
    index: u64,
    row: u64,
}

/// Two rows of a series whose times do not run on.
pub(crate) fn disorder(source: &Source, plan: &Plan, record: &Record, same: bool, before: u64, flagged: [bool; 2]) -> Error {
    let time = String::from_utf8_lossy(&plan.time_text(record)).into_owned();
    let hint = if plan.id.is_none() && plan.header.len() > 2 { ", or --id-col if the file holds several series" } else { "" };
    let [sorted, deduped] = flagged;
    let reason = match same {
        true if !deduped => {
            format!("the time '{time}' is there already in row {before}; give --dedup to keep the first of such rows{hint}")
        }
        false if !sorted => format!("the time '{time}' lies before that of row {before}; give --sort to sort the rows by time{hint}"),
        _ => format!("the time '{time}' does not lie after that of row {before}"),
    };
    source.wrong(plan.place(record.row, plan.time_column()), reason)
}

/// Streams a wide file whose series lie one behind the other.
pub(crate) fn scan(source: &Source, plan: &Plan, grid: &Grid, flagged: [bool; 2]) -> Result<Outcome> {
    let mut walk = Walk::new(source, plan)?;
    let hasher = RandomState::new();
    let (mut seen, mut id) = (HashSet::new(), Vec::new());
    let mut found = Scan {
        rows: 0,
        series: 0,
        origin: 0,
        span: None,
        moments: vec![Moments::default(); plan.values.len()],
        gaps: GapCounts::new(plan.values.len()),
        steps: Steps::default(),
        off_grid: false,
    };
    let (mut last, mut row): (Option<Last>, Vec<f64>) = (None, Vec::new());
    let mut last_time = Vec::new();
    let clock = plan.time.map_or(Clock::Rows, |(_, clock)| clock);
    while walk.step()? {
        let record = &walk.record;
        if let Some(column) = plan.id {
            let now = record.text(column);
            if found.rows == 0 || *now != *id {
                if !seen.insert(hasher.hash_one(&*now)) {
                    return Ok(Outcome::Interleaved);
                }
                id = now.into_owned();
                last = None;
            }
        }
        let ticks = walk.ticks()?.unwrap_or_else(|| last.map_or(0, |l| l.ticks + 1));
        let record = &walk.record;
        if found.rows == 0 {
            found.origin = ticks;
        }
        if plan.time.is_some() {
            last_time.clear();
            last_time.extend_from_slice(&plan.time_text(record));
            if found.rows == 0 {
                let first = String::from_utf8_lossy(&last_time).into_owned();
                found.span = Some([first.clone(), first]);
            }
        }
        found.rows += 1;
        let mut absent = 0;
        last = Some(match last {
            None => {
                found.series += 1;
                found.gaps.close();
                Last { first: ticks, ticks, index: 0, row: record.row }
            }
            Some(l) => {
                if ticks <= l.ticks {
                    return Ok(Outcome::Disorder(disorder(source, plan, record, ticks == l.ticks, l.row, flagged)));
                }
                found.steps.add(l.ticks, ticks, clock);
                let index = grid.index(l.first, ticks);
                found.off_grid |= grid.step.is_some() && index.is_none();
                let mut index = index.unwrap_or(l.index + 1);
                if index <= l.index && !grid.snap {
                    // The step that was tried is too large; the right one is known at the end.
                    found.off_grid = true;
                    index = l.index + 1;
                }
                if index <= l.index {
                    let reason = format!("lies at the same point of the --freq grid as row {}; give a smaller --freq, or none", l.row);
                    return Err(source.wrong(plan.place(record.row, plan.time_column()), reason));
                }
                absent = index - l.index - 1;
                Last { first: l.first, ticks, index, row: record.row }
            }
        });
        row.clear();
        for (k, &column) in plan.values.iter().enumerate() {
            let cell = walk.cell(column)?;
            if cell == Cell::Text {
                found.moments[k].add_text(walk.record.row, &walk.record.text(column));
            }
            row.push(found.moments[k].add(cell));
        }
        found.gaps.row(absent, row.iter().copied());
    }
    found.gaps.close();
    if let Some([_, end]) = &mut found.span {
        *end = String::from_utf8_lossy(&last_time).into_owned();
    }
    Ok(Outcome::Done(Box::new(found)))
}

/// Columns that turned out to be text; text in a column of numbers, and a column without a value, are errors.
pub(crate) fn check_columns(source: &Source, plan: &Plan, names: &[String], moments: &[Moments]) -> Result<Vec<usize>> {
    let (mut texts, mut empty) = (Vec::new(), Vec::new());
    for (k, (name, found)) in names.iter().zip(moments).enumerate() {
        if found.texts > found.count && !plan.named && plan.long.is_none() {
            texts.push(k);
        } else if found.texts > 0 {
            let tokens = found.tokens.iter().map(|t| format!("'{t}'")).collect::<Vec<_>>().join(", ");
            let comma = found.tokens.iter().any(|t| {
                let other = if plan.dialect.comma { t.clone() } else { t.replace(',', ".") };
                t.contains(',') && other.parse::<f64>().is_ok()
            });
            let hint = if comma {
                "if the comma is the decimal sign, give --decimal ,".to_owned()
            } else {
                format!("if it means \"not observed\", give --na '{}'; to leave the column as it is, --exclude '{name}'", found.tokens[0])
            };
            let many = if found.texts > 3 { format!(" and {} more", found.texts - found.tokens.len() as u64) } else { String::new() };
            let reason = format!("text in a column of numbers: {tokens}{many}; {hint}");
            return Err(source.wrong(format!("row {}, column '{name}'", found.text_row), reason));
        } else if found.count == 0 {
            empty.push(name.as_str());
        }
    }
    let list = empty.join(",");
    match empty[..] {
        [] => {}
        [name] => {
            let reason = format!("is empty: no value was observed in any row; leave it out with --exclude '{name}'");
            return Err(source.wrong(format!("column '{name}'"), reason));
        }
        _ => {
            let reason = format!("are empty: no value was observed in any row; leave them out with --exclude '{list}'");
            return Err(
                source.wrong(format!("columns {}", empty.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")), reason)
            );
        }
    }
    Ok(texts)
}
