//! Training a purifier: denoising, and being attacked through classifiers of the run's own.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use burn::{
    module::Module as _,
    tensor::{Device, Tensor},
};
use langevin_core::{
    Philox,
    noise::{NoiseSource as _, stream},
};
use langevin_nn::{Constant, Init, Trainable};

use super::perturb::{Kind, Rows, cross_entropy, perturb};
use crate::{
    Examples, ModelConfig, Result,
    detect::Detector,
    model::{Front, PurifyNet},
    tensor,
};

/// Streams of the draws of an example.
const LEVEL: u32 = stream::DOMAIN;
const REACH: u32 = stream::DOMAIN + 1;
const START: u32 = stream::DOMAIN + 2;
const SHIFT: u32 = stream::DOMAIN + 3;
const GAIN: u32 = stream::DOMAIN + 4;
const COLOUR: u32 = stream::DOMAIN + 5;
/// Farthest that a clip is moved, as a share of its length.
const SHIFTED: f64 = 0.05;
/// Standard deviation of the logarithm of a clip's gain.
const LOG_GAIN: f64 = 0.3;
/// Seed of everything that validation draws.
const VALIDATION_SEED: u64 = 0x9e37_79b9;
/// Noise levels at which validation rows are scored, as shares of the way from the least to the greatest, in logarithms.
const VALIDATION_LEVELS: [f64; 3] = [0.3, 0.5, 0.7];
/// Perturbation in validation, as a share of the reach.
const VALIDATION_REACH: f64 = 0.8;

/// Added to scores while the own classifiers are trained.
const EARLY: f64 = 1000.0;
/// Name under which a run remembers that they are.
const READY: &str = "judges_ready";

/// A purifier's data and loss.
#[derive(Debug)]
pub struct PurifyTask {
    config: ModelConfig,
    constants: Vec<Constant>,
    noise: Philox,
    /// Whether the own classifiers are trained.
    ready: AtomicBool,
    train: Examples,
    valid: Examples,
}

/// Draws of one batch on the host, rows sorted by kind.
struct Drawn {
    rows: Vec<f32>,
    noise: Vec<f32>,
    start: Vec<f32>,
    sigmas: Vec<f32>,
    reaches: Vec<f32>,
    classes: Vec<usize>,
    counts: [usize; 3],
}

impl PurifyTask {
    /// A task on examples; the config is complete, and constants are fitted to the training rows unless given.
    ///
    /// # Errors
    /// As [`Front::new`], and when classes do not fit the config.
    pub fn new(config: &ModelConfig, seed: u64, constants: Option<&[Constant]>, train: Examples, valid: Examples) -> Result<Self> {
        let (train, valid) = (train.in_order_of(config.classes())?, valid.in_order_of(config.classes())?);
        let constants = match (config, constants) {
            (ModelConfig::Clips(_), _) => Vec::new(),
            (_, Some(given)) => given.to_vec(),
            (ModelConfig::Rows(c), None) => Front::fit(c, &train),
        };
        Front::new(config, &constants, &Device::flex())?;
        Ok(Self {
            config: config.clone(),
            constants,
            noise: Philox::new(seed),
            ready: AtomicBool::new(config.attack().judges == 0),
            train,
            valid,
        })
    }

    fn front(&self, device: &Device) -> Front {
        Front::new(&self.config, &self.constants, device).expect("it was built once when the task was made")
    }

    /// Level at a share of the way from the least to the greatest.
    fn level(&self, share: f64) -> f32 {
        let (least, most) = self.config.sigmas();
        (least.ln() + share * (most / least).ln()).exp() as f32
    }

    fn drawn(&self, capacity: usize) -> Drawn {
        let n = capacity * self.train.columns();
        Drawn {
            rows: Vec::with_capacity(n),
            noise: Vec::with_capacity(n),
            start: Vec::with_capacity(n),
            sigmas: Vec::with_capacity(capacity),
            reaches: Vec::with_capacity(capacity),
            classes: Vec::with_capacity(capacity),
            counts: [0; 3],
        }
    }

    /// Adds an example with draws at `(row, step)` of `noise`.
    fn add(&self, drawn: &mut Drawn, noise: Philox, (sample, node): (u32, u32), (row, class): (&[f32], usize), sigma: f32, reach: f64) {
        let kind = Kind::of(sample);
        let mut values = vec![0f32; row.len()];
        noise.fill(sample, node, stream::TRAIN, &mut values);
        drawn.noise.extend_from_slice(&values);
        noise.fill(sample, node, START, &mut values);
        if kind == Kind::Noise {
            colour(&mut values, 1.8 * noise.uniform(sample, node, COLOUR) - 0.9);
            // Half of them have no noise beside the purifier's own.
            if sample % 8 == 0 {
                values.fill(0.0);
            }
        } else {
            values.iter_mut().for_each(|v| *v = v.signum());
        }
        drawn.start.extend_from_slice(&values);
        drawn.rows.extend_from_slice(row);
        drawn.sigmas.push(sigma);
        drawn.reaches.push((reach * self.config.attack().reach) as f32);
        drawn.classes.push(class);
        drawn.counts[kind as usize] += 1;
    }

    /// Draws as tensors.
    fn rows(&self, drawn: Drawn, front: &Front, device: &Device) -> Rows {
        let count = drawn.classes.len();
        let sigma = tensor::rows(drawn.sigmas, count, device);
        let reach = tensor::rows(drawn.reaches, count, device) * sigma.clone();
        let ones = Tensor::<2>::ones([count, self.train.columns()], device);
        let bound = front.in_data_units(ones) * reach;
        Rows {
            clean: tensor::rows(drawn.rows, count, device),
            noise: front.in_data_units(tensor::rows(drawn.noise, count, device)) * sigma.clone(),
            start: tensor::rows(drawn.start, count, device) * bound.clone(),
            sigma,
            bound,
            classes: drawn.classes,
            counts: drawn.counts,
        }
    }

    /// A training row, clips moved and scaled.
    fn augmented(&self, index: usize, row: u32, step: u32) -> Vec<f32> {
        let mut values = self.train.rows[index].clone();
        if matches!(self.config, ModelConfig::Clips(_)) {
            let most = (SHIFTED * values.len() as f64) as usize;
            let shift = self.noise.below(2 * most + 1, row, step, SHIFT);
            let length = values.len();
            values.rotate_left((length + shift - most) % length);
            let mut gain = [0f32];
            self.noise.fill(row, step, GAIN, &mut gain);
            let gain = (LOG_GAIN * f64::from(gain[0])).exp() as f32;
            values.iter_mut().for_each(|v| *v *= gain);
        }
        values
    }

    /// Mean of `(D - x)^2` over `sigma^2` in units of the noise.
    fn error(front: &Front, estimate: Tensor<2>, rows: &Rows) -> Tensor<1> {
        let gap = match front {
            Front::Clips(_) => estimate - rows.clean.clone(),
            Front::Rows { scale, .. } => (estimate - rows.clean.clone()) / scale.clone(),
        };
        (gap / rows.sigma.clone()).square().mean()
    }
}

/// Colours white noise by a one-pole filter, keeping its variance.
fn colour(noise: &mut [f32], pole: f64) {
    let (pole, gain) = (pole as f32, (1.0 - pole * pole).sqrt() as f32);
    let mut last = 0.0;
    for (k, value) in noise.iter_mut().enumerate() {
        last = if k == 0 { *value } else { pole * last + gain * *value };
        *value = last;
    }
}

impl Trainable for PurifyTask {
    type Model = PurifyNet;

    fn init(&self, seed: u64, device: &Device) -> PurifyNet {
        PurifyNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &PurifyNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let inner = device.clone().without_autodiff();
        let front = self.front(&inner);
        let attack = self.config.attack();
        let mut order: Vec<u32> = rows.collect();
        order.sort_by_key(|&row| Kind::of(row));
        let mut drawn = self.drawn(order.len());
        for row in order {
            let index = self.noise.below(self.train.rows.len(), row, step, stream::DATA);
            let values = self.augmented(index, row, step);
            let sigma = self.level(self.noise.uniform(row, step, LEVEL));
            let reach = self.noise.uniform(row, step, REACH);
            self.add(&mut drawn, self.noise, (row, step), (&values, self.train.classes[index]), sigma, reach);
        }
        let rows = self.rows(drawn, &front, &inner);
        if attack.judges > 0 && step < attack.judge_steps {
            let losses =
                (0..attack.judges).map(|k| cross_entropy(model.judge(k, &front, rows.clean.clone().autodiff()), &rows.classes, &inner));
            return losses.reduce(|sum, loss| sum + loss).expect("there is a classifier");
        }
        // Without a graph of their own, weights are constants of the attack.
        let plain = model.clone().valid();
        let delta = if attack.judges > 0 {
            perturb(&plain, &front, step as usize % attack.judges, &rows, attack.inner_steps)
        } else {
            rows.start.clone()
        };
        // A leaf, so that a prior alone, which has no weights, has a graph too.
        let x = (rows.clean.clone() + delta + rows.noise.clone()).autodiff().require_grad();
        let estimate = model.denoise(&front, x, rows.sigma.clone());
        let mut loss = Self::error(&front, estimate.clone(), &rows);
        for k in 0..attack.judges {
            let entropy = cross_entropy(plain.judge(k, &front, estimate.clone()), &rows.classes, &inner);
            loss = loss + entropy.mul_scalar(attack.weight / attack.judges as f64);
        }
        loss
    }

    /// First the own classifiers, then the purifier.
    fn trains(&self, step: u32, name: &str) -> bool {
        let attack = self.config.attack();
        let is_judge = name.starts_with("clip_judges") || name.starts_with("row_judges");
        is_judge == (attack.judges > 0 && step < attack.judge_steps)
    }

    fn end_of_step(&self, step: u32) {
        self.ready.fetch_or(step + 1 >= self.config.attack().judge_steps, Ordering::Relaxed);
    }

    fn memory(&self) -> Vec<Constant> {
        let ready = f32::from(u8::from(self.ready.load(Ordering::Relaxed)));
        vec![Constant { name: READY.to_owned(), shape: vec![1], values: vec![ready] }]
    }

    fn recall(&self, memory: &[Constant]) {
        let ready = memory.iter().any(|c| c.name == READY && c.values == [1.0]);
        self.ready.fetch_or(ready, Ordering::Relaxed);
    }

    fn validation_rows(&self) -> u32 {
        (self.valid.rows.len() * VALIDATION_LEVELS.len()) as u32
    }

    /// The loss with fixed draws, attacked at the last own classifier; then the denoising error, and how often the own classifiers are
    /// right behind the purifier.
    fn validate(&self, model: &PurifyNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let front = self.front(device);
        let attack = self.config.attack();
        let count = f64::from(rows.end - rows.start);
        let mut order: Vec<u32> = rows.collect();
        order.sort_by_key(|&row| Kind::of(row));
        let mut drawn = self.drawn(order.len());
        for row in order {
            let (index, level) = (row as usize / VALIDATION_LEVELS.len(), row as usize % VALIDATION_LEVELS.len());
            let sigma = self.level(VALIDATION_LEVELS[level]);
            let (values, class) = (&self.valid.rows[index], self.valid.classes[index]);
            self.add(&mut drawn, Philox::new(VALIDATION_SEED), (row, 0), (values, class), sigma, VALIDATION_REACH);
        }
        let rows = self.rows(drawn, &front, device);
        let delta = match attack.judges.checked_sub(1) {
            Some(last) => perturb(model, &front, last, &rows, attack.inner_steps),
            None => rows.start.clone(),
        };
        let estimate = model.denoise(&front, rows.clean.clone() + delta + rows.noise.clone(), rows.sigma.clone());
        let error = f64::from(Self::error(&front, estimate.clone(), &rows).into_scalar::<f32>());
        let (mut entropy, mut right) = (0.0, 0.0);
        for k in 0..attack.judges {
            let logits = model.judge(k, &front, estimate.clone());
            let best = logits.clone().argmax(1).into_data().iter::<i64>().collect::<Vec<_>>();
            right += best.iter().zip(&rows.classes).filter(|(best, class)| **best == **class as i64).count() as f64 / attack.judges as f64;
            entropy += f64::from(cross_entropy(logits, &rows.classes, device).into_scalar::<f32>()) / attack.judges as f64;
        }
        // Before the purifier is trained no checkpoint is the best one, however little its classifiers object to it.
        let early = if self.ready.load(Ordering::Relaxed) { 0.0 } else { EARLY };
        vec![(early + error + attack.weight * entropy) * count, error * count, right]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["error", "accuracy"]
    }

    fn constants(&self) -> Vec<Constant> {
        self.constants.clone()
    }

    /// The calibration of detection, on the validation rows.
    fn estimates(&self, model: &PurifyNet, device: &Device) -> Vec<Constant> {
        let rows: Vec<&[f32]> = self.valid.rows.iter().map(Vec::as_slice).collect();
        // A device that cannot return numbers could not have trained: without a calibration the checkpoint still purifies.
        Detector::calibrate(&self.config, model, &self.front(device), &rows, device).unwrap_or_default()
    }
}
