//! Running a plan on the mixture of the file, with the noise of the file.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicBool, Ordering},
};

use burn::tensor::{Device, Tensor, TensorData};

use super::{
    record::Run,
    setup::{Seen, Setup},
};
use crate::{Denoiser, Level, NoiseSource, Plan, mixture::GaussianMixture, solver::Solver};

/// What a run did: each network call, and where it ended.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// Input of each call.
    pub(super) calls: Vec<Vec<f64>>,
    pub(super) last: Vec<f64>,
    /// Whether the plan asked for noise that the record does not have.
    pub(super) noise_missing: bool,
}

impl Trace {
    /// Largest difference between the states of two runs of one plan, relative to `max(1, |state|)`.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let states = |trace: &'_ Self| trace.calls.iter().chain([&trace.last]).flatten().copied().collect::<Vec<_>>();
        states(self).iter().zip(states(other)).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
    }
}

/// The noise of a record, addressed by node. A point is a sample; its width is that of a point.
struct Recorded {
    nodes: Vec<Option<Vec<f64>>>,
    width: usize,
    missing: AtomicBool,
}

impl Recorded {
    fn new(run: &Run, noise_step: &[usize], width: usize) -> Self {
        let draw = |step: &usize| run.steps.get(*step).filter(|s| !s.noise.is_empty()).and_then(|s| run.noise.get(s.noise.start).cloned());
        Self { nodes: noise_step.iter().map(draw).collect(), width, missing: AtomicBool::new(false) }
    }

    fn value(&self, node: u32, i: usize) -> f64 {
        let noise = self.nodes.get(node as usize).and_then(Option::as_ref).and_then(|z| z.get(i));
        noise.copied().unwrap_or_else(|| {
            self.missing.store(true, Ordering::Relaxed);
            0.0
        })
    }
}

impl NoiseSource for Recorded {
    fn fill(&self, sample: u32, node: u32, _stream: u32, out: &mut [f32]) {
        for (i, o) in out.iter_mut().enumerate() {
            *o = self.value(node, sample as usize * self.width + i) as f32;
        }
    }

    fn fill_f64(&self, _sample: u32, node: u32, _stream: u32, out: &mut [f64]) {
        for (i, o) in out.iter_mut().enumerate() {
            *o = self.value(node, i);
        }
    }
}

/// The mixture's denoiser as the recorded scheduler used it.
struct Network<'a> {
    mixture: &'a GaussianMixture,
    setup: &'a Setup,
    run: &'a Run,
    calls: RefCell<Vec<Vec<f64>>>,
}

impl Network<'_> {
    fn estimate(&self, mut x: Vec<f64>, at: Level, node: u32) -> Vec<f64> {
        let call = self.calls.borrow().len();
        let recorded = self.run.steps.get(call);
        let mut used;
        match (self.setup.seen, recorded) {
            (Seen::RecordedLevel, Some(step)) => {
                // The scheduler turns the noise estimate at one level into an estimate of x0 at another.
                used = noise_of(&x, &self.mixture.mean_x0(&x, step.at), step.at);
                used.iter_mut().zip(&x).for_each(|(e, x)| *e = (x - at.sigma * *e) / at.alpha);
            }
            (Seen::BeforeChurn(edm), Some(step)) => {
                let raised = x.clone();
                let width = edm.s_noise * (at.sigma * at.sigma - step.at.sigma * step.at.sigma).max(0.0).sqrt();
                if let Some(z) = self.run.noise.get(step.noise.start).filter(|_| width > 0.0) {
                    x.iter_mut().zip(z).for_each(|(x, z)| *x -= width * z);
                }
                used = noise_of(&x, &self.mixture.mean_x0(&x, step.at), step.at);
                used.iter_mut().zip(raised).for_each(|(e, x)| *e = (x - at.sigma * *e) / at.alpha);
            }
            (Seen::Boundary, Some(step)) => {
                used = self.mixture.mean_x0(&x, at);
                self.clip(&mut used, 1.0);
                let (skip, out) = latent_boundary(step.t);
                used.iter_mut().zip(&x).for_each(|(d, x)| *d = out * *d + skip * x);
            }
            _ => {
                used = self.mixture.mean_x0(&x, at);
                let to = self.setup.nodes.get(node as usize + 1);
                let weight = match (self.setup.solver, to) {
                    // The edited x0 enters with alpha, while the noise keeps the unedited one.
                    (Solver::Ddim(_), Some(to)) => to.alpha / (to.alpha - to.sigma * at.alpha / at.sigma),
                    _ => 1.0,
                };
                self.clip(&mut used, weight);
            }
        }
        self.calls.borrow_mut().push(x);
        used
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
/// `sigma_data` 0.5, times scaled by 10).
fn latent_boundary(t: f64) -> (f64, f64) {
    let scaled = 10.0 * t;
    (0.25 / (scaled * scaled + 0.25), scaled / (scaled * scaled + 0.25).sqrt())
}

impl Denoiser<Vec<f64>> for Network<'_> {
    fn denoise(&self, x: &Vec<f64>, at: Level, node: u32) -> Vec<f64> {
        self.estimate(x.clone(), at, node)
    }
}

impl Denoiser<Tensor<2>> for Network<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        let x0 = self.estimate(x.to_data().iter::<f64>().collect(), at, node);
        Tensor::from_data(TensorData::new(x0, x.shape()), &x.device())
    }
}

fn network<'a>(mixture: &'a GaussianMixture, run: &'a Run, setup: &'a Setup) -> Network<'a> {
    Network { mixture, setup, run, calls: RefCell::default() }
}

/// Repeats a run in f64 on the host, from a start that is `run.x_init` or near it.
pub(super) fn host(mixture: &GaussianMixture, run: &Run, setup: &Setup, plan: &Plan, x_init: Vec<f64>) -> Trace {
    let network = network(mixture, run, setup);
    let noise = Recorded::new(run, &setup.noise_step, mixture.dim());
    let last = plan.run(x_init, &network, &noise);
    Trace { calls: network.calls.into_inner(), last, noise_missing: noise.missing.load(Ordering::Relaxed) }
}

/// Repeats a run in f32 on a device; estimates are made on the host.
pub(super) fn device(mixture: &GaussianMixture, run: &Run, setup: &Setup, plan: &Plan, device: &Device) -> Trace {
    let network = network(mixture, run, setup);
    let noise = Recorded::new(run, &setup.noise_step, mixture.dim());
    let shape = [run.x_init.len() / mixture.dim(), mixture.dim()];
    let x = Tensor::<2>::from_data(TensorData::new(run.x_init.clone(), shape), device);
    let last = plan.run(x, &network, &noise).to_data().iter::<f64>().collect();
    Trace { calls: network.calls.into_inner(), last, noise_missing: noise.missing.load(Ordering::Relaxed) }
}
