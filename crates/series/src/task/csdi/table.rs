//! Filling tables with CSDI, window by window; bands are those of its samples.

use std::{
    ops::{ControlFlow, Range},
    slice,
};

use langevin_core::{Philox, noise::stream};
use langevin_nn::Sampler;

use super::{CsdiModel, Method};
use crate::{
    Error, Frame, Result,
    metrics::quantile,
    task::{
        Filled, ImputeSettings, PointOf,
        impute::{gap_lengths, within},
    },
};

/// Samples that the network draws together: a bound on memory, and no part of the result's address.
const TOGETHER: usize = 32;
/// Stream that seeds the noise of windows.
const WINDOW: u32 = stream::DOMAIN + 10;

/// What one window drew: for each hole its column in the table, its row in the frame, and all samples in the units of the column.
pub type CsdiDraws = Vec<(usize, usize, Vec<f64>)>;

/// Runs the windows of a job over workers; `None` when interrupted.
pub type RunCsdi<'r> = dyn Fn(&CsdiJob<'_>) -> Option<Vec<CsdiDraws>> + 'r;

/// CSDI, or its network without conditions, for the columns of a table.
#[derive(Debug)]
pub struct CsdiImputer<'m> {
    model: &'m CsdiModel,
    method: Method,
    settings: ImputeSettings,
    /// Where each column of the model is in the table; one that the table lacks counts as never observed.
    places: Vec<Option<usize>>,
    evaluations: usize,
}

impl<'m> CsdiImputer<'m> {
    /// For a table of these columns, which may be more than the model's and in any order; those that it lacks count as never observed. Of the
    /// settings, those of the anchor and of the backtest say nothing here, and `method` stands for how the network is sampled.
    ///
    /// # Errors
    /// A table without a column of the model, methods that the model was not trained for, and what the core refuses.
    pub fn new(model: &'m CsdiModel, method: Method, names: &[String], settings: ImputeSettings) -> Result<Self> {
        let evaluations = model.evaluations(&method)?;
        let place = |name: &String| names.iter().position(|other| other == name);
        let places: Vec<_> = model.config.columns.iter().map(place).collect();
        if places.iter().all(Option::is_none) {
            let reason = format!(
                "has columns {}, and this CSDI knows only those it was trained on: {}. Rename the columns, leave --checkpoint away, or train on \
                 tables like this one: langevin train series --config configs/csdi.toml --data YOURS.csv -o RUN",
                names.join(", "),
                model.config.columns.join(", ")
            );
            return Err(Error::Setting { name: "the table", reason });
        }
        Ok(Self { model, method, settings, places, evaluations })
    }

    /// Network evaluations of a window's samples.
    #[must_use]
    pub const fn evaluations(&self) -> usize {
        self.evaluations
    }

    /// Whether a column of the table is the model's; the holes of others stay empty.
    #[must_use]
    pub fn knows(&self, column: usize) -> bool {
        self.places.contains(&Some(column))
    }

    /// Columns of the model that the table lacks.
    #[must_use]
    pub fn lacking(&self) -> Vec<&str> {
        let lacks = |(name, place): (&'m String, &Option<usize>)| place.is_none().then_some(name.as_str());
        self.model.config.columns.iter().zip(&self.places).filter_map(lacks).collect()
    }

    /// Fills the wanted rows of a frame of the table; `series` is the number of its series. `paths` asks for sample paths too. `None` when
    /// interrupted.
    #[must_use]
    pub fn fill(&self, frame: &Frame, rows: Range<usize>, series: usize, paths: bool, run: &RunCsdi<'_>) -> Option<Filled> {
        let mut filled = Filled::nothing(frame.columns(), self.settings.quantiles.len(), rows.len());
        let job = CsdiJob::new(self, frame, &rows, series);
        let drawn = if job.is_empty() { Vec::new() } else { run(&job)? };
        for (column, row, mut samples) in drawn.into_iter().flatten() {
            // A network that says no number leaves the hole empty, and the hole is counted as left.
            if samples.iter().any(|x| !x.is_finite()) {
                continue;
            }
            let at = row - rows.start;
            let bounded = |x: f64| within(self.settings.limits.get(column).copied().unwrap_or_default(), x);
            if paths {
                filled.paths[column][at] = samples.iter().copied().map(bounded).collect();
            }
            samples.sort_by(f64::total_cmp);
            filled.point[column][at] = bounded(match self.settings.point {
                PointOf::Median => quantile(&samples, 0.5),
                PointOf::Mean => samples.iter().sum::<f64>() / samples.len() as f64,
            });
            for (values, &level) in filled.quantiles.iter_mut().zip(&self.settings.quantiles) {
                values[column][at] = bounded(quantile(&samples, level));
            }
        }
        Some(filled)
    }
}

/// The windows of a frame with holes among its wanted rows; the engine runs them, one at a time.
///
/// Windows have the length that the model was trained with and stand side by side from the first wanted row on; one that would go beyond
/// the frame is moved back. Noise is addressed by the series, the window's first position and the sample.
#[derive(Debug)]
pub struct CsdiJob<'a> {
    imputer: &'a CsdiImputer<'a>,
    frame: &'a Frame,
    series: usize,
    /// `[column of the model][row of the frame]`: whether a hole is wanted.
    wanted: Vec<Vec<bool>>,
    /// First row of each window, and the rows that it fills.
    windows: Vec<(usize, Range<usize>)>,
}

impl<'a> CsdiJob<'a> {
    fn new(imputer: &'a CsdiImputer<'a>, frame: &'a Frame, rows: &Range<usize>, series: usize) -> Self {
        let longest = imputer.settings.longest.unwrap_or(usize::MAX);
        let holes = |place: &Option<usize>| {
            let Some(place) = *place else { return vec![false; frame.rows()] };
            let lengths = gap_lengths(slice::from_ref(&frame.values[place])).into_iter().flatten();
            lengths.map(|length| (1..=longest).contains(&length)).collect()
        };
        let wanted: Vec<Vec<bool>> = imputer.places.iter().map(holes).collect();
        let window = imputer.model.config.window;
        let last = frame.rows().saturating_sub(window);
        let windows = (rows.clone().step_by(window))
            .map(|start| (start.min(last), start..(start + window).min(rows.end)))
            .filter(|(_, rows)| wanted.iter().any(|column| column[rows.clone()].contains(&true)))
            .collect();
        Self { imputer, frame, series, wanted, windows }
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// How often each window calls the network.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.imputer.evaluations * self.imputer.settings.samples.div_ceil(TOGETHER)
    }

    fn noise(&self, first: usize) -> Philox {
        let position = self.frame.positions[first].round() as i64;
        let address = [position as u32, (position >> 32) as u32, self.series as u32, WINDOW];
        let [low, high, ..] = Philox::new(self.imputer.settings.seed).words(address);
        Philox::new(u64::from(high) << 32 | u64::from(low))
    }

    fn draw(&self, first: usize, rows: Range<usize>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), CsdiDraws> {
        let CsdiImputer { model, method, settings, places, .. } = self.imputer;
        let end = (first + model.config.window).min(self.frame.rows());
        let column = |place: &Option<usize>| match *place {
            Some(place) => self.frame.values[place][first..end].to_vec(),
            None => vec![f64::NAN; end - first],
        };
        let values: Vec<Vec<f64>> = places.iter().map(column).collect();
        let holes: Vec<(usize, usize)> = (0..places.len())
            .flat_map(|column| rows.clone().filter(move |&row| self.wanted[column][row]).map(move |row| (column, row)))
            .collect();
        // Nothing is wanted of a column that the table lacks.
        let draw = |&(column, row): &(usize, usize)| (places[column].unwrap_or_default(), row, Vec::with_capacity(settings.samples));
        let mut draws: CsdiDraws = holes.iter().map(draw).collect();
        let noise = self.noise(first);
        for from in (0..settings.samples).step_by(TOGETHER) {
            let count = TOGETHER.min(settings.samples - from);
            let filled = model.fill(&values, count, method, &noise.rows_from(from as u32), observe);
            // The method was tried when the imputer was made, and windows are of the model's columns: filling refuses nothing else.
            let filled = filled.unwrap_or(ControlFlow::Break(()))?;
            for (&(column, row), (.., samples)) in holes.iter().zip(&mut draws) {
                samples.extend(filled.iter().map(|sample| sample[column][row - first]));
            }
        }
        ControlFlow::Continue(draws)
    }
}

impl Sampler for CsdiJob<'_> {
    type Raw = CsdiDraws;
    type Item = CsdiDraws;

    fn micro_batch(&self) -> u32 {
        1
    }

    fn sample(&self, windows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<CsdiDraws>> {
        let mut all = Vec::with_capacity(windows.len());
        for (first, rows) in &self.windows[windows.start as usize..windows.end as usize] {
            all.push(self.draw(*first, rows.clone(), observe)?);
        }
        ControlFlow::Continue(all)
    }

    fn finish(&self, _window: u32, raw: CsdiDraws) -> CsdiDraws {
        raw
    }
}

#[cfg(test)]
mod tests;
