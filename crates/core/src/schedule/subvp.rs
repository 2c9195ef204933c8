//! The sub-variance-preserving SDE (Song et al. 2021, appendix B).

use super::{Schedule, Vp};
use crate::{Error, Level};

/// The mean of [`Vp`] with less noise: `sigma = 1 - alpha^2`, on `[1e-3, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubVp {
    vp: Vp,
}

impl SubVp {
    /// A schedule from its rates at `t = 0` and `t = 1`.
    ///
    /// # Errors
    /// As [`Vp::new`].
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, Error> {
        Ok(Self { vp: Vp::new(beta_min, beta_max)? })
    }
}

impl Schedule for SubVp {
    fn level(&self, t: f64) -> Level {
        let log_alpha = self.vp.log_alpha(t);
        Level::new(log_alpha.exp(), -(2.0 * log_alpha).exp_m1())
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        // alpha / (1 - alpha^2) = r has the root alpha = 2 r / (1 + sqrt(1 + 4 r^2)); then 1 - alpha^2 = alpha / r.
        let r = lambda.exp();
        let alpha = 2.0 * r / (1.0 + (1.0 + 4.0 * r * r).sqrt());
        let attenuation = if r > 1.0 { -0.5 * (-alpha / r).ln_1p() } else { -alpha.ln() };
        self.vp.t_of_attenuation(attenuation)
    }

    fn g2(&self, t: f64) -> f64 {
        -self.vp.beta(t) * (4.0 * self.vp.log_alpha(t)).exp_m1()
    }

    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.vp.beta(t)
    }

    fn span(&self) -> (f64, f64) {
        (Vp::LEAST_TIME, 1.0)
    }
}
