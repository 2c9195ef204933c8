//! The midpoint method on the probability-flow ODE (DPM-Solver-2), and its ancestral form.

use serde::{Deserialize, Serialize};

use super::{Walk, between::level_between, euler::Ancestral};
use crate::{Level, Plan, noise::stream};

/// Midpoint method in variance exploding coordinates: the slope is taken at the geometric mean of the two noises
/// (Karras et al. 2022, table 1, "DPM-Solver-2"; Crowson's KDPM2). Two evaluations a step, one into `sigma = 0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpm2 {
    /// Ancestral noise, from 0 (none, the default) to 1 (that of the reverse process).
    pub eta: f64,
}

impl Dpm2 {
    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, ahead, z) = (plan.reg(), plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let (s, step) = (from.ve_sigma(), Ancestral::between(from.ve_sigma(), to.ve_sigma(), self.eta));
            let mut terms = if step.down == 0.0 {
                vec![(to.alpha, d)]
            } else {
                let mid: Level = level_between(from, to, (s * step.down).sqrt());
                let scale = mid.ve_sigma() / s;
                plan.lin(ahead, [(mid.alpha / from.alpha * scale, Plan::STATE), (mid.alpha * (1.0 - scale), d)]);
                plan.eval(d, ahead, mid, i);
                // y += (down - s) (y_mid - D_mid) / mid, with y = x / alpha.
                let slope = (step.down - s) / mid.ve_sigma();
                vec![(to.alpha / from.alpha, Plan::STATE), (to.alpha * slope / mid.alpha, ahead), (-to.alpha * slope, d)]
            };
            if step.up > 0.0 {
                plan.noise(z, i, stream::STEP);
                terms.push((to.alpha * step.up, z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
