//! Weights of the denoising loss, all defined on the squared error of `x0`.

use serde::{Deserialize, Serialize};

use crate::{Error, Level, Param};

/// A weight by name. `snr = alpha^2 / sigma^2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Weight {
    /// 1 on the network's own target, whatever it predicts.
    #[default]
    Unit,
    /// 1 on `eps`, so `snr` on `x0` (Ho et al. 2020, eq. 14).
    Simple,
    /// 1 on `x0`.
    X0,
    /// `max(snr, 1)` on `x0` (Salimans & Ho 2022, section 4).
    Truncated,
    /// `snr + 1` on `x0`, which is 1 on `v` where `alpha^2 + sigma^2 = 1` (Salimans & Ho 2022, section 4).
    SnrPlusOne,
    /// `min(snr, gamma)` on `x0` (Hang et al. 2023); usual `gamma` 5.
    MinSnr {
        /// Bound of the weight.
        gamma: f64,
    },
    /// `1 / (k + snr)^gamma` on `eps` (Choi et al. 2022, eq. 8); usual `k` and `gamma` 1.
    P2 {
        /// Offset of the SNR.
        k: f64,
        /// Exponent; 0 is `simple`.
        gamma: f64,
    },
    /// `g(t)^2` on the score: with a uniform time, half of it bounds the negative log-likelihood from above (Song et al. 2021,
    /// "Maximum likelihood training", eq. 6). The same as `-d snr / dt` on `x0` (Kingma et al. 2021, eq. 17).
    Likelihood,
}

impl Weight {
    /// Refuses settings that make no weight.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a `gamma` of `min_snr` or a `k` that is not positive, or an exponent that is negative.
    pub fn check(self) -> Result<(), Error> {
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() { Ok(()) } else { Err(Error::OutOfRange { name, value, range: "a positive number" }) }
        };
        match self {
            Self::MinSnr { gamma } => positive("gamma", gamma),
            Self::P2 { k, gamma } => {
                positive("k", k)?;
                if gamma >= 0.0 && gamma.is_finite() {
                    Ok(())
                } else {
                    Err(Error::OutOfRange { name: "gamma", value: gamma, range: "0 or more" })
                }
            }
            _ => Ok(()),
        }
    }

    /// Factor of `|F - F*|^2` for a network `F` of a kind at a level; `g2` is the schedule's `g(t)^2`, read only by `likelihood`.
    ///
    /// Not finite where the weight is not: at `sigma = 0` for those that grow with the SNR, at `alpha = 0` for kinds that
    /// [`Param::check`] refuses there.
    pub fn factor(self, param: Param, at: Level, g2: f64) -> f64 {
        let snr = at.snr();
        let of_x0 = match self {
            Self::Unit => return 1.0,
            Self::Simple if param == Param::Eps => return 1.0,
            Self::Simple => snr,
            Self::X0 => 1.0,
            Self::Truncated => snr.max(1.0),
            Self::SnrPlusOne => snr + 1.0,
            Self::MinSnr { gamma } => snr.min(gamma),
            Self::P2 { k, gamma } => snr / (k + snr).powf(gamma),
            Self::Likelihood => g2 * snr / (at.sigma * at.sigma),
        };
        of_x0 * param.x0_weight(at)
    }
}

/// Weight on `|x0 - D|^2` of the variational bound's term between two levels, in nats: `(snr(less) - snr(more)) / 2`.
///
/// It is the divergence of two Gaussians that share the posterior's variance (Kingma et al. 2021, eq. 13).
pub fn vlb_step(more: Level, less: Level) -> f64 {
    0.5 * (less.snr() - more.snr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Schedule, SubVp, Table, Vp, betas};

    #[test]
    fn forms_of_one_weight_agree() {
        // |x0 error|^2 = sigma^2 |v error|^2 = (sigma / alpha)^2 |eps error|^2 on variance preserving levels.
        for abar in [0.999, 0.5, 0.01] {
            let (at, snr) = (Level::vp(abar), abar / (1.0 - abar));
            for w in [Weight::Simple, Weight::X0, Weight::MinSnr { gamma: 5.0 }, Weight::P2 { k: 1.0, gamma: 0.7 }, Weight::Truncated] {
                let x0 = w.factor(Param::X0, at, 1.0);
                assert!((w.factor(Param::Eps, at, 1.0) * snr / x0 - 1.0).abs() < 1e-12);
                assert!((w.factor(Param::V, at, 1.0) * (snr + 1.0) / x0 - 1.0).abs() < 1e-12);
            }
            assert!((Weight::SnrPlusOne.factor(Param::V, at, 1.0) - 1.0).abs() < 1e-12);
            assert!((Weight::MinSnr { gamma: 5.0 }.factor(Param::Eps, at, 1.0) - 1f64.min(5.0 / snr)).abs() < 1e-12);
        }
    }

    #[test]
    fn likelihood_weight_is_the_fall_of_the_snr() {
        let schedules: [&dyn Schedule; 2] = [&Vp::new(0.1, 20.0).unwrap(), &SubVp::new(0.1, 20.0).unwrap()];
        for schedule in schedules {
            for t in [0.1, 0.5, 0.9] {
                let h = 1e-5;
                let fall = (schedule.level(t - h).snr() - schedule.level(t + h).snr()) / (2.0 * h);
                let got = Weight::Likelihood.factor(Param::X0, schedule.level(t), schedule.g2(t));
                assert!((got / fall - 1.0).abs() < 1e-6, "{got} {fall}");
            }
        }
    }

    #[test]
    fn the_bounds_terms_are_divergences_of_gaussians() {
        // KL of two Gaussians with the posterior's variance is |difference of means|^2 / (2 variance), and the means differ by
        // the posterior's coefficient of x0 (Ho et al. 2020, eq. 7).
        let table = Table::from_betas(&betas::linear(1e-4, 0.02, 100)).unwrap();
        for t in [1, 40, 99] {
            let (now, before) = (table.alpha_bar()[t], table.alpha_bar()[t - 1]);
            let of_x0 = before.sqrt() * table.beta(t) / (1.0 - now);
            let expected = of_x0.powi(2) / (2.0 * table.posterior_variance(t));
            assert!((vlb_step(Level::vp(now), Level::vp(before)) / expected - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Weight::MinSnr { gamma: 0.0 }.check().is_err() && Weight::P2 { k: 1.0, gamma: -1.0 }.check().is_err());
        assert!(Weight::P2 { k: 1.0, gamma: 0.0 }.check().is_ok() && Weight::Unit.check().is_ok());
        assert!(serde_json::from_str::<Weight>(r#"{"kind": "min_snr", "gama": 5}"#).is_err());
    }
}
