//! Ancestral sampling of DDPM, for any pair of levels.

use serde::{Deserialize, Serialize};

use super::{Walk, kernel::Reverse};
use crate::{
    Error, Level, Plan,
    noise::stream,
    variance::{ScoreMoments, optimal_variance},
};

/// Which variance the reverse step has: one of the two closed forms (Ho et al. 2020, section 3.2), or the best one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// That of `q(x_s | x_t, x0)`, `beta tilde`: right when the data is a point.
    #[default]
    Small,
    /// That of `q(x_t | x_s)`, `beta`: right when the data is standard normal.
    Large,
    /// Analytic-DPM (Bao et al. 2022, theorem 1): the best one for the data, from the [`ScoreMoments`] of a checkpoint.
    Analytic,
}

impl Variance {
    /// The variance of the step from one level to a cleaner one.
    pub(crate) fn of_step(self, from: Level, to: Level, moments: Option<&ScoreMoments>) -> Result<f64, Error> {
        let kernel = Reverse::between(from, to);
        match self {
            Self::Small => Ok(kernel.variance),
            Self::Large => Ok(kernel.forward_variance),
            Self::Analytic => analytic(from, to, kernel.variance, moments),
        }
    }
}

/// The best variance of a step whose sampler draws the variance `drawn` anyway.
pub(super) fn analytic(from: Level, to: Level, drawn: f64, moments: Option<&ScoreMoments>) -> Result<f64, Error> {
    let score = moments.and_then(|m| m.mean_square_score(from));
    let score = score.ok_or_else(|| Error::Invalid {
        what: "solver",
        reason: "the analytic variance needs the score moments of a checkpoint; choose another variance or estimate them".into(),
    })?;
    Ok(optimal_variance(from, to, drawn, score))
}

/// Ancestral sampling (Ho et al. 2020, algorithm 2), with the reverse kernel between any two levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// Variance of the reverse step; default small.
    pub variance: Variance,
}

impl Ddpm {
    pub(super) fn compile(self, walk: Walk<'_>, moments: Option<&ScoreMoments>) -> Result<Plan, Error> {
        let mut plan = Plan::new();
        let (d, z) = (plan.reg(), plan.reg());
        for (i, from, to) in walk.steps() {
            plan.eval(d, Plan::STATE, from, i);
            let kernel = Reverse::between(from, to);
            let mut terms = vec![(kernel.of_x, Plan::STATE), (kernel.of_x0, d)];
            if !to.is_clean() {
                plan.noise(z, i, stream::STEP);
                terms.push((self.variance.of_step(from, to, moments)?.sqrt(), z));
            }
            plan.lin(Plan::STATE, terms);
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mixture::GaussianMixture,
        plan::Op,
        solver::{Ddim, Solver},
        variance::mean_square_score,
    };

    const V: f64 = 0.3;

    fn spread(at: Level) -> f64 {
        at.alpha * at.alpha * V + at.sigma * at.sigma
    }

    /// Variance of `x` after each step, in closed form: the denoiser of `N(0, V)` is `alpha V x / (alpha^2 V + sigma^2)`.
    fn variances(solver: Solver, levels: &[Level], moments: &ScoreMoments) -> Vec<f64> {
        let plan = solver.plan_with(levels, Some(moments)).unwrap();
        let (mut variance, mut gain, mut out) = (spread(levels[0]), 0.0, Vec::new());
        for op in &plan.ops {
            match op {
                Op::Eval { at, .. } => gain = at.alpha * V / spread(*at),
                Op::Lin { terms, .. } => {
                    let of_x: f64 = terms.iter().map(|&(c, reg)| c * [1.0, gain, 0.0][usize::from(reg)]).sum();
                    let of_noise: f64 = terms.iter().filter(|t| t.1 == 2).map(|t| t.0).sum();
                    variance = of_x * of_x * variance + of_noise * of_noise;
                    out.push(variance);
                }
                _ => {}
            }
        }
        out
    }

    #[test]
    fn the_analytic_variance_is_exact_on_a_normal_in_any_number_of_steps() {
        let data = GaussianMixture::new(vec![1.0], vec![vec![0.0]], vec![vec![vec![V]]]).unwrap();
        for levels in [vec![0.02, 0.97], vec![0.02, 0.3, 0.9], vec![0.001, 0.02, 0.2, 0.5, 0.9, 0.999]] {
            let levels: Vec<Level> = levels.into_iter().map(Level::vp).collect();
            let row = |at: &Level| [at.alpha, at.sigma, at.sigma.powi(2) * mean_square_score(&data, *at).unwrap()];
            let moments = ScoreMoments::from_rows(&levels.iter().rev().map(row).collect::<Vec<_>>()).unwrap();
            let error = |solver: Solver| {
                let got = variances(solver, &levels, &moments);
                got.iter().zip(&levels[1..]).map(|(v, at)| (v / spread(*at) - 1.0).abs()).fold(0.0, f64::max)
            };
            let ddpm = |variance| Solver::Ddpm(Ddpm { variance });
            let ddim = |eta, analytic| Solver::Ddim(Ddim { eta, analytic });
            for exact in [ddpm(Variance::Analytic), ddim(0.0, true), ddim(0.5, true), ddim(1.0, true)] {
                assert!(error(exact) < 1e-7, "{exact:?}: {}", error(exact));
            }
            for other in [ddpm(Variance::Small), ddpm(Variance::Large), ddim(0.0, false), ddim(0.5, false)] {
                assert!(error(other) > 0.02, "{other:?}: {}", error(other));
            }
        }
    }

    #[test]
    fn analytic_solvers_need_moments_and_alpha() {
        let levels = [Level::vp(0.01), Level::vp(0.5), Level::clean()];
        let moments = ScoreMoments::from_rows(&[[0.7, 0.7, 0.5]]).unwrap();
        let empty = ScoreMoments::new(vec![Level::vp(0.5)]).unwrap();
        let mut needy = 0;
        for (name, solver) in Solver::named().into_iter().filter(|(_, s)| s.needs_moments()) {
            needy += 1;
            assert!(name.ends_with("-analytic") && solver.is_stochastic());
            let refusal = solver.plan(&levels).unwrap_err().to_string();
            assert!(refusal.contains("needs the score moments of a checkpoint"), "{refusal}");
            assert!(solver.plan_with(&levels, Some(&empty)).is_err());
            assert!(solver.plan_with(&levels, Some(&moments)).is_ok());
            assert!(matches!(solver.plan_with(&[Level::new(0.0, 1.0), levels[1]], Some(&moments)), Err(Error::Grid { node: 0, .. })));
        }
        assert_eq!(needy, 2);
    }
}
