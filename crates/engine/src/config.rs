//! The file that `langevin train --config` reads: everything that makes a checkpoint, and that the checkpoint keeps.

use langevin_nn::fused::Precision;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One training run. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Name of the checkpoint.
    pub name: String,
    /// Domain that owns `[model]`: `audio`, ...
    pub domain: String,
    /// Seed of weights, order, noise and times.
    #[serde(default)]
    pub seed: u64,
    /// What the card says that a program cannot know.
    #[serde(default)]
    pub card: CardConfig,
    /// The training loop.
    #[serde(default)]
    pub train: TrainConfig,
    /// The domain's own settings; `kind` names the architecture.
    pub model: toml::Table,
}

/// The part of a card that a person writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CardConfig {
    /// One sentence: what it does.
    pub about: String,
    /// What it is trained on.
    pub data: String,
    /// Licence of that data and of the weights.
    pub licence: String,
    /// Which part is for training, choosing and reporting.
    pub split: String,
    /// What it should not be used for, and where it fails.
    pub limits: String,
}

/// What turns gradients into steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// AdamW for every parameter (Loshchilov & Hutter 2019).
    #[default]
    AdamW,
    /// Muon for the larger matrices inside the network (Jordan et al. 2024), scaled to steps of AdamW's size (Liu et al. 2025), AdamW for
    /// everything else; learning rate, its schedule, decay and clipping are the same for both.
    Muon,
}

/// Settings of the training loop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// `"adamw"` or `"muon"`.
    pub optimiser: Method,
    /// Precision of large matrix products in training steps; validation is at f32.
    pub precision: Precision,
    /// Optimiser steps.
    pub steps: u32,
    /// Examples per step.
    pub batch: u32,
    /// Examples per micro-batch; a worker's unit of work, so part of the result.
    pub micro_batch: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Learning rate at the end, as a fraction of the peak (cosine in between).
    pub final_rate: f64,
    /// Steps of linear warm-up.
    pub warmup: u32,
    /// Decoupled weight decay of matrices (Loshchilov & Hutter 2019); vectors are not decayed.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Largest global gradient norm; larger gradients are scaled down to it.
    pub clip: f64,
    /// Decay of the moving average of weights; it warms up as `(1 + step) / (10 + step)`.
    pub ema: f64,
    /// Steps between validations.
    pub validate_every: u32,
    /// Steps between saved states.
    pub save_every: u32,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u32,
}

/// The file that `langevin distill --config` reads: what a faster student is made from, and how. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillRunConfig {
    /// Name of the student; its number of steps is added.
    pub name: String,
    /// Domain of the teacher.
    pub domain: String,
    /// Seed of order, noise and steps.
    #[serde(default)]
    pub seed: u64,
    /// What the card says that a program cannot know.
    #[serde(default)]
    pub card: CardConfig,
    /// Teacher and way.
    pub distill: DistillConfig,
    /// The training loop of each round.
    #[serde(default)]
    pub train: TrainConfig,
}

/// From which teacher, by which way, to how few steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillConfig {
    /// Way of distillation, as the domain names it: `progressive`, `consistency`.
    pub method: String,
    /// Teacher: a shipped name or a file.
    pub from: String,
    /// Steps of the first teacher's path.
    pub path: usize,
    /// Steps at which to stop. Progressive distillation halves until then; a consistency model is sampled in as many by default.
    pub steps: usize,
    /// Guidance weight of the teacher; by default that of its checkpoint.
    #[serde(default)]
    pub guidance: Option<f64>,
}

impl DistillRunConfig {
    /// Reads a config; `source` names it in the message.
    ///
    /// # Errors
    /// As [`RunConfig::parse`].
    pub fn parse(source: &std::path::Path, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|cause| Error::Config { path: source.to_owned(), cause: Box::new(cause) })?;
        config.train.check().map_err(|cause| Error::ConfigNumber { path: source.to_owned(), cause: Box::new(cause) })?;
        Ok(config)
    }

    /// The training run of a round.
    pub fn round(&self, steps: usize, model: toml::Table) -> RunConfig {
        RunConfig {
            name: format!("{}-{steps}", self.name),
            domain: self.domain.clone(),
            seed: self.seed,
            card: self.card.clone(),
            train: self.train,
            model,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            optimiser: Method::AdamW,
            precision: Precision::Full,
            steps: 10_000,
            batch: 64,
            micro_batch: 16,
            learning_rate: 1e-3,
            final_rate: 0.01,
            warmup: 200,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            clip: 1.0,
            ema: 0.999,
            validate_every: 500,
            save_every: 500,
            log_every: 50,
        }
    }
}

impl RunConfig {
    /// Reads a config; `source` names the file in the message.
    ///
    /// # Errors
    /// [`Error::Config`] with the line that is wrong; [`Error::ConfigNumber`] for a number out of range.
    pub fn parse(source: &std::path::Path, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|cause| Error::Config { path: source.to_owned(), cause: Box::new(cause) })?;
        config.train.check().map_err(|cause| Error::ConfigNumber { path: source.to_owned(), cause: Box::new(cause) })?;
        Ok(config)
    }
}

impl TrainConfig {
    /// Refuses numbers that no loop can run with.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first one.
    pub fn check(&self) -> Result<()> {
        let bad = |name, value: String, range| Err(Error::Setting { name, value, range });
        let whole = [
            ("train.steps", self.steps),
            ("train.batch", self.batch),
            ("train.micro_batch", self.micro_batch),
            ("train.validate_every", self.validate_every),
            ("train.save_every", self.save_every),
            ("train.log_every", self.log_every),
        ];
        if let Some((name, value)) = whole.into_iter().find(|(_, v)| *v == 0) {
            return bad(name, value.to_string(), "at least 1");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return bad("train.learning_rate", self.learning_rate.to_string(), "a positive number");
        }
        if !(self.clip.is_finite() && self.clip > 0.0) {
            return bad("train.clip", self.clip.to_string(), "a positive number");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("train.weight_decay", self.weight_decay.to_string(), "zero or a positive number");
        }
        for (name, value) in
            [("train.beta1", self.beta1), ("train.beta2", self.beta2), ("train.ema", self.ema), ("train.final_rate", self.final_rate)]
        {
            if !(0.0..=1.0).contains(&value) {
                return bad(name, value.to_string(), "between 0 and 1");
            }
        }
        Ok(())
    }

    /// Learning rate of a step: linear warm-up, then a cosine from the peak to `final_rate` of it.
    pub fn rate_at(&self, step: u32) -> f64 {
        if step < self.warmup {
            return self.learning_rate * f64::from(step + 1) / f64::from(self.warmup);
        }
        let progress = f64::from(step - self.warmup) / f64::from(self.steps.saturating_sub(self.warmup).max(1));
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
        self.learning_rate * (self.final_rate + (1.0 - self.final_rate) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_warms_up_peaks_and_falls() {
        let config = TrainConfig { steps: 100, warmup: 10, learning_rate: 2.0, final_rate: 0.1, ..TrainConfig::default() };
        assert!((config.rate_at(0) - 0.2).abs() < 1e-12);
        assert!((config.rate_at(9) - 2.0).abs() < 1e-12 && (config.rate_at(10) - 2.0).abs() < 1e-12);
        assert!((config.rate_at(55) - 1.1).abs() < 1e-12);
        assert!((config.rate_at(100) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn unknown_keys_and_bad_numbers_are_refused() {
        let source = std::path::Path::new("x.toml");
        let base = "name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n";
        assert!(RunConfig::parse(source, base).is_ok());
        let unknown = RunConfig::parse(source, &format!("{base}[train]\nstep = 4\n")).expect_err("typo").to_string();
        assert!(unknown.contains("step") && unknown.contains("steps"), "{unknown}");
        let zero = RunConfig::parse(source, &format!("{base}[train]\nbatch = 0\n")).expect_err("zero").to_string();
        assert!(zero.contains("train.batch"), "{zero}");
        assert!(RunConfig::parse(source, &format!("{base}[train]\nlearning_rate = nan\n")).is_err());
        let other = RunConfig::parse(source, &format!("{base}[train]\noptimiser = 'sgd'\n")).expect_err("unknown").to_string();
        assert!(other.contains("sgd") && other.contains("muon"), "{other}");
    }

    #[test]
    fn the_optimiser_is_adamw_unless_said() {
        let parse = |train: &str| {
            let text = format!("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n[train]\n{train}");
            RunConfig::parse(std::path::Path::new("x.toml"), &text).expect("a config").train.optimiser
        };
        let found = [parse("steps = 5"), parse("optimiser = 'adamw'"), parse("optimiser = 'muon'")];
        assert_eq!(found, [Method::AdamW, Method::AdamW, Method::Muon]);
        assert_eq!(serde_json::to_string(&Method::AdamW).expect("a string"), "\"adamw\"");
    }
}
