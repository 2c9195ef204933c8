//! The noise level of a state: a pair `(alpha, sigma)`, never a step number.

use serde::{Deserialize, Serialize};

/// Noise level of `x = alpha * x0 + sigma * eps`, kept in f64 on the host.
///
/// Variance preserving, variance exploding, sub-VP, EDM, flow matching and VDM processes are all this pair; what differs is
/// only the curve that a [`Schedule`](crate::schedule::Schedule) draws through it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Factor of the clean data, dimensionless, `>= 0`.
    pub alpha: f64,
    /// Standard deviation of the noise, in units of the data, `>= 0`.
    pub sigma: f64,
}

impl Level {
    /// A level from its two numbers.
    pub const fn new(alpha: f64, sigma: f64) -> Self {
        Self { alpha, sigma }
    }

    /// The level of clean data, `(1, 0)`.
    pub const fn clean() -> Self {
        Self::new(1.0, 0.0)
    }

    /// The variance exploding level `(1, sigma)`.
    pub const fn ve(sigma: f64) -> Self {
        Self::new(1.0, sigma)
    }

    /// The variance preserving level of `alpha_bar = alpha^2` (Ho et al. 2020, eq. 4).
    pub fn vp(alpha_bar: f64) -> Self {
        Self::new(alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt())
    }

    /// The variance preserving level of a half log-SNR `lambda = ln(alpha / sigma)`.
    pub fn vp_of_lambda(lambda: f64) -> Self {
        // alpha^2 = sigmoid(2 lambda); both roots are formed without cancellation.
        let alpha = 1.0 / (1.0 + (-2.0 * lambda).exp()).sqrt();
        let sigma = 1.0 / (1.0 + (2.0 * lambda).exp()).sqrt();
        Self::new(alpha, sigma)
    }

    /// The rectified-flow level `(1 - s, s)` for time `s` in `[0, 1]`, 1 being noise.
    pub const fn flow(s: f64) -> Self {
        Self::new(1.0 - s, s)
    }

    /// Half log-SNR `lambda = ln(alpha / sigma)`; `+inf` when clean, `-inf` when pure noise.
    pub fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// Signal-to-noise ratio `alpha^2 / sigma^2`.
    pub fn snr(self) -> f64 {
        (self.alpha / self.sigma).powi(2)
    }

    /// Noise of the same state in variance exploding coordinates, `sigma / alpha`.
    pub fn ve_sigma(self) -> f64 {
        self.sigma / self.alpha
    }

    /// Whether nothing is left to remove (`sigma == 0`).
    pub fn is_clean(self) -> bool {
        self.sigma == 0.0
    }

    /// Whether both numbers are finite and not negative, and not both zero.
    pub fn is_valid(self) -> bool {
        self.alpha.is_finite() && self.sigma.is_finite() && self.alpha >= 0.0 && self.sigma >= 0.0 && self.alpha + self.sigma > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp_of_lambda_is_variance_preserving_and_inverts_lambda() {
        for lambda in [-12.0, -3.0, 0.0, 0.5, 9.0] {
            let level = Level::vp_of_lambda(lambda);
            assert!((level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15);
            assert!((level.lambda() - lambda).abs() < 1e-12);
        }
    }

    #[test]
    fn extremes_are_infinite_not_nan() {
        assert_eq!(Level::clean().lambda(), f64::INFINITY);
        assert_eq!(Level::new(0.0, 1.0).lambda(), f64::NEG_INFINITY);
        assert!(!Level::new(0.0, 0.0).is_valid() && !Level::new(f64::NAN, 1.0).is_valid());
    }
}
