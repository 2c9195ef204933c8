//! Perturbations of training: of another colour than the noise, and against own classifiers, before or behind the purifier.

use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use langevin_core::guide::gradient;

use crate::model::{Front, PurifyNet};

/// What is done to a row, in the order in which the rows of a batch are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Noise alone, or noise of another colour beside it.
    Noise,
    /// Against a classifier.
    Blind,
    /// Against a classifier behind the purifier.
    Full,
}

impl Kind {
    /// The kind of row `row` of a batch.
    pub(super) const fn of(row: u32) -> Self {
        match row % 4 {
            0 => Self::Noise,
            1 => Self::Blind,
            _ => Self::Full,
        }
    }
}

/// Rows to be perturbed, sorted by [`Kind`].
pub(super) struct Rows {
    /// Clean rows, `[B, N]`.
    pub(super) clean: Tensor<2>,
    /// Noise in data units, `[B, N]`.
    pub(super) noise: Tensor<2>,
    /// Noise level of each, `[B, 1]`.
    pub(super) sigma: Tensor<2>,
    /// First perturbation in data units, `[B, N]`.
    pub(super) start: Tensor<2>,
    /// Largest perturbation of each number in data units, `[B, N]`.
    pub(super) bound: Tensor<2>,
    /// Classes.
    pub(super) classes: Vec<usize>,
    /// Rows of each kind.
    pub(super) counts: [usize; 3],
}

/// Mean cross-entropy of logits `[B, classes]`, shape `[1]`.
pub(super) fn cross_entropy(logits: Tensor<2>, classes: &[usize], device: &Device) -> Tensor<1> {
    let ids: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
    let ids: Tensor<2, Int> = Tensor::from_data(TensorData::new(ids, [classes.len(), 1]), device);
    log_softmax(logits, 1).gather(1, ids).mean().neg()
}

/// Steps along the sign of the gradient, within bounds (Madry et al. 2018, arXiv:1706.06083); rows of noise keep their start.
pub(super) fn perturb(net: &PurifyNet, front: &Front, judge: usize, rows: &Rows, steps: usize) -> Tensor<2> {
    let [quiet, blind, full] = rows.counts;
    let attacked = blind + full;
    if attacked == 0 || steps == 0 {
        return rows.start.clone();
    }
    let of = |x: &Tensor<2>| x.clone().narrow(0, quiet, attacked);
    let (clean, noise, sigma, bound) = (of(&rows.clean), of(&rows.noise), of(&rows.sigma), of(&rows.bound));
    let classes = &rows.classes[quiet..];
    let device = clean.device();
    let mut delta = of(&rows.start);
    for _ in 0..steps {
        let slope = gradient(&delta, |delta| {
            let x = clean.clone() + delta;
            let mut parts = Vec::new();
            if blind > 0 {
                parts.push(x.clone().narrow(0, 0, blind));
            }
            if full > 0 {
                let behind = |x: &Tensor<2>| x.clone().narrow(0, blind, full);
                parts.push(net.denoise(front, behind(&(x + noise.clone())), behind(&sigma)));
            }
            // The mean over rows scales every gradient alike, and only signs are used.
            cross_entropy(net.judge(judge, front, Tensor::cat(parts, 0)), classes, &device)
        });
        delta = (delta + slope.sign() * bound.clone().mul_scalar(0.8)).min_pair(bound.clone()).max_pair(bound.clone().neg());
    }
    if quiet == 0 { delta } else { Tensor::cat(vec![rows.start.clone().narrow(0, 0, quiet), delta], 0) }
}
