//! How probable recordings are under a prior: exactly by the probability-flow ODE, and bounded for discrete chains of every variance.
//!
//! All numbers are about codec vectors noised to the least level of the schedule, given label and speaker, without guidance.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use langevin_core::{
    Denoiser, Level, Philox,
    drive::VarianceDenoiser as _,
    grid::Grid,
    likelihood::{ReverseVariance, Traced, likelihood, variational_bound},
    loss::{corrupt, learned_variance_bound},
    noise::{NoiseSource as _, stream},
    recipe::Sampling,
};
use serde::Serialize;

use super::{guided::Guidance, prior::Prior, vectors::Vectors};
use crate::{Error, Result, model::Conditions};

/// Mean of several numbers of nats, with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean, nats.
    pub nats: f64,
    /// Its standard error, nats; none of a single number.
    pub standard_error: Option<f64>,
    /// Mean in bits per number of what is likely.
    pub bits_per_dim: f64,
}

impl Estimate {
    /// Of numbers of nats, each for a vector of `dim` numbers.
    pub fn of(nats: &[f64], dim: usize) -> Self {
        let n = nats.len().max(1) as f64;
        let mean = nats.iter().sum::<f64>() / n;
        let square = nats.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Self {
            nats: mean,
            standard_error: (nats.len() > 1).then(|| (square / (n - 1.0) / n).sqrt()),
            bits_per_dim: mean / (dim as f64 * std::f64::consts::LN_2),
        }
    }
}

/// `-ln p` by the probability-flow ODE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Exact {
    /// Negative log density.
    pub negative_log_p: Estimate,
    /// What the normal prior misses: mean `KL(q(x_T | x0) || prior)`, nats. Not part of `negative_log_p`.
    pub prior_mismatch: f64,
    /// Recordings.
    pub recordings: usize,
}

/// The variational bound of a chain with some steps, bits per number of the vector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Steps of the chain.
    pub steps: usize,
    /// With the variance of `q(x_s | x_t, x0)`.
    pub small: f64,
    /// With that of `q(x_t | x_s)`.
    pub large: f64,
    /// With the optimal one of Analytic-DPM; none without moments in the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analytic: Option<f64>,
    /// With the network's own; none where it learned none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<f64>,
}

/// Likelihood of encoded recordings under a prior.
#[derive(Debug)]
pub struct Likelihood<'a> {
    prior: &'a Prior,
    vectors: &'a Vectors,
    noise: Philox,
}

/// Sums over some rows of what the bound needs at each level that a step leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Errors {
    /// `|x0 - D|^2` summed over rows.
    squares: Vec<f64>,
    /// The learned variance's divergence summed over rows, nats.
    learned: Option<Vec<f64>>,
}

impl<'a> Likelihood<'a> {
    /// Recordings under a prior; `seed` draws the noise and the probes.
    ///
    /// # Errors
    /// [`Error::Core`] for a schedule that ends at an infinite log-SNR, or when there are no recordings.
    pub fn new(prior: &'a Prior, vectors: &'a Vectors, seed: u64) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::Core(langevin_core::Error::Invalid { what: "likelihood", reason: reason.to_owned() }));
        if prior.config.distilled.is_some() {
            return refuse("a distilled network is no score at most levels; give the model that it came from");
        }
        if prior.config.latent.is_some() {
            return refuse("this model diffuses codes, whose density is not that of recordings");
        }
        if vectors.vectors.is_empty() {
            return refuse("there are no recordings");
        }
        let (least, most) = prior.schedule().span();
        if ![least, most].iter().all(|&t| prior.schedule().level(t).lambda().is_finite()) {
            return refuse("an end of this schedule has an infinite log-SNR, where no density is defined");
        }
        Ok(Self { prior, vectors, noise: Philox::new(seed) })
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.prior.codec.width()
    }

    fn conditions(&self, rows: Range<usize>) -> Conditions {
        Conditions {
            labels: self.vectors.conditions[rows.clone()].iter().map(|c| Some(c.0)).collect(),
            speakers: self.vectors.conditions[rows].iter().map(|c| Some(c.1)).collect(),
        }
    }

    /// `-ln p` and prior mismatch of each of some rows, nats, with `steps` Runge-Kutta steps and one Rademacher probe each.
    ///
    /// # Errors
    /// What the core refuses.
    pub fn exact(&self, rows: Range<usize>, steps: usize) -> Result<Vec<(f64, f64)>> {
        let (d, schedule) = (self.dim(), self.prior.schedule());
        let (least, most) = schedule.span();
        let start = schedule.level(least);
        let (mut x, mut probes) = (Vec::new(), Vec::new());
        for row in rows.clone() {
            let (mut eps, mut probe) = (vec![0.0; d], vec![0.0; d]);
            self.noise.fill_f64(row as u32, 0, stream::PRIOR, &mut eps);
            self.noise.fill_f64(row as u32, 1, stream::PRIOR, &mut probe);
            x.extend(self.vectors.vectors[row].iter().zip(eps).map(|(x0, eps)| start.alpha * f64::from(*x0) + start.sigma * eps));
            probes.extend(probe.into_iter().map(f64::signum));
        }
        let differentiable = self.prior.differentiable();
        let conditions = self.conditions(rows);
        let base = differentiable.denoiser(&conditions, Guidance::NONE, &Sampling::default());
        let field = Traced { base, dim: d, device: self.prior.device() };
        let found = likelihood(&field, schedule, &x, (least, most), steps, schedule.level(most).sigma, Some(&probes))?;
        Ok(found.log_p.iter().zip(found.prior_mismatch).map(|(log_p, mismatch)| (-log_p, mismatch)).collect())
    }

    /// Mean and error of the rows of [`exact`](Self::exact).
    pub fn summarise(&self, rows: &[(f64, f64)]) -> Exact {
        Exact {
            negative_log_p: Estimate::of(&rows.iter().map(|r| r.0).collect::<Vec<_>>(), self.dim()),
            prior_mismatch: rows.iter().map(|r| r.1).sum::<f64>() / rows.len().max(1) as f64,
            recordings: rows.len(),
        }
    }

    fn bits(&self, nats: f64) -> f64 {
        nats / (self.dim() as f64 * std::f64::consts::LN_2)
    }

    /// Levels of a chain of `steps` steps of a grid, from the most noise to the least of the schedule.
    ///
    /// # Errors
    /// When the grid and the schedule do not go together.
    pub fn levels(&self, grid: &Grid, steps: usize) -> Result<Vec<Level>> {
        Ok(grid.levels(self.prior.schedule(), steps + 1)?)
    }

    /// What the bound of a chain needs, summed over some rows, each level with noise of its own.
    pub fn errors(&self, rows: Range<usize>, levels: &[Level]) -> Errors {
        let (d, count) = (self.dim(), rows.len());
        let conditions = self.conditions(rows.clone());
        let denoiser = self.prior.denoiser(&conditions, Guidance::NONE, &Sampling::default());
        let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, [count, d]), self.prior.device());
        let x0 = tensor(self.vectors.vectors[rows.clone()].concat());
        let learns = self.prior.config.heads() == 2;
        let mut errors = Errors { squares: Vec::new(), learned: learns.then(Vec::new) };
        for (i, pair) in levels.windows(2).enumerate() {
            let mut eps = vec![0f32; count * d];
            for (row, eps) in rows.clone().zip(eps.chunks_mut(d)) {
                self.noise.fill(row as u32, i as u32, stream::DATA, eps);
            }
            let x = corrupt(x0.clone(), tensor(eps), &vec![pair[0]; count]);
            let (estimate, share) =
                if learns { denoiser.denoise_with_share(&x, pair[0], i as u32) } else { (denoiser.denoise(&x, pair[0], i as u32), None) };
            if let (Some(learned), Some(share)) = (&mut errors.learned, share) {
                let bound = learned_variance_bound(x0.clone(), estimate.clone(), share, &vec![(pair[0], pair[1]); count]);
                learned.push(bound.into_data().iter::<f64>().sum::<f64>() * d as f64);
            }
            let square = (x0.clone() - estimate).square().into_data().iter::<f64>().sum();
            errors.squares.push(square);
        }
        errors
    }

    /// The bounds of a chain from the [`errors`](Self::errors) of parts of the rows.
    ///
    /// # Errors
    /// [`Error::Core`] for parts that do not fit the levels.
    pub fn bounds(&self, levels: &[Level], parts: &[Errors]) -> Result<Bounds> {
        let (d, n) = (self.dim(), self.vectors.vectors.len() as f64);
        let steps = levels.len() - 1;
        let mean = |i: usize| parts.iter().map(|p| p.squares[i]).sum::<f64>() / n;
        let errors: Vec<f64> = (0..steps).map(mean).collect();
        let square = self.vectors.vectors.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        let prior_std = levels[0].sigma;
        let bound = |variance| variational_bound(levels, &errors, d, square, variance, prior_std);
        let small = bound(ReverseVariance::Small)?;
        let learned = parts.iter().map(|p| p.learned.as_ref().map(|l| l.iter().sum::<f64>())).sum::<Option<f64>>();
        Ok(Bounds {
            steps,
            small: small.bits_per_dim(d),
            large: bound(ReverseVariance::Large)?.bits_per_dim(d),
            analytic: self.prior.moments().map(|m| bound(ReverseVariance::Analytic(m))).transpose()?.map(|b| b.bits_per_dim(d)),
            learned: learned.map(|sum| self.bits(sum / n + small.prior + small.start)),
        })
    }
}
