//! PNDM: linear multistep and Runge-Kutta on the noise estimate, with DDIM as the transfer between levels.

use serde::{Deserialize, Serialize};

use super::{Smooth, Walk, history::History};
use crate::{Error, Level, Plan, plan::Reg};

/// Pseudo numerical methods (Liu et al. 2022): the noise estimate is averaged as in a classical method, and carried to the next level
/// by DDIM's formula (eq. 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pndm {
    /// Starts with three Runge-Kutta steps (F-PNDM, algorithm 2), each over two intervals of the grid with the node between as its
    /// midpoint; default no: one corrected step, then multistep of rising order (PLMS).
    pub runge_kutta: bool,
}

/// Intervals that the Runge-Kutta start takes.
const START: usize = 6;

impl Pndm {
    pub(super) fn check(self, walk: Walk<'_>) -> Result<(), Error> {
        if self.runge_kutta && walk.len() < START {
            return Err(Error::Grid { node: walk.len(), reason: "the Runge-Kutta start needs six intervals, two for each of three steps" });
        }
        Ok(())
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let stages = [plan.reg(), plan.reg(), plan.reg(), plan.reg(), plan.reg()];
        let d = stages[4];
        let mut history = History::new(&mut plan, 4);
        let mut start = 0;
        if self.runge_kutta {
            while start < START {
                runge_kutta(&mut plan, &mut history, walk, start, stages);
                start += 2;
            }
        }
        for (i, from, to) in walk.steps().skip(start) {
            let m = history.push(i as f64);
            Smooth::Eps.eval(&mut plan, [m, d], from, i);
            if i == 0 && !to.is_clean() {
                // Improved Euler: to the next node, and again with the mean of both estimates.
                let [ahead, other, ..] = stages;
                transfer(&mut plan, ahead, from, to, [m, d], &[(1.0, m)]);
                eval(&mut plan, other, ahead, to, i + 1);
                transfer(&mut plan, Plan::STATE, from, to, [m, d], &[(0.5, m), (0.5, other)]);
                continue;
            }
            // Adams-Bashforth with even steps (eq. 12).
            let weights: &[f64] = match history.len() {
                1 => &[1.0],
                2 => &[1.5, -0.5],
                3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
                _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
            };
            let mean: Vec<(f64, Reg)> = weights.iter().enumerate().map(|(back, w)| (*w, history.reg(back))).collect();
            transfer(&mut plan, Plan::STATE, from, to, [m, d], &mean);
        }
        plan
    }
}

/// `dst` = noise estimate at `src`.
fn eval(plan: &mut Plan, dst: Reg, src: Reg, at: Level, node: usize) {
    plan.eval(dst, src, at, node);
    plan.lin(dst, [(1.0 / at.sigma, src), (-at.alpha / at.sigma, dst)]);
}

/// `dst` = the state carried from one level to another with an averaged noise estimate (eq. 11).
///
/// `newest` is the estimate at the state itself, with its `x0`.
fn transfer(plan: &mut Plan, dst: Reg, from: Level, to: Level, newest: [Reg; 2], mean: &[(f64, Reg)]) {
    let ratio = to.alpha / from.alpha;
    let of_eps = to.sigma - ratio * from.sigma;
    let mut terms: Vec<(f64, Reg)> = [(ratio, Plan::STATE)].into_iter().chain(mean.iter().map(|(w, m)| (of_eps * w, *m))).collect();
    Smooth::Eps.fold(&mut terms, newest, from);
    plan.lin(dst, terms);
}

/// One step of the classical Runge-Kutta method over two intervals, which leaves its first estimate in the history.
fn runge_kutta(plan: &mut Plan, history: &mut History, walk: Walk<'_>, start: usize, [x, k2, k3, k4, d]: [Reg; 5]) {
    let (from, mid, to) = (walk.at(start), walk.at(start + 1), walk.at(start + 2));
    let k1 = history.push(start as f64);
    let newest = [k1, d];
    Smooth::Eps.eval(plan, newest, from, start);
    transfer(plan, x, from, mid, newest, &[(1.0, k1)]);
    eval(plan, k2, x, mid, start + 1);
    transfer(plan, x, from, mid, newest, &[(1.0, k2)]);
    eval(plan, k3, x, mid, start + 1);
    transfer(plan, x, from, to, newest, &[(1.0, k3)]);
    if to.is_clean() {
        plan.lin(Plan::STATE, [(1.0, x)]);
        return;
    }
    eval(plan, k4, x, to, start + 2);
    transfer(plan, Plan::STATE, from, to, newest, &[(1.0 / 6.0, k1), (1.0 / 3.0, k2), (1.0 / 3.0, k3), (1.0 / 6.0, k4)]);
}
