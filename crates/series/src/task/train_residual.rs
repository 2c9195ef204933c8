//! Training the residual's network by denoising of what the anchor leaves over.

use std::ops::{ControlFlow, Range};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{NoiseSource as _, Philox, noise::stream, recipe::Batch, schedule::Schedule};
use langevin_nn::{Init, Trainable};

use super::{ResidualModel, residual::c_noise};
use crate::{
    Result,
    config::ResidualConfig,
    data::{Draw, Lesson, Pool, Window},
    model::{ResidualNet, WindowBatch},
};

/// Noise levels at which each validation window is scored.
const VALIDATION_LEVELS: u32 = 4;
/// Samples of each validation window that is sampled.
const SAMPLES: usize = 8;
/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;

/// The residual network's data and loss.
pub struct ResidualTask {
    config: ResidualConfig,
    schedule: Box<dyn Schedule + Send + Sync>,
    noise: Philox,
    batch: u32,
    group: u32,
    train: Pool,
    valid: Vec<Lesson>,
    /// What the anchor alone loses on the validation rows: by denoising, and by CRPS.
    anchor: [f64; 2],
}

impl std::fmt::Debug for ResidualTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResidualTask").field("config", &self.config).field("anchor", &self.anchor).finish_non_exhaustive()
    }
}

/// Noised copies of lessons as the network sees them, padded to one size: `[windows, rows, columns, draws]`.
struct Noised {
    /// Scaled noised residuals at holes, 0 elsewhere.
    inputs: Vec<f32>,
    /// What the network should say.
    targets: Vec<f32>,
    /// Weight of each squared error: 0 where nothing is known; those of a window sum to its share of the batch.
    weights: Vec<f32>,
    tokens: usize,
}

impl ResidualTask {
    /// A task for a checked config, in micro-batches of `group` of the `batch` rows of a step. `valid` windows are scored, those of a
    /// size side by side.
    ///
    /// # Errors
    /// When the schedule cannot be built.
    pub fn new(config: &ResidualConfig, seed: u64, [batch, group]: [u32; 2], train: Pool, valid: &Pool, windows: u32) -> Result<Self> {
        let mut lessons: Vec<Lesson> =
            (0..windows).map(|row| valid.draw(Philox::new(VALIDATION_SEED), Draw { step: 0, row, group: 1 })).collect();
        lessons.sort_by_key(|lesson| (lesson.window.columns, lesson.window.rows));
        let schedule = config.objective.schedule.build()?;
        let config = config.clone();
        let (noise, group, anchor) = (Philox::new(seed), group.max(1), [1.0; 2]);
        let mut task = Self { config, schedule, noise, batch, group, train, valid: lessons, anchor };
        let rows = f64::from(task.validation_rows());
        let mut sums = [0.0; 2];
        for row in 0..task.validation_rows() {
            let (batch, eps) = task.validation_row(row);
            let lesson = &task.valid[(row / VALIDATION_LEVELS) as usize];
            let noised = task.noised(&[lesson], &batch, &eps, 1);
            sums[0] += noised.targets.iter().zip(&noised.weights).map(|(t, w)| f64::from(t * t * w)).sum::<f64>();
            if row % VALIDATION_LEVELS == 0 {
                // An untrained network returns the noise that it starts from, nearly.
                sums[1] += f64::from(VALIDATION_LEVELS) * crps(lesson, &starts(row, lesson));
            }
        }
        task.anchor = sums.map(|sum| (sum / rows).max(1e-12));
        Ok(task)
    }

    /// Numbers of training tables and of validation windows.
    pub fn len(&self) -> (usize, usize) {
        (self.train.len(), self.valid.len())
    }

    /// Whether there is nothing to learn from; a task that was made has something.
    pub fn is_empty(&self) -> bool {
        self.train.is_empty()
    }

    /// Noised copies of lessons, `draws` of each, at the levels of `batch`; `eps` holds as many numbers as they have tokens, one lesson
    /// after the other.
    fn noised(&self, lessons: &[&Lesson], batch: &Batch, eps: &[f32], draws: usize) -> Noised {
        let rows = lessons.iter().map(|l| l.window.rows).max().unwrap_or(0);
        let columns = lessons.iter().map(|l| l.window.columns).max().unwrap_or(0);
        let tokens = lessons.len() * rows * columns;
        let mut noised =
            Noised { inputs: vec![0.0; tokens * draws], targets: vec![0.0; tokens * draws], weights: vec![0.0; tokens * draws], tokens };
        let param = self.config.objective.param;
        let mut from = 0;
        for (k, lesson) in lessons.iter().enumerate() {
            let (at, wide) = (batch.levels[k], lesson.window.columns);
            let (c, target) = (param.coef(at), param.target(at));
            let known: f32 = lesson.known.iter().sum();
            let weight = batch.weights[k] as f32 / (known.max(1.0) * draws as f32 * lessons.len() as f32);
            // Where nobody knows the residual, one of unit variance takes its place.
            let unknown = at.alpha.hypot(at.sigma);
            for cell in 0..lesson.known.len() {
                let to = (k * rows + cell / wide) * columns + cell % wide;
                if !lesson.window.is_hole(cell / wide, cell % wide) {
                    continue;
                }
                let (x0, is_known) = (f64::from(lesson.residuals[cell]), lesson.known[cell] > 0.0);
                for draw in 0..draws {
                    let noise = f64::from(eps[from + cell * draws + draw]);
                    let x = if is_known { at.alpha * x0 + at.sigma * noise } else { unknown * noise };
                    noised.inputs[to * draws + draw] = (c.input * x) as f32;
                    noised.targets[to * draws + draw] = (target.of_x0 * x0 + target.of_eps * noise) as f32;
                    noised.weights[to * draws + draw] = if is_known { weight } else { 0.0 };
                }
            }
            from += lesson.known.len() * draws;
        }
        noised
    }

    /// The mean over windows of their weighted errors, shape `[1]`.
    fn error(&self, model: &ResidualNet, lessons: &[&Lesson], batch: &Batch, eps: &[f32], draws: usize, device: &Device) -> Tensor<1> {
        let noised = self.noised(lessons, batch, eps, draws);
        let windows: Vec<&Window> = lessons.iter().map(|lesson| &lesson.window).collect();
        let context = model.encode(WindowBatch::new(&windows, device));
        let tensor = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [noised.tokens, draws]), device);
        let levels: Vec<f32> = batch.levels.iter().map(|&at| c_noise(at)).collect();
        let raw = model.forward(tensor(noised.inputs), &levels, &context);
        ((raw - tensor(noised.targets)).square() * tensor(noised.weights)).sum()
    }

    /// Level and noise of a row of the validation set.
    fn validation_row(&self, row: u32) -> (Batch, Vec<f32>) {
        let noise = Philox::new(VALIDATION_SEED);
        let (window, level) = (row / VALIDATION_LEVELS, row % VALIDATION_LEVELS);
        let batch = self.config.objective.draw(&*self.schedule, noise, window, level..level + 1, VALIDATION_LEVELS, None);
        let mut eps = vec![0f32; self.valid[window as usize].known.len()];
        noise.fill(row, 0, stream::TRAIN, &mut eps);
        (batch, eps)
    }

    /// Mean CRPS of samples of one window, in units of the anchor's error.
    fn sampled(&self, model: &ResidualModel, row: u32, lesson: &Lesson) -> Result<f64> {
        let context = model.encode(&[&lesson.window]);
        let run = model.run(&self.config.sampling)?;
        let noise = Philox::new(VALIDATION_SEED);
        let go_on = || ControlFlow::Continue(());
        Ok(match model.sample(&context, SAMPLES, starts(row, lesson), &run, &noise, &go_on)? {
            ControlFlow::Continue(samples) => crps(lesson, &samples),
            ControlFlow::Break(()) => f64::NAN,
        })
    }
}

/// Noise that samples of a validation window start from, `[token][sample]`.
fn starts(row: u32, lesson: &Lesson) -> Vec<f32> {
    let mut start = vec![0f32; lesson.known.len() * SAMPLES];
    Philox::new(VALIDATION_SEED).fill(row, 0, stream::PRIOR, &mut start);
    start
}

/// Mean over known cells of the fair CRPS of [`SAMPLES`] samples (Ferro 2014): `E|x - y| - E|x - x'| / 2`.
fn crps(lesson: &Lesson, samples: &[f32]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (cell, samples) in samples.chunks_exact(SAMPLES).enumerate().filter(|(cell, _)| lesson.known[*cell] > 0.0) {
        let n = samples.len() as f64;
        let truth = f64::from(lesson.residuals[cell]);
        let error = samples.iter().map(|&x| (f64::from(x) - truth).abs()).sum::<f64>() / n;
        let spread: f64 = samples.iter().flat_map(|a| samples.iter().map(move |b| f64::from((a - b).abs()))).sum();
        sum += error - spread / (2.0 * n * (n - 1.0));
        count += 1.0;
    }
    sum / f64::max(count, 1.0)
}

impl Trainable for ResidualTask {
    type Model = ResidualNet;

    fn init(&self, seed: u64, device: &Device) -> ResidualNet {
        ResidualNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &ResidualNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let draws = self.config.draws;
        let batch = self.config.objective.draw(&*self.schedule, self.noise, step, rows.clone(), self.batch, None);
        let lessons: Vec<Lesson> = rows.clone().map(|row| self.train.draw(self.noise, Draw { step, row, group: self.group })).collect();
        let lessons: Vec<&Lesson> = lessons.iter().collect();
        let mut eps = vec![0f32; lessons.iter().map(|lesson| lesson.known.len() * draws).sum()];
        let mut left = eps.as_mut_slice();
        for (row, lesson) in rows.zip(&lessons) {
            let (own, rest) = left.split_at_mut(lesson.known.len() * draws);
            self.noise.fill(row, step, stream::TRAIN, own);
            left = rest;
        }
        self.error(model, &lessons, &batch, &eps, draws, device)
    }

    fn validation_rows(&self) -> u32 {
        self.valid.len() as u32 * VALIDATION_LEVELS
    }

    /// The denoising loss relative to the anchor's: 1 is a network that knows nothing. Then the CRPS of samples relative to that of the
    /// anchor with normal errors.
    fn validate(&self, model: &ResidualNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let mut batch = Batch { times: Vec::new(), levels: Vec::new(), weights: Vec::new() };
        let (mut eps, mut lessons) = (Vec::new(), Vec::new());
        let count = rows.len() as f64;
        let sampler = ResidualModel::new(&self.config, model.clone(), device);
        let mut of_samples = 0.0;
        for row in rows {
            let (one, noise) = self.validation_row(row);
            let lesson = &self.valid[(row / VALIDATION_LEVELS) as usize];
            batch.times.extend(one.times);
            batch.levels.extend(one.levels);
            batch.weights.extend(one.weights);
            eps.extend(noise);
            lessons.push(lesson);
            if row % VALIDATION_LEVELS == 0 {
                let crps = sampler.as_ref().ok().and_then(|model| self.sampled(model, row, lesson).ok());
                of_samples += f64::from(VALIDATION_LEVELS) * crps.unwrap_or(f64::NAN);
            }
        }
        let error = f64::from(self.error(model, &lessons, &batch, &eps, 1, device).into_scalar::<f32>());
        vec![error * count / self.anchor[0], of_samples / self.anchor[1]]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["crps"]
    }
}

#[cfg(test)]
mod tests;
