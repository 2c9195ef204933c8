//! The `[model]` table of a purifier's config.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, model::MOST_COLUMNS};

/// A purifier by the kind of its data; `kind` is the tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelConfig {
    /// Clips of sound: a learned spectral gate.
    Clips(ClipsConfig),
    /// Rows of a table, or short series of one length.
    Rows(RowsConfig),
}

/// Settings of a purifier of clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClipsConfig {
    /// Sampling rate, hertz.
    pub rate: u32,
    /// Samples of a clip in training, centred; a multiple of `hop`.
    pub length: usize,
    /// Length of the Fourier window, samples; a multiple of `hop`.
    pub window: usize,
    /// Samples between frames.
    pub hop: usize,
    /// Channels of the convolutions over frames.
    pub width: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Least noise in training, full scale being 1.
    pub sigma_min: f64,
    /// Greatest noise in training, full scale being 1.
    pub sigma_max: f64,
    /// The least level that `--sigma auto` goes down to.
    pub sigma: f64,
    /// What training does beside noise.
    pub attack: AttackConfig,
    /// Names of the classes; filled in from the training data when empty.
    pub classes: Vec<String>,
}

impl Default for ClipsConfig {
    fn default() -> Self {
        Self {
            rate: 8000,
            length: 8000,
            window: 256,
            hop: 64,
            width: 96,
            blocks: 6,
            sigma_min: 0.0008,
            sigma_max: 0.015,
            sigma: 0.001,
            attack: AttackConfig::default(),
            classes: Vec::new(),
        }
    }
}

/// Settings of a purifier of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RowsConfig {
    /// Numbers of a row; filled in from the training data when 0.
    pub columns: usize,
    /// Units: each column's own standard deviation, or one for the whole table, as in a series.
    pub scale: Scale,
    /// Whether the network starts from a Gaussian for each class, fitted to the training rows, or from one of unit variance.
    pub prior: bool,
    /// How alike the classes' covariances are taken to be: the share of each that is their mean, from 0 to 1.
    pub pooled: f64,
    /// Width of the network.
    pub width: usize,
    /// Residual blocks; 0 is no network, where there is a prior: a run then fits the prior in its first step and is done.
    pub blocks: usize,
    /// Least noise in training, in standard deviations.
    pub sigma_min: f64,
    /// Greatest noise in training, in standard deviations.
    pub sigma_max: f64,
    /// The least level that `--sigma auto` goes down to; without a prior, the level that it uses.
    pub sigma: f64,
    /// What training does beside noise.
    pub attack: AttackConfig,
    /// Names of the classes; filled in from the training data when empty.
    pub classes: Vec<String>,
}

impl Default for RowsConfig {
    fn default() -> Self {
        Self {
            columns: 0,
            scale: Scale::Column,
            prior: true,
            pooled: 0.3,
            width: 128,
            blocks: 3,
            sigma_min: 0.05,
            sigma_max: 1.5,
            sigma: 0.15,
            attack: AttackConfig::default(),
            classes: Vec::new(),
        }
    }
}

/// What one unit of noise is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The standard deviation of each column.
    #[default]
    Column,
    /// One standard deviation for all columns.
    Table,
}

/// Training against perturbations as attacks make them (adversarial training on purification, Lin et al. 2024, arXiv:2401.16352), on small
/// classifiers of the run's own. The classifier that is to be protected is never seen.
///
/// Of four examples one has noise alone or noise of another colour, one is perturbed against a classifier of the run, two against that
/// classifier behind the purifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackConfig {
    /// Own classifiers; 0 trains on noise alone.
    pub judges: usize,
    /// Channels of an own classifier.
    pub judge_width: usize,
    /// Steps at the start in which they are trained; the purifier is trained in the others.
    pub judge_steps: u32,
    /// Steps of the attack on each example.
    pub inner_steps: usize,
    /// Largest perturbation of a number, in units of the noise level; drawn evenly from 0 to this.
    pub reach: f64,
    /// Weight of the own classifiers' cross-entropy beside the denoising error.
    pub weight: f64,
}

impl Default for AttackConfig {
    fn default() -> Self {
        Self { judges: 2, judge_width: 24, judge_steps: 1500, inner_steps: 2, reach: 1.0, weight: 0.5 }
    }
}

/// What both kinds of purifier have.
struct Shared<'a> {
    width: usize,
    blocks: usize,
    /// Least and greatest noise of training.
    sigmas: (f64, f64),
    sigma: f64,
    attack: &'a AttackConfig,
    classes: &'a Vec<String>,
}

impl ModelConfig {
    const fn shared(&self) -> Shared<'_> {
        match self {
            Self::Clips(ClipsConfig { width, blocks, sigma_min, sigma_max, sigma, attack, classes, .. })
            | Self::Rows(RowsConfig { width, blocks, sigma_min, sigma_max, sigma, attack, classes, .. }) => {
                Shared { width: *width, blocks: *blocks, sigmas: (*sigma_min, *sigma_max), sigma: *sigma, attack, classes }
            }
        }
    }

    /// Refuses numbers that build no model: configs come from files, and a file may be damaged or hostile.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first one.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Clips(c) => {
                within("rate", f64::from(c.rate), 4000.0, 192_000.0)?;
                within("hop", c.hop as f64, 4.0, 4096.0)?;
                within("window", c.window as f64, 8.0, 16_384.0)?;
                within("length", c.length as f64, c.window as f64, 4e6)?;
                for (name, value) in [("window", c.window), ("length", c.length)] {
                    if !value.is_multiple_of(c.hop) {
                        return Err(Error::Setting { name, reason: format!("should be a multiple of hop = {}, but is {value}", c.hop) });
                    }
                }
                within("window", c.window as f64, 2.0 * c.hop as f64, 64.0 * c.hop as f64)?;
            }
            Self::Rows(c) => {
                within("columns", c.columns as f64, 0.0, 65_536.0)?;
                within("pooled", c.pooled, 0.0, 1.0)?;
                if c.blocks == 0 && !(c.prior && c.attack.judges == 0) {
                    let reason = "is 0: without a network there has to be a prior, and there is nothing to train against attack.judges";
                    return Err(Error::Setting { name: "blocks", reason: reason.into() });
                }
            }
        }
        let Shared { width, blocks, sigmas: (least, most), sigma, attack, .. } = self.shared();
        within("width", width as f64, 1.0, 8192.0)?;
        within("blocks", blocks as f64, if matches!(self, Self::Rows(_)) { 0.0 } else { 1.0 }, 64.0)?;
        within("sigma_min", least, 1e-9, 1e6)?;
        within("sigma_max", most, least, 1e6)?;
        within("sigma", sigma, least, most)?;
        attack.check()
    }

    /// What training does beside noise.
    pub const fn attack(&self) -> &AttackConfig {
        self.shared().attack
    }

    /// Names of the classes.
    pub const fn classes(&self) -> &Vec<String> {
        self.shared().classes
    }

    /// Least and greatest noise of training.
    pub const fn sigmas(&self) -> (f64, f64) {
        self.shared().sigmas
    }

    /// The least level of `--sigma auto`.
    pub const fn sigma(&self) -> f64 {
        self.shared().sigma
    }

    /// Fills in what the training data say: the classes, and the numbers of a row.
    ///
    /// # Errors
    /// [`Error::Setting`] when the config already says something else.
    pub fn fill_in(&mut self, names: &[String], found: usize) -> Result<()> {
        let classes = match self {
            Self::Clips(c) => &mut c.classes,
            Self::Rows(c) => {
                if c.columns != 0 && c.columns != found {
                    return Err(Error::Setting { name: "columns", reason: format!("is {}, but the data have {found}", c.columns) });
                }
                if c.prior && found > MOST_COLUMNS {
                    let reason =
                        format!("keeps covariances of up to {MOST_COLUMNS} columns, but the data have {found}; give prior = false");
                    return Err(Error::Setting { name: "prior", reason });
                }
                c.columns = found;
                &mut c.classes
            }
        };
        if classes.is_empty() {
            *classes = names.to_vec();
        }
        Ok(())
    }
}

impl AttackConfig {
    fn check(&self) -> Result<()> {
        within("attack.judges", self.judges as f64, 0.0, 16.0)?;
        within("attack.judge_width", self.judge_width as f64, 1.0, 1024.0)?;
        within("attack.inner_steps", self.inner_steps as f64, 0.0, 100.0)?;
        within("attack.reach", self.reach, 0.0, 10.0)?;
        within("attack.weight", self.weight, 0.0, 1e3)?;
        if self.judges > 0 && self.judge_steps == 0 {
            return Err(Error::Setting { name: "attack.judge_steps", reason: "is 0, but own classifiers have to be trained".into() });
        }
        Ok(())
    }
}

fn within(name: &'static str, value: f64, least: f64, most: f64) -> Result<()> {
    let reason = || format!("should be between {least} and {most}, but is {value}");
    if (least..=most).contains(&value) { Ok(()) } else { Err(Error::Setting { name, reason: reason() }) }
}
