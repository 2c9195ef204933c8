//! The loss of EDM (Karras et al. 2022, table 1 and section 5).

use serde::{Deserialize, Serialize};

use super::TimeSampler;
use crate::{Error, Level, Param};

/// Log-normal noise levels and a weight that makes the loss of the network's output start near 1 everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmLoss {
    /// Standard deviation of the data, in its units.
    pub sigma_data: f64,
    /// Mean of `ln sigma`.
    pub p_mean: f64,
    /// Standard deviation of `ln sigma`.
    pub p_std: f64,
}

impl Default for EdmLoss {
    /// The paper's numbers for images in `[-1, 1]`.
    fn default() -> Self {
        Self { sigma_data: 0.5, p_mean: -1.2, p_std: 1.2 }
    }
}

impl EdmLoss {
    /// Refuses numbers that make no distribution.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `sigma_data` and `p_std` are positive and `p_mean` is finite.
    pub fn check(&self) -> Result<(), Error> {
        self.param().check(&[])?;
        self.sampler().check()
    }

    /// The parameterisation this loss is made for.
    pub fn param(&self) -> Param {
        Param::Edm { sigma_data: self.sigma_data }
    }

    /// The distribution of noise levels.
    pub fn sampler(&self) -> TimeSampler {
        TimeSampler::LogNormal { p_mean: self.p_mean, p_std: self.p_std }
    }

    /// Weight of `|D - x0|^2`: `(sigma^2 + sigma_data^2) / (sigma sigma_data)^2`, with `sigma` in variance exploding coordinates.
    ///
    /// In terms of the network's own output it is 1: use [`Weight::Unit`](super::Weight::Unit).
    pub fn weight(&self, at: Level) -> f64 {
        let (sigma, data) = (at.ve_sigma(), self.sigma_data);
        (sigma * sigma + data * data) / (sigma * data).powi(2)
    }

    /// The network's time input, `ln(sigma) / 4`.
    pub fn c_noise(at: Level) -> f64 {
        -0.25 * at.lambda()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_is_one_on_the_output() {
        let loss = EdmLoss::default();
        for sigma in [0.002, 0.3, 80.0] {
            let at = Level::ve(sigma);
            assert!((loss.weight(at) * loss.param().x0_weight(at) - 1.0).abs() < 1e-9);
        }
        assert!(EdmLoss { p_std: 0.0, ..loss }.check().is_err() && EdmLoss { sigma_data: -1.0, ..loss }.check().is_err());
        assert!(loss.check().is_ok());
    }
}
