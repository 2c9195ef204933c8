//! A table on disk, known after one pass over it.

use std::{io::Write, path::Path};

use super::{
    blocks::Blocks,
    grid::{Grid, Steps},
    options::{Freq, ReadOptions},
    order::reorder,
    plan::{self, Plan},
    profile::{Calendar, Profile},
    scan::{Outcome, Scan, check_columns, scan},
    source::Source,
    time::{Clock, Step},
    turned::Turned,
};
use crate::{Error, Frame, Result};

/// Most rows of a block's core.
const MAX_ROWS: usize = 65_536;

/// Most cells of a block's core.
const MAX_CELLS: usize = 1 << 20;

/// Rows on both sides of a core that a block shows.
const HALO: usize = 1024;

/// Rows from which a first guess of the frequency is taken.
const GUESS_ROWS: u64 = 4000;

/// A delimited file whose roles, types and statistics are known, and that is read again in blocks.
#[derive(Debug)]
pub struct Table {
    pub(crate) source: Source,
    pub(crate) plan: Plan,
    pub(crate) grid: Grid,
    /// The cells of a table whose rows are mixed.
    pub(crate) turned: Option<Turned>,
    pub(crate) names: std::sync::Arc<[String]>,
    pub(crate) forecast: usize,
    profile: Profile,
}

impl Table {
    /// Pass 1: reads the file once (rarely twice) and finds out all there is to know. `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be read, or is no table that can be worked on; the message names row, column and remedy.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        Self::of(Source::open(path)?, options)
    }

    pub(crate) fn of(mut source: Source, options: &ReadOptions) -> Result<Self> {
        if let Freq::Every(Step::Months(_)) = options.freq {
            // A month means nothing on an axis of plain numbers.
            let clock = plan::plan(&source, options)?.time.map(|(_, clock)| clock);
            if !matches!(clock, Some(Clock::Calendar { .. })) {
                return Err(Error::Setting { name: "--freq", reason: "counts months, and the table has no column of dates".to_owned() });
            }
        }
        let mut plan = plan::plan(&source, options)?;
        let (mut reordered, mut interleaved, mut refused) = (false, plan.long.is_some(), false);
        let mut guess = first_guess(&source, &plan, options)?;
        loop {
            let clock = plan.time.map_or(Clock::Rows, |(_, clock)| clock);
            let snap = matches!(options.freq, Freq::Every(_));
            let grid = Grid { step: guess, snap, origin: 0, unit: 1.0 };
            let (turned, outcome) = if interleaved {
                let (turned, outcome) = Turned::load(&source, &plan, options)?;
                (Some(turned), outcome)
            } else {
                (None, scan(&source, &plan, &grid, [options.sort, options.dedup])?)
            };
            let mut found = match outcome {
                Outcome::Done(found) => found,
                Outcome::Interleaved => {
                    interleaved = true;
                    continue;
                }
                Outcome::Disorder(error) if reordered || !(options.sort || options.dedup) => return Err(error),
                Outcome::Disorder(_) => {
                    source = reorder(&source, &plan, options.sort, options.dedup)?;
                    reordered = true;
                    interleaved = plan.long.is_some();
                    guess = first_guess(&source, &plan, options)?;
                    continue;
                }
            };
            if found.rows == 0 {
                return Err(source.wrong("row 1", "is a header, and no rows follow it"));
            }
            let names: Vec<String> =
                turned.as_ref().map_or_else(|| plan.values.iter().map(|&c| plan.header[c].clone()).collect(), |t| t.names.clone());
            let texts = check_columns(&source, &plan, &names, &found.moments)?;
            if !texts.is_empty() {
                plan.values = (0..plan.values.len()).filter(|k| !texts.contains(k)).map(|k| plan.values[k]).collect();
                if plan.values.is_empty() {
                    let reason = "there is no column of numbers; look at --delimiter, --decimal, --columns, --exclude and --na";
                    return Err(source.wrong("row 1 (the header)", reason));
                }
                continue;
            }
            // Now all steps are known: is the grid that was tried the right one?
            if let Some(turned) = &turned {
                found.steps = turned.steps(clock)?;
                found.series = turned.series() as u64;
            }
            let wanted = match options.freq {
                Freq::Auto if refused => None,
                Freq::Auto if clock == Clock::Rows => Some(Step::Micros(1)),
                Freq::Auto => found.steps.frequency(clock),
                Freq::None => None,
                Freq::Every(step) => Some(clock.step(step)),
            };
            let grid = Grid { step: wanted, snap, origin: found.origin, unit: found.steps.unit() };
            if let Some(turned) = &turned {
                match turned.gaps(&grid)? {
                    Some(gaps) => found.gaps = gaps,
                    None if snap => {
                        return Err(Error::Setting {
                            name: "--freq",
                            reason: "puts two rows at one point of time; give a smaller one".into(),
                        });
                    }
                    None => found.off_grid = true,
                }
            } else if wanted != guess {
                guess = wanted;
                continue;
            }
            if wanted.is_some() && (found.off_grid || !grid.is_dense(found.gaps.points, found.rows)) {
                if snap {
                    let reason =
                        format!("is too fine: {} points of time for {} rows; give a larger one, or none", found.gaps.points, found.rows);
                    return Err(Error::Setting { name: "--freq", reason });
                }
                (refused, guess) = (true, None);
                continue;
            }
            if options.forecast > 0 && grid.step.is_none() {
                let reason = "needs rows at equal steps of time, and these are not; give --freq";
                return Err(Error::Setting { name: "--forecast", reason: reason.to_owned() });
            }
            let profile = describe(&plan, &grid, clock, &names, &found);
            return Ok(Self { source, plan, grid, turned, names: names.into(), forecast: options.forecast, profile });
        }
    }

    /// The file, as messages name it.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.source.label
    }

    /// What pass 1 found out.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The time axis.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let per_tick = self.clock().seconds_per_tick();
        let seconds = |ticks: f64| per_tick.map(|s| s * ticks);
        Calendar {
            regular: self.grid.step.is_some(),
            step: self.grid.step.and_then(|step| seconds(step.micros())),
            months: if let Some(Step::Months(n)) = self.grid.step { Some(n) } else { None },
            origin: seconds(self.grid.origin as f64),
            unit: seconds(self.grid.step.map_or(self.grid.unit, Step::micros)),
        }
    }

    /// Names of the columns of frames, in the order of the file.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The time at a position, written as the file writes times; the number of the row (from 0) without a column of times.
    #[must_use]
    pub fn label(&self, position: f64) -> String {
        let ticks = match self.grid.step {
            Some(step) => step.after(self.grid.origin, position.round() as i64),
            None => self.grid.origin.saturating_add((position * self.grid.unit).round() as i64),
        };
        let like = self.profile.span.as_ref().map_or("", |[first, _]| first.as_str());
        self.clock().write(ticks, like.as_bytes())
    }

    /// All series where they have at most `max_cells` cells together, else evenly spaced pieces of them; the same pieces every time.
    /// A frame never crosses series. Rows of a forecast are left out.
    ///
    /// # Errors
    /// The file cannot be read again.
    pub fn sample(&self, max_cells: usize) -> Result<Vec<Frame>> {
        let columns = self.names.len().max(1);
        let total = self.profile.grid_rows as usize * columns;
        if total <= max_cells {
            return self.blocks_of(usize::MAX, 0, 0)?.map(|block| block.map(|b| b.frame)).collect();
        }
        // Sixteen pieces or more, none shorter than what a season needs where the budget has room for that.
        let rows = (max_cells / columns / 16).clamp(512, MAX_ROWS).min(max_cells / columns).max(2);
        let (mut kept, mut seen, mut frames) = (0_usize, 0_usize, Vec::new());
        for block in self.blocks_of(rows, 0, 0)? {
            let block = block?;
            let cells = block.frame.rows() * columns;
            if kept as u128 * total as u128 <= max_cells as u128 * seen as u128 && kept + cells <= max_cells {
                kept += cells;
                frames.push(block.frame);
            }
            seen += cells;
        }
        Ok(frames)
    }

    /// Pass 2: the table in blocks, on a grid that the file alone decides.
    ///
    /// # Errors
    /// The file cannot be opened again.
    pub fn blocks(&self) -> Result<Blocks<'_>> {
        self.blocks_with(0)
    }

    /// The same blocks with at least `halo` rows around each: a gap that a frame shows cut off is longer than that.
    ///
    /// # Errors
    /// As [`Self::blocks`].
    pub fn blocks_with(&self, halo: usize) -> Result<Blocks<'_>> {
        let columns = self.names.len().max(1);
        let rows = (MAX_CELLS / columns).clamp(1, MAX_ROWS);
        self.blocks_of(rows, HALO.min(rows.max(64)).max(halo), self.forecast)
    }

    /// Blocks whose cores have `rows` rows.
    pub(crate) fn blocks_of(&self, rows: usize, halo: usize, forecast: usize) -> Result<Blocks<'_>> {
        Blocks::new(self, rows, halo, forecast)
    }

    /// Copies the file byte for byte (after `sort` and `dedup`, where they were needed).
    ///
    /// # Errors
    /// The file cannot be read, or `out` not be written.
    pub fn copy(&self, mut out: impl Write) -> Result<()> {
        std::io::copy(&mut self.source.reader()?, &mut out).map_err(|e| self.source.io(e))?;
        Ok(())
    }

    /// Whether blocks come in another order than the records of the file: in the long layout, and in panels with mixed rows. Then
    /// [`Block::holes`](super::Block::holes) says which record a hole is in.
    #[must_use]
    pub const fn is_mixed(&self) -> bool {
        self.turned.is_some()
    }

    /// Name of the column of values in the long layout.
    #[must_use]
    pub fn value_column(&self) -> Option<&str> {
        self.plan.long.map(|(_, value)| self.plan.header[value].as_str())
    }

    pub(crate) fn clock(&self) -> Clock {
        self.plan.time.map_or(Clock::Rows, |(_, clock)| clock)
    }
}

/// The frequency that the first rows suggest, so that one pass is enough nearly always.
fn first_guess(source: &Source, plan: &Plan, options: &ReadOptions) -> Result<Option<Step>> {
    let clock = plan.time.map_or(Clock::Rows, |(_, clock)| clock);
    match (options.freq, plan.time) {
        (Freq::None, _) => return Ok(None),
        (Freq::Every(step), _) => return Ok(Some(clock.step(step))),
        (Freq::Auto, None) => return Ok(Some(Step::Micros(1))),
        (Freq::Auto, Some(_)) => {}
    }
    let (mut steps, mut last, mut rows) = (Steps::default(), None, 0);
    plan::each(source, plan, |record| {
        let id = plan.id.map(|c| record.text(c).into_owned());
        let now = plan.time.and_then(|(_, clock)| clock.ticks(&plan.time_text(record)));
        if let (Some((before, last_id)), Some(now)) = (&last, now)
            && *last_id == id
            && now > *before
        {
            steps.add(*before, now, clock);
        }
        last = now.map(|now| (now, id));
        rows += 1;
        Ok(rows < GUESS_ROWS)
    })?;
    Ok(steps.frequency(clock))
}

fn describe(plan: &Plan, grid: &Grid, clock: Clock, names: &[String], found: &Scan) -> Profile {
    let roles = [plan.id, plan.long.map(|(variable, _)| variable)];
    let is_time = |c: usize| plan.time.is_some_and(|(times, _)| times.has(c));
    let has_role = |c: usize| is_time(c) || roles.contains(&Some(c)) || plan.values.contains(&c);
    let is_clock = clock.seconds_per_tick().is_some();
    Profile {
        rows: found.rows,
        grid_rows: found.gaps.points,
        series: found.series,
        layout: if plan.long.is_some() { "long" } else { "wide" },
        delimiter: char::from(plan.delimiter),
        decimal: if plan.dialect.comma { ',' } else { '.' },
        time: plan.time.map(|(times, _)| times.name(&plan.header)),
        id: plan.id.map(|c| plan.header[c].clone()),
        span: found.span.clone(),
        frequency: plan.time.and(grid.step).map(|step| clock.written(step).describe(is_clock)),
        untouched: (0..plan.header.len()).filter(|&c| !has_role(c)).map(|c| plan.header[c].clone()).collect(),
        columns: names.iter().zip(&found.moments).zip(&found.gaps.columns).map(|((n, m), g)| m.profile(n.clone(), g)).collect(),
        blackout_rows: found.gaps.all.rows,
        blackouts: found.gaps.all.bins,
    }
}
