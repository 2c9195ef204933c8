//! Singlestep DPM-Solver++: Runge-Kutta in the half log-SNR, each step from fresh evaluations.

use serde::{Deserialize, Serialize};

use super::{Form, Smooth, Walk, between::midpoint, dpmpp::Weights, history::History};
use crate::{Error, Plan, noise::stream, plan::Reg};

/// DPM-Solver++(2S): a midpoint in the half log-SNR, two evaluations a step, one into `sigma = 0` (Lu et al. 2022 b, algorithm 1
/// with `r = 1/2`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp2S {}

impl DpmPp2S {
    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, ahead) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            if to.is_clean() {
                plan.lin(Plan::STATE, [(to.alpha, d)]);
                continue;
            }
            let mid = midpoint(from, to);
            let (half, whole) = (Weights::of(Smooth::X0, false, from, mid), Weights::of(Smooth::X0, false, from, to));
            plan.lin(ahead, [(half.of_x, Plan::STATE), (half.phi(1, Form::Midpoint)[0], d)]);
            plan.eval(d, ahead, mid, i);
            plan.lin(Plan::STATE, [(whole.of_x, Plan::STATE), (whole.phi(1, Form::Midpoint)[0], d)]);
        }
        plan
    }
}

/// Singlestep DPM-Solver++ whose inner evaluations are nodes of the grid: a step of order `k` spans `k` intervals (Lu et al. 2022 b,
/// algorithm 1 and appendix B; the last steps have orders that make the number of evaluations come out even).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPpSingle {
    /// Order, 1 to 3; default 2.
    pub order: u8,
    /// Smooth quantity; default `x0`.
    pub smooth: Smooth,
    /// Form of the second order; default midpoint.
    pub form: Form,
    /// Adds the noise of the reverse SDE from the start of the block, afresh at each of its nodes; default no.
    pub sde: bool,
    /// Never ends with a step of the highest order into the last node; default yes. Steps into `sigma = 0` are always of order 1.
    pub lower_order_final: bool,
}

impl Default for DpmPpSingle {
    fn default() -> Self {
        Self { order: 2, smooth: Smooth::X0, form: Form::Midpoint, sde: false, lower_order_final: true }
    }
}

impl DpmPpSingle {
    pub(super) fn check(self) -> Result<(), Error> {
        super::check_order(self.order, 3)
    }

    pub(super) fn divides_by_alpha(self) -> bool {
        self.smooth == Smooth::Eps
    }

    /// Order of the update that ends at each node: 1, 2, .. restarting at 1, and never above 1 into the last node.
    fn orders(self, steps: usize) -> Vec<usize> {
        let order = usize::from(self.order);
        let mut orders: Vec<usize> = (0..steps).map(|i| i % order + 1).collect();
        if let Some(last) = orders.last_mut().filter(|_| self.lower_order_final) {
            // Complete blocks to the end would put the highest order into the last node; the block is cut before it.
            *last = if *last == order { 1 } else { *last };
        }
        orders
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, base, z) = (plan.reg(), plan.reg(), plan.reg());
        let mut history = History::new(&mut plan, usize::from(self.order));
        let orders = self.orders(walk.len());
        let mut start = walk.first();
        for (i, from, to) in walk.steps() {
            if to.is_clean() {
                plan.eval(d, Plan::STATE, from, i);
                plan.lin(Plan::STATE, [(to.alpha, d)]);
                continue;
            }
            let m = history.push(from.lambda());
            self.smooth.eval(&mut plan, [m, d], from, i);
            let order = orders[i].min(history.len());
            if order == 1 {
                start = from;
                plan.lin(base, [(1.0, Plan::STATE)]);
            }
            let weights = Weights::of(self.smooth, self.sde, start, to);
            let mut terms = vec![(weights.of_x, if order == 1 { Plan::STATE } else { base })];
            self.taylor(order, weights, to.lambda() - start.lambda(), &history, &mut terms);
            self.smooth.fold(&mut terms, [m, d], from);
            if self.sde {
                plan.noise(z, i, stream::STEP);
                terms.push((weights.of_noise, z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }

    /// Terms of the integrals over the block, expanded at its oldest evaluation.
    fn taylor(self, order: usize, weights: Weights, h: f64, history: &History, terms: &mut Vec<(f64, Reg)>) {
        let [first, second, third] = weights.phi(order, self.form);
        let oldest = order - 1;
        let position = |back: usize| (history.at(back) - history.at(oldest)) / h;
        let mut of_oldest = first;
        let mut slope = |back: usize, factor: f64| {
            let factor = factor / position(back);
            terms.push((factor, history.reg(back)));
            of_oldest -= factor;
        };
        match (order, self.form) {
            (1, _) => {}
            (2, _) | (_, Form::Midpoint) => slope(0, second),
            (_, Form::Heun) => {
                let (near, far) = (position(1), position(0));
                slope(1, (second * far - 2.0 * third) / (far - near));
                slope(0, (2.0 * third - second * near) / (far - near));
            }
        }
        terms.push((of_oldest, history.reg(oldest)));
    }
}
