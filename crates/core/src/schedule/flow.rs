//! Flow matching: `alpha = 1 - sigma`.

use super::{Schedule, positive};
use crate::{Error, Level};

/// Rectified flow with a time shift: `sigma = m s / (1 + (m - 1) s)` on `[0, 1]` (Lipman et al. 2023; Esser et al. 2024, eq. 23).
///
/// The shift lives here and nowhere else: a grid of times on this schedule is not shifted again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    shift: f64,
}

impl Flow {
    /// A schedule from its shift `m`; 1 is none.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `shift > 0`.
    pub fn new(shift: f64) -> Result<Self, Error> {
        positive("shift", shift)?;
        Ok(Self { shift })
    }

    /// The noise at time `s`.
    pub fn shifted(&self, s: f64) -> f64 {
        self.shift * s / (1.0 + (self.shift - 1.0) * s)
    }

    /// `d sigma / ds`.
    fn rate(&self, s: f64) -> f64 {
        self.shift / (1.0 + (self.shift - 1.0) * s).powi(2)
    }
}

impl Schedule for Flow {
    fn level(&self, t: f64) -> Level {
        // 1 - sigma, without the subtraction.
        Level::new((1.0 - t) / (1.0 + (self.shift - 1.0) * t), self.shifted(t))
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        // sigma / alpha = m s / (1 - s) = e^-lambda.
        1.0 / (1.0 + self.shift * lambda.exp())
    }

    fn g2(&self, t: f64) -> f64 {
        let Level { alpha, sigma } = self.level(t);
        2.0 * sigma * self.rate(t) / alpha
    }

    fn drift(&self, t: f64) -> f64 {
        -self.rate(t) / self.level(t).alpha
    }

    fn span(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_clean_data_and_pure_noise() {
        let schedule = Flow::new(3.0).unwrap();
        assert_eq!(schedule.level(0.0), Level::clean());
        assert_eq!(schedule.level(1.0), Level::new(0.0, 1.0));
        assert_eq!((schedule.t_of_lambda(f64::INFINITY), schedule.t_of_lambda(f64::NEG_INFINITY)), (0.0, 1.0));
    }

    #[test]
    fn the_shift_is_applied_once() {
        // 3 * 0.5 / (1 + 2 * 0.5) = 0.75.
        assert_eq!(Flow::new(3.0).unwrap().level(0.5).sigma, 0.75);
        assert_eq!(Flow::new(1.0).unwrap().level(0.5).sigma, 0.5);
    }
}
