//! Pools of tables with known cells hidden: what the residual's network learns from.

use std::{collections::BTreeMap, sync::Arc};

use langevin_core::{Philox, noise::stream};
use rayon::prelude::*;

use super::{Relations, Sheet, Window};
use crate::{
    Error, Frame, Result,
    anchor::Anchored,
    draws::Draws,
    masks::{Mask, Pattern, own_gaps},
};

/// Stream that picks windows.
const PICK: u32 = stream::DOMAIN + 8;
/// Stream that shapes tables: which rows of a long file a lesson is of.
const PART: u32 = stream::DOMAIN + 12;
/// Residuals are cut here, in units of the anchor's error: one outlier is not worth a gradient step.
const LIMIT: f32 = 8.0;
/// Most rows of a file in one lesson.
const LONGEST: usize = 8192;

/// A masked table with the anchor fitted to what is left of it, in units of its columns' deviations.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// `[column][row]` with NaN at holes.
    pub values: Vec<Vec<f64>>,
    /// The same with what the mask hid; NaN where nobody knows.
    pub truth: Vec<Vec<f64>>,
    /// The anchor's estimates.
    pub anchored: Anchored,
    /// Steps of a period, where there is one.
    pub period: Option<f64>,
}

/// What fits an anchor to a table with holes.
pub trait Anchoring: Sync {
    /// Fits to `masked` and estimates its holes; `truth` is only brought to the same units.
    ///
    /// # Errors
    /// When nothing can be fitted to what is left.
    fn prepare(&self, masked: &Frame, truth: &Frame) -> Result<Prepared>;
}

/// How a pool is made.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// Seed of masks.
    pub seed: u64,
    /// Rows of a window.
    pub window: usize,
    /// Most columns of a window.
    pub columns: usize,
}

/// Tables of one kind: all sources of a pool are drawn from evenly, whatever their sizes.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The tables.
    pub frames: Vec<Frame>,
    /// Masks of each.
    pub masks: u32,
}

/// A masked table, and what the mask hid.
#[derive(Debug)]
struct Masked {
    sheet: Sheet,
    /// `(truth - mean) / scale` of hidden cells, NaN elsewhere: `[column * rows + row]`.
    residuals: Vec<f32>,
    /// Hidden cells.
    targets: Vec<u32>,
}

/// Masked tables to draw windows from.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    tables: Vec<Masked>,
    /// Tables by the number of columns of their windows, of each source.
    sources: Vec<Tables>,
}

#[derive(Debug)]
struct Tables {
    tables: Vec<usize>,
    alike: BTreeMap<usize, Vec<usize>>,
}

/// A window with what is to be learned from it.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// What the network sees.
    pub window: Window,
    /// Residuals of the cells that the mask hid, 0 elsewhere: `[row][column]`, in units of the anchor's error.
    pub residuals: Vec<f32>,
    /// 1 at those cells and 0 elsewhere: `[row][column]`. Holes that nobody knows are not among them.
    pub known: Vec<f32>,
}

/// Which lesson: row `row` of a step, where `group` rows that follow one another see the same number of columns.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Step.
    pub step: u32,
    /// Row of the batch.
    pub row: u32,
    /// Rows of a group.
    pub group: u32,
}

impl Pool {
    /// Masks every table of each source, anchors it, and keeps it. A table with holes is masked by its own gaps half of the time.
    ///
    /// # Errors
    /// [`Error::Setting`] when no table has a cell to hide.
    pub fn new(config: PoolConfig, sources: &[Source], anchoring: &dyn Anchoring) -> Result<Self> {
        let noise = Philox::new(config.seed);
        let frames: Vec<(usize, &Frame)> =
            sources.iter().enumerate().flat_map(|(at, source)| source.frames.iter().map(move |frame| (at, frame))).collect();
        let masks = |&(source, _): &(usize, &Frame)| sources[source].masks;
        let jobs: Vec<(u32, u32)> =
            frames.iter().zip(0..).flat_map(|(frame, table)| (0..masks(frame)).map(move |mask| (table, mask))).collect();
        let made: Vec<Option<Masked>> = jobs
            .par_iter()
            .map(|&(table, mask)| Masked::new(frames[table as usize].1, noise, table, mask, anchoring))
            .collect::<Result<_>>()?;
        let mut pool = Self { config, tables: Vec::new(), sources: Vec::new() };
        let mut of_source: Vec<Tables> = sources.iter().map(|_| Tables { tables: Vec::new(), alike: BTreeMap::new() }).collect();
        for ((table, _), made) in jobs.into_iter().zip(made) {
            let Some(made) = made else { continue };
            let (source, number) = (&mut of_source[frames[table as usize].0], pool.tables.len());
            source.tables.push(number);
            source.alike.entry(made.sheet.columns().min(config.columns)).or_default().push(number);
            pool.tables.push(made);
        }
        pool.sources = of_source.into_iter().filter(|source| !source.tables.is_empty()).collect();
        if pool.tables.is_empty() {
            return Err(Error::Setting { name: "data", reason: "should have a table of two rows or more with cells to hide".into() });
        }
        Ok(pool)
    }

    /// Number of masked tables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there is none; a pool that was made has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The lesson of an address. Windows are drawn around hidden cells.
    #[must_use]
    pub fn draw(&self, noise: Philox, draw: Draw) -> Lesson {
        // What the rows of a group share comes first, from the group's own address.
        let group = draw.row / draw.group.max(1);
        let shared = &mut Draws::new(noise, group, draw.step, PICK);
        let source = &self.sources[shared.below(self.sources.len())];
        let first = source.tables[shared.below(source.tables.len())];
        let wide = self.tables[first].sheet.columns().min(self.config.columns);
        let own = &mut Draws::new(noise, draw.row, draw.step, PICK + 2);
        let alike = &source.alike[&wide];
        let table = &self.tables[alike[own.below(alike.len())]];
        table.lesson(self.config.window, wide, own)
    }
}

impl Masked {
    /// `None` when there is nothing to hide.
    fn new(frame: &Frame, noise: Philox, table: u32, number: u32, anchoring: &dyn Anchoring) -> Result<Option<Self>> {
        let frame = &part(frame, noise, table, number);
        let (rows, columns) = (frame.rows(), frame.columns());
        if rows < 2 || columns == 0 {
            return Ok(None);
        }
        let has_gaps = frame.values.iter().flatten().any(|value| value.is_nan());
        let mut mask: Mask = if has_gaps && number.is_multiple_of(2) {
            own_gaps(frame, Draws::new(noise, table, number, PART + 1).between(0.05, 0.25), noise, table, number)
        } else {
            Pattern::draw(rows, columns, noise, table, number).mask(rows, columns, noise, table, number)
        };
        let mut masked = frame.clone();
        for (values, mask) in masked.values.iter_mut().zip(&mut mask) {
            let seen = values.iter().zip(mask.iter()).filter(|(value, hidden)| !value.is_nan() && !**hidden).count();
            // A column of which nothing would be left is left whole: an anchor cannot be fitted to it.
            if seen < 2 {
                mask.fill(false);
            }
            values.iter_mut().zip(mask.iter()).filter(|(_, hidden)| **hidden).for_each(|(value, _)| *value = f64::NAN);
        }
        let prepared = anchoring.prepare(&masked, frame)?;
        let relations = Arc::new(Relations::fit(&[&prepared.values]));
        let sheet = Sheet::new(&prepared.values, &frame.positions, &prepared.anchored, prepared.period, relations);
        let mut residuals = vec![f32::NAN; rows * columns];
        let mut targets = Vec::new();
        for (column, hidden) in mask.iter().enumerate() {
            let Anchored { mean, scale } = &prepared.anchored;
            for row in (0..rows).filter(|&row| hidden[row]) {
                let residual = (prepared.truth[column][row] - mean[column][row]) / scale[column][row];
                if residual.is_finite() {
                    residuals[column * rows + row] = (residual as f32).clamp(-LIMIT, LIMIT);
                    targets.push((column * rows + row) as u32);
                }
            }
        }
        Ok((!targets.is_empty()).then_some(Self { sheet, residuals, targets }))
    }

    fn lesson(&self, window: usize, wide: usize, draws: &mut Draws) -> Lesson {
        let rows = self.sheet.rows();
        let target = self.targets[draws.below(self.targets.len())] as usize;
        let (column, row) = (target / rows, target % rows);
        let count = window.min(rows);
        let first = row.saturating_sub(draws.below(count)).min(rows - count);
        // The target's column, and others by chance.
        let mut columns: Vec<usize> = draws.some_of(self.sheet.columns() - 1, wide - 1);
        columns.iter_mut().filter(|other| **other >= column).for_each(|other| *other += 1);
        columns.push(column);
        columns.sort_unstable();
        let window = self.sheet.window(first, count, &columns);
        let residual = |row: usize| columns.iter().map(move |column| self.residuals[column * rows + row]);
        let residuals: Vec<f32> = (first..first + count).flat_map(residual).collect();
        let known = residuals.iter().map(|r| f32::from(u8::from(!r.is_nan()))).collect();
        Lesson { window, residuals: residuals.into_iter().map(|r| if r.is_nan() { 0.0 } else { r }).collect(), known }
    }
}

/// The whole table, or of a long one some rows that follow one another.
fn part(frame: &Frame, noise: Philox, table: u32, number: u32) -> Frame {
    let rows = frame.rows();
    if rows <= LONGEST {
        return frame.clone();
    }
    let first = Draws::new(noise, table, number, PART).below(rows - LONGEST + 1);
    Frame {
        names: frame.names.clone(),
        positions: frame.positions[first..first + LONGEST].to_vec(),
        values: frame.values.iter().map(|values| values[first..first + LONGEST].to_vec()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stand_in::{Interpolation, waves};

    fn pool(sources: &[Vec<Frame>]) -> Result<Pool> {
        let sources: Vec<Source> = sources.iter().map(|frames| Source { frames: frames.clone(), masks: 4 }).collect();
        Pool::new(PoolConfig { seed: 1, window: 32, columns: 3 }, &sources, &Interpolation)
    }

    #[test]
    fn lessons_hold_what_was_hidden_and_groups_are_of_one_width() {
        let mut with_gaps = waves(300, 6, 9);
        with_gaps.values[2][40..60].fill(f64::NAN);
        let pool = pool(&[vec![waves(200, 2, 1), waves(20, 1, 2), waves(500, 5, 3)], vec![with_gaps]]).unwrap();
        // A mask of few points may hide nothing of a table of 20 cells.
        assert!((14..=16).contains(&pool.len()), "{}", pool.len());
        let noise = Philox::new(5);
        for step in 0..20 {
            let lessons: Vec<Lesson> = (0..8).map(|row| pool.draw(noise, Draw { step, row, group: 4 })).collect();
            assert!(lessons.chunks(4).all(|group| group.iter().all(|lesson| lesson.window.columns == group[0].window.columns)));
            for lesson in &lessons {
                assert!(lesson.known.contains(&1.0) && lesson.window.columns <= 3 && lesson.window.rows <= 32);
                for (k, (&known, &residual)) in lesson.known.iter().zip(&lesson.residuals).enumerate() {
                    assert!(known == 0.0 || lesson.window.holes[k] == 1.0);
                    assert!(residual.is_finite() && residual.abs() <= LIMIT && (known == 1.0 || residual == 0.0));
                }
            }
        }
        let again = pool.draw(noise, Draw { step: 3, row: 2, group: 4 });
        assert_eq!(again.window, pool.draw(noise, Draw { step: 3, row: 2, group: 4 }).window);
    }

    #[test]
    fn tables_with_nothing_to_hide_are_refused() {
        assert!(pool(&[]).is_err());
        let empty = Frame { names: ["a".to_owned()].into(), positions: vec![0.0, 1.0], values: vec![vec![f64::NAN; 2]] };
        assert!(pool(&[vec![empty]]).is_err());
    }
}
