//! The stochastic sampler of EDM: churn, then a step of the ODE.

use serde::{Deserialize, Serialize};

use super::Walk;
use crate::{Error, Level, Plan, noise::stream};

/// Karras et al. 2022, algorithm 2: raises the noise a little, then takes an Euler or a Heun step from there to the next node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edm {
    /// Total churn, spread evenly over the steps; default 0, for which this is Heun's method.
    pub s_churn: f64,
    /// Least noise `sigma / alpha` at which churn acts; default 0.
    pub s_min: f64,
    /// Most noise at which churn acts; default unbounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s_max: Option<f64>,
    /// Standard deviation of the noise that is added; default 1.
    pub s_noise: f64,
    /// Whether the step is Heun's; default yes. No: Euler's.
    pub second_order: bool,
}

impl Default for Edm {
    fn default() -> Self {
        Self { s_churn: 0.0, s_min: 0.0, s_max: None, s_noise: 1.0, second_order: true }
    }
}

impl Edm {
    pub(super) fn check(self) -> Result<(), Error> {
        let positive = [("s_churn", self.s_churn), ("s_min", self.s_min), ("s_noise", self.s_noise), ("s_max", self.s_max.unwrap_or(0.0))];
        match positive.into_iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            Some((name, value)) => Err(Error::OutOfRange { name, value, range: "finite and not negative" }),
            None => Ok(()),
        }
    }

    /// The noise from which the step at `sigma` starts, of `steps` steps in all.
    pub fn churned(self, sigma: f64, steps: usize) -> f64 {
        let acts = sigma >= self.s_min && self.s_max.is_none_or(|most| sigma <= most);
        let gamma = if acts { (self.s_churn / steps as f64).min(std::f64::consts::SQRT_2 - 1.0) } else { 0.0 };
        sigma * (1.0 + gamma)
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, ahead, d_ahead, z) = (plan.reg(), plan.reg(), plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            let (s, t) = (from.ve_sigma(), to.ve_sigma());
            let raised = self.churned(s, walk.len());
            let hat = if raised > s { Level::new(from.alpha, from.alpha * raised) } else { from };
            if raised > s {
                plan.noise(z, i, stream::STEP);
                let added = from.alpha * self.s_noise * (raised * raised - s * s).sqrt();
                plan.lin(Plan::STATE, [(1.0, Plan::STATE), (added, z)]);
            }
            plan.eval(d, Plan::STATE, hat, i);
            let h = t - raised;
            let euler = [(to.alpha / hat.alpha * (1.0 + h / raised), Plan::STATE), (-to.alpha * h / raised, d)];
            if to.is_clean() || !self.second_order {
                plan.lin(Plan::STATE, euler);
                continue;
            }
            plan.lin(ahead, euler);
            plan.eval(d_ahead, ahead, to, i + 1);
            let half = 0.5 * h;
            plan.lin(
                Plan::STATE,
                [
                    (to.alpha / hat.alpha * (1.0 + half / raised), Plan::STATE),
                    (-to.alpha * half / raised, d),
                    (half / t, ahead),
                    (-to.alpha * half / t, d_ahead),
                ],
            );
        }
        plan
    }
}
