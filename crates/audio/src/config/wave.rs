//! Settings of the waveform model.

use langevin_core::{
    Param,
    loss::{TimeSampler, Weight},
    recipe::{Objective, Sampling},
    schedule::ScheduleSpec,
};
use serde::{Deserialize, Serialize};

use super::{Vocabulary, within};
use crate::{Result, wave_codec::BANDS};

/// Settings of the waveform model: diffusion of a clip's own samples, as frames of an MDCT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaveConfig {
    /// From samples to frames.
    pub codec: WaveCodecConfig,
    /// Width of the network.
    pub width: usize,
    /// Width inside a block, after its gate.
    pub hidden: usize,
    /// Number of residual blocks.
    pub blocks: usize,
    /// Frames that a block's filters see, odd.
    pub taps: usize,
    /// Dilations of the filters, block after block, over and over.
    pub dilations: Vec<usize>,
    /// Width of the condition (noise level, label, speaker) that modulates the blocks.
    pub condition: usize,
    /// Share of training examples whose label is hidden, and independently whose speaker is (Ho & Salimans 2022), where nothing else is
    /// given; where something is, half of them.
    pub drop: f64,
    /// Frames of a training example.
    pub crop: usize,
    /// Standard deviation of the codec's coefficients after scaling.
    pub sigma_data: f64,
    /// How it is trained.
    pub objective: Objective,
    /// How it is sampled when a request says nothing else.
    pub sampling: Sampling,
    /// Names of the conditions.
    pub vocabulary: Vocabulary,
}

impl Default for WaveConfig {
    fn default() -> Self {
        Self {
            codec: WaveCodecConfig::default(),
            width: 256,
            hidden: 512,
            blocks: 8,
            taps: 7,
            dilations: vec![1, 2, 4],
            condition: 256,
            drop: 0.15,
            crop: 64,
            sigma_data: 0.5,
            objective: Objective {
                schedule: ScheduleSpec::Edm { sigma_min: 0.01, sigma_max: 20.0 },
                param: Param::Edm { sigma_data: 0.5 },
                weight: Weight::Unit,
                times: TimeSampler::LogNormal { p_mean: -0.6, p_std: 1.2 },
                importance: None,
                learned_variance: None,
                learned_schedule: None,
            },
            sampling: Sampling { steps: 8, guidance: 2.0, ..Sampling::default() },
            vocabulary: Vocabulary::default(),
        }
    }
}

impl WaveConfig {
    /// The dilation of a block.
    pub fn dilation(&self, block: usize) -> usize {
        self.dilations[block % self.dilations.len()]
    }

    /// Frames on each side that an estimate depends on.
    pub fn reach(&self) -> usize {
        (0..self.blocks).map(|block| self.taps / 2 * self.dilation(block)).sum()
    }

    /// Refuses numbers that build no model.
    pub(super) fn check(&self) -> Result<()> {
        let k = &self.codec;
        within("codec.rate", f64::from(k.rate), 4000.0, 192_000.0)?;
        within("codec.n_fft", k.n_fft as f64, 16.0, 8192.0)?;
        within("codec.window", k.window as f64, (5 * BANDS).div_ceil(2) as f64, k.n_fft as f64)?;
        within("codec.mels", k.mels as f64, 4.0, 512.0)?;
        within("codec.floor", f64::from(k.floor), 1e-12, 1.0)?;
        within("codec.compand", k.compand, 0.1, 1.0)?;
        within("width", self.width as f64, 2.0, 8192.0)?;
        within("hidden", self.hidden as f64, 1.0, 32_768.0)?;
        within("blocks", self.blocks as f64, 1.0, 64.0)?;
        within("taps", self.taps as f64, 1.0, 63.0)?;
        within("taps, which should be odd; its remainder", (self.taps % 2) as f64, 1.0, 1.0)?;
        within("number of dilations", self.dilations.len() as f64, 1.0, 64.0)?;
        for &dilation in &self.dilations {
            within("dilations", dilation as f64, 1.0, 1024.0)?;
        }
        within("condition", self.condition as f64, 1.0, 8192.0)?;
        within("drop", self.drop, 0.0, 1.0)?;
        within("crop", self.crop as f64, 16.0, 4096.0)?;
        within("sigma_data", self.sigma_data, 1e-6, 1e6)?;
        let refuse = |reason: String| Err(langevin_core::Error::Invalid { what: "objective", reason }.into());
        if let Param::Edm { sigma_data } = self.objective.param
            && sigma_data != self.sigma_data
        {
            return refuse(format!("param says sigma_data = {sigma_data}, but the codec scales coefficients to {}", self.sigma_data));
        }
        if self.objective.learned_variance.is_some() || self.objective.learned_schedule.is_some() || self.objective.importance.is_some() {
            return refuse("a waveform model learns no variance, no schedule and no distribution of times".to_owned());
        }
        self.objective.check()?;
        Ok(self.sampling.check()?)
    }
}

/// From samples to frames and back: loudness, an MDCT of 64 bands, companding, a scale for each band; and the log-mel frames that a vocoder
/// starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaveCodecConfig {
    /// Sampling rate, hertz.
    pub rate: u32,
    /// Length of the Fourier transform behind the mel bands, samples.
    pub n_fft: usize,
    /// Length of its window, samples.
    pub window: usize,
    /// Mel bands.
    pub mels: usize,
    /// Lowest mel magnitude before the logarithm.
    pub floor: f32,
    /// Exponent of a coefficient's size: below 1 the quiet ones come nearer to the loud ones.
    pub compand: f64,
}

impl Default for WaveCodecConfig {
    fn default() -> Self {
        Self { rate: 8000, n_fft: 512, window: 320, mels: 48, floor: 1e-3, compand: 0.5 }
    }
}
