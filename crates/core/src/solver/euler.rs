//! Euler's method on the probability-flow ODE, and its ancestral form.

use serde::{Deserialize, Serialize};

use super::{Walk, ddim::Ddim};
use crate::{Error, Plan, noise::stream};

/// Euler's method on `dy/ds = (y - D) / s`, `y = x / alpha`, `s = sigma / alpha` (Karras et al. 2022, algorithm 1 without the
/// second stage). The same steps as DDIM with `eta = 0` and as DPM-Solver++ of order 1; on flow levels it is Euler's method on the
/// flow ODE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Euler {}

impl Euler {
    pub(super) fn compile(self, walk: Walk<'_>) -> Result<Plan, Error> {
        Ddim::default().compile(walk, None)
    }
}

/// The noise of an ancestral step in variance exploding coordinates: down to `down`, then up by `up`
/// (`down^2 + up^2 = to^2`; Karras's ancestral samplers, Crowson's k-diffusion).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ancestral {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Ancestral {
    pub(super) fn between(from: f64, to: f64, eta: f64) -> Self {
        let up = (eta * (to * to * (1.0 - (to / from).powi(2))).max(0.0).sqrt()).min(to);
        Self { down: (to * to - up * up).max(0.0).sqrt(), up }
    }
}

/// Euler to a level below the next one, then noise up to it (Song et al. 2021 b, the ancestral sampler of variance exploding
/// processes). With `eta = 1` the same steps as SDE-DPM-Solver++ of order 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EulerAncestral {
    /// Noise, from 0 (none) to 1 (that of the reverse process, the default).
    pub eta: f64,
}

impl Default for EulerAncestral {
    fn default() -> Self {
        Self { eta: 1.0 }
    }
}

impl EulerAncestral {
    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let step = Ancestral::between(from.ve_sigma(), to.ve_sigma(), self.eta);
            let of_x = step.down / from.ve_sigma();
            let mut terms = vec![(to.alpha * of_x / from.alpha, Plan::STATE), (to.alpha * (1.0 - of_x), d)];
            if step.up > 0.0 {
                plan.noise(z, i, stream::STEP);
                terms.push((to.alpha * step.up, z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
