//! Multistep consistency sampling: jump to the data, noise again, jump again.

use serde::{Deserialize, Serialize};

use super::Walk;
use crate::{Error, Plan, noise::stream};

/// Sampling with a consistency model (Song et al. 2023, algorithm 1; latent consistency, Luo et al. 2023, algorithm 3): each step takes
/// the estimate of the data as the data, and noises it to the next level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consistency {
    /// Noise `sigma / alpha` that the model's estimates keep (the boundary `epsilon` at which it is the identity); default 0.
    pub sigma_min: f64,
}

impl Consistency {
    pub(super) fn check(self) -> Result<(), Error> {
        if self.sigma_min.is_finite() && self.sigma_min >= 0.0 {
            return Ok(());
        }
        Err(Error::OutOfRange { name: "sigma_min", value: self.sigma_min, range: "finite and not negative" })
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let added = (to.sigma * to.sigma - (to.alpha * self.sigma_min).powi(2)).max(0.0).sqrt();
            let mut terms = vec![(to.alpha, d)];
            if added > 0.0 {
                plan.noise(z, i, stream::STEP);
                terms.push((added, z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
