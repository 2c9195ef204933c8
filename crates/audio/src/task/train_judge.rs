//! Training the judge: cross-entropy of label and speaker on recordings that are shifted, muffled and noised at random.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use langevin_core::{
    Philox,
    noise::{NoiseSource, stream},
};
use langevin_nn::{Init, Trainable};
use rayon::prelude::*;

use super::{example, judge::JudgeFrontend};
use crate::{Result, config::JudgeConfig, data::Recordings, model::JudgeNet};

/// Streams of the augmentation.
const SHIFT: u32 = stream::DOMAIN;
const MASK: u32 = stream::DOMAIN + 1;
const LEVEL: u32 = stream::DOMAIN + 2;
/// Widest masked band of mel bands and of frames (SpecAugment, Park et al. 2019).
const MASKED: [usize; 2] = [6, 12];
/// Most frames a training clip is moved.
const SHIFTED: usize = 10;

/// The judge's data and loss.
#[derive(Debug)]
pub struct JudgeTask {
    config: JudgeConfig,
    noise: Philox,
    batch: u32,
    train: Set,
    valid: Set,
}

#[derive(Debug)]
struct Set {
    images: Vec<Vec<f32>>,
    conditions: Vec<(usize, usize)>,
}

impl JudgeTask {
    /// Analyses both sets. The config's vocabulary must be filled in.
    ///
    /// # Errors
    /// When a recording cannot be analysed or carries a name that the vocabulary lacks.
    pub fn new(config: &JudgeConfig, seed: u64, batch: u32, train: &Recordings, valid: &Recordings) -> Result<Self> {
        let frontend = JudgeFrontend::new(config)?;
        let set = |recordings: &Recordings| -> Result<Set> {
            let images = recordings.clips.par_iter().map(|clip| frontend.image(clip)).collect::<Result<Vec<_>>>()?;
            Ok(Set { images, conditions: recordings.numbers(&config.vocabulary)? })
        };
        Ok(Self { config: config.clone(), noise: Philox::new(seed), batch, train: set(train)?, valid: set(valid)? })
    }

    /// One image, moved in time, with a band of frequencies and a stretch of time hidden, and a little noise.
    fn augment(&self, image: &[f32], step: u32, row: u32) -> Vec<f32> {
        let (mels, frames) = (self.config.mels, self.config.frames);
        let draw = |slot: u32, bound: usize| self.noise.below(bound.max(1), row, step.wrapping_mul(8).wrapping_add(slot), MASK);
        let silence = JudgeFrontend::SILENCE;
        let shift = self.noise.below(2 * SHIFTED + 1, row, step, SHIFT) as isize - SHIFTED as isize;
        let mut out = vec![silence; image.len()];
        for (row_out, row_in) in out.chunks_mut(frames).zip(image.chunks(frames)) {
            for (t, value) in row_out.iter_mut().enumerate() {
                if let Some(v) = t.checked_add_signed(-shift).and_then(|t| row_in.get(t)) {
                    *value = *v;
                }
            }
        }
        let (band, stretch) = (draw(0, MASKED[0] + 1), draw(1, MASKED[1] + 1));
        let (low, start) = (draw(2, mels - band), draw(3, frames - stretch));
        out[low * frames..(low + band) * frames].fill(silence);
        out.chunks_mut(frames).for_each(|row| row[start..start + stretch].fill(silence));
        let amount = 0.3 * self.noise.uniform(row, step, LEVEL) as f32;
        let mut noise = vec![0f32; out.len()];
        self.noise.fill(row, step, stream::TRAIN, &mut noise);
        out.iter_mut().zip(noise).for_each(|(o, z)| *o += amount * z);
        out
    }

    /// Mean cross-entropy of labels plus that of speakers, and how many of each are right.
    fn cross_entropy(&self, model: &JudgeNet, images: Vec<f32>, wanted: &[(usize, usize)], device: &Device) -> (Tensor<1>, [f64; 2]) {
        let shape = [wanted.len(), self.config.mels, self.config.frames];
        let verdict = model.forward(Tensor::from_data(TensorData::new(images, shape), device));
        let ids = |of: fn(&(usize, usize)) -> usize| -> Tensor<2, Int> {
            let ids: Vec<i64> = wanted.iter().map(|w| of(w) as i64).collect();
            Tensor::from_data(TensorData::new(ids, [wanted.len(), 1]), device)
        };
        let entropy = |logits: Tensor<2>, ids: Tensor<2, Int>| log_softmax(logits, 1).gather(1, ids).mean().neg();
        let right = |logits: Tensor<2>, ids: Tensor<2, Int>| {
            f64::from(logits.without_autodiff().argmax(1).equal(ids).int().sum().into_scalar::<i32>())
        };
        let (labels, speakers) = (ids(|w| w.0), ids(|w| w.1));
        let correct = [right(verdict.labels.clone(), labels.clone()), right(verdict.speakers.clone(), speakers.clone())];
        (entropy(verdict.labels, labels) + entropy(verdict.speakers, speakers), correct)
    }
}

impl Trainable for JudgeTask {
    type Model = JudgeNet;

    fn init(&self, seed: u64, device: &Device) -> JudgeNet {
        JudgeNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &JudgeNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let (mut images, mut wanted) = (Vec::new(), Vec::new());
        for row in rows {
            let index = example(self.noise, self.train.images.len(), self.batch, step, row);
            images.extend(self.augment(&self.train.images[index], step, row));
            wanted.push(self.train.conditions[index]);
        }
        self.cross_entropy(model, images, &wanted, device).0
    }

    fn validation_rows(&self) -> u32 {
        self.valid.images.len() as u32
    }

    fn validate(&self, model: &JudgeNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let rows = rows.start as usize..rows.end as usize;
        let wanted = &self.valid.conditions[rows.clone()];
        let (entropy, [labels, speakers]) = self.cross_entropy(model, self.valid.images[rows].concat(), wanted, device);
        vec![f64::from(entropy.into_scalar::<f32>()) * wanted.len() as f64, labels, speakers]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["label_accuracy", "speaker_accuracy"]
    }
}
