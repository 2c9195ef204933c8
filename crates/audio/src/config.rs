//! The `[model]` table of an audio config.

mod diffwave;

pub use diffwave::{DiffWaveCondition, DiffWaveConfig, DiffWaveMel};

use langevin_core::{
    Param,
    loss::{TimeSampler, Weight},
    recipe::{Objective, Sampling},
    schedule::ScheduleSpec,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod wave;

pub use wave::{WaveCodecConfig, WaveConfig};

/// An audio model by architecture; `kind` is the tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a run has one")]
pub enum ModelConfig {
    /// Diffusion prior over time-normalised log-mel spectrograms: speech by label and speaker.
    Prior(PriorConfig),
    /// Diffusion of waveforms: vocoding, in-painting, band-width extension, sounds by label and speaker.
    Wave(WaveConfig),
    /// DiffWave as published: a vocoder, or a model of waveforms with or without labels.
    #[serde(rename = "diffwave")]
    DiffWave(DiffWaveConfig),
    /// Classifier of labels and speakers that `eval audio` scores with; not a diffusion model.
    Judge(JudgeConfig),
}

/// Names of the conditions, in the order of the embedding tables. Left empty in a config, they are read off the training data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vocabulary {
    /// What is said.
    pub labels: Vec<String>,
    /// Who says it.
    pub speakers: Vec<String>,
}

impl Vocabulary {
    /// Refuses a vocabulary without labels or speakers.
    ///
    /// # Errors
    /// [`Error::NoConditions`].
    pub fn check(&self) -> Result<()> {
        for (what, names) in [("label", &self.labels), ("speaker", &self.speakers)] {
            if names.is_empty() {
                return Err(Error::NoConditions { what });
            }
        }
        Ok(())
    }

    /// Number of a label.
    ///
    /// # Errors
    /// [`Error::UnknownCondition`] with the names that exist.
    pub fn label(&self, name: &str) -> Result<usize> {
        find("label", &self.labels, name)
    }

    /// Number of a speaker.
    ///
    /// # Errors
    /// [`Error::UnknownCondition`] with the names that exist.
    pub fn speaker(&self, name: &str) -> Result<usize> {
        find("speaker", &self.speakers, name)
    }
}

fn find(what: &'static str, names: &[String], name: &str) -> Result<usize> {
    names.iter().position(|n| n == name).ok_or_else(|| Error::UnknownCondition { what, name: name.to_owned(), known: names.join(", ") })
}

/// Settings of the prior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorConfig {
    /// From clips to vectors.
    pub codec: CodecConfig,
    /// Width of the network.
    pub width: usize,
    /// Width inside a block.
    pub hidden: usize,
    /// Number of residual blocks.
    pub blocks: usize,
    /// Width of the condition (noise level, label, speaker) that modulates the blocks.
    pub condition: usize,
    /// Share of training examples whose label is hidden, and independently whose speaker is (Ho & Salimans 2022).
    pub drop: f64,
    /// Standard deviation of the codec's vectors after scaling.
    pub sigma_data: f64,
    /// How it is trained.
    pub objective: Objective,
    /// How it is sampled when a request says nothing else.
    pub sampling: Sampling,
    /// Diffuses the code of an autoencoder instead of the codec's vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentConfig>,
    /// Says that it was distilled from another prior.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distilled: Option<Distilled>,
    /// Names of the conditions.
    pub vocabulary: Vocabulary,
}

impl Default for PriorConfig {
    fn default() -> Self {
        Self {
            codec: CodecConfig::default(),
            width: 512,
            hidden: 1024,
            blocks: 4,
            condition: 512,
            drop: 0.12,
            sigma_data: 0.5,
            objective: Objective {
                schedule: ScheduleSpec::Edm { sigma_min: 0.01, sigma_max: 40.0 },
                param: Param::Edm { sigma_data: 0.5 },
                weight: Weight::Unit,
                times: TimeSampler::LogNormal { p_mean: -0.5, p_std: 1.3 },
                importance: None,
                learned_variance: None,
                learned_schedule: None,
            },
            sampling: Sampling { guidance: 2.0, ..Sampling::default() },
            latent: None,
            distilled: None,
            vocabulary: Vocabulary::default(),
        }
    }
}

impl PriorConfig {
    fn check_objective(&self) -> Result<()> {
        let objective = &self.objective;
        // The autoencoder is trained towards a standard normal code.
        let (state, scale) = if self.latent.is_some() { ("autoencoder", 1.0) } else { ("codec", self.sigma_data) };
        if let Param::Edm { sigma_data } | Param::Consistency { sigma_data, .. } = objective.param
            && sigma_data != scale
        {
            let reason = format!("param says sigma_data = {sigma_data}, but the {state} scales vectors to {scale}");
            return Err(langevin_core::Error::Invalid { what: "objective", reason }.into());
        }
        // A distilled network is trained by its teacher; a consistency model has no denoising objective.
        let checked = match self.distilled {
            Some(_) => Objective { param: Param::X0, ..*objective },
            None => *objective,
        };
        Ok(checked.check()?)
    }

    /// Numbers of a codec vector.
    pub const fn vector(&self) -> usize {
        self.codec.components + 1
    }

    /// Numbers of the state that is diffused: the autoencoder's code, or else the codec's vector.
    pub fn state(&self) -> usize {
        self.latent.as_ref().map_or(self.vector(), |latent| latent.dim)
    }

    /// Numbers that the network returns for each number of the state: 2 with a learned variance.
    pub const fn heads(&self) -> usize {
        if self.objective.learned_variance.is_some() { 2 } else { 1 }
    }
}

/// Latent diffusion: an autoencoder between the codec's vectors and the diffusion (Rombach et al. 2022; Vahdat et al. 2021, LSGM).
///
/// The first `vae_steps` steps train the autoencoder towards a standard normal code, beside a diffusion that learns the code as it is. From
/// then on the autoencoder either stays, or both minimise one bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatentConfig {
    /// Numbers of a code.
    pub dim: usize,
    /// Width of encoder and decoder.
    pub hidden: usize,
    /// Residual layers of each.
    pub layers: usize,
    /// Steps of the first stage.
    pub vae_steps: u32,
    /// Weight of the code's divergence from a standard normal in the first stage; 1 is the bound.
    pub kl: f64,
    /// Whether autoencoder and diffusion are then trained together on the evidence bound (LSGM). It needs the weight `likelihood`.
    pub joint: bool,
}

impl Default for LatentConfig {
    fn default() -> Self {
        Self { dim: 32, hidden: 256, layers: 2, vae_steps: 1000, kl: 1.0, joint: false }
    }
}

impl LatentConfig {
    /// Refuses numbers that build no autoencoder, and an objective that is no bound where one is needed.
    fn check(&self, objective: &Objective) -> Result<()> {
        within("latent.dim", self.dim as f64, 1.0, 4096.0)?;
        within("latent.hidden", self.hidden as f64, 1.0, 32_768.0)?;
        within("latent.layers", self.layers as f64, 0.0, 64.0)?;
        within("latent.kl", self.kl, 0.0, 1000.0)?;
        within("latent.vae_steps", f64::from(self.vae_steps), if self.joint { 0.0 } else { 1.0 }, 1e9)?;
        if !self.joint {
            return Ok(());
        }
        let refuse = |reason: String| Err(langevin_core::Error::Invalid { what: "latent.joint", reason }.into());
        if objective.weight != Weight::Likelihood {
            return refuse("only the weight `likelihood` bounds the evidence that both networks share; set objective.weight to it".into());
        }
        if objective.schedule.is_discrete() {
            return refuse("the bound is one in continuous time; use a continuous schedule (vdm, vp)".into());
        }
        let schedule = objective.schedule.build()?;
        let (least, most) = (schedule.level(schedule.span().0), schedule.level(schedule.span().1));
        if !(least.lambda().is_finite() && most.lambda().is_finite()) {
            return refuse("the bound is infinite where the log-SNR is; use a schedule that starts and ends with both (vdm, vp)".into());
        }
        if (most.alpha.powi(2) + most.sigma.powi(2) - 1.0).abs() > 1e-2 {
            return refuse(format!("the prior is a standard normal, but this schedule ends at sigma = {}; use vdm or vp", most.sigma));
        }
        Ok(())
    }
}

/// How a prior was distilled: what it can still do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distilled {
    /// The way.
    pub method: Distillation,
    /// Name of the checkpoint it comes from.
    pub from: String,
    /// Guidance weight of its teacher, which is now part of it.
    pub guidance: f64,
    /// Steps it was distilled to; levels in between are unknown to a progressively distilled network.
    pub steps: usize,
}

/// Ways of distillation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distillation {
    /// One step of the student is two of the teacher, again and again (Salimans & Ho 2022).
    Progressive,
    /// Every point of a path jumps to its start (Song et al. 2023).
    Consistency,
}

/// From clips to vectors and back: loudness, log-mel, a fixed number of frames, principal components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodecConfig {
    /// Sampling rate, hertz.
    pub rate: u32,
    /// Length of the Fourier transform, samples.
    pub n_fft: usize,
    /// Length of the window, samples.
    pub window: usize,
    /// Samples between frames.
    pub hop: usize,
    /// Mel bands.
    pub mels: usize,
    /// Lowest mel magnitude before the logarithm.
    pub floor: f32,
    /// Frames that every clip is stretched to; its duration is a separate coordinate.
    pub frames: usize,
    /// Principal components kept.
    pub components: usize,
    /// 0 keeps the components' own variances, 1 makes them equal, values between compromise.
    pub whitening: f64,
    /// Iterations of Griffin-Lim.
    pub griffin_lim: usize,
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self {
            rate: 8000,
            n_fft: 512,
            window: 320,
            hop: 64,
            mels: 48,
            floor: 1e-3,
            frames: 40,
            components: 160,
            whitening: 0.0,
            griffin_lim: 30,
        }
    }
}

/// Settings of the judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeConfig {
    /// Sampling rate, hertz.
    pub rate: u32,
    /// Mel bands, of 25 ms windows every 10 ms: other features than the prior's.
    pub mels: usize,
    /// Frames looked at (10 ms each); longer clips are cut, shorter ones padded.
    pub frames: usize,
    /// Channels of the convolutions.
    pub channels: usize,
    /// Length of the embedding that set metrics compare.
    pub embedding: usize,
    /// Names of the conditions.
    pub vocabulary: Vocabulary,
}

impl Default for JudgeConfig {
    fn default() -> Self {
        Self { rate: 8000, mels: 40, frames: 100, channels: 96, embedding: 64, vocabulary: Vocabulary::default() }
    }
}

impl ModelConfig {
    /// The sampling rate the model works at, hertz.
    pub const fn rate(&self) -> u32 {
        match self {
            Self::Prior(config) => config.codec.rate,
            Self::Wave(config) => config.codec.rate,
            Self::DiffWave(config) => config.rate,
            Self::Judge(config) => config.rate,
        }
    }

    /// The names of the conditions.
    pub const fn vocabulary(&self) -> &Vocabulary {
        match self {
            Self::Prior(config) => &config.vocabulary,
            Self::Wave(config) => &config.vocabulary,
            Self::DiffWave(config) => &config.vocabulary,
            Self::Judge(config) => &config.vocabulary,
        }
    }

    /// The names of the conditions, to be filled in from data.
    pub const fn vocabulary_mut(&mut self) -> &mut Vocabulary {
        match self {
            Self::Prior(config) => &mut config.vocabulary,
            Self::Wave(config) => &mut config.vocabulary,
            Self::DiffWave(config) => &mut config.vocabulary,
            Self::Judge(config) => &mut config.vocabulary,
        }
    }

    /// Refuses numbers that build no model: configs come from files, and a file may be damaged or hostile.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first one.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Prior(c) => {
                let k = &c.codec;
                within("codec.rate", f64::from(k.rate), 4000.0, 192_000.0)?;
                within("codec.n_fft", k.n_fft as f64, 16.0, 8192.0)?;
                within("codec.window", k.window as f64, 8.0, k.n_fft as f64)?;
                within("codec.hop", k.hop as f64, 1.0, k.window as f64)?;
                within("codec.mels", k.mels as f64, 4.0, 512.0)?;
                within("codec.floor", f64::from(k.floor), 1e-12, 1.0)?;
                within("codec.frames", k.frames as f64, 2.0, 4096.0)?;
                within("codec.components", k.components as f64, 1.0, (k.mels * k.frames).min(4096) as f64)?;
                within("codec.whitening", k.whitening, 0.0, 1.0)?;
                within("codec.griffin_lim", k.griffin_lim as f64, 1.0, 1000.0)?;
                within("width", c.width as f64, 2.0, 8192.0)?;
                within("hidden", c.hidden as f64, 1.0, 32_768.0)?;
                within("blocks", c.blocks as f64, 1.0, 64.0)?;
                within("condition", c.condition as f64, 1.0, 8192.0)?;
                within("drop", c.drop, 0.0, 1.0)?;
                within("sigma_data", c.sigma_data, 1e-6, 1e6)?;
                c.check_objective()?;
                c.latent.as_ref().map_or(Ok(()), |latent| latent.check(&c.objective))?;
                Ok(c.sampling.check()?)
            }
            Self::Wave(c) => c.check(),
            Self::DiffWave(c) => c.check(),
            Self::Judge(c) => {
                within("rate", f64::from(c.rate), 4000.0, 192_000.0)?;
                within("mels", c.mels as f64, 4.0, 512.0)?;
                within("frames", c.frames as f64, 16.0, 4096.0)?;
                within("channels", c.channels as f64, 1.0, 4096.0)?;
                within("embedding", c.embedding as f64, 2.0, 4096.0)
            }
        }
    }
}

fn within(name: &'static str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(Error::Setting { name, value, least, most }) }
}
