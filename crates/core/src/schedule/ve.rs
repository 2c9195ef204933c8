//! Variance exploding schedules: `alpha = 1`.

use super::{Schedule, above, positive};
use crate::{Error, Level};

/// Geometric `sigma = sigma_min (sigma_max / sigma_min)^t` on `[0, 1]` (Song et al. 2021, appendix C, VE SDE).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ve {
    sigma_min: f64,
    sigma_max: f64,
}

impl Ve {
    /// A schedule from its least and greatest noise, in units of the data.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `0 < sigma_min < sigma_max`.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self, Error> {
        positive("sigma_min", sigma_min)?;
        above("sigma_max", sigma_max, sigma_min, "greater than sigma_min")?;
        Ok(Self { sigma_min, sigma_max })
    }

    fn log_ratio(&self) -> f64 {
        (self.sigma_max / self.sigma_min).ln()
    }
}

impl Schedule for Ve {
    fn level(&self, t: f64) -> Level {
        Level::ve(self.sigma_min * (self.sigma_max / self.sigma_min).powf(t))
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        (-lambda - self.sigma_min.ln()) / self.log_ratio()
    }

    fn g2(&self, t: f64) -> f64 {
        2.0 * self.level(t).sigma.powi(2) * self.log_ratio()
    }

    fn drift(&self, _t: f64) -> f64 {
        0.0
    }

    fn span(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}

/// `sigma = t` on `[sigma_min, sigma_max]` (Karras et al. 2022, table 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edm {
    sigma_min: f64,
    sigma_max: f64,
}

impl Edm {
    /// A schedule from its least and greatest noise, in units of the data; usual values 0.002 and 80.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `0 < sigma_min < sigma_max`.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self, Error> {
        let Ve { sigma_min, sigma_max } = Ve::new(sigma_min, sigma_max)?;
        Ok(Self { sigma_min, sigma_max })
    }
}

impl Schedule for Edm {
    fn level(&self, t: f64) -> Level {
        Level::ve(t)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        (-lambda).exp()
    }

    fn g2(&self, t: f64) -> f64 {
        2.0 * t
    }

    fn drift(&self, _t: f64) -> f64 {
        0.0
    }

    fn span(&self) -> (f64, f64) {
        (self.sigma_min, self.sigma_max)
    }
}
