//! DEIS: exponential integrator with polynomial extrapolation of the noise estimate.

use serde::{Deserialize, Serialize};

use super::{Smooth, Walk, dpmpp::SHORT, history::History, lagrange};
use crate::{Error, Plan, plan::Reg};

/// DEIS of order 1, 2 or 3 (Zhang & Chen 2023, eq. 15, the `log rho` variant): the noise estimate is a polynomial in the logarithm of
/// `rho = sigma / alpha`, integrated against `d rho`. One evaluation a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deis {
    /// Order, 1 to 3; default 2.
    pub order: u8,
    /// On plans shorter than 15 steps, ends with steps of order 2 and 1; default yes. Steps into `sigma = 0` are always of order 1.
    pub lower_order_final: bool,
}

impl Default for Deis {
    fn default() -> Self {
        Self { order: 2, lower_order_final: true }
    }
}

impl Deis {
    pub(super) fn check(self) -> Result<(), Error> {
        super::check_order(self.order, 3)
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let d = plan.reg();
        let mut history = History::new(&mut plan, usize::from(self.order));
        let steps = walk.len();
        for (i, from, to) in walk.steps() {
            if to.is_clean() {
                plan.eval(d, Plan::STATE, from, i);
                plan.lin(Plan::STATE, [(to.alpha, d)]);
                continue;
            }
            let m = history.push(-from.lambda());
            Smooth::Eps.eval(&mut plan, [m, d], from, i);
            let cap = if self.lower_order_final && steps < SHORT { steps - i } else { usize::MAX };
            let order = usize::from(self.order).min(cap).min(history.len());
            // With rho = rho_s e^u: d rho = rho_s e^u du, so every number stays of order one.
            let newest = history.at(0);
            let nodes: Vec<f64> = (0..order).map(|back| history.at(back) - newest).collect();
            let weights = lagrange::integrals(&nodes, 0.0, -to.lambda() - newest, 1.0);
            let scale = to.alpha * from.ve_sigma();
            let slopes = weights.into_iter().enumerate().map(|(back, w)| (scale * w, history.reg(back)));
            let mut terms: Vec<(f64, Reg)> = [(to.alpha / from.alpha, Plan::STATE)].into_iter().chain(slopes).collect();
            Smooth::Eps.fold(&mut terms, [m, d], from);
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
