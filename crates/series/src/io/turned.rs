//! Tables whose rows are not in the order of their series: the long layout, and panels with mixed rows. Their cells are sorted by series, time
//! and column, on disk where they are many, and read from there as rows.

use std::collections::HashMap;

use super::{
    cell::Cell,
    grid::{Grid, Steps},
    options::ReadOptions,
    plan::Plan,
    profile::{GapCounts, Moments},
    scan::{Outcome, Scan, Walk, disorder},
    sorted::{Entries, Sorted, Sorter, ticks_of, word_of},
    source::Source,
    time::Clock,
};
use crate::Result;

/// Most variables of the long layout.
const MAX_VARIABLES: usize = 10_000;

/// Words of a cell: series and the upper half of the time; the lower half, column and whether it is a hole; the value, or the number of a
/// hole's record.
const WIDTH: usize = 3;

/// All series of a table.
#[derive(Debug)]
pub(crate) struct Turned {
    /// Of the columns.
    pub(crate) names: Vec<String>,
    /// By the numbers of series in the cells.
    ids: Vec<Vec<u8>>,
    /// Columns of the variables of the long layout; `None` for one that is left out.
    variables: HashMap<Vec<u8>, Option<usize>>,
    cells: Sorted,
}

/// A row of a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// Of its id.
    series: u32,
    pub(crate) ticks: i64,
    /// NaN at holes.
    pub(crate) values: Vec<f64>,
    /// Column and record of the holes that the file has a field for.
    pub(crate) holes: Vec<(u32, u64)>,
}

/// Reads rows: series by series in the order in which the file begins them, and by time in each.
#[derive(Debug)]
pub(crate) struct Rows<'t> {
    turned: &'t Turned,
    entries: Entries<'t>,
    /// The first cell of the next row.
    next: Option<[u64; WIDTH]>,
    /// The row that was read last.
    pub(crate) row: Row,
}

/// Where a series stands while a file is read, in all columns or in one: rows so far, time and row of the last.
#[derive(Clone, Copy, Default)]
struct Last {
    rows: u64,
    ticks: i64,
    row: u64,
}

impl Turned {
    /// Reads the whole file.
    pub(crate) fn load(source: &Source, plan: &Plan, options: &ReadOptions) -> Result<(Self, Outcome)> {
        let mut turned = Self { names: Vec::new(), ids: Vec::new(), variables: HashMap::new(), cells: Sorter::new(WIDTH).sorted() };
        if plan.long.is_none() {
            turned.names = plan.values.iter().map(|&c| plan.header[c].clone()).collect();
        }
        let (mut walk, mut cells) = (Walk::new(source, plan)?, Sorter::new(WIDTH));
        let mut found = Scan {
            rows: 0,
            series: 0,
            origin: i64::MAX,
            span: None,
            moments: vec![Moments::default(); turned.names.len()],
            gaps: GapCounts::default(),
            steps: Steps::default(),
            off_grid: false,
        };
        let mut series: HashMap<Vec<u8>, usize> = HashMap::new();
        // Where each series stands: in the long layout in every column, else as a whole.
        let mut lasts: Vec<Vec<Last>> = Vec::new();
        while walk.step()? {
            let record = found.rows;
            found.rows += 1;
            let mut column = None;
            if let Some((variable, _)) = plan.long {
                let name = walk.record.text(variable);
                column = match turned.variables.get(&*name) {
                    Some(&known) => known,
                    None => turned.variable(&name, options),
                };
                found.moments.resize_with(turned.names.len(), Moments::default);
                if turned.names.len() > MAX_VARIABLES {
                    let reason =
                        format!("there are more than {MAX_VARIABLES} variables; is that the column of variables? else give --layout wide");
                    return Err(source.wrong(plan.place(walk.record.row, variable), reason));
                }
                if column.is_none() {
                    continue;
                }
            }
            let id = plan.id.map_or_else(Default::default, |c| walk.record.text(c));
            let number = match series.get(&*id) {
                Some(&number) => number,
                None => {
                    series.insert(id.to_vec(), turned.ids.len());
                    turned.ids.push(id.into_owned());
                    lasts.push(Vec::new());
                    lasts.len() - 1
                }
            };
            let at = column.unwrap_or(0);
            let lasts = &mut lasts[number];
            lasts.resize(lasts.len().max(at + 1), Last::default());
            let last = &mut lasts[at];
            let ticks = walk.ticks()?.unwrap_or(last.rows as i64);
            if last.rows > 0 && ticks <= last.ticks {
                let error = disorder(source, plan, &walk.record, ticks == last.ticks, last.row, [options.sort, options.dedup]);
                return Ok((turned, Outcome::Disorder(error)));
            }
            *last = Last { rows: last.rows + 1, ticks, row: walk.record.row };
            widen(&mut found, plan, &walk, ticks);
            let mut cell = |k: usize, column: usize| {
                let value = value(&walk, column, &mut found.moments[k])?;
                let time = word_of(ticks);
                let hole = value.is_nan();
                let low = (time << 32) | ((k as u64) << 1) | u64::from(hole);
                cells.push(&[((number as u64) << 32) | (time >> 32), low, if hole { record } else { value.to_bits() }])
            };
            match (column, plan.long) {
                (Some(k), Some((_, column))) => cell(k, column)?,
                _ => plan.values.iter().enumerate().try_for_each(|(k, &column)| cell(k, column))?,
            }
        }
        if let Some((variable, _)) = plan.long {
            for (given, flag) in [(&options.columns, "--columns"), (&options.exclude, "--exclude")] {
                if let Some(name) = given.iter().find(|n| !turned.variables.contains_key(n.as_bytes())) {
                    let reason = format!("no row has the variable '{name}' ({flag}); the columns are variables in the long layout");
                    return Err(source.wrong(format!("column '{}'", plan.header[variable]), reason));
                }
            }
            if turned.names.is_empty() {
                return Err(source.wrong("the input", "no variable is left to work on; look at --columns and --exclude"));
            }
        }
        turned.cells = cells.sorted();
        Ok((turned, Outcome::Done(Box::new(found))))
    }

    /// The column of a variable that is new; `None` where it is left out.
    fn variable(&mut self, name: &[u8], options: &ReadOptions) -> Option<usize> {
        let text = String::from_utf8_lossy(name).into_owned();
        let wanted = (options.columns.is_empty() || options.columns.contains(&text)) && !options.exclude.contains(&text);
        let column = wanted.then_some(self.names.len());
        if wanted {
            self.names.push(text);
        }
        self.variables.insert(name.to_vec(), column);
        column
    }

    /// The column of a variable of the long layout.
    pub(crate) fn column(&self, variable: &[u8]) -> Option<usize> {
        self.variables.get(variable).copied().flatten()
    }

    /// Number of series.
    pub(crate) const fn series(&self) -> usize {
        self.ids.len()
    }

    /// The rows of all series.
    pub(crate) fn rows(&self) -> Result<Rows<'_>> {
        let mut rows = Rows { turned: self, entries: self.cells.entries()?, next: None, row: Row::default() };
        rows.next = rows.cell()?;
        Ok(rows)
    }

    /// Steps between rows of all series.
    pub(crate) fn steps(&self, clock: Clock) -> Result<Steps> {
        let (mut steps, mut rows) = (Steps::default(), self.rows()?);
        let mut last: Option<(u32, i64)> = None;
        while rows.step()? {
            let (series, ticks) = (rows.row.series, rows.row.ticks);
            if let Some((_, before)) = last.filter(|&(of, _)| of == series) {
                steps.add(before, ticks, clock);
            }
            last = Some((series, ticks));
        }
        Ok(steps)
    }

    /// Runs of holes on a grid; `None` when rows lie beside it, or two of them at one point of it.
    pub(crate) fn gaps(&self, grid: &Grid) -> Result<Option<GapCounts>> {
        let (mut counts, mut rows) = (GapCounts::new(self.names.len()), self.rows()?);
        // Series and time of its first row, and the next point.
        let mut at: Option<(u32, i64, u64)> = None;
        while rows.step()? {
            let row = &rows.row;
            let (first, next) = match at {
                Some((series, first, next)) if series == row.series => (first, next),
                _ => {
                    counts.close();
                    (row.ticks, 0)
                }
            };
            let index = if grid.step.is_some() { grid.index(first, row.ticks) } else { Some(next) };
            let Some((index, absent)) = index.and_then(|index| Some((index, index.checked_sub(next)?))) else { return Ok(None) };
            counts.row(absent, row.values.iter().copied());
            at = Some((row.series, first, index + 1));
        }
        counts.close();
        Ok(Some(counts))
    }
}

impl Rows<'_> {
    /// Reads the next row, `false` at the end.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let Some(first) = self.next else { return Ok(false) };
        let time = |[high, low, _]: [u64; WIDTH]| [high, low >> 32];
        let of_time = time(first);
        self.row.series = (first[0] >> 32) as u32;
        self.row.ticks = ticks_of((first[0] << 32) | (first[1] >> 32));
        self.row.values.clear();
        self.row.values.resize(self.turned.names.len(), f64::NAN);
        self.row.holes.clear();
        let mut next = Some(first);
        while let Some(cell) = next.filter(|&cell| time(cell) == of_time) {
            let column = (cell[1] as u32) >> 1;
            if cell[1] & 1 == 1 {
                self.row.holes.push((column, cell[2]));
            } else {
                self.row.values[column as usize] = f64::from_bits(cell[2]);
            }
            next = self.cell()?;
        }
        self.next = next;
        Ok(true)
    }

    /// The id of the row's series.
    pub(crate) fn id(&self) -> &[u8] {
        &self.turned.ids[self.row.series as usize]
    }

    fn cell(&mut self) -> Result<Option<[u64; WIDTH]>> {
        Ok(self.entries.read()?.and_then(|words| words.first_chunk().copied()))
    }
}

/// Widens the span of times by a row.
fn widen(found: &mut Scan, plan: &Plan, walk: &Walk<'_>, ticks: i64) {
    let Some((_, clock)) = plan.time else {
        found.origin = 0;
        return;
    };
    let time = || String::from_utf8_lossy(&plan.time_text(&walk.record)).into_owned();
    match &mut found.span {
        None => {
            let text = time();
            found.span = Some([text.clone(), text]);
            found.origin = ticks;
        }
        Some([first, last]) => {
            if ticks < found.origin {
                found.origin = ticks;
                *first = time();
            }
            if clock.ticks(last.as_bytes()).is_some_and(|t| ticks > t) {
                *last = time();
            }
        }
    }
}

fn value(walk: &Walk<'_>, column: usize, moments: &mut Moments) -> Result<f64> {
    let cell = walk.cell(column)?;
    if cell == Cell::Text {
        moments.add_text(walk.record.row, &walk.record.text(column));
    }
    Ok(moments.add(cell))
}
