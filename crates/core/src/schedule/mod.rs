//! Schedules: the curve `t -> (alpha, sigma)` of a diffusion process. Solvers never see `t`.

mod flow;
mod learned;
mod spec;
mod subvp;
mod table;
mod vdm;
mod ve;
mod vp;

pub use flow::Flow;
pub use learned::{LearnedGamma, MonotoneGamma};
pub use spec::ScheduleSpec;
pub use subvp::SubVp;
pub use table::{Table, betas};
pub use vdm::LinearGamma;
pub use ve::{Edm, Ve};
pub use vp::{Vp, VpCosine};

use crate::{Error, Level};

/// A continuous noise schedule; a discrete table of betas is one implementation among others.
pub trait Schedule {
    /// The level at time `t`; noise rises with `t`.
    fn level(&self, t: f64) -> Level;

    /// The time of a half log-SNR: the inverse of `level(t).lambda()`.
    fn t_of_lambda(&self, lambda: f64) -> f64;

    /// Squared diffusion coefficient `g(t)^2` of the forward SDE `dx = f(t) x dt + g(t) dw` (Song et al. 2021, eq. 5).
    fn g2(&self, t: f64) -> f64;

    /// Drift coefficient `f(t) = d ln alpha / dt`.
    fn drift(&self, t: f64) -> f64;

    /// Times of the least and of the most noise.
    fn span(&self) -> (f64, f64);
}

fn positive(name: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(Error::OutOfRange { name, value, range: "a positive number" }) }
}

fn above(name: &'static str, value: f64, least: f64, range: &'static str) -> Result<(), Error> {
    if value.is_finite() && value > least { Ok(()) } else { Err(Error::OutOfRange { name, value, range }) }
}

/// `-ln alpha` of the variance preserving level with half log-SNR `lambda`: `softplus(-2 lambda) / 2`.
fn vp_attenuation(lambda: f64) -> f64 {
    0.5 * if lambda >= 0.0 { (-2.0 * lambda).exp().ln_1p() } else { -2.0 * lambda + (2.0 * lambda).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One schedule of each kind, with the part of its span where `lambda` is finite and `f64` resolves it.
    pub(super) fn all() -> Vec<(Box<dyn Schedule>, f64, f64)> {
        vec![
            (Box::new(Vp::new(0.1, 20.0).unwrap()), 1e-4, 1.0),
            (Box::new(VpCosine::new(0.0).unwrap()), 1e-4, 1.0 - 1e-4),
            (Box::new(VpCosine::new(0.008).unwrap()), 1e-4, 1.0 - 1e-4),
            (Box::new(SubVp::new(0.1, 20.0).unwrap()), 1e-3, 1.0),
            (Box::new(Ve::new(0.01, 50.0).unwrap()), 0.0, 1.0),
            (Box::new(Edm::new(0.002, 80.0).unwrap()), 0.002, 80.0),
            (Box::new(Flow::new(1.0).unwrap()), 1e-4, 1.0 - 1e-4),
            (Box::new(Flow::new(3.0).unwrap()), 1e-4, 1.0 - 1e-4),
            (Box::new(LinearGamma::new(-13.3, 5.0).unwrap()), 0.0, 1.0),
            (Box::new(Table::from_betas(&betas::linear(1e-4, 0.02, 1000)).unwrap()), 0.0, 999.0),
            (Box::new(Table::from_betas(&betas::cosine(0.008, 0.999, 50)).unwrap().zero_terminal_snr().unwrap()), 0.0, 48.9),
        ]
    }

    proptest! {
        #[test]
        fn lambda_falls_and_its_inverse_is_exact(u in 0.0..1.0f64, v in 0.0..1.0f64) {
            for (i, (schedule, lo, hi)) in all().iter().enumerate() {
                let (a, b) = (lo + (hi - lo) * u.min(v), lo + (hi - lo) * u.max(v));
                let lambda = schedule.level(a).lambda();
                prop_assert!((schedule.t_of_lambda(lambda) - a).abs() < 1e-10 * hi.max(1.0), "schedule {i} at {a}");
                if b - a > 1e-6 * (hi - lo) {
                    prop_assert!(lambda > schedule.level(b).lambda(), "schedule {i}: {a} and {b}");
                }
            }
        }

        /// `d alpha / dt = f alpha` and `d sigma^2 / dt = 2 f sigma^2 + g^2`: the moments of the forward SDE.
        #[test]
        fn drift_and_diffusion_move_the_level(u in 0.05..0.95f64) {
            for (i, (schedule, lo, hi)) in all().iter().enumerate() {
                // Inside one segment of a table.
                let t = if *hi > 40.0 && *lo == 0.0 { (lo + (hi - lo) * u).floor() + 0.5 } else { lo + (hi - lo) * u };
                let h = 1e-5 * (hi - lo).min(1.0);
                let (a, b, at) = (schedule.level(t - h), schedule.level(t + h), schedule.level(t));
                let (f, g2) = (schedule.drift(t), schedule.g2(t));
                let d_alpha = (b.alpha - a.alpha) / (2.0 * h);
                let d_var = (b.sigma.powi(2) - a.sigma.powi(2)) / (2.0 * h);
                prop_assert!((d_alpha - f * at.alpha).abs() < 1e-5 * (1.0 + (f * at.alpha).abs()), "drift of schedule {i} at {t}");
                let expected = 2.0 * f * at.sigma.powi(2) + g2;
                prop_assert!((d_var - expected).abs() < 1e-5 * (1.0 + expected.abs()), "g^2 of schedule {i} at {t}: {d_var} {expected}");
                prop_assert!(g2 >= 0.0);
            }
        }
    }
}
