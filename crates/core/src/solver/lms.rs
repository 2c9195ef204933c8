//! Linear multistep: Adams-Bashforth with uneven steps on the probability-flow ODE.

use serde::{Deserialize, Serialize};

use super::{Smooth, Walk, history::History, lagrange};
use crate::{Error, Plan, plan::Reg};

/// Adams-Bashforth of order up to 4 in variance exploding coordinates: the noise estimate is interpolated in `s = sigma / alpha` and
/// integrated exactly (Crowson's k-diffusion; the coefficients are integrals of Lagrange polynomials). One evaluation a step.
///
/// Unlike the exponential integrators it keeps its order into `sigma = 0`, where its polynomial is regular.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lms {
    /// Order, 1 to 4; default 4.
    pub order: u8,
}

impl Default for Lms {
    fn default() -> Self {
        Self { order: 4 }
    }
}

impl Lms {
    pub(super) fn check(self) -> Result<(), Error> {
        super::check_order(self.order, 4)
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let d = plan.reg();
        let mut history = History::new(&mut plan, usize::from(self.order));
        for (i, from, to) in walk.steps() {
            let s = from.ve_sigma();
            let m = history.push(s);
            Smooth::Eps.eval(&mut plan, [m, d], from, i);
            let nodes: Vec<f64> = (0..history.len()).map(|back| history.at(back)).collect();
            let weights = lagrange::integrals(&nodes, s, to.ve_sigma(), 0.0);
            let slopes = weights.into_iter().enumerate().map(|(back, w)| (to.alpha * w, history.reg(back)));
            let mut terms: Vec<(f64, Reg)> = [(to.alpha / from.alpha, Plan::STATE)].into_iter().chain(slopes).collect();
            Smooth::Eps.fold(&mut terms, [m, d], from);
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}
