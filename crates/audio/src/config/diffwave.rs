//! `[model]` of a DiffWave checkpoint.

use langevin_core::{
    Level, Param,
    grid::Grid,
    recipe::{Method, Sampling},
    schedule::{Schedule as _, Table, betas},
    solver::{Ddpm, Solver},
};
use serde::{Deserialize, Serialize};

use super::{CodecConfig, Vocabulary, within};
use crate::Result;

/// DiffWave (Kong et al. 2021, arXiv:2009.09761), a WaveNet without causality that predicts the noise in a waveform. The defaults are those of
/// the paper's smaller vocoder, but for what the rate asks for: the log-mel spectrogram is the one of the other models here, 64 samples a frame,
/// and so the two steps that stretch it to samples are 8 and 8 instead of 16 and 16.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffWaveConfig {
    /// Sampling rate, hertz.
    pub rate: u32,
    /// Channels of the residual layers, `C`.
    pub channels: usize,
    /// Residual layers, `L`.
    pub layers: usize,
    /// Layers until the dilation starts again at 1; it doubles from layer to layer.
    pub cycle: usize,
    /// Diffusion steps of the training, `T`.
    pub steps: usize,
    /// Variance of the first step.
    pub beta_start: f64,
    /// Variance of the last step; between them they are evenly spaced.
    pub beta_end: f64,
    /// Rescales the schedule to end in pure noise, from which sampling starts: the published one ends with 53 % of the signal's amplitude. The network then
    /// predicts the velocity, because noise says nothing about a signal that is not there (Lin et al. 2024).
    pub zero_terminal_snr: bool,
    /// Variances of the fast schedule, which sampling follows when it is asked for as many steps.
    pub fast: Vec<f64>,
    /// What it is told about the sound.
    pub condition: DiffWaveCondition,
    /// The log-mel spectrogram that it is told; not read under other conditions.
    pub mel: DiffWaveMel,
    /// Samples of a training example; longer recordings are cut at random, shorter ones end in silence.
    pub crop: usize,
    /// Share of training examples whose label is hidden; 0 in the paper.
    pub drop: f64,
    /// How it is sampled when a request says nothing else.
    pub sampling: Sampling,
    /// Names of the conditions.
    pub vocabulary: Vocabulary,
}

/// What a DiffWave is told about the sound it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffWaveCondition {
    /// Nothing.
    None,
    /// Its label.
    Label,
    /// Its log-mel spectrogram: a vocoder.
    Mel,
}

/// A log-mel spectrogram and how it is stretched to samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffWaveMel {
    /// Length of the Fourier transform, samples.
    pub n_fft: usize,
    /// Length of the window, samples.
    pub window: usize,
    /// Bands.
    pub mels: usize,
    /// Lowest magnitude before the logarithm.
    pub floor: f32,
    /// Factors of the two transposed convolutions, even; their product is the number of samples between frames.
    pub strides: [usize; 2],
}

impl Default for DiffWaveMel {
    fn default() -> Self {
        let codec = CodecConfig::default();
        Self { n_fft: codec.n_fft, window: codec.window, mels: codec.mels, floor: codec.floor, strides: [8, 8] }
    }
}

impl Default for DiffWaveConfig {
    fn default() -> Self {
        Self {
            rate: 8000,
            channels: 64,
            layers: 30,
            cycle: 10,
            steps: 50,
            beta_start: 1e-4,
            beta_end: 0.05,
            zero_terminal_snr: false,
            fast: vec![1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5],
            condition: DiffWaveCondition::Mel,
            mel: DiffWaveMel::default(),
            crop: 4096,
            drop: 0.0,
            sampling: Sampling {
                solver: Method::Solver(Solver::Ddpm(Ddpm::default())),
                grid: Grid::Linspace {},
                steps: 50,
                ..Sampling::default()
            },
            vocabulary: Vocabulary::default(),
        }
    }
}

impl DiffWaveConfig {
    /// Refuses numbers that build no model.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first one.
    pub fn check(&self) -> Result<()> {
        within("rate", f64::from(self.rate), 4000.0, 192_000.0)?;
        within("channels", self.channels as f64, 1.0, 1024.0)?;
        within("layers", self.layers as f64, 1.0, 128.0)?;
        within("cycle", self.cycle as f64, 1.0, 16.0)?;
        within("steps", self.steps as f64, 2.0, 10_000.0)?;
        within("crop", self.crop as f64, 64.0, 1_048_576.0)?;
        within("drop", self.drop, 0.0, 1.0)?;
        within("mel.n_fft", self.mel.n_fft as f64, 16.0, 8192.0)?;
        within("mel.window", self.mel.window as f64, 8.0, self.mel.n_fft as f64)?;
        within("mel.mels", self.mel.mels as f64, 4.0, 512.0)?;
        within("mel.floor", f64::from(self.mel.floor), 1e-12, 1.0)?;
        for stride in self.mel.strides {
            within("mel.strides", stride as f64, 2.0, 64.0)?;
            if !stride.is_multiple_of(2) {
                return Err(invalid("mel.strides", format!("{stride} is odd; a transposed convolution of an even factor keeps its place")));
            }
        }
        within("mel.strides (their product)", self.hop() as f64, 4.0, self.mel.window as f64 / 2.5)?;
        self.schedule()?;
        self.fast_levels()?;
        Ok(self.sampling.check()?)
    }

    /// Samples between frames of the log-mel spectrogram.
    pub const fn hop(&self) -> usize {
        self.mel.strides[0] * self.mel.strides[1]
    }

    /// The front end's settings.
    pub fn codec(&self) -> CodecConfig {
        let DiffWaveMel { n_fft, window, mels, floor, .. } = self.mel;
        CodecConfig { rate: self.rate, n_fft, window, hop: self.hop(), mels, floor, ..CodecConfig::default() }
    }

    /// What the network predicts: the noise, or the velocity where the schedule ends in pure noise.
    pub const fn param(&self) -> Param {
        if self.zero_terminal_snr { Param::V } else { Param::Eps }
    }

    /// The training schedule.
    ///
    /// # Errors
    /// When the betas are no schedule.
    pub fn schedule(&self) -> Result<Table> {
        if !(self.beta_start > 0.0 && self.beta_start < self.beta_end && self.beta_end < 1.0) {
            return Err(invalid("beta_start", "should lie above 0 and below beta_end, and that below 1".into()));
        }
        let table = Table::from_betas(&betas::linear(self.beta_start, self.beta_end, self.steps))?;
        Ok(if self.zero_terminal_snr { table.zero_terminal_snr()? } else { table })
    }

    /// Levels of the fast schedule, from the least noise to the most.
    ///
    /// # Errors
    /// When its betas are no schedule, or reach beyond the noise of the training's.
    pub fn fast_levels(&self) -> Result<Vec<Level>> {
        if self.fast.is_empty() {
            return Ok(Vec::new());
        }
        let wrong = |reason: String| invalid("fast", reason);
        let mut left = 1.0;
        let mut levels = Vec::with_capacity(self.fast.len());
        for beta in &self.fast {
            if !(*beta > 0.0 && *beta < 1.0) {
                return Err(wrong(format!("{beta} is no variance between 0 and 1")));
            }
            left *= 1.0 - beta;
            levels.push(Level::vp(left));
        }
        let table = self.schedule()?;
        let most = table.level(table.span().1);
        match levels.last() {
            Some(last) if last.alpha < most.alpha => Err(wrong(format!(
                "it ends with {:.3} of the signal's amplitude, but the training's schedule with {:.3}, beyond which the network knows nothing",
                last.alpha, most.alpha
            ))),
            _ => Ok(levels),
        }
    }

    /// The training step, `0..T` and not whole, that a level corresponds to: linear in `sqrt(alpha_bar)` between steps (section 3.3 and
    /// appendix B of the paper).
    pub fn step_of(table: &Table, at: Level) -> f64 {
        let roots: Vec<f64> = table.alpha_bar().iter().map(|a| a.sqrt()).collect();
        let after = roots.partition_point(|root| *root > at.alpha);
        match after {
            0 => 0.0,
            after if after == roots.len() => (roots.len() - 1) as f64,
            after => (after - 1) as f64 + (roots[after - 1] - at.alpha) / (roots[after - 1] - roots[after]),
        }
    }
}

fn invalid(what: &'static str, reason: String) -> crate::Error {
    langevin_core::Error::Invalid { what, reason }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_schedule_is_aligned_as_published() {
        let config = DiffWaveConfig::default();
        config.check().unwrap();
        let table = config.schedule().unwrap();
        let steps: Vec<f64> = config.fast_levels().unwrap().iter().map(|at| DiffWaveConfig::step_of(&table, *at)).collect();
        // Appendix B of the paper gives the variances; these are the aligned steps of its public implementations.
        for (got, want) in steps.iter().zip([0.0, 0.894, 4.087, 10.452, 22.992, 42.919]) {
            assert!((got - want).abs() < 1e-3, "{steps:?}");
        }
        // Whole steps are their own.
        for t in [0, 1, 17, 49] {
            assert!((DiffWaveConfig::step_of(&table, table.level(f64::from(t))) - f64::from(t)).abs() < 1e-9);
        }
    }

    #[test]
    fn the_published_schedule_leaves_signal_and_the_rescaled_one_none() {
        let published = DiffWaveConfig::default();
        let last = published.schedule().unwrap().level(49.0);
        assert!((last.alpha.powi(2) - 0.28).abs() < 0.01, "{last:?}");
        let zero = DiffWaveConfig { zero_terminal_snr: true, ..published };
        assert_eq!(zero.schedule().unwrap().level(49.0), Level::new(0.0, 1.0));
        assert_eq!(zero.param(), Param::V);
        zero.check().unwrap();
    }

    #[test]
    fn settings_that_build_nothing_are_refused() {
        let with = |change: fn(&mut DiffWaveConfig)| {
            let mut config = DiffWaveConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(with(|c| c.channels = 0).contains("channels"));
        assert!(with(|c| c.cycle = 64).contains("cycle"));
        assert!(with(|c| c.beta_end = 1e-5).contains("beta_end"));
        assert!(with(|c| c.mel.strides = [7, 8]).contains("odd"));
        assert!(with(|c| c.mel.strides = [16, 16]).contains("strides"));
        assert!(with(|c| c.fast = vec![0.5, 0.9]).contains("knows nothing"));
        assert!(with(|c| c.fast = vec![2.0]).contains("variance"));
        let paper = DiffWaveConfig {
            rate: 22_050,
            mel: DiffWaveMel { n_fft: 1024, window: 1024, mels: 80, floor: 1e-5, strides: [16, 16] },
            ..DiffWaveConfig::default()
        };
        paper.check().unwrap();
        assert_eq!(paper.hop(), 256);
    }
}
