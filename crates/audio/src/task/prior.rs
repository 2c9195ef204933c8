//! The trained prior as a denoiser of core.

use std::{ops::Range, sync::Arc};

use burn::{
    module::Module as _,
    tensor::{Device, Tensor},
};
use langevin_core::{
    Denoiser, Error as CoreError, Level, Param, State as _,
    drive::VarianceDenoiser,
    guide::rescale,
    loss::{Dsm, Weight},
    recipe::{Run, Sampling, Threshold},
    schedule::Schedule,
    variance::ScoreMoments,
};
use langevin_nn::{Constant, Vae};

use crate::{
    Error, Result,
    codec::Codec,
    config::{Distillation, PriorConfig},
    model::{Conditions, PriorNet},
};

/// Name of the checkpoint's constant that holds the score's moments, rows of alpha, sigma and `E |eps|^2` per number.
pub(super) const MOMENTS: &str = "score_moments";

/// Guidance weights of label and speaker; 1 is unguided, 0 ignores the condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// Weight of the label.
    pub label: f64,
    /// Weight of the speaker.
    pub speaker: f64,
}

/// A trained prior: codec and network.
pub struct Prior {
    /// Its config.
    pub config: PriorConfig,
    /// Its codec.
    pub codec: Codec,
    net: PriorNet,
    schedule: Arc<dyn Schedule + Send + Sync>,
    moments: Option<ScoreMoments>,
    device: Device,
}

impl std::fmt::Debug for Prior {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prior").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Prior {
    /// A prior from its config, the constants of its checkpoint, and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When a constant is missing or does not fit the config.
    pub fn new(config: &PriorConfig, constants: &[Constant], net: PriorNet, device: &Device) -> Result<Self> {
        config.vocabulary.check()?;
        let codec = Codec::from_constants(&config.codec, config.sigma_data, constants)?;
        let schedule: Arc<dyn Schedule + Send + Sync> = match net.gamma() {
            Some(gamma) => Arc::new(gamma.to_schedule()?),
            None => config.objective.schedule.build()?.into(),
        };
        let moments = constants.iter().find(|c| c.name == MOMENTS).map(moments_of).transpose()?;
        Ok(Self { config: config.clone(), codec, net, schedule, moments, device: device.clone() })
    }

    /// The prior with a network that states can be differentiated through; its own parameters stay out of the graph.
    #[must_use]
    pub fn differentiable(&self) -> Self {
        Self {
            config: self.config.clone(),
            codec: self.codec.clone(),
            net: self.net.clone().train().no_grad(),
            schedule: Arc::clone(&self.schedule),
            moments: self.moments.clone(),
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

    /// The moments of its score, where its checkpoint has them.
    pub const fn moments(&self) -> Option<&ScoreMoments> {
        self.moments.as_ref()
    }

    /// The autoencoder whose code is diffused, where there is one.
    pub const fn vae(&self) -> Option<&Vae> {
        self.net.vae()
    }

    /// Compiles a sampling run.
    ///
    /// # Errors
    /// When the method, the grid and this checkpoint do not go together.
    pub fn run(&self, sampling: &Sampling) -> Result<Run> {
        if let Some(distilled) = &self.config.distilled {
            let refuse = |reason: String| Err(CoreError::Invalid { what: "sampling", reason }.into());
            if sampling.guidance != 1.0 {
                return refuse(format!(
                    "this checkpoint was distilled with guidance {} inside; its own weight has to be 1",
                    distilled.guidance
                ));
            }
            if distilled.method == Distillation::Progressive
                && (sampling.steps != distilled.steps || sampling.grid != self.config.sampling.grid)
            {
                return refuse(format!("this checkpoint was distilled to {} steps and knows their levels only", distilled.steps));
            }
        }
        Ok(sampling.compile(&*self.schedule, self.param(), self.moments.as_ref(), self.config.heads() == 2)?)
    }

    /// What the network predicts.
    pub const fn param(&self) -> Param {
        self.config.objective.param
    }

    /// Guided estimates of a batch whose rows are at levels of their own, shape `[batch, width]`.
    pub fn estimates(&self, x: &Tensor<2>, levels: &[Level], conditions: &Conditions, guidance: Guidance) -> Tensor<2> {
        let variants = variants(guidance);
        let copies = variants.len();
        let dsm = Dsm { param: self.param(), weight: Weight::Unit };
        let input = Tensor::cat(vec![dsm.inputs(x.clone(), levels); copies], 0);
        let inputs: Vec<f32> = levels.iter().map(|&at| c_noise(at)).collect();
        let raw = self.net.forward(input, &inputs.repeat(copies), &seen_by(&variants, conditions));
        let [rows, width] = x.dims();
        let part = |k: usize, weight: f64| raw.clone().slice([k * rows..(k + 1) * rows, 0..width]).mul_scalar(weight);
        let mixed = variants.iter().enumerate().map(|(k, v)| part(k, v.0)).reduce(|sum, part| sum + part);
        dsm.estimates(x.clone(), mixed.expect("the weights sum to 1, so there is a variant"), levels)
    }

    /// The guided denoiser of a batch with these conditions.
    pub fn denoiser<'a>(&'a self, conditions: &'a Conditions, guidance: Guidance, sampling: &Sampling) -> GuidedPrior<'a> {
        GuidedPrior {
            prior: self,
            conditions,
            variants: variants(guidance),
            rescale: sampling.guidance_rescale,
            guided_at: sampling.guided_at(),
            threshold: sampling.threshold,
        }
    }
}

fn moments_of(constant: &Constant) -> Result<ScoreMoments> {
    if constant.shape.len() != 2 || constant.shape[1] != 3 {
        return Err(Error::Constant { name: MOMENTS, problem: format!("has shape {:?}, which should be [levels, 3]", constant.shape) });
    }
    let rows: Vec<[f64; 3]> = constant.values.chunks_exact(3).map(|row| [row[0], row[1], row[2]].map(f64::from)).collect();
    Ok(ScoreMoments::from_rows(&rows)?)
}

/// The network's noise input at a level: `ln(sigma / alpha) / 4`, kept finite at the ends.
pub(super) fn c_noise(at: Level) -> f32 {
    (-0.25 * at.lambda()).clamp(-5.0, 5.0) as f32
}

/// Weight of an estimate, and whether it sees the label and the speaker.
pub(super) type Variant = (f64, bool, bool);

/// `D = D(-,-) + w_l [D(l,-) - D(-,-)] + w_s [D(l,s) - D(l,-)]`; with equal weights the middle term vanishes and two variants remain, the
/// classifier-free guidance of core's `Guided`. All variants go through the network as one batch.
pub(super) fn variants(guidance: Guidance) -> Vec<Variant> {
    let all = [(guidance.speaker, true, true), (guidance.label - guidance.speaker, true, false), (1.0 - guidance.label, false, false)];
    all.into_iter().filter(|v| v.0 != 0.0).collect()
}

/// The conditions of a batch that holds every variant.
pub(super) fn seen_by(variants: &[Variant], conditions: &Conditions) -> Conditions {
    let see = |shown: bool, ids: &[Option<usize>]| ids.iter().map(move |id| id.filter(|_| shown)).collect::<Vec<_>>();
    Conditions {
        labels: variants.iter().flat_map(|v| see(v.1, &conditions.labels)).collect(),
        speakers: variants.iter().flat_map(|v| see(v.2, &conditions.speakers)).collect(),
    }
}

/// The prior under guidance: a weighted sum of its estimates with and without conditions.
#[derive(Debug)]
pub struct GuidedPrior<'a> {
    prior: &'a Prior,
    conditions: &'a Conditions,
    variants: Vec<Variant>,
    rescale: f64,
    guided_at: Range<f64>,
    threshold: Threshold,
}

impl Denoiser<Tensor<2>> for GuidedPrior<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        self.denoise_with_share(x, at, node).0
    }
}

impl VarianceDenoiser<2> for GuidedPrior<'_> {
    fn denoise_with_share(&self, x: &Tensor<2>, at: Level, _node: u32) -> (Tensor<2>, Option<Tensor<2>>) {
        const UNGUIDED: [Variant; 1] = [(1.0, true, true)];
        let variants = if self.guided_at.contains(&at.ve_sigma()) { self.variants.as_slice() } else { &UNGUIDED };
        let [rows, width] = x.dims();
        let copies = variants.len();
        let conditions = seen_by(variants, self.conditions);
        let c = self.prior.param().coef(at);
        let input = x.clone().mul_scalar(c.input);
        let input = if copies == 1 { input } else { Tensor::cat(vec![input; copies], 0) };
        let raw = self.prior.net.forward(input, &vec![c_noise(at); rows * copies], &conditions);
        let parts: Vec<Tensor<2>> = (0..copies).map(|k| raw.clone().slice([k * rows..(k + 1) * rows, 0..width])).collect();
        // The variants' weights sum to 1, so the skip connection enters once.
        let mut terms = vec![(c.skip, x)];
        terms.extend(parts.iter().zip(variants).map(|(part, v)| (c.out * v.0, part)));
        let mut x0 = Tensor::lincomb(&terms);
        let full = variants.iter().position(|v| v.1 && v.2);
        if let (true, Some(full)) = (copies > 1 && self.rescale > 0.0, full) {
            x0 = rescale(x0, Tensor::lincomb(&[(c.skip, x), (c.out, &parts[full])]), self.rescale);
        }
        // The variance is that of the conditional network: guidance moves means.
        let share = (self.prior.config.heads() == 2)
            .then(|| raw.slice([full.unwrap_or(0) * rows..(full.unwrap_or(0) + 1) * rows, width..2 * width]));
        (self.threshold.apply(x0), share)
    }
}
