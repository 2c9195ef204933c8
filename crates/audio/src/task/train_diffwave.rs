//! Training DiffWave: absolute errors of the noise in pieces of recordings, as published.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Level, NoiseSource as _, Philox,
    loss::{Dsm, Weight, corrupt},
    noise::stream,
    schedule::{Schedule as _, Table},
};
use langevin_nn::{Init, Trainable};
use rayon::prelude::*;

use super::{diffwave::mel_rows, example, train_prior::VALIDATION_SEED};
use crate::{
    Error, Result,
    codec::Frontend,
    config::{DiffWaveCondition, DiffWaveConfig},
    data::Recordings,
    loudness,
    model::{DiffWaveNet, Told},
};

/// Recordings that are validated, evenly spaced, and noise levels of each.
const VALIDATION_CLIPS: usize = 32;
const VALIDATION_LEVELS: u32 = 4;
/// Streams of the place where a recording is cut, and of the hidden label.
const CUT: u32 = stream::DOMAIN;
const HIDE: u32 = stream::DOMAIN + 1;

/// DiffWave's data and loss.
pub struct DiffWaveTask {
    config: DiffWaveConfig,
    schedule: Table,
    noise: Philox,
    batch: u32,
    train: Clips,
    valid: Clips,
}

impl std::fmt::Debug for DiffWaveTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiffWaveTask").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Recordings at the standard loudness, at least as long as a training example.
struct Clips {
    samples: Vec<Vec<f32>>,
    /// Log-mel spectrograms `[frames, mels]`; empty ones for a model that is not told them.
    mels: Vec<Vec<f32>>,
    /// Numbers of labels; empty for a model that is not told them.
    labels: Vec<usize>,
}

impl Clips {
    fn new(config: &DiffWaveConfig, recordings: &Recordings) -> Result<Self> {
        let frontend = Frontend::new(&config.codec())?;
        let hop = config.hop();
        let crop = config.crop.next_multiple_of(hop);
        let read = |clip: &Vec<f32>| -> Result<(Vec<f32>, Vec<f32>)> {
            let mut samples = clip.clone();
            loudness::normalise(&mut samples, config.rate);
            let length = samples.len().next_multiple_of(hop).max(crop);
            samples.resize(length, 0.0);
            let mel = if config.condition == DiffWaveCondition::Mel { frontend.log_mel(&samples)? } else { Vec::new() };
            Ok((samples, mel))
        };
        let (samples, mels) = recordings.clips.par_iter().map(read).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let labels = match config.condition {
            DiffWaveCondition::Label => {
                let number = |item: &crate::Item| config.vocabulary.label(&item.label);
                let named = |item: &crate::Item| number(item).map_err(|e| Error::InFile { path: item.path.clone(), source: Box::new(e) });
                recordings.items.iter().map(named).collect::<Result<Vec<_>>>()?
            }
            _ => Vec::new(),
        };
        Ok(Self { samples, mels, labels })
    }
}

/// A batch of pieces of recordings.
struct Pieces {
    /// `[rows, crop]`.
    x0: Vec<f32>,
    eps: Vec<f32>,
    /// `[rows, mels, crop / hop]`.
    mels: Vec<f32>,
    labels: Vec<Option<usize>>,
    levels: Vec<Level>,
    steps: Vec<f64>,
}

impl DiffWaveTask {
    /// Reads both sets. The config's vocabulary must be filled in.
    ///
    /// # Errors
    /// When a recording cannot be analysed or carries a label that the vocabulary lacks.
    pub fn new(config: &DiffWaveConfig, seed: u64, batch: u32, train: &Recordings, valid: &Recordings) -> Result<Self> {
        let (train, valid) = (Clips::new(config, train)?, Clips::new(config, valid)?);
        Ok(Self { config: config.clone(), schedule: config.schedule()?, noise: Philox::new(seed), batch, train, valid })
    }

    const fn crop(&self) -> usize {
        self.config.crop.next_multiple_of(self.config.hop())
    }

    fn pieces(&self, rows: usize) -> Pieces {
        let count = rows * self.crop();
        Pieces {
            x0: Vec::with_capacity(count),
            eps: vec![0.0; count],
            mels: Vec::new(),
            labels: Vec::new(),
            levels: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Adds a piece of a clip that begins at the share `place` of where it can, in whole frames, at a training step.
    fn add(&self, pieces: &mut Pieces, clips: &Clips, index: usize, place: f64, hidden: bool, step: usize) {
        let (hop, crop) = (self.config.hop(), self.crop());
        let samples = &clips.samples[index];
        let first = (place * ((samples.len() - crop) / hop + 1) as f64) as usize;
        pieces.x0.extend(&samples[first * hop..first * hop + crop]);
        if let Some(mel) = clips.mels.get(index).filter(|mel| !mel.is_empty()) {
            let mels = self.config.mel.mels;
            pieces.mels.extend(mel_rows(&mel[first * mels..(first + crop / hop) * mels], mels, self.config.mel.floor));
        }
        pieces.labels.push(clips.labels.get(index).copied().filter(|_| !hidden));
        pieces.levels.push(self.schedule.level(step as f64));
        pieces.steps.push(step as f64);
    }

    /// Mean absolute error of what the network predicts, shape `[1]`.
    fn error(&self, model: &DiffWaveNet, pieces: Pieces, device: &Device) -> Tensor<1> {
        let (rows, crop) = (pieces.levels.len(), self.crop());
        let tensor = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [rows, crop]), device);
        let (x0, eps) = (tensor(pieces.x0), tensor(pieces.eps));
        let told = match self.config.condition {
            DiffWaveCondition::None => Told::Nothing,
            DiffWaveCondition::Label => Told::Labels(pieces.labels),
            DiffWaveCondition::Mel => {
                let shape = [rows, self.config.mel.mels, crop / self.config.hop()];
                Told::Mel(model.stretch(Tensor::from_data(TensorData::new(pieces.mels, shape), device)))
            }
        };
        let dsm = Dsm { param: self.config.param(), weight: Weight::Unit };
        let target = dsm.targets(x0.clone(), eps.clone(), &pieces.levels);
        let noisy = dsm.inputs(corrupt(x0, eps, &pieces.levels), &pieces.levels);
        (model.forward(noisy, &pieces.steps, &told) - target).abs().mean()
    }
}

impl Trainable for DiffWaveTask {
    type Model = DiffWaveNet;

    fn init(&self, seed: u64, device: &Device) -> DiffWaveNet {
        DiffWaveNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &DiffWaveNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let mut pieces = self.pieces(rows.len());
        for (row, eps) in rows.clone().zip(pieces.eps.chunks_mut(self.crop())) {
            self.noise.fill(row, step, stream::TRAIN, eps);
        }
        for row in rows {
            let index = example(self.noise, self.train.samples.len(), self.batch, step, row);
            let place = self.noise.uniform(row, step, CUT);
            let hidden = self.noise.uniform(row, step, HIDE) < self.config.drop;
            let at = self.noise.below(self.config.steps, row, step, stream::TIME);
            self.add(&mut pieces, &self.train, index, place, hidden, at);
        }
        self.error(model, pieces, device)
    }

    fn validation_rows(&self) -> u32 {
        self.valid.samples.len().min(VALIDATION_CLIPS) as u32 * VALIDATION_LEVELS
    }

    /// The loss with fixed pieces and noise, at steps evenly spread over the schedule.
    fn validate(&self, model: &DiffWaveNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let (count, noise) = (rows.len(), Philox::new(VALIDATION_SEED));
        let clips = self.valid.samples.len().min(VALIDATION_CLIPS);
        let mut pieces = self.pieces(count);
        for (row, eps) in rows.clone().zip(pieces.eps.chunks_mut(self.crop())) {
            noise.fill(row, 0, stream::TRAIN, eps);
        }
        for row in rows {
            let (clip, level) = (row / VALIDATION_LEVELS, row % VALIDATION_LEVELS);
            let index = clip as usize * self.valid.samples.len() / clips;
            // Levels of neighbouring clips interleave, so that all steps are seen.
            let share = (f64::from(level) + noise.uniform(clip, 0, stream::TIME)) / f64::from(VALIDATION_LEVELS);
            let at = ((share * self.config.steps as f64) as usize).min(self.config.steps - 1);
            self.add(&mut pieces, &self.valid, index, 0.5, false, at);
        }
        vec![f64::from(self.error(model, pieces, device).into_scalar::<f32>()) * count as f64]
    }
}

#[cfg(test)]
#[path = "train_diffwave/tests.rs"]
mod tests;
