//! Tables whose rows are not in the order of their series, held in memory: the long layout, and panels with mixed rows.

use std::collections::HashMap;

use super::{
    cell::Cell,
    grid::{Grid, Steps},
    options::ReadOptions,
    plan::Plan,
    profile::{GapCounts, Moments},
    scan::{Outcome, Scan, Walk, disorder},
    source::Source,
    time::Clock,
};
use crate::Result;

/// Most cells held.
const MAX_CELLS: usize = 64 << 20;

/// Most variables of the long layout.
const MAX_VARIABLES: usize = 10_000;

/// All series of a table.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) names: Vec<String>,
    pub(crate) series: Vec<Series>,
    ids: HashMap<Vec<u8>, usize>,
    /// Number of a variable of the long layout; `None` for one that is left out.
    variables: HashMap<Vec<u8>, Option<usize>>,
}

/// One series.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) id: Vec<u8>,
    /// Ticks, strictly increasing.
    pub(crate) times: Vec<i64>,
    /// `values[column][row]`; NaN for holes.
    pub(crate) values: Vec<Vec<f64>>,
}

/// A series while it is read: per variable the times and values in the order of the file, and the row of the last.
#[derive(Default)]
struct Pairs {
    columns: Vec<(Vec<(i64, f64)>, u64)>,
}

impl Held {
    /// The series and the variable of a row of the file, by what its fields hold.
    pub(crate) fn place(&self, id: &[u8], variable: &[u8]) -> Option<(usize, Option<usize>)> {
        Some((*self.ids.get(id)?, self.variables.get(variable).copied().flatten()))
    }

    fn series_of(&mut self, id: &[u8]) -> usize {
        if let Some(&at) = self.ids.get(id) {
            return at;
        }
        self.ids.insert(id.to_vec(), self.series.len());
        self.series.push(Series { id: id.to_vec(), ..Series::default() });
        self.series.len() - 1
    }

    /// Reads the whole file.
    pub(crate) fn load(source: &Source, plan: &Plan, options: &ReadOptions) -> Result<(Self, Outcome)> {
        match plan.long {
            Some(_) => Self::load_long(source, plan, options),
            None => Self::load_wide(source, plan, options),
        }
    }

    fn load_wide(source: &Source, plan: &Plan, options: &ReadOptions) -> Result<(Self, Outcome)> {
        let mut held = Self { names: plan.values.iter().map(|&c| plan.header[c].clone()).collect(), ..Self::default() };
        let (mut found, mut walk) = (empty(plan.values.len()), Walk::new(source, plan)?);
        let mut last_rows: Vec<u64> = Vec::new();
        while walk.step()? {
            let id = plan.id.map_or_else(Vec::new, |c| walk.record.text(c).into_owned());
            let at = held.series_of(&id);
            last_rows.resize(held.series.len(), 0);
            let series = &mut held.series[at];
            let ticks = walk.ticks()?.unwrap_or(series.times.len() as i64);
            if let Some(&before) = series.times.last()
                && ticks <= before
            {
                let error = disorder(source, plan, &walk.record, ticks == before, last_rows[at], [options.sort, options.dedup]);
                return Ok((held, Outcome::Disorder(error)));
            }
            last_rows[at] = walk.record.row;
            note(&mut found, plan, &walk, ticks);
            series.times.push(ticks);
            series.values.resize(plan.values.len(), Vec::new());
            for (k, &column) in plan.values.iter().enumerate() {
                series.values[k].push(value(&walk, column, &mut found.moments[k])?);
            }
            bound(source, found.rows as usize * plan.values.len())?;
        }
        Ok((held, Outcome::Done(Box::new(found))))
    }

    fn load_long(source: &Source, plan: &Plan, options: &ReadOptions) -> Result<(Self, Outcome)> {
        let (mut held, mut found, mut walk) = (Self::default(), empty(0), Walk::new(source, plan)?);
        let mut read: Vec<Pairs> = Vec::new();
        let (variable, column) = plan.long.unwrap_or((0, 0));
        while walk.step()? {
            let name = walk.record.text(variable).into_owned();
            let known = held.variables.get(&name).copied();
            let at = match known {
                Some(at) => at,
                None => {
                    let text = String::from_utf8_lossy(&name).into_owned();
                    let wanted = (options.columns.is_empty() || options.columns.contains(&text)) && !options.exclude.contains(&text);
                    let at = wanted.then_some(held.names.len());
                    if wanted {
                        held.names.push(text);
                        found.moments.push(Moments::default());
                    }
                    held.variables.insert(name, at);
                    at
                }
            };
            if held.names.len() > MAX_VARIABLES {
                let reason =
                    format!("there are more than {MAX_VARIABLES} variables; is that the column of variables? else give --layout wide");
                return Err(source.wrong(plan.place(walk.record.row, variable), reason));
            }
            let id = plan.id.map_or_else(Vec::new, |c| walk.record.text(c).into_owned());
            let series = held.series_of(&id);
            read.resize_with(held.series.len(), Pairs::default);
            let pairs = &mut read[series];
            let Some(at) = at else {
                found.rows += 1;
                continue;
            };
            pairs.columns.resize_with(pairs.columns.len().max(at + 1), Default::default);
            let (cells, last_row) = &mut pairs.columns[at];
            let ticks = walk.ticks()?.unwrap_or(cells.len() as i64);
            if let Some(&(before, _)) = cells.last()
                && ticks <= before
            {
                let error = disorder(source, plan, &walk.record, ticks == before, *last_row, [options.sort, options.dedup]);
                return Ok((held, Outcome::Disorder(error)));
            }
            *last_row = walk.record.row;
            note(&mut found, plan, &walk, ticks);
            cells.push((ticks, value(&walk, column, &mut found.moments[at])?));
            bound(source, found.rows as usize)?;
        }
        for (given, flag) in [(&options.columns, "--columns"), (&options.exclude, "--exclude")] {
            if let Some(name) = given.iter().find(|n| !held.variables.contains_key(n.as_bytes())) {
                let reason = format!("no row has the variable '{name}' ({flag}); the columns are variables in the long layout");
                return Err(source.wrong(format!("column '{}'", plan.header[variable]), reason));
            }
        }
        if held.names.is_empty() {
            return Err(source.wrong("the input", "no variable is left to work on; look at --columns and --exclude"));
        }
        let mut cells = 0;
        read.resize_with(held.series.len(), Pairs::default);
        for (series, pairs) in held.series.iter_mut().zip(read) {
            let mut times: Vec<i64> = pairs.columns.iter().flat_map(|(cells, _)| cells.iter().map(|&(t, _)| t)).collect();
            times.sort_unstable();
            times.dedup();
            cells += times.len() * held.names.len();
            bound(source, cells)?;
            series.values = vec![vec![f64::NAN; times.len()]; held.names.len()];
            for (column, (cells, _)) in series.values.iter_mut().zip(pairs.columns) {
                let mut at = 0;
                for (time, value) in cells {
                    // Both lists rise, and every time of the one is in the other.
                    at += times[at..].iter().position(|&t| t == time).unwrap_or(0);
                    column[at] = value;
                }
            }
            series.times = times;
        }
        // Series none of whose variables is worked on are left out.
        held.series.retain(|s| !s.times.is_empty());
        held.ids = held.series.iter().enumerate().map(|(at, s)| (s.id.clone(), at)).collect();
        Ok((held, Outcome::Done(Box::new(found))))
    }

    /// Steps between rows of all series.
    pub(crate) fn steps(&self, clock: Clock) -> Steps {
        let mut steps = Steps::default();
        self.series.iter().flat_map(|s| s.times.windows(2)).for_each(|w| steps.add(w[0], w[1], clock));
        steps
    }

    /// Runs of holes on a grid; `None` when rows lie beside it, or two of them at one point of it.
    pub(crate) fn gaps(&self, grid: &Grid) -> Option<GapCounts> {
        let mut counts = GapCounts::new(self.names.len());
        for series in &self.series {
            let mut next = 0;
            for (row, &time) in series.times.iter().enumerate() {
                let index = if grid.step.is_some() { grid.index(series.times[0], time)? } else { row as u64 };
                counts.row(index.checked_sub(next)?, series.values.iter().map(|v| v[row]));
                next = index + 1;
            }
            counts.close();
        }
        Some(counts)
    }
}

fn empty(columns: usize) -> Scan {
    Scan {
        rows: 0,
        series: 0,
        origin: i64::MAX,
        span: None,
        moments: vec![Moments::default(); columns],
        gaps: GapCounts::default(),
        steps: Steps::default(),
        off_grid: false,
    }
}

/// Counts a row and widens the span by its time.
fn note(found: &mut Scan, plan: &Plan, walk: &Walk<'_>, ticks: i64) {
    found.rows += 1;
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

fn bound(source: &Source, cells: usize) -> Result<()> {
    if cells <= MAX_CELLS {
        return Ok(());
    }
    let reason = format!(
        "the series of this file are mixed row by row, and more than {} million cells are not held in memory; sort the file by its id \
         column and then by time (or make it wide), so that it can be streamed",
        MAX_CELLS >> 20
    );
    Err(source.wrong("the input", reason))
}
