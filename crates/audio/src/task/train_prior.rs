//! Training the prior: denoising loss with EDM's levels on codec vectors, conditions hidden at random.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Level, Philox,
    loss::{Dsm, EdmLoss, Weight, corrupt, weighted_mse},
    noise::{NoiseSource, stream},
};
use langevin_nn::{Constant, Init, Trainable};
use rayon::prelude::*;

use super::example;
use crate::{
    Result,
    codec::{Codec, Features, Frontend},
    config::PriorConfig,
    data::Recordings,
    model::{Conditions, PriorNet},
};

/// Noise levels at which each validation clip is scored.
const VALIDATION_LEVELS: u32 = 8;
/// Streams of the hidden label and the hidden speaker.
const HIDE: [u32; 2] = [stream::DOMAIN, stream::DOMAIN + 1];
/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;

/// Vectors and conditions of a set of recordings.
#[derive(Debug)]
struct Set {
    vectors: Vec<Vec<f32>>,
    conditions: Vec<(usize, usize)>,
}

/// The prior's data and loss.
#[derive(Debug)]
pub struct PriorTask {
    config: PriorConfig,
    codec: Codec,
    noise: Philox,
    batch: u32,
    train: Set,
    valid: Set,
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
        let frontend = Frontend::new(&config.codec)?;
        let analyse = |set: &Recordings| set.clips.par_iter().map(|clip| frontend.analyse(clip)).collect::<Result<Vec<_>>>();
        let (train_features, valid_features) = (analyse(train)?, analyse(valid)?);
        let codec = match constants {
            Some(constants) => Codec::from_constants(&config.codec, config.sigma_data, constants)?,
            None => Codec::fit(&config.codec, config.sigma_data, &train_features)?,
        };
        let encode = |features: &[Features]| features.par_iter().map(|f| codec.encode(f)).collect::<Vec<_>>();
        let train = Set { vectors: encode(&train_features), conditions: train.numbers(&config.vocabulary)? };
        let valid = Set { vectors: encode(&valid_features), conditions: valid.numbers(&config.vocabulary)? };
        Ok(Self { config: config.clone(), codec, noise: Philox::new(seed), batch, train, valid })
    }

    fn edm(&self) -> EdmLoss {
        EdmLoss { sigma_data: self.config.sigma_data, p_mean: self.config.p_mean, p_std: self.config.p_std }
    }

    /// Mean squared error of the network's own target (EDM's weight is 1 there) on clean vectors, noised at `levels`.
    fn denoising_loss(
        &self,
        model: &PriorNet,
        x0: &[&[f32]],
        eps: Vec<f32>,
        levels: &[Level],
        conditions: &Conditions,
        device: &Device,
    ) -> Tensor<1> {
        let shape = [x0.len(), self.codec.width()];
        let x0 = Tensor::<2>::from_data(TensorData::new(x0.concat(), shape), device);
        let eps = Tensor::<2>::from_data(TensorData::new(eps, shape), device);
        let dsm = Dsm { param: self.edm().param(), weight: Weight::Unit };
        let target = dsm.targets(x0.clone(), eps.clone(), levels);
        let input = dsm.inputs(corrupt(x0, eps, levels), levels);
        let c_noise: Vec<f32> = levels.iter().map(|&at| EdmLoss::c_noise(at) as f32).collect();
        weighted_mse(model.forward(input, &c_noise, conditions), target, None, &vec![1.0; levels.len()])
    }
}

impl Trainable for PriorTask {
    type Model = PriorNet;

    fn init(&self, seed: u64, device: &Device) -> PriorNet {
        PriorNet::new(&self.config, self.codec.width(), &mut Init::new(seed, device))
    }

    fn loss(&self, model: &PriorNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let width = self.codec.width();
        let (mut x0, mut levels) = (Vec::new(), Vec::new());
        let mut conditions = Conditions { labels: Vec::new(), speakers: Vec::new() };
        let mut eps = vec![0f32; rows.len() * width];
        for (row, eps) in rows.zip(eps.chunks_mut(width)) {
            let index = example(self.noise, self.train.vectors.len(), self.batch, step, row);
            let mut normal = [0.0];
            self.noise.fill_f64(row, step, stream::TIME, &mut normal);
            self.noise.fill(row, step, stream::TRAIN, eps);
            x0.push(self.train.vectors[index].as_slice());
            levels.push(Level::ve((self.config.p_mean + self.config.p_std * normal[0]).exp()));
            let (label, speaker) = self.train.conditions[index];
            let shown = |stream: u32, id: usize| (self.noise.uniform(row, step, stream) >= self.config.drop).then_some(id);
            conditions.labels.push(shown(HIDE[0], label));
            conditions.speakers.push(shown(HIDE[1], speaker));
        }
        self.denoising_loss(model, &x0, eps, &levels, &conditions, device)
    }

    fn validation_rows(&self) -> u32 {
        self.valid.vectors.len() as u32 * VALIDATION_LEVELS
    }

    /// The loss at levels stratified over the training distribution, with fixed noise and all conditions shown.
    fn validate(&self, model: &PriorNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let width = self.codec.width();
        let noise = Philox::new(VALIDATION_SEED);
        let count = rows.len();
        let (mut x0, mut levels) = (Vec::new(), Vec::new());
        let mut conditions = Conditions { labels: Vec::new(), speakers: Vec::new() };
        let mut eps = vec![0f32; count * width];
        for (row, eps) in rows.zip(eps.chunks_mut(width)) {
            let index = (row / VALIDATION_LEVELS) as usize;
            noise.fill(row, 0, stream::TRAIN, eps);
            // Midpoints of equal shares of a standard normal, to three digits: enough to cover the levels evenly.
            const NORMAL: [f64; VALIDATION_LEVELS as usize] = [-1.534, -0.887, -0.489, -0.157, 0.157, 0.489, 0.887, 1.534];
            levels.push(Level::ve((self.config.p_mean + self.config.p_std * NORMAL[(row % VALIDATION_LEVELS) as usize]).exp()));
            x0.push(self.valid.vectors[index].as_slice());
            let (label, speaker) = self.valid.conditions[index];
            conditions.labels.push(Some(label));
            conditions.speakers.push(Some(speaker));
        }
        let mean = self.denoising_loss(model, &x0, eps, &levels, &conditions, device);
        vec![f64::from(mean.into_scalar::<f32>()) * count as f64]
    }

    fn constants(&self) -> Vec<Constant> {
        self.codec.constants()
    }
}
