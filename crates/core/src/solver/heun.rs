//! Heun's method on the probability-flow ODE.

use serde::{Deserialize, Serialize};

use super::Walk;
use crate::{Level, Plan};

/// Coordinates `y = x / (of_alpha alpha + of_sigma sigma)` in which a Runge-Kutta method takes its straight lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordinates {
    /// `y = x / alpha`, `s = sigma / alpha`: variance exploding, as in EDM. Cannot start at `alpha = 0`.
    #[default]
    Exploding,
    /// `y = x / (alpha + sigma)`, `s = sigma / (alpha + sigma)`: flow matching.
    Flow,
}

impl Coordinates {
    /// The scale `x / y` and the time `s` of a level.
    pub(super) fn of(self, at: Level) -> (f64, f64) {
        let scale = match self {
            Self::Exploding => at.alpha,
            Self::Flow => at.alpha + at.sigma,
        };
        (scale, at.sigma / scale)
    }
}

/// Heun's method: two evaluations a step, one into `sigma = 0` (Karras et al. 2022, algorithm 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heun {
    /// Coordinates of the straight lines; default variance exploding.
    pub coordinates: Coordinates,
}

impl Heun {
    pub(super) fn compile(self, walk: Walk<'_>) -> Plan {
        let mut plan = Plan::new();
        let (d, ahead, d_ahead) = (plan.reg(), plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let ((scale, s), (scale_to, s_to)) = (self.coordinates.of(from), self.coordinates.of(to));
            if to.is_clean() {
                plan.lin(Plan::STATE, [(scale_to, d)]);
                continue;
            }
            // dy/ds = (y - c D) / s, where c = 1 in exploding and in flow coordinates, because y(s = 0) = x0 / scale(clean) = x0.
            let h = s_to - s;
            plan.lin(ahead, [(scale_to / scale * (1.0 + h / s), Plan::STATE), (-scale_to * h / s, d)]);
            plan.eval(d_ahead, ahead, to, i + 1);
            let half = 0.5 * h;
            plan.lin(
                Plan::STATE,
                [
                    (scale_to / scale * (1.0 + half / s), Plan::STATE),
                    (-scale_to * half / s, d),
                    (half / s_to, ahead),
                    (-scale_to * half / s_to, d_ahead),
                ],
            );
        }
        plan
    }
}
