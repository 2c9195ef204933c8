//! Sampling from GeoDiff: annealed Langevin dynamics as published, or any solver of the core on positions solved from its scores.

use std::ops::ControlFlow;

use burn::tensor::Device;
use langevin_core::{
    Denoiser, Level, NoiseSource, Philox, State,
    grid::{Grid, trailing},
    noise::stream,
    schedule::{Schedule as _, Table},
    solver::Solver,
};

use super::least_squares::{Wanted, fit};
use crate::{
    Error, Molecule, Point, Result,
    model::geodiff::{GeoDiffConfig, GeoDiffNet, PairBatch, Skeleton},
};

/// Size of a Langevin step at a noise of [`STEP_SIGMA`], in square angstrom.
const STEP: f64 = 1e-6;
const STEP_SIGMA: f64 = 0.01;
/// Noise in angstrom below which pairs further than three bonds apart push each other.
const GLOBAL_BELOW: f64 = 0.5;
/// Largest push on an atom from pairs further than three bonds apart.
const CLIP: f64 = 1000.0;

/// How to sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Annealed Langevin dynamics along the schedule, the published sampler. With fewer steps than the schedule has, levels are left out
    /// evenly; steps at the others stay as large, because larger ones are unstable in molecules of many atoms.
    Langevin,
    /// A solver of the core in as many steps, for instance strided DDPM or DDIM. The scores are no denoiser: projected, they add up over the
    /// neighbours of an atom. As the clean positions of such a step stand those near the noised ones whose distances the network wants.
    Solver(Solver),
}

/// One conformer to make.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Of which molecule.
    pub molecule: &'a Molecule,
    /// Noise and the sample's number in it: together with the molecule, all that the result depends on.
    pub noise: Philox,
    /// Number of the sample.
    pub sample: u32,
}

/// A trained GeoDiff.
#[derive(Debug)]
pub struct GeoDiff {
    config: GeoDiffConfig,
    net: GeoDiffNet,
    schedule: Table,
    device: Device,
}

impl GeoDiff {
    /// A network with the config that made it, on a device.
    ///
    /// # Errors
    /// For a bad config.
    pub fn new(config: GeoDiffConfig, net: GeoDiffNet, device: Device) -> Result<Self> {
        config.check()?;
        let schedule = config.schedule()?;
        Ok(Self { config, net, schedule, device })
    }

    /// Number of steps of the published sampler.
    pub const fn steps(&self) -> usize {
        self.config.steps
    }

    /// Conformers in angstrom, each centred, in one batch. A run that diverges leaves positions that are not finite in its own conformer.
    /// `observe` is called after each of the `steps` network evaluations (a few methods use more) and may stop the run.
    ///
    /// # Errors
    /// For no steps or more than the schedule has, and for a solver that needs what GeoDiff lacks.
    pub fn sample(
        &self,
        requests: &[Request<'_>],
        method: Method,
        steps: usize,
        mut observe: impl FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>> {
        if !(1..=self.config.steps).contains(&steps) {
            return Err(Error::Setting { name: "steps", reason: format!("should lie between 1 and {}", self.config.steps) });
        }
        let skeletons: Vec<Skeleton> = requests.iter().map(|request| Skeleton::of(request.molecule)).collect();
        let noises: Vec<(Philox, u32)> = requests.iter().map(|request| (request.noise, request.sample)).collect();
        let rows = skeletons.iter().map(|skeleton| vec![[0.0; 3]; skeleton.atoms()]).collect();
        let start = Clouds { rows, noises: &noises }.noise_like(&Philox::new(0), 0, stream::PRIOR);
        let ended = match method {
            Method::Langevin => self.langevin(&start, &skeletons, steps, observe),
            Method::Solver(solver) => {
                let nodes = Grid::Trailing {}.nodes(&self.schedule, steps)?;
                let denoiser = LeastSquares { model: self, skeletons: &skeletons };
                let start = Clouds::lincomb(&[(nodes[0].sigma, &start)]);
                solver.plan(&nodes)?.run_observed(start, &denoiser, &Philox::new(0), |_| observe())
            }
        };
        Ok(ended.map_continue(|clouds| clouds.centred().rows))
    }

    /// `x + (step / sigma) score + sqrt(2 step) z` at each level, most noise first.
    fn langevin<'a>(
        &self,
        start: &Clouds<'a>,
        skeletons: &[Skeleton],
        steps: usize,
        mut observe: impl FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<(), Clouds<'a>> {
        let most = self.schedule.level(self.config.steps as f64 - 1.0).ve_sigma();
        let mut x = Clouds::lincomb(&[(most, start)]);
        for t in trailing(self.config.steps, steps) {
            let sigma = self.schedule.level(t).ve_sigma();
            let step = STEP * (sigma / STEP_SIGMA).powi(2);
            let force = self.force(&x, skeletons, sigma);
            observe()?;
            let noise = x.noise_like(&Philox::new(0), t as u32, stream::STEP);
            x = Clouds::lincomb(&[(1.0, &x), (step / sigma, &force), ((2.0 * step).sqrt(), &noise)]).centred();
        }
        ControlFlow::Continue(x)
    }

    /// The published direction of a Langevin step: projected scores, those of far pairs only at little noise, and bounded.
    fn force<'a>(&self, x: &Clouds<'a>, skeletons: &[Skeleton], sigma: f64) -> Clouds<'a> {
        let batch = self.batch(x, skeletons);
        let (local, global) = self.scores(&batch, sigma < GLOBAL_BELOW);
        let mut force = batch.project(0, &local);
        for (force, push) in force.iter_mut().zip(batch.project(batch.local(), &global)) {
            let norm = push.iter().map(|v| v * v).sum::<f64>().sqrt();
            let scale = if norm > CLIP { CLIP / norm } else { 1.0 };
            force.iter_mut().zip(push).for_each(|(force, push)| *force += scale * push);
        }
        x.like(&force)
    }

    fn batch(&self, x: &Clouds<'_>, skeletons: &[Skeleton]) -> PairBatch {
        PairBatch::new(skeletons.iter().zip(&x.rows).map(|(skeleton, row)| (skeleton, row.as_slice())), self.config.cutoff)
    }

    /// Clean positions: those near `x` whose distances are the network's estimates.
    fn estimate<'a>(&self, x: &Clouds<'a>, skeletons: &[Skeleton], sigma: f64) -> Clouds<'a> {
        let batch = self.batch(x, skeletons);
        let (mut scores, global) = self.scores(&batch, true);
        scores.extend(global);
        let mut wanted: Vec<Vec<Wanted>> = x.rows.iter().map(|_| Vec::new()).collect();
        let place: Vec<(usize, usize)> =
            x.rows.iter().enumerate().flat_map(|(row, points)| (0..points.len()).map(move |k| (row, k))).collect();
        for ((&[i, j], &d), score) in batch.ends().iter().zip(batch.lengths()).zip(scores) {
            let ((row, i), (_, j)) = (place[i as usize], place[j as usize]);
            wanted[row].push((i, j, (f64::from(d) + sigma * f64::from(score)).max(0.0)));
        }
        let rows = x.rows.iter().zip(&wanted).map(|(points, wanted)| fit(points, wanted)).collect();
        Clouds { rows, noises: x.noises }.centred()
    }

    /// Scores of local and of far pairs.
    fn scores(&self, batch: &PairBatch, with_global: bool) -> (Vec<f32>, Vec<f32>) {
        let scores = self.net.forward(batch, with_global, &self.device);
        let [local, global] = [scores.local, scores.global].map(|scores| {
            scores.map(|scores| scores.into_data().try_into_vec_as::<f32>().expect("a float tensor converts to f32")).unwrap_or_default()
        });
        (local, global)
    }
}

/// The network as an estimate of clean positions.
struct LeastSquares<'a> {
    model: &'a GeoDiff,
    skeletons: &'a [Skeleton],
}

impl<'a> Denoiser<Clouds<'a>> for LeastSquares<'_> {
    fn denoise(&self, x: &Clouds<'a>, at: Level, _node: u32) -> Clouds<'a> {
        // The network lives in variance exploding coordinates.
        let x = Clouds::lincomb(&[(1.0 / at.alpha, x)]);
        self.model.estimate(&x, self.skeletons, at.ve_sigma())
    }
}

/// Positions of a batch of molecules, each centred, and where each finds its noise.
#[derive(Clone, Debug)]
struct Clouds<'a> {
    rows: Vec<Vec<Point>>,
    noises: &'a [(Philox, u32)],
}

impl Clouds<'_> {
    /// Vectors of all atoms, cut as the rows are.
    fn like(&self, all: &[Point]) -> Self {
        let mut all = all.iter().copied();
        Self { rows: self.rows.iter().map(|row| all.by_ref().take(row.len()).collect()).collect(), noises: self.noises }
    }

    fn centred(mut self) -> Self {
        for row in &mut self.rows {
            let count = row.len() as f64;
            let mean: Point = std::array::from_fn(|k| row.iter().map(|x| x[k]).sum::<f64>() / count);
            row.iter_mut().for_each(|x| x.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean));
        }
        self
    }
}

/// The noise is that of each row's own source, without its centre of mass.
impl State for Clouds<'_> {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let mut sum = terms[0].1.clone();
        sum.rows.iter_mut().flatten().flatten().for_each(|x| *x *= terms[0].0);
        for (c, x) in &terms[1..] {
            let both = sum.rows.iter_mut().flatten().flatten().zip(x.rows.iter().flatten().flatten());
            both.for_each(|(sum, x)| *sum += c * x);
        }
        sum
    }

    fn noise_like(&self, _: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        let mut drawn = self.clone();
        for (row, (noise, sample)) in drawn.rows.iter_mut().zip(self.noises) {
            noise.fill_f64(*sample, node, stream, row.as_flattened_mut());
        }
        drawn.centred()
    }
}
