//! Running a plan on the mixture of the file, with the noise of the file.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor, TensorData};

use super::{network::Network, record::Run, rounding::Rounded, setup::Setup};
use crate::{NoiseSource, Plan, State, mixture::GaussianMixture};

/// What a run did: each network call, and where it ended.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// Input of each call.
    pub(super) calls: Vec<Vec<f64>>,
    /// Where the plan ends.
    pub(super) last: Vec<f64>,
    /// The same with the noise that the scheduler adds after its last step.
    pub(super) finished: Vec<f64>,
    /// Whether the plan asked for noise that the record does not have.
    pub(super) noise_missing: bool,
}

impl Trace {
    /// Largest difference between the states of two runs of one plan, relative to `max(1, |state|)`.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        self.distances(other).into_iter().fold(0.0, f64::max)
    }

    /// The same for each call and the end.
    pub(super) fn distances(&self, other: &Self) -> Vec<f64> {
        let of = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs().max(1.0);
        let states = |trace: &'_ Self| trace.calls.iter().chain([&trace.last]).cloned().collect::<Vec<_>>();
        states(self).iter().zip(states(other)).map(|(a, b)| a.iter().zip(&b).map(of).fold(0.0, f64::max)).collect()
    }
}

/// The noise of a record, addressed by node. A point is a sample; its width is that of a point.
struct Recorded {
    nodes: Vec<Option<Vec<f64>>>,
    scale: f64,
    width: usize,
    missing: AtomicBool,
}

impl Recorded {
    fn new(run: &Run, setup: &Setup, width: usize) -> Self {
        let draw = |step: &usize| run.steps.get(*step).filter(|s| !s.noise.is_empty()).and_then(|s| run.noise.get(s.noise.start).cloned());
        let nodes = setup.noise_step.iter().map(draw).collect();
        Self { nodes, scale: setup.noise_scale, width, missing: AtomicBool::new(false) }
    }

    fn value(&self, node: u32, i: usize) -> f64 {
        let noise = self.nodes.get(node as usize).and_then(Option::as_ref).and_then(|z| z.get(i));
        noise.map(|z| self.scale * z).unwrap_or_else(|| {
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

/// The noise that a scheduler adds after its last step, if it does.
fn finish(last: &[f64], run: &Run, setup: &Setup) -> Option<Vec<f64>> {
    if setup.last_noise == 0.0 {
        return Some(last.to_vec());
    }
    let step = &run.steps[run.steps.len() - 1];
    let z = run.noise.get(step.noise.start).filter(|_| !step.noise.is_empty())?;
    Some(last.iter().zip(z).map(|(x, z)| x + setup.last_noise * z).collect())
}

fn replay<S: State>(mixture: &GaussianMixture, run: &Run, setup: &Setup, plan: &Plan, x: S, list: impl Fn(S) -> Vec<f64>) -> Trace
where
    for<'a> Network<'a>: crate::Denoiser<S>,
{
    let network = Network::new(mixture, run, setup);
    let noise = Recorded::new(run, setup, mixture.dim());
    let last = list(plan.run(x, &network, &noise));
    let finished = finish(&last, run, setup);
    let noise_missing = noise.missing.load(Ordering::Relaxed) || finished.is_none();
    Trace { calls: network.into_calls(), finished: finished.unwrap_or_else(|| last.clone()), last, noise_missing }
}

/// Repeats a run in f64 on the host, from a start that is `run.x_init` or near it.
pub(super) fn host(mixture: &GaussianMixture, run: &Run, setup: &Setup, plan: &Plan, x_init: Vec<f64>) -> Trace {
    replay(mixture, run, setup, plan, x_init, |x| x)
}

/// Repeats a run in f64 with each operation off by `2^-BITS`.
pub(super) fn rounded<const BITS: i32>(mixture: &GaussianMixture, run: &Run, setup: &Setup, plan: &Plan) -> Trace {
    replay(mixture, run, setup, plan, Rounded::<BITS>(run.x_init.clone()).shaken(), |x| x.0)
}

/// Repeats a run in f32 on a device; estimates are made on the host.
pub(super) fn device(mixture: &GaussianMixture, run: &Run, setup: &Setup, plan: &Plan, device: &Device) -> Trace {
    let shape = [run.x_init.len() / mixture.dim(), mixture.dim()];
    let x = Tensor::<2>::from_data(TensorData::new(run.x_init.clone(), shape), device);
    replay(mixture, run, setup, plan, x, |x| x.to_data().iter::<f64>().collect())
}
