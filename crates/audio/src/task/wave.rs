//! The trained waveform model as a denoiser of core.

use std::{ops::Range, sync::Arc};

use burn::{
    module::Module as _,
    tensor::{Device, Tensor, TensorData},
};
use langevin_core::{
    Denoiser, Level, Param,
    drive::VarianceDenoiser,
    recipe::{Run, Sampling},
    schedule::Schedule,
};
use langevin_nn::Constant;

use super::guided::{Guidance, Guide, Variant, c_noise};
use crate::{
    Result,
    config::WaveConfig,
    model::{Conditions, FrameNet, GIVEN},
    wave_codec::{BANDS, WaveCodec},
};

/// Frames that the network sees at once. Longer clips are cut at every evaluation, each part with as many frames beside it as an estimate
/// depends on, so that memory stays bounded and no seam exists.
pub(super) const PART: usize = 512;

/// A trained waveform model: codec and network.
pub struct Wave {
    /// Its config.
    pub config: WaveConfig,
    /// Its codec.
    pub codec: WaveCodec,
    net: FrameNet,
    schedule: Arc<dyn Schedule + Send + Sync>,
    device: Device,
}

impl std::fmt::Debug for Wave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wave").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Wave {
    /// A model from its config, the constants of its checkpoint, and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When a constant is missing or does not fit the config.
    pub fn new(config: &WaveConfig, constants: &[Constant], net: FrameNet, device: &Device) -> Result<Self> {
        config.vocabulary.check()?;
        let codec = WaveCodec::from_constants(&config.codec, constants)?;
        let schedule = config.objective.schedule.build()?.into();
        Ok(Self { config: config.clone(), codec, net, schedule, device: device.clone() })
    }

    /// The model with a network that states can be differentiated through; its own parameters stay out of the graph.
    #[must_use]
    pub fn differentiable(&self) -> Self {
        Self {
            config: self.config.clone(),
            codec: self.codec.clone(),
            net: self.net.clone().train().no_grad(),
            schedule: Arc::clone(&self.schedule),
            device: self.device.clone(),
        }
    }

    /// The device of the network.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        langevin_nn::weights::count(&self.net)
    }

    /// The curve of noise levels it was trained on.
    pub fn schedule(&self) -> &dyn Schedule {
        &*self.schedule
    }

    /// What the network predicts.
    pub const fn param(&self) -> Param {
        self.config.objective.param
    }

    /// Compiles a sampling run.
    ///
    /// # Errors
    /// When the method, the grid and this checkpoint do not go together.
    pub fn run(&self, sampling: &Sampling) -> Result<Run> {
        Ok(sampling.compile(&*self.schedule, self.param(), None, false)?)
    }

    /// The guided denoiser of states of shape `[1, frames, 64]`.
    pub fn denoiser<'a>(&'a self, given: &'a Given, conditions: &'a Conditions, guidance: Guidance, sampling: &Sampling) -> GuidedWave<'a> {
        GuidedWave { wave: self, given, guide: Guide::new(conditions, guidance, sampling) }
    }
}

/// What is known of a clip before it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Number of frames.
    pub frames: usize,
    /// Coefficients, shape `[frames, 64]`; only those that are known are read.
    pub coefficients: Vec<f32>,
    /// Which are known, same shape.
    pub known: Vec<bool>,
    /// Standard deviation of noise in the known coefficients, in their scaled units.
    pub noise: f32,
    /// Mel rows as [`WaveCodec::normalise_mel`] makes them, shape `[frames, mels]`.
    pub mel: Option<Vec<f32>>,
    /// A clip at the standard loudness and the range of its samples that is not known: frames that hear some of the range know the rest.
    pub clip: Option<(Vec<f32>, Range<usize>)>,
}

impl Given {
    /// Nothing known of `frames` frames.
    pub fn nothing(frames: usize) -> Self {
        Self { frames, coefficients: vec![0.0; frames * BANDS], known: vec![false; frames * BANDS], noise: 0.0, mel: None, clip: None }
    }

    /// Rows of the network's input, shape `[frames, GIVEN + mels]`: known coefficients and their sizes or zeros, which are known, whether mel rows are there,
    /// the noise in the known ones, mel rows or zeros.
    pub fn rows(&self, mels: usize) -> Vec<f32> {
        let width = GIVEN + mels;
        let mut rows = vec![0f32; self.frames * width];
        for (t, row) in rows.chunks_exact_mut(width).enumerate() {
            for k in 0..BANDS {
                if self.known[t * BANDS + k] {
                    let c = self.coefficients[t * BANDS + k];
                    (row[k], row[BANDS + k], row[2 * BANDS + k]) = (c, c.abs(), 1.0);
                }
            }
            row[3 * BANDS + 1] = self.noise;
            if let Some(mel) = &self.mel {
                row[3 * BANDS] = 1.0;
                row[GIVEN..].copy_from_slice(&mel[t * mels..(t + 1) * mels]);
            }
        }
        rows
    }

    /// `x`, shape `[1, frames, 64]`, with the known coefficients in their places.
    pub fn hold(&self, x: Tensor<3>) -> Tensor<3> {
        if !self.known.contains(&true) {
            return x;
        }
        let (shape, device) = (x.dims(), x.device());
        let known: Vec<f32> = self.known.iter().map(|k| f32::from(u8::from(*k))).collect();
        let values: Vec<f32> = self.coefficients.iter().zip(&known).map(|(c, k)| c * k).collect();
        let tensor = |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, shape), &device);
        let known = tensor(known);
        x * (known.ones_like() - known) + tensor(values)
    }
}

/// The waveform model under guidance, with what is known in its place.
#[derive(Debug)]
pub struct GuidedWave<'a> {
    wave: &'a Wave,
    given: &'a Given,
    guide: Guide<'a>,
}

impl GuidedWave<'_> {
    /// Raw outputs of the variants, each of shape `[1, frames, 64]`, for a scaled state: part by part.
    fn outputs(&self, x: &Tensor<3>, at: Level, variants: &[Variant]) -> Vec<Tensor<3>> {
        let (copies, frames) = (variants.len(), self.given.frames);
        let mels = self.wave.config.codec.mels;
        let rows = self.given.rows(mels);
        let width = GIVEN + mels;
        let (conditions, levels) = (self.guide.seen_by(variants), vec![c_noise(at); copies]);
        let reach = self.wave.config.reach();
        let mut parts = vec![Vec::new(); copies];
        for start in (0..frames).step_by(PART) {
            let end = (start + PART).min(frames);
            let (first, last) = (start.saturating_sub(reach), (end + reach).min(frames));
            let given = TensorData::new(rows[first * width..last * width].to_vec(), [1, last - first, width]);
            let given = Tensor::<3>::from_data(given, &x.device());
            let seen = x.clone().narrow(1, first, last - first);
            let repeat = |x: Tensor<3>| if copies == 1 { x } else { Tensor::cat(vec![x; copies], 0) };
            let raw = self.wave.net.forward(repeat(seen), &levels, &conditions, repeat(given), None);
            for (k, parts) in parts.iter_mut().enumerate() {
                parts.push(raw.clone().narrow(0, k, 1).narrow(1, start - first, end - start));
            }
        }
        parts.into_iter().map(|mut parts| if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }).collect()
    }
}

impl Denoiser<Tensor<3>> for GuidedWave<'_> {
    fn denoise(&self, x: &Tensor<3>, at: Level, _node: u32) -> Tensor<3> {
        let variants = self.guide.variants_at(at);
        let c = self.wave.param().coef(at);
        let outputs = self.outputs(&x.clone().mul_scalar(c.input), at, variants);
        let x0 = self.given.hold(self.guide.estimate(x, c, &outputs, variants));
        match &self.given.clip {
            None => x0,
            Some((clip, range)) => {
                let shape = x0.dims();
                let mut frames = x0.into_data().try_into_vec_as::<f32>().expect("a float tensor converts to f32");
                self.wave.codec.mend(&mut frames, clip, range);
                Tensor::from_data(TensorData::new(frames, shape), self.wave.device())
            }
        }
    }
}

impl VarianceDenoiser<3> for GuidedWave<'_> {}
