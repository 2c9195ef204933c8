//! DDIM: the family of reverse processes that share DDPM's marginals.

use serde::{Deserialize, Serialize};

use super::{Walk, ddpm::analytic, kernel::Reverse};
use crate::{Error, Plan, noise::stream, variance::ScoreMoments};

/// DDIM (Song et al. 2021, eq. 12), with noise `eta` times that of DDPM with the small variance.
///
/// `eta = 0` is deterministic: Euler's method on the probability-flow ODE in any coordinates that keep the exact linear part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// Noise, from 0 (none, the default) to 1 (that of DDPM).
    pub eta: f64,
    /// Analytic-DPM (Bao et al. 2022, theorem 1): draws the best variance of the kernel with this `eta` instead of `eta`'s own,
    /// which is more than none also for `eta = 0`. Needs the [`ScoreMoments`] of a checkpoint; default no.
    pub analytic: bool,
}

impl Ddim {
    pub(super) fn compile(self, walk: Walk<'_>, moments: Option<&ScoreMoments>) -> Result<Plan, Error> {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let variance = self.eta * self.eta * Reverse::between(from, to).variance;
            // x_s = alpha_s D + sqrt(sigma_s^2 - variance) eps + noise, with eps = (x - alpha_t D) / sigma_t.
            let of_eps = (to.sigma * to.sigma - variance).max(0.0).sqrt() / from.sigma;
            let mut terms = vec![(of_eps, Plan::STATE), (to.alpha - of_eps * from.alpha, d)];
            // As in DDPM, the last step shows the mean.
            let drawn = if self.analytic && !to.is_clean() { analytic(from, to, variance, moments)? } else { variance };
            if drawn > 0.0 {
                plan.noise(z, i, stream::STEP);
                terms.push((drawn.sqrt(), z));
            }
            plan.lin(Plan::STATE, terms);
        }
        Ok(plan)
    }
}
