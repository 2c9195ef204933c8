//! The trained prior as a denoiser of core.

use burn::tensor::{Device, Tensor};
use langevin_core::{Denoiser, Level, Param, Plan, State as _, grid::Grid, loss::EdmLoss, schedule::Edm, solver::Solver};
use langevin_nn::Constant;

use crate::{
    Result,
    codec::Codec,
    config::PriorConfig,
    model::{Conditions, PriorNet},
};

/// Guidance weights of label and speaker; 1 is unguided, 0 ignores the condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// Weight of the label.
    pub label: f64,
    /// Weight of the speaker.
    pub speaker: f64,
}

/// A trained prior: codec and network.
#[derive(Debug)]
pub struct Prior {
    /// Its config.
    pub config: PriorConfig,
    /// Its codec.
    pub codec: Codec,
    net: PriorNet,
    device: Device,
}

impl Prior {
    /// A prior from its config, the constants of its checkpoint, and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When a constant is missing or does not fit the config.
    pub fn new(config: &PriorConfig, constants: &[Constant], net: PriorNet, device: &Device) -> Result<Self> {
        config.vocabulary.check()?;
        let codec = Codec::from_constants(&config.codec, config.sigma_data, constants)?;
        Ok(Self { config: config.clone(), codec, net, device: device.clone() })
    }

    /// The device of the network.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        langevin_nn::weights::count(&self.net)
    }

    /// Compiles a sampling run.
    ///
    /// # Errors
    /// When the solver cannot walk that many steps.
    pub fn plan(&self, solver: &Solver, grid: &Grid, steps: usize) -> Result<Plan> {
        let schedule = Edm::new(self.config.sigma_min, self.config.sigma_max)?;
        let nodes = grid.nodes(&schedule, steps)?;
        self.param().check(&nodes)?;
        Ok(solver.plan(&nodes)?)
    }

    /// What the network predicts.
    pub const fn param(&self) -> Param {
        Param::Edm { sigma_data: self.config.sigma_data }
    }

    /// The guided denoiser of a batch with these conditions.
    pub fn denoiser<'a>(&'a self, conditions: &'a Conditions, guidance: Guidance) -> GuidedPrior<'a> {
        // D = D(-,-) + w_l [D(l,-) - D(-,-)] + w_s [D(l,s) - D(l,-)]; with equal weights the middle term vanishes and two
        // variants remain, the classifier-free guidance of core's `Guided`. All variants go through the network as one batch.
        let all = [(guidance.speaker, true, true), (guidance.label - guidance.speaker, true, false), (1.0 - guidance.label, false, false)];
        GuidedPrior { prior: self, conditions, variants: all.into_iter().filter(|v| v.0 != 0.0).collect() }
    }
}

/// The prior under guidance: a weighted sum of its estimates with and without conditions.
#[derive(Debug)]
pub struct GuidedPrior<'a> {
    prior: &'a Prior,
    conditions: &'a Conditions,
    /// Weight of each variant, and whether it sees the label and the speaker.
    variants: Vec<(f64, bool, bool)>,
}

impl Denoiser<Tensor<2>> for GuidedPrior<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, _node: u32) -> Tensor<2> {
        let [rows, width] = x.dims();
        let copies = self.variants.len();
        let see = |shown: bool, ids: &[Option<usize>]| ids.iter().map(move |id| id.filter(|_| shown)).collect::<Vec<_>>();
        let conditions = Conditions {
            labels: self.variants.iter().flat_map(|v| see(v.1, &self.conditions.labels)).collect(),
            speakers: self.variants.iter().flat_map(|v| see(v.2, &self.conditions.speakers)).collect(),
        };
        let c = self.prior.param().coef(at);
        let input = x.clone().mul_scalar(c.input);
        let input = if copies == 1 { input } else { Tensor::cat(vec![input; copies], 0) };
        let c_noise = vec![EdmLoss::c_noise(at) as f32; rows * copies];
        let raw = self.prior.net.forward(input, &c_noise, &conditions);
        let parts: Vec<Tensor<2>> = (0..copies).map(|k| raw.clone().slice([k * rows..(k + 1) * rows, 0..width])).collect();
        // The variants' weights sum to 1, so the skip connection enters once.
        let mut terms = vec![(c.skip, x)];
        terms.extend(parts.iter().zip(&self.variants).map(|(part, v)| (c.out * v.0, part)));
        Tensor::lincomb(&terms)
    }
}
