//! Training the prior on codec vectors, or on an autoencoder's code of them, by whatever objective its config names, conditions hidden
//! at random.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Level, NoiseSource as _, Philox,
    latent::cross_entropy_rows,
    loss::{Dsm, corrupt, learned_variance_bound, row_mse},
    noise::stream,
    recipe::Batch,
    schedule::{LearnedGamma, Schedule},
};
use langevin_nn::{Constant, Init, Trainable};

use super::{code::Code, example, guided::c_noise, memory::Memory, moments, vectors::Vectors};
use crate::{
    Result,
    codec::Codec,
    config::{LatentConfig, PriorConfig},
    data::Recordings,
    model::{Conditions, PriorNet},
};

/// Noise levels at which each validation clip is scored.
const VALIDATION_LEVELS: u32 = 8;
/// Streams of the hidden label and the hidden speaker.
const HIDE: [u32; 2] = [stream::DOMAIN, stream::DOMAIN + 1];
/// Stream of the encoder's noise.
pub(super) const CODE: u32 = stream::DOMAIN + 2;
/// Seed of validation noise and of estimates: the same for every run, so that runs can be compared.
pub(super) const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Factor of the learned schedule's own loss, whose minimum it does not move: small, so that its gradient takes no part in the clipping
/// of the denoiser's.
const OF_GAMMA: f64 = 1e-3;

/// The prior's data and loss.
pub struct PriorTask {
    config: PriorConfig,
    codec: Codec,
    schedule: Box<dyn Schedule + Send + Sync>,
    noise: Philox,
    batch: u32,
    train: Vectors,
    valid: Vectors,
    memory: Mutex<Memory>,
}

/// Rows of clean vectors with their noises and conditions.
struct Rows<'a> {
    vectors: Vec<&'a [f32]>,
    /// Noise of the diffused state.
    eps: Vec<f32>,
    /// Noise of the encoder; empty without one.
    code: Vec<f32>,
    conditions: Conditions,
}

/// What a batch loses.
struct Losses {
    /// What the diffusion loses, shape `[1]`: the weighted errors, or under a joint bound the cross-entropy in nats per number.
    diffusion: Tensor<1>,
    /// Error of each row under its weight, without the density of its time.
    rows: Vec<f64>,
    /// The autoencoder's part.
    code: Option<Code>,
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
        let memory = Mutex::new(Memory::new(config.objective.history()));
        Ok(Self { config: config.clone(), codec, schedule, noise: Philox::new(seed), batch, train, valid, memory })
    }

    fn dsm(&self) -> Dsm {
        Dsm { param: self.config.objective.param, weight: self.config.objective.weight }
    }

    /// Room for some rows.
    fn rows(&self, count: usize) -> Rows<'_> {
        Rows {
            vectors: Vec::with_capacity(count),
            eps: vec![0f32; count * self.config.state()],
            code: vec![0f32; self.config.latent.as_ref().map_or(0, |latent| count * latent.dim)],
            conditions: Conditions { labels: Vec::new(), speakers: Vec::new() },
        }
    }

    /// Squared error of each row before its weight, shape `[rows]`: the mean over the network's own target, and the bound of a learned
    /// variance.
    fn errors(
        &self,
        model: &PriorNet,
        x0: Tensor<2>,
        eps: Tensor<2>,
        conditions: &Conditions,
        batch: &Batch,
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        let (dsm, levels, width) = (self.dsm(), &batch.levels, self.config.state());
        let target = dsm.targets(x0.clone(), eps.clone(), levels);
        let noisy = corrupt(x0.clone(), eps, levels);
        let inputs: Vec<f32> = levels.iter().map(|&at| c_noise(at)).collect();
        let raw = model.forward(dsm.inputs(noisy.clone(), levels), &inputs, conditions);
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

    /// What rows lose. `coupled` lets the encoder learn from the diffusion.
    fn losses(&self, model: &PriorNet, rows: Rows<'_>, batch: &Batch, schedule: &dyn Schedule, coupled: bool, device: &Device) -> Losses {
        let count = rows.vectors.len();
        let tensor = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values.clone(), [count, values.len() / count]), device);
        let x = tensor(rows.vectors.concat());
        let code = model.vae().map(|vae| Code::new(vae, x.clone(), tensor(rows.code)));
        let x0 = match &code {
            Some(code) if coupled => code.z.clone(),
            Some(code) => code.z.clone().detach(),
            None => x,
        };
        let (errors, bound) = self.errors(model, x0.clone(), tensor(rows.eps), &rows.conditions, batch);
        let weighted = errors.clone() * Tensor::<1>::from_data(TensorData::new(batch.weights.clone(), [count]), device);
        let factors = self.dsm().weights(schedule, &batch.times);
        let values = errors.clone().without_autodiff().into_data();
        let seen = values.iter::<f64>().zip(factors).map(|(error, factor)| error * factor).collect();
        let mut diffusion = weighted.mean();
        if self.config.latent.as_ref().is_some_and(|latent| latent.joint) {
            let squares = errors.mul_scalar(self.config.state() as f64);
            diffusion = match cross_entropy_rows(schedule, x0, squares, &batch.weights) {
                Ok(parts) => parts.total().mean() / self.config.vector() as f64,
                // A weight that is not finite: the engine stops a run whose loss is not.
                Err(_) => diffusion * f64::NAN,
            };
        }
        if let (Some(bound), Some(learned)) = (bound, self.config.objective.learned_variance) {
            // The paper's bound is a sum over the table's steps, estimated from one of them.
            let steps = self.schedule.span().1 + 1.0;
            diffusion = diffusion + bound.mean().mul_scalar(learned.vlb * steps);
        }
        Losses { diffusion, rows: seen, code }
    }

    fn remember(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A model's own curve of noise levels, or the config's.
    fn schedule<'a>(&'a self, learned: &'a Option<LearnedGamma>) -> &'a dyn Schedule {
        learned.as_ref().map_or(&*self.schedule, |learned| learned)
    }
}

impl Trainable for PriorTask {
    type Model = PriorNet;

    fn init(&self, seed: u64, device: &Device) -> PriorNet {
        PriorNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &PriorNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let (width, objective) = (self.config.state(), &self.config.objective);
        let (history, mean_square) = {
            let memory = self.remember();
            (memory.history.clone(), memory.mean_square)
        };
        let learned = model.learned_schedule();
        let schedule = self.schedule(&learned);
        let batch = objective.draw(schedule, self.noise, step, rows.clone(), self.batch, history.as_ref());
        let mut drawn = self.rows(rows.len());
        for (row, eps) in rows.clone().zip(drawn.eps.chunks_mut(width)) {
            let index = example(self.noise, self.train.vectors.len(), self.batch, step, row);
            self.noise.fill(row, step, stream::TRAIN, eps);
            drawn.vectors.push(self.train.vectors[index].as_slice());
            let (label, speaker) = self.train.conditions[index];
            let shown = |stream: u32, id: usize| (self.noise.uniform(row, step, stream) >= self.config.drop).then_some(id);
            drawn.conditions.labels.push(shown(HIDE[0], label));
            drawn.conditions.speakers.push(shown(HIDE[1], speaker));
        }
        for (row, code) in rows.clone().zip(drawn.code.chunks_mut(width)) {
            self.noise.fill(row, step, CODE, code);
        }
        let first = self.config.latent.as_ref().is_some_and(|latent| step < latent.vae_steps);
        let coupled = !first && self.config.latent.as_ref().is_some_and(|latent| latent.joint);
        let losses = self.losses(model, drawn, &batch, schedule, coupled, device);
        let mut loss = losses.diffusion;
        if let (Some(code), Some(latent)) = (losses.code, &self.config.latent) {
            if first {
                loss = loss + code.reconstruction + code.normal.mul_scalar(latent.kl);
            } else if coupled {
                loss = loss + code.reconstruction - code.entropy;
            }
        }
        if let Some(gamma) = model.gamma() {
            loss = loss + gamma.variance_loss_about(&batch.times, &losses.rows, mean_square).mul_scalar(OF_GAMMA);
        }
        if objective.importance.is_some() || model.gamma().is_some() {
            self.remember().see(rows, &batch.times, &losses.rows);
        }
        loss
    }

    /// The autoencoder of two stages stays as it is after the first.
    fn trains(&self, step: u32, name: &str) -> bool {
        let stays = |latent: &LatentConfig| !latent.joint && step >= latent.vae_steps;
        !(name.starts_with("vae.") && self.config.latent.as_ref().is_some_and(stays))
    }

    fn end_of_step(&self, _step: u32) {
        self.remember().end_of_step(&*self.schedule);
    }

    fn memory(&self) -> Vec<Constant> {
        self.remember().to_constants()
    }

    fn recall(&self, memory: &[Constant]) {
        self.remember().recall(memory);
    }

    fn validation_rows(&self) -> u32 {
        self.valid.vectors.len() as u32 * VALIDATION_LEVELS
    }

    /// The loss at levels of the training distribution, with fixed noise and all conditions shown. With an autoencoder it includes that
    /// one's loss, in nats per number of the vector, in every stage: scores of different steps then compare.
    fn validate(&self, model: &PriorNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let width = self.config.state();
        let noise = Philox::new(VALIDATION_SEED);
        let learned = model.learned_schedule();
        let schedule = self.schedule(&learned);
        let mut batch = Batch { times: Vec::new(), levels: Vec::new(), weights: Vec::new() };
        let count = rows.len();
        let mut drawn = self.rows(count);
        for (row, eps) in rows.clone().zip(drawn.eps.chunks_mut(width)) {
            let (clip, level) = (row / VALIDATION_LEVELS, row % VALIDATION_LEVELS);
            let one = self.config.objective.draw(schedule, noise, clip, level..level + 1, VALIDATION_LEVELS, None);
            batch.times.extend(one.times);
            batch.levels.extend(one.levels);
            batch.weights.extend(one.weights);
            noise.fill(row, 0, stream::TRAIN, eps);
            drawn.vectors.push(self.valid.vectors[clip as usize].as_slice());
            let (label, speaker) = self.valid.conditions[clip as usize];
            drawn.conditions.labels.push(Some(label));
            drawn.conditions.speakers.push(Some(speaker));
        }
        for (row, code) in rows.zip(drawn.code.chunks_mut(width)) {
            noise.fill(row, 0, CODE, code);
        }
        let losses = self.losses(model, drawn, &batch, schedule, false, device);
        let mean = |loss: Tensor<1>| f64::from(loss.into_scalar::<f32>());
        let mut means = vec![mean(losses.diffusion)];
        if let (Some(code), Some(latent)) = (losses.code, &self.config.latent) {
            let reconstruction = mean(code.reconstruction);
            let divergence = if latent.joint { means[0] - mean(code.entropy) } else { mean(code.normal) };
            let diffusion = if latent.joint { 0.0 } else { means[0] };
            means = vec![reconstruction + divergence + diffusion, reconstruction, divergence];
        }
        if learned.is_some() {
            // Drawn on the learned curve and weighted for the straight one: L is in proportion to gamma', density to its inverse.
            let straight = |t: &f64| {
                schedule.level(*t).sigma.powi(2) * self.schedule.g2(*t) / (schedule.g2(*t) * self.schedule.level(*t).sigma.powi(2))
            };
            let mean =
                |of: &dyn Fn(&f64) -> f64| batch.times.iter().zip(&losses.rows).map(|(t, l)| of(t) * l * l).sum::<f64>() / count as f64;
            means.extend([mean(&|_| 1.0), mean(&straight)]);
        }
        means.into_iter().map(|mean| mean * count as f64).collect()
    }

    /// With an autoencoder its reconstruction and the divergence of its code (from the learned prior when joint, else from a standard
    /// normal); with a learned schedule the mean squares of the diffusion's loss on it and on the straight one between the same ends: less the square of the
    /// mean, which they share, they are its variances.
    fn validation_names(&self) -> &'static [&'static str] {
        match (&self.config.latent, self.config.objective.learned_schedule) {
            (None, None) => &[],
            (None, Some(_)) => &["loss_square", "straight_square"],
            (Some(_), None) => &["reconstruction", "divergence"],
            (Some(_), Some(_)) => &["reconstruction", "divergence", "loss_square", "straight_square"],
        }
    }

    fn constants(&self) -> Vec<Constant> {
        self.codec.constants()
    }

    /// The score's second moments for Analytic-DPM.
    fn estimates(&self, model: &PriorNet, device: &Device) -> Vec<Constant> {
        let learned = model.learned_schedule();
        moments::estimate(model, &self.dsm(), self.schedule(&learned), &self.train, device).into_iter().collect()
    }
}
