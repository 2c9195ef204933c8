//! A sampling run, compiled: a plan or a driver with its nodes.

use std::{cell::Cell, ops::ControlFlow};

use burn::tensor::Tensor;

use super::{Driver, Method};
use crate::{
    Denoiser, Error, Level, NoiseSource, Plan,
    drive::{Adaptive, Corrector, PredictorCorrector, VarianceDenoiser, learned_ancestral},
    variance::ScoreMoments,
};

/// What [`Sampling::compile`](super::Sampling::compile) makes: runs on batches of any shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    nodes: Vec<Level>,
    how: How,
}

#[derive(Clone, Debug, PartialEq)]
enum How {
    Plan(Plan),
    Corrected(PredictorCorrector),
    Adaptive(Adaptive),
    Learned,
}

pub(super) fn compile(method: Method, nodes: Vec<Level>, moments: Option<&ScoreMoments>, learned_variance: bool) -> Result<Run, Error> {
    let how = match method {
        Method::Solver(solver) => How::Plan(solver.plan_with(&nodes, moments)?),
        Method::Driver(Driver::PredictorCorrector { snr, steps }) => {
            let sampler = PredictorCorrector { corrector: Corrector { snr, steps } };
            sampler.check(&nodes)?;
            How::Corrected(sampler)
        }
        Method::Driver(Driver::AdaptiveOde { tolerance }) => {
            let ode = Adaptive { tolerance, ..Adaptive::default() };
            ode.check()?;
            if nodes.len() < 3 || nodes[0].alpha == 0.0 {
                let reason = "the adaptive ODE runs between two levels with signal and noise; give 2 steps or more, and alpha > 0";
                return Err(Error::Grid { node: 0, reason });
            }
            How::Adaptive(ode)
        }
        Method::Driver(Driver::LearnedVariance {}) => {
            if !learned_variance {
                let reason = "`ddpm-learned` needs a checkpoint with learned variance; train with [model.objective.learned_variance]";
                return Err(Error::Invalid { what: "solver", reason: reason.into() });
            }
            How::Learned
        }
    };
    Ok(Run { nodes, how })
}

impl Run {
    /// The levels visited, from most noise to none.
    pub fn nodes(&self) -> &[Level] {
        &self.nodes
    }

    /// Standard deviation of the normal state that the run starts from: `sigma` of its first level.
    pub fn start(&self) -> f64 {
        self.nodes[0].sigma
    }

    /// Network evaluations; of the adaptive ODE only a bound is known before it runs.
    pub fn nfe(&self) -> usize {
        let steps = self.nodes.len() - 1;
        match &self.how {
            How::Plan(plan) => plan.nfe(),
            How::Corrected(sampler) => steps * (1 + sampler.corrector.steps),
            How::Adaptive(ode) => ode.most_evaluations,
            How::Learned => steps,
        }
    }

    /// The plan, where the run is one.
    pub const fn plan(&self) -> Option<&Plan> {
        match &self.how {
            How::Plan(plan) => Some(plan),
            _ => None,
        }
    }

    /// The run as text.
    pub fn explain(&self) -> String {
        let levels = || self.nodes.iter().map(|at| format!("alpha {:.6}, sigma {:.6}\n", at.alpha, at.sigma)).collect::<String>();
        match &self.how {
            How::Plan(plan) => plan.explain(),
            How::Corrected(PredictorCorrector { corrector }) => format!(
                "{}at each level {} Langevin corrections with ratio {}, then a reverse diffusion step\n{} network evaluations\n",
                levels(),
                corrector.steps,
                corrector.snr,
                self.nfe()
            ),
            How::Adaptive(ode) => format!(
                "probability-flow ODE from sigma {:.6} to {:.6}, error per step below {}, then one step to clean data\n",
                self.nodes[0].ve_sigma(),
                self.nodes[self.nodes.len() - 2].ve_sigma(),
                ode.tolerance
            ),
            How::Learned => format!("{}ancestral steps with the network's own variance\n{} network evaluations\n", levels(), self.nfe()),
        }
    }

    /// Samples a batch of shape `[batch, ...]` that starts as `start()` times standard noise. `observe` is called once for each network
    /// evaluation, after it in a plan and before it in a driver, and may stop the run.
    ///
    /// Step sizes of the corrector and the adaptive ODE depend on the whole batch, which so has to be the same whatever is asked for.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the adaptive ODE does not meet its tolerance.
    pub fn sample<const D: usize>(
        &self,
        x: Tensor<D>,
        denoiser: &impl VarianceDenoiser<D>,
        noise: &dyn NoiseSource,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Tensor<D>>, Error> {
        if let How::Plan(plan) = &self.how {
            return Ok(plan.run_observed(x, denoiser, noise, |_| observe()));
        }
        let watched = Watched { base: denoiser, observe, stopped: Cell::new(false) };
        let sample = match &self.how {
            How::Plan(_) => unreachable!("returned above"),
            How::Corrected(sampler) => sampler.sample(x, &self.nodes, &watched, noise, mean_row_norm)?,
            How::Adaptive(ode) => {
                let (from, to) = (self.nodes[0], self.nodes[self.nodes.len() - 2]);
                let x = ode.solve(&x, from, to, &watched, root_mean_square)?.0;
                watched.denoise(&x, to, 0)
            }
            How::Learned => learned_ancestral(x, &self.nodes, &watched, noise),
        };
        Ok(if watched.stopped.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(sample) })
    }
}

/// Mean over the batch of each row's norm, as the published corrector has it.
fn mean_row_norm<const D: usize>(x: &Tensor<D>) -> f64 {
    let rows = x.dims()[0].max(1);
    let values: Vec<f64> = x.to_data().iter::<f64>().collect();
    let norm = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    values.chunks((values.len() / rows).max(1)).map(norm).sum::<f64>() / rows as f64
}

fn root_mean_square<const D: usize>(x: &Tensor<D>) -> f64 {
    let values: Vec<f64> = x.to_data().iter::<f64>().collect();
    (values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Calls an observer at each evaluation; once stopped, evaluations cost nothing and the rest of the loop runs dry.
struct Watched<'a, B> {
    base: &'a B,
    observe: &'a dyn Fn() -> ControlFlow<()>,
    stopped: Cell<bool>,
}

impl<B> Watched<'_, B> {
    fn goes_on(&self) -> bool {
        if !self.stopped.get() && (self.observe)().is_break() {
            self.stopped.set(true);
        }
        !self.stopped.get()
    }
}

impl<const D: usize, B: VarianceDenoiser<D>> Denoiser<Tensor<D>> for Watched<'_, B> {
    fn denoise(&self, x: &Tensor<D>, at: Level, node: u32) -> Tensor<D> {
        if self.goes_on() { self.base.denoise(x, at, node) } else { x.clone() }
    }
}

impl<const D: usize, B: VarianceDenoiser<D>> VarianceDenoiser<D> for Watched<'_, B> {
    fn denoise_with_share(&self, x: &Tensor<D>, at: Level, node: u32) -> (Tensor<D>, Option<Tensor<D>>) {
        if self.goes_on() { self.base.denoise_with_share(x, at, node) } else { (x.clone(), None) }
    }
}
