//! Variance preserving schedules: `alpha^2 + sigma^2 = 1`.

use std::f64::consts::FRAC_PI_2;

use super::{Schedule, above, positive, vp_attenuation};
use crate::{Error, Level};

/// Linear `beta(t) = beta_min + t (beta_max - beta_min)` on `[1e-3, 1]` (Song et al. 2021, appendix B, VP SDE).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vp {
    beta_min: f64,
    beta_max: f64,
}

impl Vp {
    /// Least time: the score is not trained closer to the data (Song et al. 2021, appendix C).
    pub(super) const LEAST_TIME: f64 = 1e-3;

    /// A schedule from its rates at `t = 0` and `t = 1`; usual values 0.1 and 20.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `0 < beta_min <= beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, Error> {
        positive("beta_min", beta_min)?;
        if !(beta_max.is_finite() && beta_max >= beta_min) {
            return Err(Error::OutOfRange { name: "beta_max", value: beta_max, range: "at least beta_min" });
        }
        Ok(Self { beta_min, beta_max })
    }

    /// `beta(t)`.
    pub fn beta(&self, t: f64) -> f64 {
        self.beta_min + t * (self.beta_max - self.beta_min)
    }

    /// `ln alpha(t) = -1/2 int_0^t beta`.
    pub(super) fn log_alpha(&self, t: f64) -> f64 {
        -0.25 * t * t * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
    }

    /// The time at which `-ln alpha` is `attenuation`.
    pub(super) fn t_of_attenuation(&self, attenuation: f64) -> f64 {
        // Root of (d/4) t^2 + (b/2) t - L, in the form that does not cancel for small L.
        let d = self.beta_max - self.beta_min;
        4.0 * attenuation / (self.beta_min + (self.beta_min * self.beta_min + 4.0 * d * attenuation).sqrt())
    }
}

impl Schedule for Vp {
    fn level(&self, t: f64) -> Level {
        let log_alpha = self.log_alpha(t);
        Level::new(log_alpha.exp(), (-(2.0 * log_alpha).exp_m1()).sqrt())
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        self.t_of_attenuation(vp_attenuation(lambda))
    }

    fn g2(&self, t: f64) -> f64 {
        self.beta(t)
    }

    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.beta(t)
    }

    fn span(&self) -> (f64, f64) {
        (Self::LEAST_TIME, 1.0)
    }
}

/// Cosine curve `alpha = cos(u) / cos(u0)` with `u = (pi/2) (t + s) / (1 + s)` on `[0, 1]` (Nichol & Dhariwal 2021, eq. 17).
///
/// With `s = 0` it is `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)` (Salimans & Ho 2022). `t = 1` is pure noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VpCosine {
    s: f64,
}

impl VpCosine {
    /// A schedule from its offset `s`: 0 or the 0.008 of iDDPM.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `s >= 0`.
    pub fn new(s: f64) -> Result<Self, Error> {
        above("s", s, -f64::MIN_POSITIVE, "a number from 0 up")?;
        Ok(Self { s })
    }

    fn start(&self) -> f64 {
        FRAC_PI_2 * self.s / (1.0 + self.s)
    }

    fn angle(&self, t: f64) -> f64 {
        FRAC_PI_2 * (t + self.s) / (1.0 + self.s)
    }
}

impl Schedule for VpCosine {
    fn level(&self, t: f64) -> Level {
        if t >= 1.0 {
            return Level::new(0.0, 1.0);
        }
        let (u, u0) = (self.angle(t), self.start());
        // sin(u - u0) = sin(pi t / (2 (1 + s))): the variance is formed without subtracting from 1.
        let gap = FRAC_PI_2 * t / (1.0 + self.s);
        Level::new(u.cos() / u0.cos(), (gap.sin() * (u + u0).sin()).sqrt() / u0.cos())
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        let (Level { alpha, sigma }, u0) = (Level::vp_of_lambda(lambda), self.start());
        let sine = (sigma * sigma + (alpha * u0.sin()).powi(2)).sqrt();
        let u = sine.atan2(alpha * u0.cos());
        (u - u0) * (1.0 + self.s) / FRAC_PI_2
    }

    fn g2(&self, t: f64) -> f64 {
        -2.0 * self.drift(t)
    }

    fn drift(&self, t: f64) -> f64 {
        -self.angle(t).tan() * FRAC_PI_2 / (1.0 + self.s)
    }

    fn span(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_times_keep_their_precision() {
        let schedule = Vp::new(0.1, 20.0).unwrap();
        // sigma^2 = beta_min t + O(t^2).
        let at = schedule.level(1e-12);
        assert!((at.sigma.powi(2) / 1e-13 - 1.0).abs() < 1e-9);
        assert!((schedule.t_of_lambda(at.lambda()) / 1e-12 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn bad_rates_are_refused() {
        assert!(Vp::new(0.0, 20.0).is_err() && Vp::new(1.0, 0.5).is_err() && Vp::new(0.1, f64::NAN).is_err());
        assert!(VpCosine::new(-0.1).is_err() && VpCosine::new(0.0).is_ok());
    }
}
