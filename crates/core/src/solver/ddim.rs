//! DDIM: the family of reverse processes that share DDPM's marginals.

use serde::{Deserialize, Serialize};

use super::{Walk, kernel::Reverse};
use crate::{Plan, noise::stream};

/// DDIM (Song et al. 2021, eq. 12), with noise `eta` times that of DDPM with the small variance.
///
/// `eta = 0` is deterministic: Euler's method on the probability-flow ODE in any coordinates that keep the exact linear part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// Noise, from 0 (none, the default) to 1 (that of DDPM).
    pub eta: f64,
}

impl Ddim {
    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let variance = self.eta * self.eta * Reverse::between(from, to).variance;
            // x_s = alpha_s D + sqrt(sigma_s^2 - variance) eps + noise, with eps = (x - alpha_t D) / sigma_t.
            let of_eps = (to.sigma * to.sigma - variance).max(0.0).sqrt() / from.sigma;
            let mut terms = vec![(of_eps, Plan::STATE), (to.alpha - of_eps * from.alpha, d)];
            if variance > 0.0 {
                plan.noise(z, i, stream::STEP);
                terms.push((variance.sqrt(), z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
