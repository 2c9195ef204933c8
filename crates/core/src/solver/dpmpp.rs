//! DPM-Solver and DPM-Solver++: multistep exponential integrators in the half log-SNR.

use serde::{Deserialize, Serialize};

use super::{Walk, history::History};
use crate::{Error, Level, Plan, noise::stream, plan::Reg};

/// What the integrator takes to be smooth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Smooth {
    /// The estimate of `x0`: DPM-Solver++ (Lu et al. 2022 b). Can start at pure noise and end in clean data.
    #[default]
    X0,
    /// The estimate of the noise: DPM-Solver (Lu et al. 2022 a). Divides by `alpha`.
    Eps,
}

/// How the second-order term is weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Half the first-order weight (Lu et al. 2022 b, algorithm 2).
    #[default]
    Midpoint,
    /// The exact integral of the linear term (the Taylor form of Lu et al. 2022 a, appendix B).
    Heun,
}

/// Multistep DPM-Solver of order 1, 2 or 3, as an ODE or as an SDE solver (Lu et al. 2022 a, b).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp {
    /// Order, 1 to 3; default 2.
    pub order: u8,
    /// Smooth quantity; default `x0` (the `++`).
    pub smooth: Smooth,
    /// Form of the second order; default midpoint.
    pub form: Form,
    /// Adds the noise of the reverse SDE; default no.
    pub sde: bool,
    /// On plans shorter than 15 steps, ends with steps of order 2 and 1; default yes. Steps into `sigma = 0` are always of order 1.
    pub lower_order_final: bool,
}

impl Default for DpmPp {
    fn default() -> Self {
        Self { order: 2, smooth: Smooth::X0, form: Form::Midpoint, sde: false, lower_order_final: true }
    }
}

/// Steps below which `lower_order_final` acts, as in the paper's code.
pub(crate) const SHORT: usize = 15;

impl DpmPp {
    pub(super) fn check(self) -> Result<(), Error> {
        super::check_order(self.order, 3)
    }

    pub(super) fn divides_by_alpha(self) -> bool {
        self.smooth == Smooth::Eps
    }

    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        let mut history = History::new(&mut plan, usize::from(self.order));
        let steps = walk.len();
        for (i, from, to) in walk.steps() {
            if to.is_clean() {
                plan.eval(d, Plan::STATE, from, i);
                plan.lin(Plan::STATE, [(to.alpha, d)]);
                continue;
            }
            let m = history.push(from.lambda());
            self.smooth.eval(&mut plan, [m, d], from, i);
            let cap = if self.lower_order_final && steps < SHORT { steps - i } else { usize::MAX };
            let order = usize::from(self.order).min(cap).min(history.len());
            let weights = Weights::of(self.smooth, self.sde, from, to);
            let mut terms = vec![(weights.of_x, Plan::STATE)];
            history.taylor(weights.phi(order, self.form), to.lambda() - from.lambda(), &mut terms);
            self.smooth.fold(&mut terms, [m, d], from);
            if self.sde {
                plan.noise(z, i, stream::STEP);
                terms.push((weights.of_noise, z));
            }
            plan.lin(Plan::STATE, terms);
        }
        plan
    }
}

impl Smooth {
    /// Appends the evaluation of the smooth quantity at a node into `m`; for the noise, the estimate of `x0` stays in `d`.
    pub(super) fn eval(self, plan: &mut Plan, [m, d]: [Reg; 2], at: Level, node: usize) {
        match self {
            Self::X0 => plan.eval(m, Plan::STATE, at, node),
            Self::Eps => {
                plan.eval(d, Plan::STATE, at, node);
                plan.lin(m, [(1.0 / at.sigma, Plan::STATE), (-at.alpha / at.sigma, d)]);
            }
        }
    }

    /// Writes the newest noise estimate in `terms` out as `(x - alpha D) / sigma`. Its part of `x` and the state's own nearly cancel
    /// where `alpha` is small; here they do so in f64, on the host, and not in the state's f32.
    pub(super) fn fold(self, terms: &mut Vec<(f64, Reg)>, [m, d]: [Reg; 2], at: Level) {
        if self == Self::X0 {
            return;
        }
        let of_m: f64 = terms.iter().filter(|t| t.1 == m).map(|t| t.0).sum();
        terms.retain(|t| t.1 != m);
        match terms.iter_mut().find(|t| t.1 == Plan::STATE) {
            Some(of_x) => of_x.0 += of_m / at.sigma,
            None => terms.push((of_m / at.sigma, Plan::STATE)),
        }
        terms.push((-of_m * at.alpha / at.sigma, d));
    }
}

/// Weights of one exponential step between levels that are not clean.
///
/// With `m` the smooth quantity, the exact solution is `of_x x + integral of m against an exponential of lambda`; the integral of the
/// k-th Taylor term of `m` is `phi_k` (Lu et al. 2022 a, proposition 3.1; b, proposition 4.1; SDE: b, appendix A).
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) of_x: f64,
    pub(super) of_noise: f64,
    /// Factor of all three integrals.
    scale: f64,
    /// Exponent of the step.
    u: f64,
}

impl Weights {
    pub(super) fn of(smooth: Smooth, sde: bool, from: Level, to: Level) -> Self {
        let h = to.lambda() - from.lambda();
        match (smooth, sde) {
            (Smooth::X0, false) => Self { of_x: to.sigma / from.sigma, of_noise: 0.0, scale: -to.alpha, u: -h },
            (Smooth::X0, true) => Self {
                of_x: to.sigma / from.sigma * (-h).exp(),
                of_noise: to.sigma * (-(-2.0 * h).exp_m1()).sqrt(),
                scale: -to.alpha,
                u: -2.0 * h,
            },
            (Smooth::Eps, false) => Self { of_x: to.alpha / from.alpha, of_noise: 0.0, scale: -to.sigma, u: h },
            (Smooth::Eps, true) => {
                Self { of_x: to.alpha / from.alpha, of_noise: to.sigma * (2.0 * h).exp_m1().sqrt(), scale: -2.0 * to.sigma, u: h }
            }
        }
    }

    /// The factor of the integrals, and the exponent.
    pub(super) fn exponent(self) -> (f64, f64) {
        (self.scale, self.u)
    }

    /// The integrals of the Taylor terms up to an order, zero beyond it.
    pub(super) fn phi(self, order: usize, form: Form) -> [f64; 3] {
        let e = self.u.exp_m1();
        let first = self.scale * e;
        let second = match (order, form) {
            (1, _) => 0.0,
            (2, Form::Midpoint) => 0.5 * first,
            _ => self.scale * (e / self.u - 1.0),
        };
        let third = if order == 3 { self.scale * ((e - self.u) / (self.u * self.u) - 0.5) } else { 0.0 };
        [first, second, third]
    }
}
