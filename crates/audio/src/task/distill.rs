//! Distillation of a prior: a student that needs one step where its teacher needs two, or one jump where it needs a whole path.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Level, Param, Philox,
    distill::{consistency_neighbours, progressive_targets},
    grid::Grid,
    loss::{Dsm, corrupt, row_mse},
    noise::{NoiseSource, stream},
    recipe::{Method, Sampling},
    solver::{Consistency, Ddim, Heun, Solver},
};
use langevin_nn::{Constant, Init, Trainable};

use super::{
    example,
    guided::{Guidance, c_noise},
    prior::{MOMENTS, Prior},
    vectors::Vectors,
};
use crate::{
    Error, Result,
    config::{Distillation, Distilled, PriorConfig},
    model::{Conditions, PriorNet},
};

/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0064_6973_7469;
/// Levels at which each validation clip of a consistency model is scored, and the clips that are: their paths are integrated once.
const PATH_LEVELS: usize = 4;
const PATH_CLIPS: usize = 60;

/// One round of distillation: the student's data and loss.
#[derive(Debug)]
pub struct DistillTask {
    config: PriorConfig,
    teacher: Prior,
    guidance: Guidance,
    /// Levels of the teacher's path from most noise on; for progressive distillation two steps for each of the student's.
    nodes: Vec<Level>,
    noise: Philox,
    batch: u32,
    train: Vectors,
    valid: Vectors,
    paths: Vec<Path>,
}

/// A point of a validation clip's path, and where its teacher's path ends.
#[derive(Debug)]
struct Path {
    clip: usize,
    at: Level,
    x: Vec<f32>,
    end: Vec<f32>,
}

/// The config of a student of `steps` steps whose first teacher walks `path` steps of its default grid.
///
/// # Errors
/// [`Error::Core`] when the path does not halve to the steps, or the teacher is itself a consistency model.
pub fn student_config(
    teacher: &PriorConfig,
    from: &str,
    method: Distillation,
    path: usize,
    steps: usize,
    guidance: f64,
) -> Result<PriorConfig> {
    let refuse = |reason: String| Err(Error::Core(langevin_core::Error::Invalid { what: "distillation", reason }));
    if let Param::Consistency { .. } = teacher.objective.param {
        return refuse("the teacher jumps already; distil the model that it came from".to_owned());
    }
    if teacher.objective.learned_variance.is_some() {
        return refuse("a student walks without noise and has no use for the teacher's learned variance".to_owned());
    }
    if teacher.latent.is_some() || teacher.objective.learned_schedule.is_some() {
        return refuse("the teacher should diffuse codec vectors on a fixed schedule, not codes or on a learned one".to_owned());
    }
    let schedule = teacher.objective.schedule.build()?;
    let nodes = teacher.sampling.grid.nodes(&*schedule, path)?;
    let mut config = teacher.clone();
    config.sampling = Sampling { steps, guidance: 1.0, guidance_interval: None, guidance_rescale: 0.0, ..teacher.sampling.clone() };
    match method {
        Distillation::Progressive => {
            let halvings = path.checked_div(steps).unwrap_or(0);
            if steps == 0 || !path.is_multiple_of(steps) || !halvings.is_power_of_two() || halvings < 2 {
                return refuse(format!("{path} steps do not become {steps} by halving"));
            }
            let kept = nodes.iter().step_by(halvings).filter(|at| !at.is_clean());
            config.sampling.solver = Method::Solver(Solver::Ddim(Ddim::default()));
            // Rounding may carry the ends past the span.
            let (least, most) = schedule.span();
            config.sampling.grid = Grid::Custom { times: kept.map(|at| schedule.t_of_lambda(at.lambda()).clamp(least, most)).collect() };
        }
        Distillation::Consistency => {
            let sigma_min = nodes[nodes.len() - 2].ve_sigma();
            config.objective.param = Param::Consistency { sigma_data: teacher.sigma_data, sigma_min };
            config.sampling.solver = Method::Solver(Solver::Consistency(Consistency { sigma_min }));
            // A second jump from near the data changes nothing: the grid ends where noise and data are alike.
            config.sampling.grid = Grid::Karras { rho: 7.0, sigma_min: Some(teacher.sigma_data), sigma_max: None };
        }
    }
    config.distilled = Some(Distilled { method, from: from.to_owned(), guidance, steps });
    Ok(config)
}

impl DistillTask {
    /// A round for a student's config, as [`student_config`] made it. The teacher walks `path` levels of its grid in consistency
    /// distillation, and two steps for each of the student's in progressive distillation, with this guidance.
    ///
    /// # Errors
    /// When the student's config was not made for distillation or its grid does not fit.
    pub fn new(
        config: &PriorConfig,
        teacher: Prior,
        teacher_guidance: f64,
        path: usize,
        seed: u64,
        batch: u32,
        (train, valid): (Vectors, Vectors),
    ) -> Result<Self> {
        let distilled = config.distilled.as_ref().ok_or_else(|| {
            Error::Core(langevin_core::Error::Invalid { what: "distillation", reason: "the config has no [model.distilled]".to_owned() })
        })?;
        let schedule = config.objective.schedule.build()?;
        let nodes = match distilled.method {
            Distillation::Progressive => {
                let grid = &teacher.config.sampling.grid;
                // A first teacher has a grid for any number of steps; a student that teaches has just its own.
                let steps = if matches!(grid, Grid::Custom { .. }) { teacher.config.sampling.steps } else { path };
                let all = grid.nodes(&*schedule, steps)?;
                let stride = steps / (2 * distilled.steps);
                all.into_iter().step_by(stride.max(1)).collect::<Vec<_>>()
            }
            Distillation::Consistency => {
                let mut nodes = teacher.config.sampling.grid.nodes(&*schedule, path)?;
                nodes.retain(|at| !at.is_clean());
                nodes
            }
        };
        if distilled.method == Distillation::Progressive && nodes.len() != 2 * distilled.steps + 1 {
            let reason = format!("the teacher's {} levels are not two steps for each of {}", nodes.len(), distilled.steps);
            return Err(Error::Core(langevin_core::Error::Invalid { what: "distillation", reason }));
        }
        let guidance = Guidance { label: teacher_guidance, speaker: teacher_guidance };
        let consistency = distilled.method == Distillation::Consistency;
        let mut task =
            Self { config: config.clone(), teacher, guidance, nodes, noise: Philox::new(seed), batch, train, valid, paths: Vec::new() };
        if consistency {
            task.paths = task.integrate_paths()?;
        }
        Ok(task)
    }

    /// Where the teacher's paths through noised validation clips end, by Heun's method along the nodes.
    fn integrate_paths(&self) -> Result<Vec<Path>> {
        let clips = self.valid.vectors.len().min(PATH_CLIPS);
        let width = self.teacher.codec.width();
        let conditions = self.conditions(&self.valid, 0..clips);
        let denoiser = self.teacher.denoiser(&conditions, self.guidance, &Sampling::default());
        let mut paths = Vec::new();
        for k in 0..PATH_LEVELS.min(self.nodes.len() - 1) {
            let first = k * (self.nodes.len() - 1) / PATH_LEVELS;
            let mut eps = vec![0f32; clips * width];
            for (clip, eps) in eps.chunks_mut(width).enumerate() {
                Philox::new(VALIDATION_SEED).fill(clip as u32, k as u32, stream::TRAIN, eps);
            }
            let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, [clips, width]), self.teacher.device());
            let at = self.nodes[first];
            let x = corrupt(tensor(self.valid.vectors[..clips].concat()), tensor(eps), &vec![at; clips]);
            let plan = Solver::Heun(Heun::default()).plan(&[&self.nodes[first..], &[Level::clean()]].concat())?;
            let end = host(plan.run(x.clone(), &denoiser, &self.noise));
            let rows = host(x);
            for (clip, (x, end)) in rows.chunks(width).zip(end.chunks(width)).enumerate() {
                paths.push(Path { clip, at, x: x.to_vec(), end: end.to_vec() });
            }
        }
        Ok(paths)
    }

    fn conditions(&self, of: &Vectors, rows: Range<usize>) -> Conditions {
        Conditions {
            labels: of.conditions[rows.clone()].iter().map(|c| Some(c.0)).collect(),
            speakers: of.conditions[rows].iter().map(|c| Some(c.1)).collect(),
        }
    }

    fn dsm(&self) -> Dsm {
        Dsm { param: self.config.objective.param, weight: self.config.objective.weight }
    }

    fn steps(&self) -> usize {
        match self.config.objective.param {
            Param::Consistency { .. } => self.nodes.len() - 1,
            _ => (self.nodes.len() - 1) / 2,
        }
    }

    fn raw(&self, model: &PriorNet, x: &Tensor<2>, levels: &[Level], conditions: &Conditions) -> Tensor<2> {
        let inputs: Vec<f32> = levels.iter().map(|&at| c_noise(at)).collect();
        model.forward(self.dsm().inputs(x.clone(), levels), &inputs, conditions)
    }

    /// Loss of a batch of clean vectors, its noise, and the step of the student that each row is at.
    fn objective(
        &self,
        model: &PriorNet,
        x0: &[&[f32]],
        eps: Vec<f32>,
        steps: &[usize],
        conditions: &Conditions,
        device: &Device,
    ) -> Tensor<1> {
        let shape = [x0.len(), self.teacher.codec.width()];
        let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, shape), self.teacher.device());
        // The teacher needs no graph; what it says enters the student's as a constant.
        let on = |x: Tensor<2>| if device.is_autodiff() { x.autodiff() } else { x };
        let teacher = |x: &Tensor<2>, at: &[Level]| self.teacher.estimates(x, at, conditions, self.guidance);
        let dsm = self.dsm();
        if let Param::Consistency { .. } = self.config.objective.param {
            let pairs: Vec<[Level; 2]> = steps.iter().map(|&i| [self.nodes[i], self.nodes[i + 1]]).collect();
            let (from, to): (Vec<_>, Vec<_>) = pairs.iter().map(|p| (p[0], p[1])).unzip();
            let x = corrupt(tensor(x0.concat()), tensor(eps), &from);
            let y = on(consistency_neighbours(teacher, &x, &pairs));
            let x = on(x);
            let target = dsm.estimates(y.clone(), self.raw(model, &y, &to, conditions), &to).detach();
            let jump = dsm.estimates(x.clone(), self.raw(model, &x, &from, conditions), &from);
            return pseudo_huber(jump - target, &pairs);
        }
        let triples: Vec<[Level; 3]> = steps.iter().map(|&i| [self.nodes[2 * i], self.nodes[2 * i + 1], self.nodes[2 * i + 2]]).collect();
        let from: Vec<Level> = triples.iter().map(|t| t[0]).collect();
        let x = corrupt(tensor(x0.concat()), tensor(eps), &from);
        let target = progressive_targets(teacher, &x, &triples);
        let target = on(dsm.outputs(x.clone(), target, &from));
        let weights: Vec<f64> = from.iter().map(|&at| dsm.weight.factor(dsm.param, at, 1.0)).collect();
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [from.len()]), device);
        (row_mse(self.raw(model, &on(x), &from, conditions), target, None) * weights).mean()
    }
}

/// `(sqrt(|d|^2 + c^2) - c) / (sigma - sigma')` of each row, its mean, with `c = 0.00054 sqrt(width)` (Song & Dhariwal 2024, eq. 7, 8).
fn pseudo_huber(difference: Tensor<2>, pairs: &[[Level; 2]]) -> Tensor<1> {
    let [rows, width] = difference.dims();
    let c = 0.00054 * (width as f64).sqrt();
    let weights: Vec<f64> = pairs.iter().map(|[from, to]| 1.0 / (from.ve_sigma() - to.ve_sigma())).collect();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [rows]), &difference.device());
    let square = difference.square().sum_dim(1).reshape([rows]);
    (((square + c * c).sqrt() - c) * weights).mean()
}

fn host(x: Tensor<2>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

impl Trainable for DistillTask {
    type Model = PriorNet;

    fn init(&self, seed: u64, device: &Device) -> PriorNet {
        PriorNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &PriorNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let width = self.teacher.codec.width();
        let mut eps = vec![0f32; rows.len() * width];
        let (mut x0, mut steps) = (Vec::new(), Vec::new());
        let mut conditions = Conditions { labels: Vec::new(), speakers: Vec::new() };
        let shift = self.noise.uniform(0, step, stream::TIME);
        for (row, eps) in rows.zip(eps.chunks_mut(width)) {
            let index = example(self.noise, self.train.vectors.len(), self.batch, step, row);
            self.noise.fill(row, step, stream::TRAIN, eps);
            x0.push(self.train.vectors[index].as_slice());
            // Steps stratified over the batch; the guided teacher sees every condition.
            let share = (f64::from(row) + shift) / f64::from(self.batch);
            steps.push(((share * self.steps() as f64) as usize).min(self.steps() - 1));
            let (label, speaker) = self.train.conditions[index];
            conditions.labels.push(Some(label));
            conditions.speakers.push(Some(speaker));
        }
        self.objective(model, &x0, eps, &steps, &conditions, device)
    }

    fn validation_rows(&self) -> u32 {
        if self.paths.is_empty() { self.valid.vectors.len() as u32 } else { self.paths.len() as u32 }
    }

    /// Progressive: the loss with fixed noise. Consistency: the mean squared distance per number between a jump and the path's end.
    fn validate(&self, model: &PriorNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let width = self.teacher.codec.width();
        if !self.paths.is_empty() {
            let paths = &self.paths[rows.start as usize..rows.end as usize];
            let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, [paths.len(), width]), device);
            let conditions = Conditions {
                labels: paths.iter().map(|p| Some(self.valid.conditions[p.clip].0)).collect(),
                speakers: paths.iter().map(|p| Some(self.valid.conditions[p.clip].1)).collect(),
            };
            let levels: Vec<Level> = paths.iter().map(|p| p.at).collect();
            let x = tensor(paths.iter().flat_map(|p| p.x.iter().copied()).collect());
            let jump = self.dsm().estimates(x.clone(), self.raw(model, &x, &levels, &conditions), &levels);
            let end = tensor(paths.iter().flat_map(|p| p.end.iter().copied()).collect());
            return vec![row_mse(jump, end, None).into_data().iter::<f64>().sum()];
        }
        let mut eps = vec![0f32; rows.len() * width];
        for (row, eps) in rows.clone().zip(eps.chunks_mut(width)) {
            Philox::new(VALIDATION_SEED).fill(row, 0, stream::TRAIN, eps);
        }
        let clips = rows.start as usize..rows.end as usize;
        let x0: Vec<&[f32]> = self.valid.vectors[clips.clone()].iter().map(Vec::as_slice).collect();
        let steps: Vec<usize> = clips.clone().map(|k| k % self.steps()).collect();
        let conditions = self.conditions(&self.valid, clips);
        let mean = self.objective(model, &x0, eps, &steps, &conditions, device);
        vec![f64::from(mean.into_scalar::<f32>()) * rows.len() as f64]
    }

    /// Those of the teacher; its score's moments are not the student's.
    fn constants(&self) -> Vec<Constant> {
        self.teacher.codec.constants().into_iter().filter(|c| c.name != MOMENTS).collect()
    }
}
