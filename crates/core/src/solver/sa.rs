//! SA-Solver: stochastic Adams with a predictor and a corrector.

use serde::{Deserialize, Serialize};

use super::{Smooth, Walk, history::History, lagrange};
use crate::{Error, Level, Plan, noise::stream, plan::Reg};

/// SA-Solver in data prediction (Xue et al. 2023, algorithm 1): Adams-Bashforth predictor and Adams-Moulton corrector of the reverse
/// SDE whose noise is scaled by `tau`. One evaluation a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sa {
    /// Order of the predictor, 1 to 3; default 2.
    pub predictor: u8,
    /// Order of the corrector, 0 (none) to 3; default 2.
    pub corrector: u8,
    /// Scale of the noise, 0 for the ODE; default 1.
    pub tau: f64,
    /// Least noise `sigma / alpha` at which `tau` acts; below it the ODE is solved. Default 0.
    pub tau_min: f64,
    /// Most noise at which `tau` acts; default unbounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tau_max: Option<f64>,
    /// Ends with steps of lower order; default yes. Steps into `sigma = 0` are always of order 1.
    pub lower_order_final: bool,
}

impl Default for Sa {
    fn default() -> Self {
        Self { predictor: 2, corrector: 2, tau: 1.0, tau_min: 0.0, tau_max: None, lower_order_final: true }
    }
}

impl Sa {
    pub(super) fn check(self) -> Result<(), Error> {
        super::check_order(self.predictor, 3)?;
        super::check_order(self.corrector.max(1), 3)?;
        let positive = [("tau", self.tau), ("tau_min", self.tau_min), ("tau_max", self.tau_max.unwrap_or(0.0))];
        match positive.into_iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            Some((name, value)) => Err(Error::OutOfRange { name, value, range: "finite and not negative" }),
            None => Ok(()),
        }
    }

    fn tau(self, at: Level) -> f64 {
        let s = at.ve_sigma();
        if s >= self.tau_min && self.tau_max.is_none_or(|most| s <= most) { self.tau } else { 0.0 }
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, base, z) = (plan.reg(), plan.reg(), plan.reg());
        let size = usize::from(self.predictor).max(usize::from(self.corrector));
        let mut history = History::new(&mut plan, size);
        let steps = walk.len();
        // Level left by the step before, and the order of the corrector at its end.
        let mut before: Option<(Level, usize)> = None;
        for (i, from, to) in walk.steps() {
            if to.is_clean() {
                plan.eval(d, Plan::STATE, from, i);
                plan.lin(Plan::STATE, [(to.alpha, d)]);
                continue;
            }
            let m = history.push(from.lambda());
            Smooth::X0.eval(&mut plan, [m, d], from, i);
            let left = if self.lower_order_final { steps - i } else { usize::MAX - 1 };
            let known = history.len();
            let mut x = Plan::STATE;
            if let Some((start, order)) = before.filter(|(start, _)| start.alpha > 0.0) {
                // The noise of the step is still in `z`.
                let terms = self.terms(start, from, order.min(known), base, z, Ends::WithEnd, &history);
                plan.lin(base, terms);
                x = base;
            } else if self.corrector > 0 {
                plan.lin(base, [(1.0, Plan::STATE)]);
            }
            plan.noise(z, i, stream::STEP);
            let order = usize::from(self.predictor).min(left).min(known);
            let terms = self.terms(from, to, order, x, z, Ends::StartOnly, &history);
            plan.lin(Plan::STATE, terms);
            if self.corrector > 0 {
                before = Some((from, usize::from(self.corrector).min(left + 1).min(i + 2)));
            }
        }
        plan
    }

    /// Terms of one update (eqs. 14 and 17), with the change of the second order that the authors make for few steps.
    #[expect(clippy::too_many_arguments, reason = "a private formula: two levels, an order, two registers, a variant, the history")]
    fn terms(self, from: Level, to: Level, order: usize, x: Reg, z: Reg, ends: Ends, history: &History) -> Vec<(f64, Reg)> {
        let tau2 = self.tau(from).powi(2);
        let rate = 1.0 + tau2;
        let end = to.lambda();
        let h = end - from.lambda();
        // Half log-SNR relative to the end, so that the exponential is at most one. Order 1 also serves h = inf.
        let nodes: Vec<f64> = (0..order).map(|back| history.at(back) - end).collect();
        let mut weights = lagrange::integrals(&nodes, -h, 0.0, rate);
        if order == 2 {
            let exact = (h * rate + (-rate * h).exp_m1()) / (rate * rate);
            let change = match ends {
                Ends::StartOnly => (0.5 * h * h - exact) / (nodes[0] - nodes[1]),
                Ends::WithEnd => 0.5 * h - exact / h,
            };
            weights[0] += change;
            weights[1] -= change;
        }
        let decay = if tau2 > 0.0 { (-tau2 * h).exp() } else { 1.0 };
        let mut terms = vec![(decay * to.sigma / from.sigma, x)];
        terms.extend(weights.into_iter().enumerate().map(|(back, w)| (to.alpha * rate * w, history.reg(back))));
        if tau2 > 0.0 {
            terms.push((to.sigma * (-(-2.0 * tau2 * h).exp_m1()).sqrt(), z));
        }
        terms
    }
}

/// Whether the newest evaluation is at the start of the step (predictor) or at its end (corrector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    StartOnly,
    WithEnd,
}
