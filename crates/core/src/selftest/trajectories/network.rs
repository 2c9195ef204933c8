//! The mixture's denoiser as a recorded scheduler used it.

use std::cell::RefCell;

use burn::tensor::{Tensor, TensorData};

use super::{
    record::Run,
    rounding::Rounded,
    setup::{Output, Setup},
};
use crate::{
    Denoiser, Level, Param,
    mixture::GaussianMixture,
    solver::{Edm, Reverse, Solver},
};

/// What a recorded network was shown, where that is not what our plan shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    /// The same.
    Same,
    /// The recorded level, though the state lies at another.
    RecordedLevel,
    /// The state before churn, at its level.
    BeforeChurn(Edm),
    /// A state that is a mixture of its own with the network's boundary weights (latent consistency).
    Boundary {
        /// Factor of the time in those weights.
        scaling: f64,
    },
    /// Inversion reads at the level it leaves what the network said at the level it goes to.
    Inversion,
    /// The second stage of each of three Runge-Kutta steps of PNDM lies at one of these levels, though the network is told the recorded
    /// one: half of an odd stride is rounded down from both ends.
    HalfSteps([Level; 3]),
}

/// The denoiser, and what it was asked.
pub(super) struct Network<'a> {
    mixture: &'a GaussianMixture,
    setup: &'a Setup,
    run: &'a Run,
    calls: RefCell<Vec<Vec<f64>>>,
    /// The last answer.
    answer: RefCell<Vec<f64>>,
}

impl<'a> Network<'a> {
    pub(super) fn new(mixture: &'a GaussianMixture, run: &'a Run, setup: &'a Setup) -> Self {
        Self { mixture, setup, run, calls: RefCell::default(), answer: RefCell::default() }
    }

    pub(super) fn into_calls(self) -> Vec<Vec<f64>> {
        self.calls.into_inner()
    }

    /// The estimate of `x0` that a scheduler reads at `used` from what the network said at `seen`.
    fn read(&self, seen: (&[f64], Level), used: (&[f64], Level)) -> Vec<f64> {
        let x0 = self.mixture.mean_x0(seen.0, seen.1);
        let (said, heard) = (self.setup.output.factors(seen.1), self.setup.output.factors(used.1));
        let one = |((d, x), y): ((&f64, &f64), &f64)| (said.0 * d + said.1 * x - heard.1 * y) / heard.0;
        x0.iter().zip(seen.0).zip(used.0).map(one).collect()
    }

    fn estimate(&self, mut x: Vec<f64>, at: Level, node: u32) -> Vec<f64> {
        let call = self.calls.borrow().len();
        let used = match (self.setup.seen, self.run.steps.get(call)) {
            (Seen::RecordedLevel, Some(step)) => self.read((&x, step.at), (&x, at)),
            (Seen::BeforeChurn(edm), Some(step)) => {
                let raised = x.clone();
                let width = edm.s_noise * (at.sigma * at.sigma - step.at.sigma * step.at.sigma).max(0.0).sqrt();
                if let Some(z) = self.run.noise.get(step.noise.start).filter(|_| width > 0.0) {
                    x.iter_mut().zip(z).for_each(|(x, z)| *x -= width * z);
                }
                // The recorded scheduler reads a velocity at the level before churn.
                let used = if self.setup.output.is(Param::V) { step.at } else { at };
                self.read((&x, step.at), (&raised, used))
            }
            (Seen::Boundary { scaling }, Some(step)) => {
                let mut used = self.mixture.mean_x0(&x, at);
                self.clip(&mut used, 1.0);
                let (skip, out) = latent_boundary(scaling * step.t);
                used.iter_mut().zip(&x).for_each(|(d, x)| *d = out * *d + skip * x);
                used
            }
            (Seen::Inversion, Some(step)) => self.inverted(&x, at, step.at, node),
            (Seen::HalfSteps(halves), Some(step)) => match halves.get(call / 4).filter(|_| call % 4 == 1) {
                Some(half) => {
                    let before = &self.run.steps[call - 1];
                    let carried = self.carried(before.at, *half);
                    let eps = noise_of(&carried, &self.mixture.mean_x0(&carried, step.at), step.at);
                    let used = x.iter().zip(eps).map(|(x, e)| (x - at.sigma * e) / at.alpha).collect();
                    x = carried;
                    used
                }
                None => self.mixture.mean_x0(&x, at),
            },
            _ => {
                let mut used = self.mixture.mean_x0(&x, at);
                let weight = self.setup.nodes.get(node as usize + 1).map_or(1.0, |to| self.clip_weight(at, *to));
                self.clip(&mut used, weight);
                used
            }
        };
        self.calls.borrow_mut().push(x);
        self.answer.borrow_mut().clone_from(&used);
        used
    }

    /// What a unit of rounding is multiplied by in the state of this call, and so between it and its estimate, because of how the recorded
    /// scheduler found its level: the published ancestral midpoint is between `s` and `sqrt(t^2 - t^2 (s^2 - t^2) / s^2)`, a difference that keeps `t^2 / s^2` of its terms.
    fn lost(&self, at: Level) -> f64 {
        let call = self.calls.borrow().len();
        let ancestral = matches!(self.setup.solver, Solver::Dpm2(dpm2) if dpm2.eta > 0.0);
        match (call.checked_sub(1).and_then(|i| self.run.steps.get(i)), self.run.steps.get(call)) {
            (Some(before), Some(step)) if ancestral && step.at.sigma < before.at.sigma => {
                at.sigma * (before.at.sigma / step.at.sigma).powi(2)
            }
            _ => 0.0,
        }
    }

    /// The state of the last call, carried to another level by DDIM's formula with the answer it got.
    fn carried(&self, from: Level, to: Level) -> Vec<f64> {
        let (calls, answer) = (self.calls.borrow(), self.answer.borrow());
        let of_x = to.sigma / from.sigma;
        let last = calls.last().map_or(&[][..], Vec::as_slice);
        last.iter().zip(answer.iter()).map(|(x, d)| of_x * x + (to.alpha - of_x * from.alpha) * d).collect()
    }

    /// The answer from which the inversion to `at` takes the noise that the recorded scheduler took.
    fn inverted(&self, x: &[f64], at: Level, seen: Level, node: u32) -> Vec<f64> {
        let from = (node as usize).checked_sub(1).and_then(|i| self.setup.nodes.get(i)).copied().unwrap_or(at);
        let x0 = self.mixture.mean_x0(x, seen);
        let (of_x0, of_x) = self.setup.output.factors(seen);
        // Noise and data at the level left: exactly the network's noise, or what its data or velocity means there.
        let parts = |(x, d): (&f64, &f64)| {
            let said = of_x0 * d + of_x * x;
            if self.setup.output.is(Param::V) {
                (from.alpha * x - from.sigma * said, from.alpha * said + from.sigma * x)
            } else if self.setup.output.is(Param::X0) {
                (said, (x - from.alpha * said) / from.sigma)
            } else {
                ((x - from.sigma * said) / from.alpha, said)
            }
        };
        let weight = 1.0 / (at.alpha * from.sigma / (from.alpha * at.sigma) - 1.0);
        let one = |pair: (&f64, &f64)| {
            let (data, eps) = parts(pair);
            let moved = self.setup.clip.map_or(0.0, |bound| data.clamp(-bound, bound) - data);
            (pair.0 - at.sigma * eps) / at.alpha + weight * moved
        };
        x.iter().zip(&x0).map(one).collect()
    }

    /// How much of a clipped `x0` a step uses, where the noise keeps the unclipped one.
    fn clip_weight(&self, at: Level, to: Level) -> f64 {
        match self.setup.solver {
            Solver::Ddim(ddim) => {
                let variance = ddim.eta * ddim.eta * Reverse::between(at, to).variance;
                let of_x = (to.sigma * to.sigma - variance).max(0.0).sqrt() / at.sigma;
                to.alpha / (to.alpha - of_x * at.alpha)
            }
            _ => 1.0,
        }
    }

    /// Moves estimates by `weight` of the way to their clipped value.
    fn clip(&self, x0: &mut [f64], weight: f64) {
        if let Some(bound) = self.setup.clip {
            x0.iter_mut().for_each(|d| *d += weight * (d.clamp(-bound, bound) - *d));
        }
    }
}

/// The noise estimate that belongs to an estimate of `x0`.
fn noise_of(x: &[f64], x0: &[f64], at: Level) -> Vec<f64> {
    x.iter().zip(x0).map(|(x, d)| (x - at.alpha * d) / at.sigma).collect()
}

/// Weights of the state and of the estimate that make a latent consistency model the identity at time 0 (Luo et al. 2023, section 3.1;
/// `sigma_data` 0.5).
fn latent_boundary(scaled: f64) -> (f64, f64) {
    (0.25 / (scaled * scaled + 0.25), scaled / (scaled * scaled + 0.25).sqrt())
}

impl Denoiser<Vec<f64>> for Network<'_> {
    fn denoise(&self, x: &Vec<f64>, at: Level, node: u32) -> Vec<f64> {
        self.estimate(x.clone(), at, node)
    }
}

impl<const BITS: i32> Denoiser<Rounded<BITS>> for Network<'_> {
    fn denoise(&self, x: &Rounded<BITS>, at: Level, node: u32) -> Rounded<BITS> {
        let lost = self.lost(at);
        Rounded::estimate(self.estimate(x.clone().moved(lost).0, at, node), x, at, lost)
    }
}

impl Denoiser<Tensor<2>> for Network<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        let x0 = self.estimate(x.to_data().iter::<f64>().collect(), at, node);
        Tensor::from_data(TensorData::new(x0, x.shape()), &x.device())
    }
}

impl Output {
    /// Whether the network's output is of this kind.
    pub(super) fn is(self, kind: Param) -> bool {
        matches!(self, Self::Param { param, .. } if param == kind)
    }
}
