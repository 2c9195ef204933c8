//! Variational diffusion: a schedule given by its negative log-SNR `gamma` (Kingma et al. 2021).

use super::{Schedule, above};
use crate::{Error, Level};

/// `gamma(t) = gamma_min + t (gamma_max - gamma_min)` on `[0, 1]`, with `alpha^2 = sigmoid(-gamma)`, `sigma^2 = sigmoid(gamma)`.
///
/// `gamma = -2 lambda`. The learned curve of the paper lies between the same end points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearGamma {
    gamma_min: f64,
    gamma_max: f64,
}

impl LinearGamma {
    /// A schedule from its end points; usual values -13.3 and 5.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `gamma_min < gamma_max`, both finite.
    pub fn new(gamma_min: f64, gamma_max: f64) -> Result<Self, Error> {
        above("gamma_min", gamma_min, f64::NEG_INFINITY, "a finite number")?;
        above("gamma_max", gamma_max, gamma_min, "greater than gamma_min")?;
        Ok(Self { gamma_min, gamma_max })
    }

    /// `gamma(t)`.
    pub fn gamma(&self, t: f64) -> f64 {
        self.gamma_min + (self.gamma_max - self.gamma_min) * t
    }
}

impl Schedule for LinearGamma {
    fn level(&self, t: f64) -> Level {
        Level::vp_of_lambda(-0.5 * self.gamma(t))
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        (-2.0 * lambda - self.gamma_min) / (self.gamma_max - self.gamma_min)
    }

    fn g2(&self, t: f64) -> f64 {
        // d ln alpha^2 / dt = -sigma^2 gamma'.
        (self.gamma_max - self.gamma_min) * self.level(t).sigma.powi(2)
    }

    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.g2(t)
    }

    fn span(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}
