//! Filling the holes of a table: an anchor, residuals drawn by the network where a backtest says that they help, and calibrated bands.

mod apart;
mod bands;
mod judge;
mod windows;

use std::{ops::Range, str::FromStr};

use langevin_core::{NoiseSource as _, Philox, noise::stream, recipe::Sampling};

pub(super) use self::judge::gap_lengths;
pub use self::windows::{WindowDraws, WindowJob};
use self::{
    apart::Apart,
    bands::{Prediction, normal_quantile, ranks},
    judge::{Candidate, Verdict, judge},
    windows::{Drawn, Draws, salt},
};
use super::ResidualModel;
use crate::{
    Error, Frame, Result,
    anchor::{Anchor, Reach, Settings as AnchorSettings, Simple},
    metrics::{BINS, bin_of},
    report::Backtest,
};

/// Windows of a backtest that the network sees.
const TRIAL_WINDOWS: usize = 12;
/// Samples of each.
const TRIAL_SAMPLES: usize = 16;

/// How far what is written lies beyond what was observed of a column at most, in widths of that: a band in deviations of a logarithm may
/// reach beyond all numbers.
const BEYOND: f64 = 10.0;

/// What fills holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// For gaps of each length what the backtest finds best.
    #[default]
    Auto,
    /// The network around the anchor, everywhere.
    Diffusion,
    /// The anchor.
    Ridge,
    /// The season's course.
    Seasonal,
    /// Straight lines in time.
    Linear,
    /// The last observation.
    Locf,
    /// The column's mean.
    Mean,
    /// A smoothed level.
    Kalman,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Auto, Self::Diffusion, Self::Ridge, Self::Seasonal, Self::Linear, Self::Locf, Self::Mean, Self::Kalman];

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Diffusion => "diffusion",
            Self::Ridge => "ridge",
            Self::Seasonal => "seasonal",
            Self::Linear => "linear",
            Self::Locf => "locf",
            Self::Mean => "mean",
            Self::Kalman => "kalman",
        }
    }

    /// Whether the network may be needed.
    #[must_use]
    pub const fn draws(self) -> bool {
        matches!(self, Self::Auto | Self::Diffusion)
    }

    const fn simple(self) -> Option<Simple> {
        match self {
            Self::Seasonal => Some(Simple::Seasonal),
            Self::Linear => Some(Simple::Linear),
            Self::Locf => Some(Simple::Locf),
            Self::Mean => Some(Simple::Mean),
            Self::Kalman => Some(Simple::Kalman),
            Self::Auto | Self::Diffusion | Self::Ridge => None,
        }
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|m| m.name() == name)
            .ok_or_else(|| Error::Setting { name: "method", reason: format!("should be one of {}", known()) })
    }
}

/// Which number is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PointOf {
    /// The median of what is predicted.
    #[default]
    Median,
    /// Its mean.
    Mean,
}

/// Least and greatest value that may be filled into a column, in its own units.
pub type Limits = (Option<f64>, Option<f64>);

/// A value inside of its limits.
pub(super) fn within((low, high): Limits, x: f64) -> f64 {
    let x = low.map_or(x, |low| x.max(low));
    high.map_or(x, |high| x.min(high))
}

/// How a table is filled.
#[derive(Clone, Debug)]
pub struct ImputeSettings {
    /// What fills holes.
    pub method: Method,
    /// Sample paths of each hole.
    pub samples: usize,
    /// How the network is sampled; the model's own way when absent.
    pub sampling: Option<Sampling>,
    /// Ascending levels of the quantiles that are wanted.
    pub quantiles: Vec<f64>,
    /// Which number is filled in.
    pub point: PointOf,
    /// Longest gap that is filled, in rows.
    pub longest: Option<usize>,
    /// Of each column.
    pub limits: Vec<Limits>,
    /// Share of the known cells that the backtest hides; 0 for none.
    pub backtest: f64,
    /// Periods that may be the season's, in rows.
    pub periods: Vec<usize>,
    /// Whether the frames are of several series, whose levels may be worlds apart.
    pub panel: bool,
    /// Seed of every draw.
    pub seed: u64,
}

/// Runs the windows of a job over workers; `None` when interrupted.
pub type RunJob<'r> = dyn Fn(&WindowJob<'_>) -> Option<Vec<WindowDraws>> + 'r;

/// A fitted imputer: it fills any stretch of its table.
pub struct Imputer<'m> {
    settings: ImputeSettings,
    apart: Apart,
    anchor: Anchor,
    model: Option<&'m ResidualModel>,
    verdict: Verdict,
}

impl std::fmt::Debug for Imputer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imputer").field("settings", &self.settings).field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// What fills the wanted rows of a frame, in the units of the file; NaN where nothing is filled in.
#[derive(Clone, Debug)]
pub struct Filled {
    /// `point[column][row of the wanted ones]`.
    pub point: Vec<Vec<f64>>,
    /// `quantiles[level][column][row]`.
    pub quantiles: Vec<Vec<Vec<f64>>>,
    /// Sample paths, `paths[column][row][sample]`, empty where nothing is filled in or no paths were asked for.
    pub paths: Vec<Vec<Vec<f64>>>,
}

impl Filled {
    /// Nothing filled in.
    pub(super) fn nothing(columns: usize, levels: usize, rows: usize) -> Self {
        let blank = vec![vec![f64::NAN; rows]; columns];
        Self { point: blank.clone(), quantiles: vec![blank; levels], paths: vec![vec![Vec::new(); rows]; columns] }
    }
}

impl<'m> Imputer<'m> {
    /// Fits to a sample of a table, and tries its methods on known cells. `None` when interrupted.
    ///
    /// # Errors
    /// A table without a number, or sampling settings that the model cannot follow.
    pub fn fit(
        frames: &[Frame],
        model: Option<&'m ResidualModel>,
        settings: ImputeSettings,
        run: &RunJob<'_>,
    ) -> Result<Option<(Self, Option<Backtest>)>> {
        let columns = frames.first().map_or(0, Frame::columns);
        let model = model.filter(|_| settings.method.draws());
        if settings.method == Method::Diffusion && model.is_none() {
            return Err(Error::Setting { name: "method", reason: "diffusion needs a checkpoint of kind residual".into() });
        }
        let apart = if settings.panel { Apart::fit(frames) } else { Apart::default() };
        let moved: Vec<Frame>;
        let frames = if settings.panel {
            moved = frames.iter().map(|frame| apart.forward(frame).into_owned()).collect();
            &moved
        } else {
            frames
        };
        let fit = AnchorSettings { periods: settings.periods.clone(), held_out: settings.backtest, seed: settings.seed };
        let (anchor, trial) = Anchor::fit(frames, &fit)?;
        let fallback = if settings.method == Method::Diffusion { Candidate::Diffusion } else { Candidate::Anchor };
        let mut imputer = Self { settings, apart, anchor, model, verdict: Verdict::plain(fallback, columns) };
        if imputer.settings.backtest <= 0.0 {
            return Ok(Some((imputer, None)));
        }
        let rows: Vec<Range<usize>> = trial.masked.iter().map(|frame| 0..frame.rows()).collect();
        let drawn: Vec<Drawn<'_>> = (trial.masked.iter().zip(&trial.anchored).zip(&rows).zip(0..))
            .map(|(((frame, anchored), rows), salt)| Drawn { frame, anchored, rows, wanted: &trial.hidden[salt as usize], salt })
            .collect();
        let Some(draws) = imputer.draw(&drawn, TRIAL_SAMPLES, Some(TRIAL_WINDOWS), run)? else { return Ok(None) };
        let truth: Vec<Vec<Vec<f64>>> = frames.iter().map(|frame| imputer.anchor.scaler().forward(frame)).collect();
        let method = imputer.settings.method;
        let centres: Option<Vec<_>> =
            method.simple().map(|simple| trial.masked.iter().map(|frame| imputer.anchor.simple(frame, simple)).collect());
        let mut holes = [0; BINS.len()];
        for frame in frames {
            gap_lengths(&frame.values).into_iter().flatten().filter(|&length| length > 0).for_each(|length| holes[bin_of(length)] += 1);
        }
        let judged = judge(&trial, &truth, centres.as_deref(), &draws, method, holes);
        Ok(Some(match judged {
            Some((verdict, report)) => {
                imputer.verdict = verdict;
                (imputer, Some(report))
            }
            None => (imputer, None),
        }))
    }

    /// What was fitted of the columns.
    #[must_use]
    pub const fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Mean absolute error on a column's hidden cells, in deviations.
    #[must_use]
    pub fn error(&self, column: usize) -> Option<f64> {
        self.verdict.errors[column]
    }

    /// Whether gaps of any length are filled by the network.
    #[must_use]
    pub fn uses_network(&self) -> bool {
        self.model.is_some() && self.verdict.chosen.contains(&Candidate::Diffusion)
    }

    /// Denoising steps of the network's draws.
    #[must_use]
    pub fn steps(&self) -> usize {
        let own = self.model.map_or(0, |model| model.config.sampling.steps);
        self.settings.sampling.as_ref().map_or(own, |sampling| sampling.steps)
    }

    /// Residuals of the wanted holes of frames, drawn by the network; nothing without one.
    fn draw(&self, frames: &[Drawn<'_>], samples: usize, most: Option<usize>, run: &RunJob<'_>) -> Result<Option<Draws>> {
        let Some(model) = self.model else { return Ok(Some(Draws::none())) };
        let sampling = self.settings.sampling.as_ref().unwrap_or(&model.config.sampling);
        let job = WindowJob::new(model, model.run(sampling)?, &self.anchor, frames, samples, self.settings.seed, most)?;
        if job.is_empty() {
            return Ok(Some(Draws::none()));
        }
        Ok(run(&job).map(|drawn| Draws::gather(frames, samples, drawn)))
    }

    /// Fills the wanted rows of a frame; `series` is the number of its series in the table. `paths` asks for sample paths too. `None` when
    /// interrupted.
    ///
    /// # Errors
    /// Sampling settings that the model cannot follow.
    pub fn fill(&self, frame: &Frame, rows: Range<usize>, series: usize, paths: bool, run: &RunJob<'_>) -> Result<Option<Filled>> {
        let (columns, levels) = (frame.columns(), self.settings.quantiles.len());
        let mut filled = Filled::nothing(columns, levels, rows.len());
        if frame.values.iter().all(|column| column[rows.clone()].iter().all(|v| !v.is_nan())) {
            return Ok(Some(filled));
        }
        let own = self.apart.of(frame);
        let moved = self.apart.forward(frame);
        let frame = moved.as_ref();
        let mut anchored = self.anchor.apply(frame);
        let mut lines = [None, None];
        for (n, candidate, simple) in [(0, Candidate::Linear, Simple::Linear), (1, Candidate::Seasonal, Simple::Seasonal)] {
            if self.verdict.chosen.contains(&candidate) {
                lines[n] = Some(self.anchor.simple(frame, simple));
            }
        }
        if let Some(simple) = self.settings.method.simple() {
            anchored.mean = self.anchor.simple(frame, simple);
        }
        let lengths = gap_lengths(&frame.values);
        let fills = |length: usize| length > 0 && self.settings.longest.is_none_or(|longest| length <= longest);
        let network = |length: usize| fills(length) && (paths || self.verdict.chosen[bin_of(length)] == Candidate::Diffusion);
        let wanted: Vec<Vec<bool>> = lengths.iter().map(|column| column.iter().map(|&length| network(length)).collect()).collect();
        let drawn = [Drawn { frame, anchored: &anchored, rows: &rows, wanted: &wanted, salt: series as u32 }];
        let needed = self.uses_network() || (paths && self.model.is_some());
        let Some(draws) = (if needed { self.draw(&drawn, self.settings.samples, None, run)? } else { Some(Draws::none()) }) else {
            return Ok(None);
        };
        let noise = Philox::new(self.settings.seed);
        for column in 0..columns {
            let scale = self.anchor.scaler().column(column);
            let limits = self.settings.limits.get(column).copied().unwrap_or_default();
            let reach = self.anchor.scaler().reach(column).and(Reach::of(&frame.values[column]));
            let (level, spread) = own.get(column).copied().unwrap_or((0.0, 1.0));
            let back = |z: f64| within(limits, reach.within(BEYOND, scale.back(z)).mul_add(spread, level));
            let word = salt(&frame.names[column], series as u32);
            for row in rows.clone() {
                let length = lengths[column][row];
                if !fills(length) {
                    continue;
                }
                let (at, bin) = (row - rows.start, bin_of(length));
                let (mean, error) = (anchored.mean[column][row], anchored.scale[column][row]);
                let centre = match self.verdict.chosen[bin] {
                    Candidate::Linear => lines[0].as_ref().map_or(mean, |l| l[column][row]),
                    Candidate::Seasonal => lines[1].as_ref().map_or(mean, |l| l[column][row]),
                    Candidate::Anchor | Candidate::Diffusion => mean,
                };
                let prediction = match (self.verdict.chosen[bin], draws.of(0, column, row)) {
                    (Candidate::Diffusion, Some(residuals)) => Prediction::drawn(mean, error, residuals),
                    _ => Prediction::Normal { centre, scale: error },
                };
                let bands = &self.verdict.bands[bin];
                filled.point[column][at] = back(match self.settings.point {
                    PointOf::Median => prediction.median(),
                    PointOf::Mean => prediction.mean(),
                });
                for (level, value) in bands.quantiles(bin, &prediction, &self.settings.quantiles).into_iter().enumerate() {
                    filled.quantiles[level][column][at] = back(value);
                }
                if paths {
                    let levels = ranks(&draws, 0, column, row).unwrap_or_else(|| {
                        // Without a network nothing is known of how errors go together.
                        let mut normal = vec![0f32; self.settings.samples];
                        noise.fill(word, frame.positions[row].round() as i64 as u32, stream::PRIOR, &mut normal);
                        normal.into_iter().map(|z| level_of(f64::from(z))).collect()
                    });
                    filled.paths[column][at] = levels.into_iter().map(|level| back(bands.quantile(bin, &prediction, level))).collect();
                }
            }
        }
        Ok(Some(filled))
    }
}

/// The level of a standard normal number, by bisection of the quantile.
fn level_of(z: f64) -> f64 {
    let (mut low, mut high) = (1e-9, 1.0 - 1e-9);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if normal_quantile(middle) < z { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}
