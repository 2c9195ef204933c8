//! UniPC: a predictor and a corrector of any order that share their evaluations.

use serde::{Deserialize, Serialize};

use super::{Form, Smooth, Walk, dpmpp::Weights, history::History};
use crate::{Error, Level, Plan, plan::Reg};

/// The function `B(h)` that scales the correction (Zhao et al. 2023, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bh {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = e^h - 1`, the default.
    #[default]
    Bh2,
}

/// UniPC of order 1, 2 or 3 (Zhao et al. 2023, algorithms 1 and 2; in data prediction: appendix A). One evaluation a step: the
/// corrector at a node uses the estimate that the next predictor needs anyway.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniPc {
    /// Order, 1 to 3; default 2.
    pub order: u8,
    /// Form of `B(h)`; default `bh2`.
    pub bh: Bh,
    /// Smooth quantity; default `x0`.
    pub smooth: Smooth,
    /// Whether the corrector runs; default yes. Without it the method is UniP.
    pub corrector: bool,
    /// Steps from the start whose result is not corrected; default 0. Strong guidance makes the first estimates unreliable (the authors'
    /// code calls this `disable_corrector`).
    pub corrected_from: usize,
    /// Ends with steps of order 2 and 1; default yes. Steps into `sigma = 0` are always of order 1.
    pub lower_order_final: bool,
}

impl Default for UniPc {
    fn default() -> Self {
        Self { order: 2, bh: Bh::Bh2, smooth: Smooth::X0, corrector: true, corrected_from: 0, lower_order_final: true }
    }
}

impl UniPc {
    pub(super) fn check(self) -> Result<(), Error> {
        super::check_order(self.order, 3)
    }

    pub(super) fn divides_by_alpha(self) -> bool {
        self.smooth == Smooth::Eps
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, base) = (plan.reg(), plan.reg());
        let mut history = History::new(&mut plan, usize::from(self.order) + 1);
        let steps = walk.len();
        // Level left by the step before, and its order.
        let mut before: Option<(Level, usize)> = None;
        for (i, from, to) in walk.steps() {
            if to.is_clean() {
                // The corrector would change x, but the last estimate is all that is kept.
                plan.eval(d, Plan::STATE, from, i);
                plan.lin(Plan::STATE, [(to.alpha, d)]);
                continue;
            }
            let m = history.push(from.lambda());
            self.smooth.eval(&mut plan, [m, d], from, i);
            let corrected = before.filter(|(left, _)| self.corrector && i > self.corrected_from && left.alpha > 0.0);
            let x = match corrected {
                Some((left, order)) => {
                    let mut terms = self.terms(left, from, order, 1, &history);
                    terms[0].1 = base;
                    self.smooth.fold(&mut terms, [m, d], from);
                    plan.lin(base, terms);
                    base
                }
                None => Plan::STATE,
            };
            let cap = if self.lower_order_final { steps - i } else { usize::MAX };
            let order = usize::from(self.order).min(cap).min(history.len());
            let mut terms = self.terms(from, to, order, 0, &history);
            terms[0].1 = x;
            self.smooth.fold(&mut terms, [m, d], from);
            if x == Plan::STATE && self.corrector {
                plan.lin(base, [(1.0, Plan::STATE)]);
            }
            plan.lin(Plan::STATE, terms);
            before = Some((from, order));
        }
        plan
    }

    /// Terms of one update, the first of them that of the state; `newest` is 0 for the predictor, 1 for the corrector, whose newest
    /// evaluation is at the end of the step (eqs. 5 and 9).
    fn terms(self, from: Level, to: Level, order: usize, newest: usize, history: &History) -> Vec<(f64, Reg)> {
        let weights = Weights::of(self.smooth, false, from, to);
        let h = to.lambda() - from.lambda();
        let (scale, u) = weights.exponent();
        let bh = match self.bh {
            Bh::Bh1 => u,
            Bh::Bh2 => u.exp_m1(),
        };
        // Evaluations used beside the one at `from`, and their positions in steps.
        let (mut regs, mut positions, mut count) = ([0; MOST], [0.0; MOST], 0);
        for back in newest + 1..newest + order {
            (regs[count], positions[count]) = (history.reg(back), (history.at(back) - history.at(newest)) / h);
            count += 1;
        }
        if newest == 1 {
            (regs[count], positions[count]) = (history.reg(0), 1.0);
            count += 1;
        }
        let rho = coefficients(&positions[..count], u, bh);
        let mut of_first = weights.phi(1, Form::Midpoint)[0];
        let mut terms = Vec::with_capacity(count + 3);
        terms.push((weights.of_x, Plan::STATE));
        for ((r, reg), rho) in positions[..count].iter().zip(regs).zip(rho) {
            let factor = scale * bh * rho / r;
            of_first -= factor;
            terms.push((factor, reg));
        }
        terms.push((of_first, history.reg(newest)));
        terms
    }
}

/// Most evaluations beside the first: two older ones and, for the corrector, one at the end of the step.
const MOST: usize = 3;

/// Solves `sum_m rho_m r_m^{n-1} = n! phi_{n+1}(u) u^n / (u^{n-1} B)` for `n = 1 ..= len` (Zhao et al. 2023, eq. 6); one position
/// gives 1/2, which keeps the order and is what the authors use.
fn coefficients(positions: &[f64], u: f64, bh: f64) -> [f64; MOST] {
    let n = positions.len();
    if n == 1 {
        return [0.5, 0.0, 0.0];
    }
    let mut rows = [[0.0; MOST + 1]; MOST];
    let (mut phi, mut factorial) = (u.exp_m1() / u - 1.0, 1.0);
    for (k, row) in rows.iter_mut().enumerate().take(n) {
        for (value, r) in row.iter_mut().zip(positions) {
            *value = r.powi(k as i32);
        }
        row[n] = phi * factorial / bh;
        factorial *= (k + 2) as f64;
        phi = phi / u - 1.0 / factorial;
    }
    solve(rows, n)
}

/// Gaussian elimination with pivoting of an augmented matrix of `n` rows.
fn solve(mut rows: [[f64; MOST + 1]; MOST], n: usize) -> [f64; MOST] {
    for i in 0..n {
        let pivot = (i..n).max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs())).unwrap_or(i);
        rows.swap(i, pivot);
        let chosen = rows[i];
        for (_, row) in rows.iter_mut().enumerate().take(n).filter(|(j, _)| *j != i) {
            let factor = row[i] / chosen[i];
            row.iter_mut().zip(chosen).for_each(|(v, c)| *v -= factor * c);
        }
    }
    let mut solution = [0.0; MOST];
    for (i, value) in solution.iter_mut().enumerate().take(n) {
        *value = rows[i][n] / rows[i][i];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_by_hand() {
        // x + y = 3, x - y = 1.
        assert_eq!(solve([[1.0, 1.0, 3.0, 0.0], [1.0, -1.0, 1.0, 0.0], [0.0; 4]], 2)[..2], [2.0, 1.0]);
    }
}
