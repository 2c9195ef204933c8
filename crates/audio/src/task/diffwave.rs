//! A trained DiffWave as a denoiser of core, and what it makes.

use std::ops::{ControlFlow, Range};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Denoiser, Level, Param, Philox, State as _,
    drive::VarianceDenoiser,
    grid::Grid,
    noise::stream,
    recipe::{Run, Sampling, Threshold},
    schedule::{Schedule as _, Table},
};
use langevin_nn::Sampler;

use super::{
    one_by_one,
    wave_uses::{WaveRequest, WaveUse},
};
use crate::{
    Error, Result,
    codec::Frontend,
    config::{DiffWaveCondition, DiffWaveConfig},
    loudness,
    model::{DiffWaveNet, Told},
};

/// Samples that the network sees at once. Longer clips are cut at every evaluation, each part with as many samples beside it as an estimate
/// depends on, so that memory stays bounded and no seam exists.
pub(super) const PART: usize = 1 << 15;
/// Factor of a log-mel spectrogram above its floor: speech at the standard loudness then lies about in 0..1.
const MEL_SCALE: f32 = 0.1;

/// A log-mel spectrogram, shape `[frames, mels]`, as the network reads it: `[mels, frames]` above the floor and scaled.
pub(super) fn mel_rows(mel: &[f32], mels: usize, floor: f32) -> Vec<f32> {
    let (frames, floor) = (mel.len() / mels, floor.ln());
    (0..mels).flat_map(|band| (0..frames).map(move |t| (mel[t * mels + band] - floor) * MEL_SCALE)).collect()
}

/// A trained DiffWave.
pub struct DiffWave {
    /// Its config.
    pub config: DiffWaveConfig,
    frontend: Frontend,
    pub(super) net: DiffWaveNet,
    schedule: Table,
    device: Device,
}

impl std::fmt::Debug for DiffWave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiffWave").field("config", &self.config).finish_non_exhaustive()
    }
}

impl DiffWave {
    /// A model from its config and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When the schedule or the front end cannot be built.
    pub fn new(config: &DiffWaveConfig, net: DiffWaveNet, device: &Device) -> Result<Self> {
        let (frontend, schedule) = (Frontend::new(&config.codec())?, config.schedule()?);
        Ok(Self { config: config.clone(), frontend, net, schedule, device: device.clone() })
    }

    /// Its front end, whose log-mel spectrograms a vocoder reads.
    pub const fn frontend(&self) -> &Frontend {
        &self.frontend
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        langevin_nn::weights::count(&self.net)
    }

    /// What the network predicts.
    pub const fn param(&self) -> Param {
        self.config.param()
    }

    /// Compiles a sampling run. As many steps as the fast schedule has follow it, unless a grid other than the checkpoint's is asked for.
    ///
    /// # Errors
    /// When the method and the grid do not go together.
    pub fn run(&self, sampling: &Sampling) -> Result<Run> {
        let fast = self.config.fast_levels()?;
        let mut sampling = sampling.clone();
        if sampling.steps == fast.len() && sampling.grid == self.config.sampling.grid && sampling.steps != self.config.sampling.steps {
            sampling.grid = Grid::Custom { times: fast.iter().rev().map(|at| self.schedule.t_of_lambda(at.lambda())).collect() };
        }
        Ok(sampling.compile(&self.schedule, self.param(), None, false)?)
    }

    /// A clip's log-mel spectrogram at the standard loudness, ready to be vocoded to its own loudness.
    ///
    /// # Errors
    /// A clip that is empty or not finite.
    pub fn vocoding(&self, clip: &[f32]) -> Result<WaveUse> {
        let mut loud = clip.to_vec();
        let gain = loudness::normalise(&mut loud, self.config.rate);
        Ok(WaveUse::Vocode { mel: self.frontend.log_mel(&loud)?.into(), samples: clip.len(), gain: 1.0 / gain })
    }

    /// Raw outputs, shape `[rows, samples]`, part by part.
    pub(super) fn output(&self, x: &Tensor<2>, at: Level, told: &Told) -> Tensor<2> {
        let step = [DiffWaveConfig::step_of(&self.schedule, at)];
        let ([rows, samples], reach) = (x.dims(), self.net.reach());
        let part = |start: usize| {
            let end = (start + PART).min(samples);
            let (first, last) = (start.saturating_sub(reach), (end + reach).min(samples));
            let told = match told {
                Told::Mel(mel) => Told::Mel(mel.clone().narrow(2, first, last - first)),
                other => other.clone(),
            };
            self.net.forward(x.clone().narrow(1, first, last - first), &step, &told).slice([0..rows, start - first..end - first])
        };
        if samples <= PART {
            return part(0);
        }
        Tensor::cat((0..samples).step_by(PART).map(part).collect(), 1)
    }
}

/// A DiffWave that is told something, and guided by its label where that is asked for.
struct ToldDiffWave<'a> {
    model: &'a DiffWave,
    /// Weights of estimates and what each is told.
    told: Vec<(f64, Told)>,
    threshold: Threshold,
}

impl Denoiser<Tensor<2>> for ToldDiffWave<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, _node: u32) -> Tensor<2> {
        let c = self.model.param().coef(at);
        let scaled = x.clone().mul_scalar(c.input);
        let outputs: Vec<_> = self.told.iter().map(|(_, told)| self.model.output(&scaled, at, told)).collect();
        // The weights sum to 1, so the skip connection enters once.
        let mut terms = vec![(c.skip, x)];
        terms.extend(self.told.iter().zip(&outputs).map(|((weight, _), output)| (c.out * weight, output)));
        self.threshold.apply(Tensor::lincomb(&terms))
    }
}

impl VarianceDenoiser<2> for ToldDiffWave<'_> {}

/// Sounds to make, bound to a model: the engine's sampler. Row `r` draws its noise at `(seed, r, node, stream)`.
#[derive(Debug)]
pub struct DiffWaveGeneration<'a> {
    model: &'a DiffWave,
    run: Run,
    threshold: Threshold,
    noise: Philox,
    label: Option<usize>,
    guidance: f64,
    uses: Vec<WaveUse>,
}

impl<'a> DiffWaveGeneration<'a> {
    /// Checks a request against a model; `uses[r]` is row `r`. A model conditioned on spectrograms vocodes, another one samples; there are no other
    /// uses and no speakers.
    ///
    /// # Errors
    /// [`Error::UnknownCondition`], a use that this model does not have, or what the core refuses.
    pub fn new(model: &'a DiffWave, request: &WaveRequest, uses: Vec<WaveUse>) -> Result<Self> {
        let config = &model.config;
        let refuse = |reason: &str| Err(langevin_core::Error::Invalid { what: "DiffWave", reason: reason.to_owned() }.into());
        if request.speaker.is_some() {
            return refuse("it knows no speakers");
        }
        if request.label.is_some() && config.condition != DiffWaveCondition::Label {
            return refuse("this checkpoint knows no labels");
        }
        for of in &uses {
            match of {
                WaveUse::Vocode { mel, samples, .. } if config.condition == DiffWaveCondition::Mel => {
                    let want = samples.div_ceil(config.hop()) * config.mel.mels;
                    if *samples == 0 || mel.len() < want {
                        return Err(Error::Shape { what: "numbers of the log-mel rows", got: mel.len(), want });
                    }
                    if let Some(index) = mel.iter().position(|v| !v.is_finite()) {
                        return Err(Error::NonFinite { what: "log-mel rows", index });
                    }
                }
                WaveUse::Sample { seconds } if config.condition != DiffWaveCondition::Mel => {
                    let least = 1.0 / f64::from(config.rate);
                    if !(least..=3600.0).contains(seconds) {
                        return Err(Error::Setting { name: "duration in seconds", value: *seconds, least, most: 3600.0 });
                    }
                }
                WaveUse::Sample { .. } => {
                    return refuse("this checkpoint makes sound of log-mel spectrograms only; give it some with --from");
                }
                WaveUse::Vocode { .. } => return refuse("this checkpoint was not trained on log-mel spectrograms"),
                _ => return refuse("it makes new sounds; recordings are changed by audio-wave"),
            }
        }
        let label = request.label.as_deref().map(|name| config.vocabulary.label(name)).transpose()?;
        let run = model.run(&request.sampling)?;
        let (noise, guidance) = (Philox::new(request.seed), request.guidance.label);
        Ok(Self { model, run, threshold: request.sampling.threshold, noise, label, guidance, uses })
    }

    /// The sampling run, for `--dry-run` and manifests.
    pub const fn run(&self) -> &Run {
        &self.run
    }

    fn make(&self, row: u32, observe: &dyn Fn() -> ControlFlow<()>) -> Result<ControlFlow<(), Vec<f32>>> {
        let (model, config) = (self.model, &self.model.config);
        let (told, samples, made, gain) = match &self.uses[row as usize] {
            WaveUse::Vocode { mel, samples, gain } => {
                let (mels, frames) = (config.mel.mels, samples.div_ceil(config.hop()));
                let rows = mel_rows(&mel[..frames * mels], mels, config.mel.floor);
                let mel = Tensor::<3>::from_data(TensorData::new(rows, [1, mels, frames]), &model.device);
                (vec![(1.0, Told::Mel(model.net.stretch(mel)))], *samples, frames * config.hop(), *gain)
            }
            WaveUse::Sample { seconds } => {
                let samples = (seconds * f64::from(config.rate)).round().max(1.0) as usize;
                let shown = |label| Told::Labels(vec![label]);
                let told = match (config.condition, self.label) {
                    (DiffWaveCondition::Label, None) => vec![(1.0, shown(None))],
                    (DiffWaveCondition::Label, label) if self.guidance == 1.0 => vec![(1.0, shown(label))],
                    (DiffWaveCondition::Label, label) => vec![(self.guidance, shown(label)), (1.0 - self.guidance, shown(None))],
                    _ => vec![(1.0, Told::Nothing)],
                };
                (told, samples, samples, 1.0)
            }
            _ => unreachable!("refused when the generation was made"),
        };
        let denoiser = ToldDiffWave { model, told, threshold: self.threshold };
        let noise = self.noise.rows_from(row);
        let start = Tensor::<2>::zeros([1, made], &model.device).noise_like(&noise, 0, stream::PRIOR);
        // The published schedule is sampled from standard noise, though it ends with signal left.
        let found = self.run.sample(start, &denoiser, &noise, observe)?;
        Ok(found.map_continue(|x| {
            let mut sound = x.into_data().try_into_vec_as::<f32>().expect("a float tensor converts to f32");
            sound.truncate(samples);
            sound.iter_mut().for_each(|v| *v *= gain);
            sound
        }))
    }
}

impl Sampler for DiffWaveGeneration<'_> {
    type Raw = Result<Vec<f32>>;
    type Item = Result<Vec<f32>>;

    fn micro_batch(&self) -> u32 {
        1
    }

    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<Result<Vec<f32>>>> {
        one_by_one(rows, |row| self.make(row, observe))
    }

    fn finish(&self, _row: u32, raw: Result<Vec<f32>>) -> Result<Vec<f32>> {
        raw
    }
}
