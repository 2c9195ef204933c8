//! What a network predicts: one table of coefficients, its inverse, and the loss weight that goes with it.

use serde::{Deserialize, Serialize};

use crate::{Error, Level};

/// What the network's output `F` means, given `x = alpha x0 + sigma eps`.
///
/// Every kind is affine: `D(x) = skip * x + out * F(input * x)` estimates `E[x0 | x]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Param {
    /// The noise `eps` (Ho et al. 2020, eq. 12). Undefined at `alpha = 0`.
    Eps,
    /// The clean data `x0`.
    X0,
    /// The velocity `alpha eps - sigma x0` (Salimans & Ho 2022, appendix D).
    V,
    /// The score `grad log p(x) = -eps / sigma` (Song et al. 2021). Undefined at `alpha = 0`.
    Score,
    /// The flow `eps - x0` (Lipman et al. 2023; Liu et al. 2023).
    Flow,
    /// EDM preconditioning (Karras et al. 2022, table 1), in variance exploding coordinates `sigma / alpha`.
    Edm {
        /// Standard deviation of the data, in its units.
        sigma_data: f64,
    },
    /// A consistency model: the identity at the least noise (Song et al. 2023, appendix C), in variance exploding coordinates.
    Consistency {
        /// Standard deviation of the data, in its units.
        sigma_data: f64,
        /// Least noise `sigma / alpha`, where the path starts.
        sigma_min: f64,
    },
}

/// The three factors of `D(x) = skip * x + out * F(input * x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coef {
    /// Factor of the noised state.
    pub skip: f64,
    /// Factor of the network's output.
    pub out: f64,
    /// Factor applied to the state before the network sees it.
    pub input: f64,
}

/// The network's regression target `of_x0 * x0 + of_eps * eps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Factor of the clean data.
    pub of_x0: f64,
    /// Factor of the noise.
    pub of_eps: f64,
}

impl Param {
    /// Coefficients at a level. Not finite where [`Param::check`] refuses the level.
    pub fn coef(self, at: Level) -> Coef {
        let Level { alpha: a, sigma: s } = at;
        let norm = a * a + s * s;
        let (skip, out, input) = match self {
            Self::Eps => (1.0 / a, -s / a, 1.0),
            Self::X0 => (0.0, 1.0, 1.0),
            Self::V => (a / norm, -s / norm, 1.0),
            Self::Score => (1.0 / a, s * s / a, 1.0),
            Self::Flow => (1.0 / (a + s), -s / (a + s), 1.0),
            Self::Edm { sigma_data: d } => {
                let r = s / a;
                let n = r * r + d * d;
                (d * d / (n * a), r * d / n.sqrt(), 1.0 / (n.sqrt() * a))
            }
            Self::Consistency { sigma_data: d, sigma_min } => {
                let r = s / a;
                let (gap, n) = (r - sigma_min, (r * r + d * d).sqrt());
                (d * d / ((gap * gap + d * d) * a), d * gap / n, 1.0 / (n * a))
            }
        };
        Coef { skip, out, input }
    }

    /// What `F` is trained to return at a level: `coef` solved for `F` at the true `x0`. Not finite where `out` is 0: for a consistency
    /// model at its least noise.
    pub fn target(self, at: Level) -> Target {
        let Level { alpha: a, sigma: s } = at;
        let (of_x0, of_eps) = match self {
            Self::Eps => (0.0, 1.0),
            Self::X0 => (1.0, 0.0),
            Self::V => (-s, a),
            Self::Score => (0.0, -1.0 / s),
            Self::Flow => (-1.0, 1.0),
            Self::Edm { .. } | Self::Consistency { .. } => {
                let c = self.coef(at);
                ((1.0 - c.skip * a) / c.out, -c.skip * s / c.out)
            }
        };
        Target { of_x0, of_eps }
    }

    /// Factor that turns a squared error of `F` into one of `x0`: `|D - x0|^2 = out^2 |F - F*|^2`.
    pub fn x0_weight(self, at: Level) -> f64 {
        self.coef(at).out.powi(2)
    }

    /// Refuses levels at which this kind divides by zero.
    ///
    /// # Errors
    /// [`Error::ParamAtLevel`] names the first level whose coefficients are not finite (`Eps`, `Score`, `Edm` at `alpha = 0`,
    /// an invalid level, a `sigma_data` that is not positive).
    pub fn check(self, levels: &[Level]) -> Result<(), Error> {
        if let Self::Edm { sigma_data } | Self::Consistency { sigma_data, .. } = self
            && !(sigma_data.is_finite() && sigma_data > 0.0)
        {
            return Err(Error::OutOfRange { name: "sigma_data", value: sigma_data, range: "a positive number" });
        }
        for &at in levels {
            let c = self.coef(at);
            if !(at.is_valid() && c.skip.is_finite() && c.out.is_finite() && c.input.is_finite()) {
                return Err(Error::ParamAtLevel { param: self, at });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Param; 7] = [
        Param::Eps,
        Param::X0,
        Param::V,
        Param::Score,
        Param::Flow,
        Param::Edm { sigma_data: 0.5 },
        Param::Consistency { sigma_data: 0.5, sigma_min: 0.01 },
    ];

    #[test]
    fn denoising_the_target_returns_x0() {
        let (x0, eps) = (0.7, -1.3);
        for at in [Level::vp(0.3), Level::ve(4.0), Level::flow(0.9), Level::new(0.2, 0.1)] {
            for kind in KINDS {
                let (c, t) = (kind.coef(at), kind.target(at));
                let x = at.alpha * x0 + at.sigma * eps;
                let f = t.of_x0 * x0 + t.of_eps * eps;
                assert!((c.skip * x + c.out * f - x0).abs() < 1e-12, "{kind:?} at {at:?}");
            }
        }
    }

    #[test]
    fn edm_input_and_target_have_unit_variance() {
        let kind = Param::Edm { sigma_data: 0.5 };
        for sigma in [0.002, 0.5, 80.0] {
            let at = Level::ve(sigma);
            let (c, t) = (kind.coef(at), kind.target(at));
            assert!((c.input.powi(2) * (0.25 + sigma * sigma) - 1.0).abs() < 1e-12);
            assert!((t.of_x0.powi(2) * 0.25 + t.of_eps.powi(2) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_consistency_model_is_the_identity_at_its_least_noise() {
        let kind = Param::Consistency { sigma_data: 0.5, sigma_min: 0.002 };
        let c = kind.coef(Level::ve(0.002));
        assert_eq!((c.skip, c.out), (1.0, 0.0));
        let c = kind.coef(Level::ve(80.0));
        assert!(c.skip < 1e-4 && (c.out - 0.5).abs() < 1e-3);
    }

    #[test]
    fn pure_noise_is_refused_only_where_it_divides_by_zero() {
        let noise = [Level::new(0.0, 1.0)];
        for kind in KINDS {
            let singular = matches!(kind, Param::Eps | Param::Score | Param::Edm { .. } | Param::Consistency { .. });
            assert_eq!(kind.check(&noise).is_err(), singular, "{kind:?}");
        }
        assert!(Param::Edm { sigma_data: 0.0 }.check(&[]).is_err());
    }
}
