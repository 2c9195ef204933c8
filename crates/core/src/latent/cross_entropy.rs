//! The cross-entropy of a code under a diffusion prior (Vahdat et al. 2021, LSGM, theorem 1), which is also the variational bound
//! of any diffusion model in continuous time (Kingma et al. 2021, eq. 17).

use crate::{Error, Level, schedule::Schedule};

/// The three parts of `E_q[-ln p(z)]`, in nats. `p` is the prior's density at the least noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy {
    /// `1/2 int g^2 E |score error|^2 dt` of the denoising loss.
    pub diffusion: f64,
    /// `E KL(q(z_T | z_0) || N(0, I))`.
    pub prior: f64,
    /// Entropy of `q(z_t0 | z_0)`: `d/2 ln(2 pi e sigma^2)`.
    pub start: f64,
}

impl CrossEntropy {
    /// The cross-entropy. With the entropy of the code's own distribution and its reconstruction it makes the evidence bound.
    pub fn total(self) -> f64 {
        self.diffusion + self.prior + self.start
    }
}

/// The levels between which a code is noised, and the terms of the bound that depend on them alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    least: Level,
    most: Level,
}

impl Ends {
    /// The ends of a schedule between two times.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if one has no finite log-SNR.
    pub(super) fn new(schedule: &dyn Schedule, (from, to): (f64, f64)) -> Result<Self, Error> {
        for value in [from, to] {
            if !schedule.level(value).lambda().is_finite() {
                return Err(Error::OutOfRange { name: "time", value, range: "a time of finite log-SNR" });
            }
        }
        Ok(Self { least: schedule.level(from), most: schedule.level(to) })
    }

    /// The divergence from the prior of a code of `dim` numbers: what multiplies `|z_0|^2`, and what is added to it.
    pub(super) fn prior(self, dim: usize) -> (f64, f64) {
        let variance = self.most.sigma * self.most.sigma;
        (0.5 * self.most.alpha * self.most.alpha, 0.5 * dim as f64 * (variance - 1.0 - variance.ln()))
    }

    /// Entropy of the least noise.
    pub(super) fn start(self, dim: usize) -> f64 {
        0.5 * dim as f64 * (1.0 + (std::f64::consts::TAU * self.least.sigma * self.least.sigma).ln())
    }
}

/// Cross-entropy of codes of dimension `dim` under a denoiser whose `E |z_0 - D(z_t)|^2` at a level is `error`, by Simpson's rule with
/// `intervals` (even) intervals of the log-SNR between two times.
///
/// `square` is `E |z_0|^2`. Its value does not depend on the schedule between its ends.
///
/// # Errors
/// [`Error::OutOfRange`] for an odd or zero number of intervals, or if an end has no finite log-SNR.
pub fn cross_entropy(
    schedule: &dyn Schedule,
    span: (f64, f64),
    intervals: usize,
    dim: usize,
    square: f64,
    mut error: impl FnMut(Level) -> f64,
) -> Result<CrossEntropy, Error> {
    if intervals == 0 || !intervals.is_multiple_of(2) {
        return Err(Error::OutOfRange { name: "intervals", value: intervals as f64, range: "even and positive" });
    }
    let ends = Ends::new(schedule, span)?;
    let (u0, u1) = (-ends.least.lambda(), -ends.most.lambda());
    let h = (u1 - u0) / intervals as f64;
    let mut diffusion = 0.0;
    for k in 0..=intervals {
        let at = schedule.level(schedule.t_of_lambda(-(u0 + h * k as f64)));
        let simpson = if k == 0 || k == intervals { 1.0 } else { (2 + 2 * (k % 2)) as f64 };
        // 1/2 (-d snr/dt) dt = snr du.
        diffusion += simpson * h / 3.0 * at.snr() * error(at);
    }
    let (of_square, offset) = ends.prior(dim);
    Ok(CrossEntropy { diffusion, prior: of_square * square + offset, start: ends.start(dim) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::LinearGamma;

    /// `z ~ N(0, 1)`, `x = w z + r n`: with the exact encoder and the exact prior the bound is the evidence.
    #[test]
    fn the_bound_of_a_linear_model_is_its_evidence() {
        let (w, r, x): (f64, f64, f64) = (1.5, 0.4, 0.8);
        let variance = 1.0 / (1.0 + w * w / (r * r));
        let mean = variance * w * x / (r * r);
        let square = mean * mean + variance;
        // The denoiser of N(0, 1) on variance preserving levels is alpha z: its error under the encoder is in closed form.
        let error = |at: Level| at.sigma.powi(4) * square + (at.alpha * at.sigma).powi(2);
        let schedule = LinearGamma::new(-14.0, 6.0).unwrap();
        let cross = cross_entropy(&schedule, (0.0, 1.0), 400, 1, square, error).unwrap().total();
        let tau = std::f64::consts::TAU;
        assert!((cross - 0.5 * (tau.ln() + square)).abs() < 1e-5, "{cross}");
        let reconstruction = -0.5 * ((tau * r * r).ln() + ((x - w * mean).powi(2) + w * w * variance) / (r * r));
        let entropy = 0.5 * (1.0 + (tau * variance).ln());
        let evidence = -0.5 * ((tau * (w * w + r * r)).ln() + x * x / (w * w + r * r));
        assert!((reconstruction + entropy - cross - evidence).abs() < 1e-5);
        assert!(cross_entropy(&schedule, (0.0, 1.0), 3, 1, square, error).is_err());
    }
}
