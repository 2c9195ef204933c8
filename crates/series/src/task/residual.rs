//! The trained residual model as a denoiser of core, and samples of windows from it.

use std::{cell::Cell, ops::ControlFlow};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Denoiser, Level, NoiseSource, State as _,
    drive::VarianceDenoiser,
    recipe::{Run, Sampling},
    schedule::Schedule,
};

use crate::{
    Result,
    config::ResidualConfig,
    data::Window,
    model::{Context, ResidualNet, WindowBatch},
};

/// A trained residual model.
pub struct ResidualModel {
    /// Its config.
    pub config: ResidualConfig,
    net: ResidualNet,
    schedule: Box<dyn Schedule + Send + Sync>,
    device: Device,
}

impl std::fmt::Debug for ResidualModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResidualModel").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ResidualModel {
    /// A model from its checked config and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When the schedule cannot be built.
    pub fn new(config: &ResidualConfig, net: ResidualNet, device: &Device) -> Result<Self> {
        Ok(Self { config: config.clone(), net, schedule: config.objective.schedule.build()?, device: device.clone() })
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        langevin_nn::weights::count(&self.net)
    }

    /// Compiles a sampling run.
    ///
    /// # Errors
    /// When the method, the grid and this checkpoint do not go together.
    pub fn run(&self, sampling: &Sampling) -> Result<Run> {
        Ok(sampling.compile(&*self.schedule, self.config.objective.param, None, false)?)
    }

    /// Reads what is observed in windows, once for all samples and steps. Several windows are padded to the largest; tokens of the
    /// result are in the order `[windows, rows, columns]` of the padded batch.
    ///
    /// # Panics
    /// Without windows.
    pub fn encode(&self, windows: &[&Window]) -> Context {
        self.net.encode(WindowBatch::new(windows, &self.device))
    }

    /// Samples the residuals of windows in units of the anchor's error: `[token][sample]`, 0 outside holes.
    ///
    /// `start` is standard noise `[token][sample]`; what it says outside holes is not looked at. A solver that adds noise on its way
    /// asks `noise` for that of token `k` as sample `k`: as many numbers as there are samples. `observe` is called for each network
    /// evaluation and may stop the run.
    ///
    /// # Errors
    /// What the core refuses.
    ///
    /// # Panics
    /// When `start` is not as many numbers as tokens times samples.
    pub fn sample(
        &self,
        context: &Context,
        samples: usize,
        start: Vec<f32>,
        run: &Run,
        noise: &dyn NoiseSource,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<f32>>> {
        let tokens = context.windows().dims().iter().product::<usize>();
        assert!(start.len() == tokens * samples, "{} numbers are not {samples} of {tokens} tokens", start.len());
        let holes = context.windows().holes();
        let stopped = Cell::new(false);
        let denoiser = OfWindows { model: self, context, holes: &holes, observe, stopped: &stopped };
        let start = Tensor::<2>::from_data(TensorData::new(start, [tokens, samples]), &self.device);
        let start = start * holes.clone().mul_scalar(run.start());
        let x = match run.sample(start, &denoiser, noise, &|| ControlFlow::Continue(()))? {
            ControlFlow::Continue(x) => x * holes.clone(),
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
        };
        if stopped.get() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(x.into_data().iter::<f32>().collect()))
    }
}

/// The network's noise input at a level: `ln(sigma / alpha) / 4`, kept finite at the ends.
pub(super) fn c_noise(at: Level) -> f32 {
    (-0.25 * at.lambda()).clamp(-5.0, 5.0) as f32
}

struct OfWindows<'a> {
    model: &'a ResidualModel,
    context: &'a Context,
    /// Shape `[tokens, 1]`.
    holes: &'a Tensor<2>,
    observe: &'a dyn Fn() -> ControlFlow<()>,
    stopped: &'a Cell<bool>,
}

impl Denoiser<Tensor<2>> for OfWindows<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, _node: u32) -> Tensor<2> {
        // A run that was stopped goes through its last steps without the network.
        if self.stopped.get() || (self.observe)().is_break() {
            self.stopped.set(true);
            return x.clone();
        }
        let c = self.model.config.objective.param.coef(at);
        // Noise that a solver added outside holes never reaches the network.
        let input = x.clone() * self.holes.clone().mul_scalar(c.input);
        let levels = vec![c_noise(at); self.context.windows().dims()[0]];
        let raw = self.model.net.forward(input, &levels, self.context);
        Tensor::lincomb(&[(c.skip, x), (c.out, &raw)]) * self.holes.clone()
    }
}

impl VarianceDenoiser<2> for OfWindows<'_> {
    fn denoise_with_share(&self, x: &Tensor<2>, at: Level, node: u32) -> (Tensor<2>, Option<Tensor<2>>) {
        (self.denoise(x, at, node), None)
    }
}
