//! Ancestral sampling of DDPM, for any pair of levels.

use serde::{Deserialize, Serialize};

use super::{Walk, kernel::Reverse};
use crate::{Plan, noise::stream};

/// Which of the two closed-form variances the reverse step has (Ho et al. 2020, section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// That of `q(x_s | x_t, x0)`, `beta tilde`: right when the data is a point.
    #[default]
    Small,
    /// That of `q(x_t | x_s)`, `beta`: right when the data is standard normal.
    Large,
}

/// Ancestral sampling (Ho et al. 2020, algorithm 2), with the reverse kernel between any two levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// Variance of the reverse step; default small.
    pub variance: Variance,
}

impl Ddpm {
    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let kernel = Reverse::between(from, to);
            let mut terms = vec![(kernel.of_x, Plan::STATE), (kernel.of_x0, d)];
            if !to.is_clean() {
                plan.noise(z, i, stream::STEP);
                let variance = match self.variance {
                    Variance::Small => kernel.variance,
                    Variance::Large => kernel.forward_variance,
                };
                terms.push((variance.sqrt(), z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
