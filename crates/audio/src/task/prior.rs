//! The trained prior as a denoiser of core.

use std::sync::Arc;

use burn::{
    module::Module as _,
    tensor::{Device, Tensor},
};
use langevin_core::{
    Denoiser, Error as CoreError, Level, Param,
    drive::VarianceDenoiser,
    loss::{Dsm, Weight},
    recipe::{Run, Sampling},
    schedule::Schedule,
    variance::ScoreMoments,
};
use langevin_nn::{Constant, Vae};

use super::guided::{Guidance, Guide, c_noise, full, seen_by, variants};
use crate::{
    Error, Result,
    codec::Codec,
    config::{Distillation, PriorConfig},
    model::{Conditions, PriorNet},
};

/// Name of the checkpoint's constant that holds the score's moments, rows of alpha, sigma and `E |eps|^2` per number.
pub(super) const MOMENTS: &str = "score_moments";

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
        GuidedPrior { prior: self, guide: Guide::new(conditions, guidance, sampling) }
    }
}

fn moments_of(constant: &Constant) -> Result<ScoreMoments> {
    if constant.shape.len() != 2 || constant.shape[1] != 3 {
        return Err(Error::Constant { name: MOMENTS, problem: format!("has shape {:?}, which should be [levels, 3]", constant.shape) });
    }
    let rows: Vec<[f64; 3]> = constant.values.chunks_exact(3).map(|row| [row[0], row[1], row[2]].map(f64::from)).collect();
    Ok(ScoreMoments::from_rows(&rows)?)
}

/// The prior under guidance: a weighted sum of its estimates with and without conditions.
#[derive(Debug)]
pub struct GuidedPrior<'a> {
    prior: &'a Prior,
    guide: Guide<'a>,
}

impl Denoiser<Tensor<2>> for GuidedPrior<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        self.denoise_with_share(x, at, node).0
    }
}

impl VarianceDenoiser<2> for GuidedPrior<'_> {
    fn denoise_with_share(&self, x: &Tensor<2>, at: Level, _node: u32) -> (Tensor<2>, Option<Tensor<2>>) {
        let variants = self.guide.variants_at(at);
        let [rows, width] = x.dims();
        let copies = variants.len();
        let c = self.prior.param().coef(at);
        let input = x.clone().mul_scalar(c.input);
        let input = if copies == 1 { input } else { Tensor::cat(vec![input; copies], 0) };
        let raw = self.prior.net.forward(input, &vec![c_noise(at); rows * copies], &self.guide.seen_by(variants));
        let parts: Vec<Tensor<2>> = (0..copies).map(|k| raw.clone().slice([k * rows..(k + 1) * rows, 0..width])).collect();
        // The variance is that of the conditional network: guidance moves means.
        let of_variance = full(variants).unwrap_or(0) * rows;
        let share = (self.prior.config.heads() == 2).then(|| raw.slice([of_variance..of_variance + rows, width..2 * width]));
        (self.guide.estimate(x, c, &parts, variants), share)
    }
}
