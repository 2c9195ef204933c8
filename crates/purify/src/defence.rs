//! What stands between an input and a classifier: nothing, a purifier, and the simple methods that it has to beat.

use burn::tensor::Tensor;
use langevin_core::{Philox, State as _, noise::stream};

use crate::{Classifier, Draw, Purifier, Result, Walk, compared, model::Spectrum, purifier::Draws, tensor};

/// Something done to rows before a classifier reads them.
pub trait Defence: Sync {
    /// Name for tables.
    fn name(&self) -> String;

    /// The rows `[B, N]` that the classifier is to read; `draws` addresses each row's noise. Differentiable in `x` where the defence is.
    ///
    /// # Errors
    /// When a device does not return its numbers.
    fn apply(&self, x: Tensor<2>, draws: &[Draw]) -> Result<Tensor<2>>;

    /// Logits to decide by, `[B, classes]`, of rows `x` of which this defence made `cleaned`: the classifier's of `cleaned`.
    ///
    /// # Errors
    /// When the classifier cannot be run.
    fn decide(&self, classifier: &dyn Classifier, x: Tensor<2>, cleaned: Tensor<2>) -> Result<Tensor<2>> {
        let _ = x;
        classifier.logits(cleaned)
    }

    /// Whether another draw gives another result.
    fn is_random(&self) -> bool {
        false
    }
}

/// No defence.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Defence for Nothing {
    fn name(&self) -> String {
        "none".into()
    }

    fn apply(&self, x: Tensor<2>, _draws: &[Draw]) -> Result<Tensor<2>> {
        Ok(x)
    }
}

/// Rounds to `levels` values between -1 and 1. Its gradient is 0 everywhere: a defence that hides it, for tests of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Quantise {
    /// Values between 0 and 1.
    pub levels: f64,
}

impl Defence for Quantise {
    fn name(&self) -> String {
        format!("quantise to 1/{}", self.levels)
    }

    fn apply(&self, x: Tensor<2>, _draws: &[Draw]) -> Result<Tensor<2>> {
        Ok(x.mul_scalar(self.levels).round().div_scalar(self.levels))
    }
}

/// White noise, to be followed by a vote (randomised smoothing's defence without a denoiser).
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// Its standard deviation, data units.
    pub sigma: f64,
    /// Seed of its draws.
    pub seed: u64,
}

impl Defence for Noise {
    fn name(&self) -> String {
        format!("noise {}", self.sigma)
    }

    fn apply(&self, x: Tensor<2>, draws: &[Draw]) -> Result<Tensor<2>> {
        let source = Draws { source: Philox::new(self.seed), rows: draws };
        let noise = x.clone().without_autodiff().noise_like(&source, 0, stream::PRIOR);
        Ok(x + noise.mul_scalar(self.sigma))
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Soft threshold of the magnitudes of a short-time Fourier transform (Donoho 1995).
#[derive(Clone, Debug)]
pub struct SpectralGate {
    spectrum: Spectrum,
    /// Threshold, in the units of white noise of that standard deviation.
    threshold: f64,
}

impl SpectralGate {
    /// A gate with frames of `window` samples every `window / 4`.
    pub fn new(window: usize, threshold: f64, device: &burn::tensor::Device) -> Self {
        Self { spectrum: Spectrum::new(window, window / 4, device), threshold }
    }
}

impl Defence for SpectralGate {
    fn name(&self) -> String {
        format!("spectral gate {:.4}", self.threshold)
    }

    fn apply(&self, x: Tensor<2>, _draws: &[Draw]) -> Result<Tensor<2>> {
        let threshold = Tensor::full([x.dims()[0], 1], self.threshold, &x.device());
        Ok(self.spectrum.shrink(x, &threshold))
    }
}

/// The noise level of a purifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sigma {
    /// The same for every input.
    Fixed(f64),
    /// Found for each input; see [`Purifier::auto_sigma`].
    Auto,
}

/// A purifier as a defence.
#[derive(Clone, Debug)]
pub struct Purified<'a> {
    /// The purifier.
    pub purifier: &'a Purifier,
    /// How it walks.
    pub walk: Walk,
    /// From which noise.
    pub sigma: Sigma,
    /// Seed of its draws.
    pub seed: u64,
    /// Which logits decide.
    pub decision: Decision,
}

/// Which logits decide, where a purifier stands before a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Those of the purified input, moved by what purification changed; see [`compared`].
    Compared,
    /// Those of the purified input alone.
    Purified,
}

impl Purified<'_> {
    /// The noise levels of rows.
    ///
    /// # Errors
    /// When a device does not return its numbers.
    pub fn sigmas(&self, rows: &[&[f32]]) -> Result<Vec<f64>> {
        match self.sigma {
            Sigma::Fixed(sigma) => Ok(vec![sigma; rows.len()]),
            Sigma::Auto => self.purifier.auto_sigma(rows),
        }
    }
}

impl Purified<'_> {
    /// Logits to decide by of the votes of one input, each from those of the vote and of the input itself.
    ///
    /// # Errors
    /// When a device does not return its numbers.
    pub fn decided(&self, before: &[f32], votes: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        if self.decision == Decision::Purified {
            return Ok(votes.iter().map(|vote| vote.to_vec()).collect());
        }
        let device = self.purifier.device();
        let before = tensor::rows(before.repeat(votes.len()), votes.len(), device);
        let after = tensor::rows(votes.concat(), votes.len(), device);
        let found = tensor::host(compared(before, after, self.purifier.usual_way()))?;
        Ok(found.chunks(found.len() / votes.len().max(1)).map(<[f32]>::to_vec).collect())
    }
}

impl Defence for Purified<'_> {
    fn name(&self) -> String {
        let steps = self.walk.evaluations();
        let compared = if self.decision == Decision::Compared { ", compared" } else { "" };
        match self.sigma {
            Sigma::Fixed(sigma) => format!("purify {sigma:.4}, {steps} steps{compared}"),
            Sigma::Auto => format!("purify auto, {steps} steps{compared}"),
        }
    }

    fn apply(&self, x: Tensor<2>, draws: &[Draw]) -> Result<Tensor<2>> {
        let sigmas = match self.sigma {
            Sigma::Fixed(sigma) => vec![sigma; draws.len()],
            // The level is a choice, made anew for each input; gradients do not go through it.
            Sigma::Auto => {
                let length = x.dims()[1].max(1);
                let values = tensor::host(x.clone())?;
                self.purifier.auto_sigma(&values.chunks(length).collect::<Vec<_>>())?
            }
        };
        Ok(self.purifier.purify(x, &sigmas, &self.walk, self.seed, draws))
    }

    fn decide(&self, classifier: &dyn Classifier, x: Tensor<2>, cleaned: Tensor<2>) -> Result<Tensor<2>> {
        let after = classifier.logits(cleaned)?;
        match self.decision {
            Decision::Compared => Ok(compared(classifier.logits(x)?, after, self.purifier.usual_way())),
            Decision::Purified => Ok(after),
        }
    }

    fn is_random(&self) -> bool {
        true
    }
}
