//! Training the prior on codec vectors, by whatever objective its config names, conditions hidden at random.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Level, Philox,
    grid::Grid,
    loss::{Dsm, LossHistory, corrupt, learned_variance_bound, row_mse},
    noise::{NoiseSource, stream},
    recipe::Batch,
    schedule::Schedule,
    variance::ScoreMoments,
};
use langevin_nn::{Constant, Init, Trainable};

use super::{
    example,
    prior::{MOMENTS, c_noise},
    vectors::Vectors,
};
use crate::{
    Result,
    codec::Codec,
    config::PriorConfig,
    data::Recordings,
    model::{Conditions, PriorNet},
};

/// Noise levels at which each validation clip is scored.
const VALIDATION_LEVELS: u32 = 8;
/// Streams of the hidden label and the hidden speaker.
const HIDE: [u32; 2] = [stream::DOMAIN, stream::DOMAIN + 1];
/// Seed of validation noise and of estimates: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Levels at which the score's moments are estimated, and the training vectors used at each.
const MOMENT_LEVELS: usize = 64;
const MOMENT_ROWS: usize = 512;

/// The prior's data and loss.
pub struct PriorTask {
    config: PriorConfig,
    codec: Codec,
    schedule: Box<dyn Schedule + Send + Sync>,
    noise: Philox,
    batch: u32,
    train: Vectors,
    valid: Vectors,
    importance: Option<Mutex<Importance>>,
}

/// Importance sampling of times: what is known, and what this step has seen (row, time, loss).
struct Importance {
    history: LossHistory,
    seen: Vec<(u32, f64, f64)>,
}

/// Rows of clean vectors with their noise and conditions.
struct Rows<'a> {
    x0: Vec<&'a [f32]>,
    eps: Vec<f32>,
    conditions: Conditions,
}

impl std::fmt::Debug for PriorTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PriorTask").field("config", &self.config).finish_non_exhaustive()
    }
}

impl PriorTask {
    /// Encodes both sets with the codec of a checkpoint (its constants), or with one fitted to the training recordings.
    /// The config's vocabulary must be filled in.
    ///
    /// # Errors
    /// When a recording cannot be analysed or carries a name that the vocabulary lacks.
    pub fn new(
        config: &PriorConfig,
        seed: u64,
        batch: u32,
        constants: Option<&[Constant]>,
        train: &Recordings,
        valid: &Recordings,
    ) -> Result<Self> {
        let (codec, train) = match constants {
            Some(constants) => {
                let codec = Codec::from_constants(&config.codec, config.sigma_data, constants)?;
                let train = Vectors::encode(config, &codec, train)?;
                (codec, train)
            }
            None => Vectors::fit(config, train)?,
        };
        let valid = Vectors::encode(config, &codec, valid)?;
        let schedule = config.objective.schedule.build()?;
        let importance = config.objective.history().map(|history| Mutex::new(Importance { history, seen: Vec::new() }));
        Ok(Self { config: config.clone(), codec, schedule, noise: Philox::new(seed), batch, train, valid, importance })
    }

    fn dsm(&self) -> Dsm {
        Dsm { param: self.config.objective.param, weight: self.config.objective.weight }
    }

    /// Loss of each row, shape `[rows]`, before its weight: mean squared error of the network's own target, and the bound of a learned
    /// variance.
    fn row_losses(&self, model: &PriorNet, rows: Rows<'_>, batch: &Batch, device: &Device) -> (Tensor<1>, Option<Tensor<1>>) {
        let width = self.codec.width();
        let shape = [rows.x0.len(), width];
        let x0 = Tensor::<2>::from_data(TensorData::new(rows.x0.concat(), shape), device);
        let eps = Tensor::<2>::from_data(TensorData::new(rows.eps, shape), device);
        let dsm = self.dsm();
        let levels = &batch.levels;
        let target = dsm.targets(x0.clone(), eps.clone(), levels);
        let noisy = corrupt(x0.clone(), eps, levels);
        let inputs: Vec<f32> = levels.iter().map(|&at| c_noise(at)).collect();
        let raw = model.forward(dsm.inputs(noisy.clone(), levels), &inputs, &rows.conditions);
        if self.config.objective.learned_variance.is_none() {
            return (row_mse(raw, target, None), None);
        }
        let output = raw.clone().narrow(1, 0, width);
        // The bound trains the variance alone (Nichol & Dhariwal 2021, section 3.1): its mean is cut from the graph.
        let estimate = dsm.estimates(noisy, output.clone().detach(), levels);
        let before = |t: &f64| if *t < 1.0 { Level::clean() } else { self.schedule.level(t - 1.0) };
        let pairs: Vec<_> = batch.times.iter().map(|t| (self.schedule.level(*t), before(t))).collect();
        let bound = learned_variance_bound(x0, estimate, raw.narrow(1, width, width), &pairs);
        (row_mse(output, target, None), Some(bound))
    }

    /// The weighted mean of [`row_losses`](Self::row_losses), shape `[1]`, and the unweighted rows.
    fn objective(&self, model: &PriorNet, rows: Rows<'_>, batch: &Batch, device: &Device) -> (Tensor<1>, Tensor<1>) {
        let (errors, bound) = self.row_losses(model, rows, batch, device);
        let weights = Tensor::<1>::from_data(TensorData::new(batch.weights.clone(), [batch.weights.len()]), &errors.device());
        let mut loss = (errors.clone() * weights).mean();
        if let (Some(bound), Some(learned)) = (bound, self.config.objective.learned_variance) {
            // The paper's bound is a sum over the table's steps, estimated from one of them.
            let steps = self.schedule.span().1 + 1.0;
            loss = loss + bound.mean().mul_scalar(learned.vlb * steps);
        }
        (loss, errors)
    }

    fn importance(&self) -> Option<MutexGuard<'_, Importance>> {
        self.importance.as_ref().map(|importance| importance.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Trainable for PriorTask {
    type Model = PriorNet;

    fn init(&self, seed: u64, device: &Device) -> PriorNet {
        PriorNet::new(&self.config, self.codec.width(), &mut Init::new(seed, device))
    }

    fn loss(&self, model: &PriorNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let width = self.codec.width();
        let history = self.importance().map(|importance| importance.history.clone());
        let batch = self.config.objective.draw(&*self.schedule, self.noise, step, rows.clone(), self.batch, history.as_ref());
        let mut drawn = Rows {
            x0: Vec::new(),
            eps: vec![0f32; rows.len() * width],
            conditions: Conditions { labels: Vec::new(), speakers: Vec::new() },
        };
        for (row, eps) in rows.clone().zip(drawn.eps.chunks_mut(width)) {
            let index = example(self.noise, self.train.vectors.len(), self.batch, step, row);
            self.noise.fill(row, step, stream::TRAIN, eps);
            drawn.x0.push(self.train.vectors[index].as_slice());
            let (label, speaker) = self.train.conditions[index];
            let shown = |stream: u32, id: usize| (self.noise.uniform(row, step, stream) >= self.config.drop).then_some(id);
            drawn.conditions.labels.push(shown(HIDE[0], label));
            drawn.conditions.speakers.push(shown(HIDE[1], speaker));
        }
        let (loss, errors) = self.objective(model, drawn, &batch, device);
        if let Some(mut importance) = self.importance() {
            let weigh = |t: f64| self.dsm().weight.factor(self.dsm().param, self.schedule.level(t), self.schedule.g2(t));
            let errors = errors.without_autodiff().into_data().iter::<f64>().collect::<Vec<_>>();
            // Rounded to f32, as the state on disk keeps them: a resumed run remembers the same.
            let seen = rows.zip(&batch.times).zip(errors).map(|((row, &t), e)| (row, t, f64::from((e * weigh(t)) as f32)));
            importance.seen.extend(seen);
        }
        loss
    }

    fn end_of_step(&self, _step: u32) {
        if let Some(mut importance) = self.importance() {
            let mut seen = std::mem::take(&mut importance.seen);
            // Workers finish in any order; rows have one.
            seen.sort_by_key(|(row, ..)| *row);
            let (times, losses): (Vec<f64>, Vec<f64>) = seen.into_iter().map(|(_, t, loss)| (t, loss)).unzip();
            importance.history.update(&*self.schedule, &times, &losses);
        }
    }

    fn memory(&self) -> Vec<Constant> {
        let bins = |importance: MutexGuard<'_, Importance>| {
            let of_bin = |(bin, losses): (usize, &Vec<f64>)| Constant {
                name: format!("losses.{bin}"),
                shape: vec![losses.len()],
                values: losses.iter().map(|l| *l as f32).collect(),
            };
            importance.history.bins().iter().enumerate().map(of_bin).collect()
        };
        self.importance().map(bins).unwrap_or_default()
    }

    fn recall(&self, memory: &[Constant]) {
        if let Some(mut importance) = self.importance() {
            for (bin, losses) in importance.history.bins_mut().iter_mut().enumerate() {
                if let Some(kept) = memory.iter().find(|c| c.name == format!("losses.{bin}")) {
                    *losses = kept.values.iter().map(|l| f64::from(*l)).collect();
                }
            }
        }
    }

    fn validation_rows(&self) -> u32 {
        self.valid.vectors.len() as u32 * VALIDATION_LEVELS
    }

    /// The loss at levels of the training distribution, with fixed noise and all conditions shown.
    fn validate(&self, model: &PriorNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let width = self.codec.width();
        let noise = Philox::new(VALIDATION_SEED);
        let mut batch = Batch { times: Vec::new(), levels: Vec::new(), weights: Vec::new() };
        let mut drawn = Rows {
            x0: Vec::new(),
            eps: vec![0f32; rows.len() * width],
            conditions: Conditions { labels: Vec::new(), speakers: Vec::new() },
        };
        let count = rows.len();
        for (row, eps) in rows.zip(drawn.eps.chunks_mut(width)) {
            let (clip, level) = (row / VALIDATION_LEVELS, row % VALIDATION_LEVELS);
            let one = self.config.objective.draw(&*self.schedule, noise, clip, level..level + 1, VALIDATION_LEVELS, None);
            batch.times.extend(one.times);
            batch.levels.extend(one.levels);
            batch.weights.extend(one.weights);
            noise.fill(row, 0, stream::TRAIN, eps);
            drawn.x0.push(self.valid.vectors[clip as usize].as_slice());
            let (label, speaker) = self.valid.conditions[clip as usize];
            drawn.conditions.labels.push(Some(label));
            drawn.conditions.speakers.push(Some(speaker));
        }
        let (mean, _) = self.objective(model, drawn, &batch, device);
        vec![f64::from(mean.into_scalar::<f32>()) * count as f64]
    }

    fn constants(&self) -> Vec<Constant> {
        self.codec.constants()
    }

    /// The score's second moments for Analytic-DPM, over training vectors with their conditions.
    fn estimates(&self, model: &PriorNet, device: &Device) -> Vec<Constant> {
        let (least, most) = self.schedule.span();
        // Levels even in lambda; where an end is infinitely far, even in time, without the ends.
        let finite = [least, most].iter().all(|&t| self.schedule.level(t).lambda().is_finite());
        let grid = if finite { Grid::Lambda { sigma_min: None, sigma_max: None } } else { Grid::Linear {} };
        let Ok(mut levels) = grid.levels(&*self.schedule, MOMENT_LEVELS) else { return Vec::new() };
        levels.retain(|at| !at.is_clean() && at.alpha > 0.0);
        levels.reverse();
        let Ok(mut moments) = ScoreMoments::new(levels.clone()) else { return Vec::new() };
        let (width, noise) = (self.codec.width(), Philox::new(VALIDATION_SEED));
        let count = MOMENT_ROWS.min(self.train.vectors.len());
        let chosen: Vec<usize> = (0..count).map(|k| k * self.train.vectors.len() / count).collect();
        for (i, &at) in levels.iter().enumerate() {
            let mut eps = vec![0f32; count * width];
            for (row, eps) in eps.chunks_mut(width).enumerate() {
                noise.fill(row as u32, i as u32, stream::DATA, eps);
            }
            let x0: Vec<f32> = chosen.iter().flat_map(|&k| self.train.vectors[k].iter().copied()).collect();
            let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, [count, width]), device);
            let conditions = Conditions {
                labels: chosen.iter().map(|&k| Some(self.train.conditions[k].0)).collect(),
                speakers: chosen.iter().map(|&k| Some(self.train.conditions[k].1)).collect(),
            };
            let each = vec![at; count];
            let dsm = self.dsm();
            let x = corrupt(tensor(x0), tensor(eps), &each);
            let raw = model.forward(dsm.inputs(x.clone(), &each), &vec![c_noise(at); count], &conditions).narrow(1, 0, width);
            let x0 = dsm.estimates(x.clone(), raw, &each);
            // eps = (x - alpha D) / sigma.
            let eps = (x - x0.mul_scalar(at.alpha)).div_scalar(at.sigma);
            moments.add(i, &eps.into_data().iter::<f64>().collect::<Vec<_>>());
        }
        let rows = moments.to_rows();
        vec![Constant { name: MOMENTS.to_owned(), shape: vec![rows.len(), 3], values: rows.iter().flatten().map(|v| *v as f32).collect() }]
    }
}
