//! Averages of weights over training: constant decay, and the power function profile with reconstruction after the fact.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use crate::Error;

/// How an average of weights forgets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ema {
    /// `average = decay * average + (1 - decay) * weights`.
    Constant {
        /// Share of the average that is kept; 0.9999 is usual.
        decay: f64,
    },
    /// Weights of step `t'` count as `t'^gamma` (Karras et al. 2024, eq. 2).
    Power {
        /// Exponent; 6.94 is a relative width of 0.10, 16.97 of 0.05.
        gamma: f64,
    },
}

impl Ema {
    /// Refuses rules that do not average.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `0 <= decay < 1` or `gamma >= 0`.
    pub fn check(self) -> Result<(), Error> {
        match self {
            Self::Constant { decay } if !(0.0..1.0).contains(&decay) => {
                Err(Error::OutOfRange { name: "decay", value: decay, range: "at least 0 and below 1" })
            }
            Self::Power { gamma } if !(gamma >= 0.0 && gamma.is_finite()) => {
                Err(Error::OutOfRange { name: "gamma", value: gamma, range: "0 or more" })
            }
            _ => Ok(()),
        }
    }

    /// Share of the average that is kept when the weights of step `t` come in; the first step is 1.
    ///
    /// After step 1 a power average is the weights themselves, whatever it was initialised to (Karras et al. 2024, eq. 127).
    pub fn kept(self, t: u64) -> f64 {
        match self {
            Self::Constant { decay } => decay,
            Self::Power { gamma } => (1.0 - 1.0 / t.max(1) as f64).powf(gamma + 1.0),
        }
    }
}

/// Relative width of the power profile: `sqrt((gamma + 1) / ((gamma + 2)^2 (gamma + 3)))` (Karras et al. 2024, algorithm 2).
pub fn width_of_gamma(gamma: f64) -> f64 {
    ((gamma + 1.0) / ((gamma + 2.0).powi(2) * (gamma + 3.0))).sqrt()
}

/// Inverse of [`width_of_gamma`].
///
/// # Errors
/// [`Error::OutOfRange`] unless `0 < width <= width_of_gamma(0)`, about 0.289.
pub fn gamma_of_width(width: f64) -> Result<f64, Error> {
    if !(width > 0.0 && width <= width_of_gamma(0.0)) {
        return Err(Error::OutOfRange { name: "width", value: width, range: "above 0 and at most 0.2886" });
    }
    // The width falls with gamma, about as 1 / gamma.
    let (mut low, mut high) = (0.0, 2.0 / width);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if width_of_gamma(middle) > width { low = middle } else { high = middle }
    }
    Ok(0.5 * (low + high))
}

/// A stored (or wanted) power average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Training step, from 1.
    pub t: f64,
    /// Exponent of the profile.
    pub gamma: f64,
}

impl Snapshot {
    /// Inner product of two profiles (Karras et al. 2024, algorithm 3).
    fn dot(self, other: Self) -> f64 {
        let exponent = if self.t < other.t { other.gamma } else { -self.gamma };
        let norms = (self.gamma + 1.0) * (other.gamma + 1.0);
        norms * (self.t / other.t).powf(exponent) / ((self.gamma + other.gamma + 1.0) * self.t.max(other.t))
    }
}

/// The Gram matrix of stored profiles.
fn gram(stored: &[Snapshot]) -> DMatrix<f64> {
    DMatrix::from_fn(stored.len(), stored.len(), |i, j| stored[i].dot(stored[j]))
}

/// Factors of the stored averages in the best approximation of a wanted one (Karras et al. 2024, eq. 11, 12).
///
/// # Errors
/// [`Error::Invalid`] if there are no snapshots, a step or exponent is not positive, or two snapshots are the same.
pub fn reconstruct(stored: &[Snapshot], wanted: Snapshot) -> Result<Vec<f64>, Error> {
    let invalid = |reason: &str| Error::Invalid { what: "set of snapshots", reason: reason.into() };
    if stored.is_empty() || stored.iter().chain([&wanted]).any(|s| !(s.t > 0.0 && s.gamma >= 0.0 && s.t.is_finite() && s.gamma.is_finite()))
    {
        return Err(invalid("steps should be positive and exponents not negative"));
    }
    if stored.iter().enumerate().any(|(i, s)| stored[..i].contains(s)) {
        return Err(invalid("two of them are the same"));
    }
    let right = DVector::from_fn(stored.len(), |i, _| stored[i].dot(wanted));
    let factors = gram(stored).lu().solve(&right).ok_or_else(|| invalid("they are too much alike"))?;
    Ok(factors.as_slice().to_vec())
}

/// Condition number of the reconstruction: how much it magnifies the rounding of the stored weights.
pub fn condition(stored: &[Snapshot]) -> f64 {
    let values = gram(stored).singular_values();
    values.max() / values.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recursion_is_the_profile() {
        // After T steps, weights of step t' count as t'^(gamma + 1) - (t' - 1)^(gamma + 1), over T^(gamma + 1).
        let gamma = 6.94;
        let (steps, rule) = (30u64, Ema::Power { gamma });
        let mut average = 1e9;
        for t in 1..=steps {
            let kept = rule.kept(t);
            average = kept * average + (1.0 - kept) * (t as f64).sin();
        }
        let share = |t: u64| ((t as f64).powf(gamma + 1.0) - (t as f64 - 1.0).powf(gamma + 1.0)) / (steps as f64).powf(gamma + 1.0);
        let direct: f64 = (1..=steps).map(|t| share(t) * (t as f64).sin()).sum();
        assert!((average - direct).abs() < 1e-13);
    }

    #[test]
    fn widths_invert() {
        assert!((width_of_gamma(6.94) - 0.1).abs() < 5e-5 && (width_of_gamma(16.97) - 0.05).abs() < 2e-5);
        for gamma in [0.0, 1.0, 6.94, 16.97, 300.0] {
            assert!((gamma_of_width(width_of_gamma(gamma)).unwrap() - gamma).abs() < 1e-9 * (1.0 + gamma));
        }
        assert!(gamma_of_width(0.5).is_err() && gamma_of_width(0.0).is_err());
    }

    #[test]
    fn a_stored_profile_is_reconstructed_as_itself() {
        let stored = [(100.0, 16.97), (200.0, 16.97), (100.0, 6.94), (200.0, 6.94)].map(|(t, gamma)| Snapshot { t, gamma });
        let factors = reconstruct(&stored, stored[3]).unwrap();
        assert!(factors.iter().zip([0.0, 0.0, 0.0, 1.0]).all(|(f, e)| (f - e).abs() < 1e-12));
        assert!(reconstruct(&[], stored[0]).is_err() && reconstruct(&[stored[0], stored[0]], stored[1]).is_err());
        assert!(Ema::Constant { decay: 1.0 }.check().is_err() && Ema::Power { gamma: -1.0 }.check().is_err());
    }
}
