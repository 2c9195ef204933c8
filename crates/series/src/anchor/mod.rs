//! The best simple estimate of every hole, which diffusion starts from: a closed-form linear model, and how wrong it expects to be.
//!
//! Seven estimates (lines, season, [kriging](https://en.wikipedia.org/wiki/Kriging), four chained regressions) are mixed by column and by the
//! distance to the nearest observation, with shares learned from cells held out in the shape of the table's own gaps. The same cells
//! tell how large errors are.

mod covariance;
mod groups;
mod kalman;
mod kriging;
mod levels;
mod mix;
mod models;
mod reach;
mod ridge;
mod scaler;
mod season;
mod simple;
mod spread;
mod unrest;

use langevin_core::Philox;
use rayon::prelude::*;

pub use self::scaler::{ColumnScale, Scaler, Warp};
use self::{
    mix::{Held, Mix},
    models::{ESTIMATES, Estimates, Models, PLAIN},
    season::Stretch,
    spread::{Miss, Spread, expected},
    unrest::Unrest,
};
pub(crate) use self::{reach::Reach, simple::distances};
use crate::{
    Error, Frame, Result,
    masks::{Mask, gap_sizes, own_gaps},
};

/// Cells that should be held out, if that is not more than [`MOST`].
const ENOUGH: f64 = 1500.0;
/// Gaps that should be held out, if that is not more than [`MOST`]: cells of one gap err together, and bands that few outages tell of cover
/// anything.
const GAPS: f64 = 24.0;
/// Most that is held out.
const MOST: f64 = 0.25;
/// Rows that go to one half of the trial together, so that a gap is seldom cut.
const STRIP: usize = 64;

/// Half of the trial, 0 or 1, that a hidden cell belongs to: strips of rows by turns, and whole series by turns where these are short.
pub(crate) const fn half_of(frame: usize, row: usize) -> usize {
    (frame + row / STRIP) % 2
}

/// A simple method's estimate of every cell of a table, in units of the columns' deviations.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchored {
    /// `mean[column][row]`: the observed value, or the estimate of a hole.
    pub mean: Vec<Vec<f64>>,
    /// `scale[column][row]`: the standard deviation expected of a hole's error, above 0; 0 where a value was observed.
    pub scale: Vec<Vec<f64>>,
}

/// How an anchor is fitted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Periods that may be the season's, in rows; when there is none, the data suggest some.
    pub periods: Vec<usize>,
    /// Share of the observed cells that is held out; 0 for none, which leaves the estimates their usual shares.
    pub held_out: f64,
    /// Seed of the cells that are held out.
    pub seed: u64,
}

/// A method that the user may ask for by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simple {
    /// Straight lines in time.
    Linear,
    /// The season's course, and lines between what differs from it.
    Seasonal,
    /// The last observation carried forward.
    Locf,
    /// The column's mean.
    Mean,
    /// A level that wanders, seen through noise, smoothed.
    Kalman,
}

/// What was fitted to a table: it fills any other stretch of it.
#[derive(Clone, Debug)]
pub struct Anchor {
    scaler: Scaler,
    period: Option<usize>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    columns: Vec<usize>,
    models: Models,
    mix: Mix,
    spread: Spread,
    unrest: Unrest,
}

/// Known cells that were hidden, and what an anchor that did not see them says.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The table's frames with the hidden cells missing, in the units of the file.
    pub masked: Vec<Frame>,
    /// Which cells were hidden, of each frame.
    pub hidden: Vec<Mask>,
    /// The anchor's estimates, of each frame. At hidden cells the shares were learned from the other half of them.
    pub anchored: Vec<Anchored>,
    /// What [`Simple::Linear`] and [`Simple::Seasonal`] say of each frame, `[column][row]` in deviations.
    pub lines: Vec<[Vec<Vec<f64>>; 2]>,
}

impl Anchor {
    /// Fits to frames of one table (the same columns in each), and tries itself on held-out cells.
    ///
    /// # Errors
    /// [`Error::Setting`] when there is no column or no observed cell, or the share is not one.
    pub fn fit(frames: &[Frame], settings: &Settings) -> Result<(Self, Trial)> {
        if frames.iter().all(|frame| frame.values.iter().flatten().all(|v| v.is_nan())) {
            return Err(Error::Setting { name: "table", reason: "has no observed number to learn from".into() });
        }
        if !(0.0..=0.5).contains(&settings.held_out) {
            return Err(Error::Setting { name: "held_out", reason: format!("must lie in 0 to 0.5, not {}", settings.held_out) });
        }
        let scaler = Scaler::fit(frames);
        let scaled: Vec<Vec<Vec<f64>>> = frames.iter().map(|frame| scaler.forward(frame)).collect();
        let noise = Philox::new(settings.seed);
        let order = groups::by_name(&frames[0].names);
        let share = enough_gaps(frames, settings.held_out);
        let hidden: Vec<Mask> = frames.iter().zip(0..).map(|(frame, n)| hide(frame, &order, share, noise, n)).collect();
        let masked: Vec<Frame> = frames.iter().zip(&hidden).map(|(frame, hidden)| without(frame, hidden)).collect();
        let masked_scaled: Vec<Vec<Vec<f64>>> = masked.iter().map(|frame| scaler.forward(frame)).collect();
        let period = season::choose(&stretches(frames, &scaled), &settings.periods);
        let held = hidden.iter().flatten().flatten().any(|&hidden| hidden);

        let columns = groups::split(&order, &scaled);
        let blank = || masked.iter().map(|frame| vec![vec![0.0; frame.rows()]; frame.columns()]).collect::<Vec<_>>();
        let (mut mean, mut scale, mut linear, mut seasonal) = (blank(), blank(), blank(), blank());
        let mut groups = Vec::with_capacity(columns.len());
        for columns in columns {
            let whole: Vec<Vec<Vec<f64>>> = scaled.iter().map(|table| pick(table, &columns)).collect();
            let (mut mix, mut spread) = (Mix::plain(columns.len(), &PLAIN), Spread::plain(columns.len()));
            if held {
                let part: Vec<Vec<Vec<f64>>> = masked_scaled.iter().map(|table| pick(table, &columns)).collect();
                let (models, unrest) = (Models::fit(&stretches(frames, &part), period), Unrest::fit(&part));
                let tried: Vec<Tried> = (0..frames.len())
                    .map(|n| {
                        let stretch = (frames[n].positions.as_slice(), part[n].as_slice());
                        Tried::new(&models, &unrest, n, &stretch, &whole[n], &pick(&hidden[n], &columns))
                    })
                    .collect();
                let picked: Vec<Mask> = hidden.iter().map(|mask| pick(mask, &columns)).collect();
                let cells = Held {
                    cells: tried.iter().flat_map(|t| t.held.cells.iter().copied()).collect(),
                    errors: tried.iter().flat_map(|t| t.held.errors.iter().cloned()).collect(),
                    cluster: cluster(&picked),
                };
                let halves = [Some(0), Some(1), None].map(|half| Mix::fit(&cells, columns.len(), half, &PLAIN));
                let misses: Vec<Miss> = tried.iter().flat_map(|t| t.misses(&halves)).collect();
                let spreads = [Some(0), Some(1), None].map(|half| Spread::fit(&misses, columns.len(), cells.cluster, half));
                for (n, tried) in tried.iter().enumerate() {
                    let anchored = tried.anchored(&halves, &spreads);
                    for (at, &column) in columns.iter().enumerate() {
                        mean[n][column].clone_from(&anchored.mean[at]);
                        scale[n][column].clone_from(&anchored.scale[at]);
                        linear[n][column].clone_from(&tried.estimates.means[0][at]);
                        seasonal[n][column].clone_from(&tried.estimates.means[1][at]);
                    }
                }
                let ([_, _, all_mix], [_, _, all_spread]) = (halves, spreads);
                (mix, spread) = (all_mix, all_spread);
            }
            let models = Models::fit(&stretches(frames, &whole), period);
            groups.push(Group { columns, models, mix, spread, unrest: Unrest::fit(&whole) });
        }
        let anchored = mean.into_iter().zip(scale).map(|(mean, scale)| Anchored { mean, scale }).collect();
        let lines = linear.into_iter().zip(seasonal).map(|(a, b)| [a, b]).collect();
        Ok((Self { scaler, period, groups }, Trial { masked, hidden, anchored, lines }))
    }

    /// The scaling of the columns.
    #[must_use]
    pub const fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    /// Rows of a season, if there is one.
    #[must_use]
    pub const fn period(&self) -> Option<usize> {
        self.period
    }

    /// Columns that are estimated from one another.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &[usize]> {
        self.groups.iter().map(|group| group.columns.as_slice())
    }

    /// Estimates of a frame's holes.
    #[must_use]
    pub fn apply(&self, frame: &Frame) -> Anchored {
        let scaled = self.scaler.forward(frame);
        let mut anchored = Anchored { mean: scaled.clone(), scale: vec![vec![0.0; frame.rows()]; frame.columns()] };
        for group in &self.groups {
            let table = pick(&scaled, &group.columns);
            let estimates = group.models.estimates(&(&frame.positions, &table));
            for (at, &column) in group.columns.iter().enumerate() {
                let (far, unrest) = (distances(&table[at]), group.unrest.around(at, &table[at]));
                for row in (0..frame.rows()).filter(|&row| table[at][row].is_nan()) {
                    anchored.mean[column][row] = group.mix.of(at, far[row], estimates.means.iter().map(|m| m[at][row]));
                    anchored.scale[column][row] = group.spread.of(at, far[row], unrest[row], estimates.variance[at][row]);
                }
            }
        }
        anchored
    }

    /// One simple method's estimates of a frame's holes, `[column][row]` in deviations.
    #[must_use]
    pub fn simple(&self, frame: &Frame, method: Simple) -> Vec<Vec<f64>> {
        let scaled = self.scaler.forward(frame);
        let seasonal = |column: usize| {
            let group = self.groups.iter().find(|group| group.columns.contains(&column));
            let group = group.expect("every column is in a group");
            let at = group.columns.iter().position(|&c| c == column).expect("found by it");
            group.models.seasonal(at, &scaled[column], &frame.positions)
        };
        let of = |(column, values): (usize, &Vec<f64>)| match method {
            Simple::Linear => simple::linear(values, &frame.positions),
            Simple::Seasonal => seasonal(column),
            Simple::Locf => simple::locf(values),
            Simple::Mean => simple::mean(values),
            Simple::Kalman => simple::kalman(values),
        };
        scaled.iter().enumerate().collect::<Vec<_>>().into_par_iter().map(of).collect()
    }
}

/// A stretch with hidden cells, and what the estimates say of it.
struct Tried {
    estimates: Estimates,
    held: Held,
    holes: Vec<Hole>,
    truth: Vec<Vec<f64>>,
    table: Vec<Vec<f64>>,
}

/// A hole of a stretch.
#[derive(Clone, Copy)]
struct Hole {
    column: usize,
    row: usize,
    /// Rows to the nearest observation.
    distance: usize,
    unrest: f64,
    /// Of a hidden cell, the half of the trial.
    half: Option<usize>,
}

impl Tried {
    /// The stretch is that of frame `n`.
    fn new(models: &Models, unrest: &Unrest, n: usize, stretch: &Stretch<'_>, truth: &[Vec<f64>], hidden: &[Vec<bool>]) -> Self {
        let table = stretch.1;
        let estimates = models.estimates(stretch);
        let mut held = Held::default();
        let mut holes = Vec::new();
        for (column, values) in table.iter().enumerate() {
            let (far, unrest) = (distances(values), unrest.around(column, values));
            for (row, _) in values.iter().enumerate().filter(|(_, v)| v.is_nan()) {
                let half = hidden[column][row].then_some(half_of(n, row));
                holes.push(Hole { column, row, distance: far[row], unrest: unrest[row], half });
                if let Some(half) = half {
                    held.cells.push((column, mix::bin(far[row]), half));
                    held.errors.push((0..ESTIMATES).map(|m| estimates.means[m][column][row] - truth[column][row]).collect());
                }
            }
        }
        Self { estimates, held, holes, truth: truth.to_vec(), table: table.to_vec() }
    }

    fn mean(&self, mixes: &[Mix; 3], hole: &Hole) -> f64 {
        let estimates = self.estimates.means.iter().map(|m| m[hole.column][hole.row]);
        mixes[hole.half.unwrap_or(2)].of(hole.column, hole.distance, estimates)
    }

    /// Of each hidden cell the error of the mix.
    fn misses<'a>(&'a self, mixes: &'a [Mix; 3]) -> impl Iterator<Item = Miss> + 'a {
        self.holes.iter().filter_map(move |hole| {
            let &Hole { column, row, distance, unrest, half } = hole;
            let error = self.mean(mixes, hole) - self.truth[column][row];
            Some(Miss { column, distance, half: half?, unrest, ratio: error.abs() / expected(self.estimates.variance[column][row]) })
        })
    }

    fn anchored(&self, mixes: &[Mix; 3], spreads: &[Spread; 3]) -> Anchored {
        let mut mean = self.table.clone();
        let mut scale: Vec<Vec<f64>> = self.table.iter().map(|column| vec![0.0; column.len()]).collect();
        for hole in &self.holes {
            let &Hole { column, row, distance, unrest, half } = hole;
            mean[column][row] = self.mean(mixes, hole);
            scale[column][row] = spreads[half.unwrap_or(2)].of(column, distance, unrest, self.estimates.variance[column][row]);
        }
        Anchored { mean, scale }
    }
}

fn stretches<'a>(frames: &'a [Frame], tables: &'a [Vec<Vec<f64>>]) -> Vec<Stretch<'a>> {
    frames.iter().zip(tables).map(|(frame, table)| (frame.positions.as_slice(), table.as_slice())).collect()
}

fn pick<T: Clone>(table: &[T], columns: &[usize]) -> Vec<T> {
    columns.iter().map(|&column| table[column].clone()).collect()
}

fn seen(frame: &Frame) -> usize {
    frame.values.iter().flatten().filter(|v| !v.is_nan()).count()
}

/// The share to hold out of a table, more where its gaps are large.
fn enough_gaps(frames: &[Frame], share: f64) -> f64 {
    let sum = |(a, b): (usize, usize), (c, d): (usize, usize)| (a + c, b + d);
    // The gap that a missing cell lies in, in the mean: beside many missing cells a few outages would not be seen.
    let (cells, sizes) = frames.iter().map(gap_sizes).fold((0, 0), sum);
    let seen: usize = frames.iter().map(seen).sum();
    let wanted = GAPS * (sizes as f64 / cells.max(1) as f64) / seen.max(1) as f64;
    if share > 0.0 { share.max(wanted.min(MOST)) } else { 0.0 }
}

/// The share to hold out of a frame, more of one with few observations: shares of estimates learned from few cells are chance.
fn enough(frame: &Frame, share: f64) -> f64 {
    if share > 0.0 { share.max((ENOUGH / seen(frame).max(1) as f64).min(MOST)) } else { 0.0 }
}

/// Cells to hide; drawn with columns ordered by name, so that their order in the file does not matter.
fn hide(frame: &Frame, order: &[usize], share: f64, noise: Philox, sample: u32) -> Mask {
    let sorted = Frame {
        names: order.iter().map(|&column| frame.names[column].clone()).collect(),
        positions: frame.positions.clone(),
        values: pick(&frame.values, order),
    };
    let mask = own_gaps(&sorted, enough(frame, share), noise, sample, 0);
    let mut hidden = vec![Vec::new(); order.len()];
    order.iter().zip(mask).for_each(|(&column, mask)| hidden[column] = mask);
    hidden
}

/// Mean number of cells of a hidden gap: cells of one run, in columns that are hidden together, say about the same.
fn cluster(hidden: &[Mask]) -> f64 {
    let (mut cells, mut gaps) = (0usize, std::collections::BTreeSet::new());
    for (frame, mask) in hidden.iter().enumerate() {
        for column in mask {
            let mut row = 0;
            for part in column.chunk_by(|a, b| a == b) {
                if part[0] {
                    cells += part.len();
                    gaps.insert((frame, row, part.len()));
                }
                row += part.len();
            }
        }
    }
    cells as f64 / gaps.len().max(1) as f64
}

fn without(frame: &Frame, hidden: &Mask) -> Frame {
    let of = |(values, hidden): (&Vec<f64>, &Vec<bool>)| values.iter().zip(hidden).map(|(&v, &h)| if h { f64::NAN } else { v }).collect();
    Frame { values: frame.values.iter().zip(hidden).map(of).collect(), ..frame.clone() }
}
