//! Networks: a denoiser in data units, and small classifiers of a run's own.

mod clips;
mod judge;
mod prior;
mod rows;
mod spectrum;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use langevin_nn::{Constant, Init};

pub use clips::ClipsNet;
pub use judge::{ClipJudge, RowJudge};
pub(crate) use prior::MOST_COLUMNS;
pub use prior::Prior;
pub use rows::RowsNet;
pub use spectrum::Spectrum;

use crate::{
    Error, Examples, ModelConfig, Result,
    config::{RowsConfig, Scale},
};

/// A purifier's network, with the own classifiers that it was trained beside.
#[derive(Module, Debug)]
pub struct PurifyNet {
    /// For clips.
    clips: Option<ClipsNet>,
    /// For rows, where there is more than a prior.
    rows: Option<RowsNet>,
    /// Own classifiers of clips.
    clip_judges: Vec<ClipJudge>,
    /// Own classifiers of rows.
    row_judges: Vec<RowJudge>,
}

impl PurifyNet {
    /// A network with initial weights; the config is complete.
    pub fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let (attack, classes) = (config.attack(), config.classes().len());
        match config {
            ModelConfig::Clips(c) => Self {
                clips: Some(ClipsNet::new(c, init)),
                rows: None,
                clip_judges: (0..attack.judges).map(|k| ClipJudge::new(k, attack.judge_width, classes, init)).collect(),
                row_judges: Vec::new(),
            },
            ModelConfig::Rows(c) => Self {
                clips: None,
                rows: (c.blocks > 0).then(|| RowsNet::new(c, init)),
                clip_judges: Vec::new(),
                row_judges: (0..attack.judges).map(|_| RowJudge::new(c.columns, attack.judge_width, classes, init)).collect(),
            },
        }
    }

    /// `D(x; sigma)`, an estimate of the clean rows, in data units: `x` `[B, N]`, `sigma` `[B, 1]`.
    pub fn denoise(&self, front: &Front, x: Tensor<2>, sigma: Tensor<2>) -> Tensor<2> {
        match (&self.clips, &self.rows, front) {
            (Some(net), _, Front::Clips(spectrum)) => net.denoise(spectrum, x, sigma),
            (_, Some(net), Front::Rows { mean, scale, prior }) => {
                let z = (x - mean.clone()) / scale.clone();
                net.denoise(z, sigma, prior.as_ref()) * scale.clone() + mean.clone()
            }
            (_, None, Front::Rows { mean, scale, prior: Some(prior) }) => {
                prior.denoise(&((x - mean.clone()) / scale.clone()), &sigma) * scale.clone() + mean.clone()
            }
            _ => unreachable!("network and front are made from one config"),
        }
    }

    /// Number of own classifiers.
    pub fn judges(&self) -> usize {
        self.clip_judges.len() + self.row_judges.len()
    }

    /// Logits `[B, classes]` of own classifier `k`.
    pub fn judge(&self, k: usize, front: &Front, x: Tensor<2>) -> Tensor<2> {
        match front {
            Front::Clips(_) => self.clip_judges[k].logits(x),
            Front::Rows { mean, scale, .. } => self.row_judges[k].logits((x - mean.clone()) / scale.clone()),
        }
    }
}

/// What lies between data and network, and is not trained.
#[derive(Clone, Debug)]
pub enum Front {
    /// The transform of clips.
    Clips(Spectrum),
    /// Units of rows.
    Rows {
        /// Means, `[1, N]`.
        mean: Tensor<2>,
        /// Standard deviations, `[1, N]`.
        scale: Tensor<2>,
        /// What the network starts from.
        prior: Option<Prior>,
    },
}

/// Names of the constants of rows.
const UNITS: [&str; 2] = ["mean", "scale"];

impl Front {
    /// From a config and the constants of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Constant`] when one is missing or has another length.
    pub fn new(config: &ModelConfig, constants: &[Constant], device: &Device) -> Result<Self> {
        match config {
            ModelConfig::Clips(c) => Ok(Self::Clips(Spectrum::new(c.window, c.hop, device))),
            ModelConfig::Rows(c) => {
                let one = |name: &'static str| {
                    let found = constants.iter().find(|constant| constant.name == name);
                    let constant = found.ok_or(Error::Constant { name, problem: "is missing".into() })?;
                    if constant.values.len() != c.columns {
                        let problem = format!("has {} numbers for {} columns", constant.values.len(), c.columns);
                        return Err(Error::Constant { name, problem });
                    }
                    Ok(crate::tensor::rows(constant.values.clone(), 1, device))
                };
                let prior = if c.prior { Some(Prior::new(constants, c.columns, device)?) } else { None };
                Ok(Self::Rows { mean: one(UNITS[0])?, scale: one(UNITS[1])?, prior })
            }
        }
    }

    /// The constants of rows, fitted to training examples.
    pub fn fit(config: &RowsConfig, examples: &Examples) -> Vec<Constant> {
        let (rows, columns) = (&examples.rows, examples.columns());
        let count = rows.len().max(1) as f64;
        let moments = |of: &dyn Fn(f64) -> f64, k: usize| rows.iter().map(|row| of(f64::from(row[k]))).sum::<f64>() / count;
        let mean: Vec<f64> = (0..columns).map(|k| moments(&|x| x, k)).collect();
        let variance: Vec<f64> = (0..columns).map(|k| moments(&|x| (x - mean[k]).powi(2), k)).collect();
        let pooled = variance.iter().sum::<f64>() / columns.max(1) as f64;
        // A constant column has no unit of its own.
        let deviation = |v: f64| if v > 0.0 { v.sqrt() } else { 1.0 };
        let scale: Vec<f64> = variance.iter().map(|&v| deviation(if config.scale == Scale::Table { pooled } else { v })).collect();
        let constant = |name: &str, values: &[f64]| Constant {
            name: name.to_owned(),
            shape: vec![columns],
            values: values.iter().map(|&v| v as f32).collect(),
        };
        let mut constants = vec![constant(UNITS[0], &mean), constant(UNITS[1], &scale)];
        if config.prior {
            let standard = |row: &Vec<f32>| row.iter().zip(mean.iter().zip(&scale)).map(|(x, (m, s))| (f64::from(*x) - m) / s).collect();
            let rows: Vec<Vec<f64>> = rows.iter().map(standard).collect();
            constants.extend(Prior::fit(&rows, &examples.classes, examples.names.len(), config.pooled));
        }
        constants
    }

    /// Noise of one unit in data units: 1 for clips, each column's standard deviation for rows.
    pub fn in_data_units(&self, noise: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Clips(_) => noise,
            Self::Rows { scale, .. } => noise * scale.clone(),
        }
    }

    /// Where rows of a table are centred, `[1, N]`; clips are centred at 0.
    pub(crate) fn centre(&self) -> Option<Tensor<2>> {
        match self {
            Self::Clips(_) => None,
            Self::Rows { mean, .. } => Some(mean.clone()),
        }
    }

    /// Root mean square over columns of a unit of noise, in data units.
    pub(crate) fn mean_unit(&self) -> f64 {
        match self {
            Self::Clips(_) => 1.0,
            Self::Rows { scale, .. } => f64::from(scale.clone().square().mean().into_scalar::<f32>()).sqrt(),
        }
    }
}
