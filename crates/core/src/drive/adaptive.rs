//! The probability-flow ODE with error control: the reference that fixed grids are measured against.

use crate::{Denoiser, Error, Level, State, solver::level_between};

/// Dormand and Prince's pair of orders 5 and 4 (1980) with a proportional step controller, in the variables where the ODE is
/// smoothest: `y = x / alpha` against `u = ln(sigma / alpha)`, in which `dy/du = y - D`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// Error allowed per step, relative to `max(1, |y|)` in the caller's norm; default 1e-6.
    pub tolerance: f64,
    /// Most network evaluations; default 10 000.
    pub most_evaluations: usize,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { tolerance: 1e-6, most_evaluations: 10_000 }
    }
}

/// What a solution took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Network evaluations.
    pub evaluations: usize,
    /// Steps that were kept.
    pub accepted: usize,
    /// Steps that were taken again, shorter.
    pub rejected: usize,
}

/// Lower triangle of the tableau, times of the stages, and the difference between the two orders' weights.
const STAGES: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19_372.0 / 6_561.0, -25_360.0 / 2_187.0, 64_448.0 / 6_561.0, -212.0 / 729.0],
    &[9_017.0 / 3_168.0, -355.0 / 33.0, 46_732.0 / 5_247.0, 49.0 / 176.0, -5_103.0 / 18_656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1_113.0, 125.0 / 192.0, -2_187.0 / 6_784.0, 11.0 / 84.0],
];
const TIMES: [f64; 6] = [0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
const ERROR: [f64; 7] = [71.0 / 57_600.0, 0.0, -71.0 / 16_695.0, 71.0 / 1_920.0, -17_253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0];

impl Adaptive {
    /// Refuses a tolerance that cannot be met.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for one that is not positive.
    pub fn check(&self) -> Result<(), Error> {
        if !(self.tolerance.is_finite() && self.tolerance > 0.0) {
            return Err(Error::OutOfRange { name: "tolerance", value: self.tolerance, range: "a positive number" });
        }
        Ok(())
    }

    /// Carries a state from one level to another, either way; neither may be clean or pure noise.
    ///
    /// `norm` measures states and errors: root mean square, or the largest value. Levels between are those of
    /// the curve that the ends lie on (variance exploding, variance preserving or flow).
    ///
    /// # Errors
    /// [`Error::Grid`] for an end that is clean, pure noise or invalid; [`Error::OutOfRange`] for a tolerance that is not positive, or
    /// when the evaluations run out.
    pub fn solve<S: State>(
        &self,
        x: &S,
        from: Level,
        to: Level,
        denoiser: &impl Denoiser<S>,
        norm: impl Fn(&S) -> f64,
    ) -> Result<(S, Cost), Error> {
        for (node, at) in [from, to].into_iter().enumerate() {
            if !at.is_valid() || at.alpha == 0.0 || at.is_clean() {
                return Err(Error::Grid { node, reason: "the ODE is solved between levels with alpha > 0 and sigma > 0" });
            }
        }
        self.check()?;
        let (start, end) = (from.ve_sigma().ln(), to.ve_sigma().ln());
        let slope = |y: &S, u: f64| {
            let at = level_between(from, to, u.exp());
            let d = denoiser.denoise(&S::lincomb(&[(at.alpha, y)]), at, 0);
            S::lincomb(&[(1.0, y), (-1.0, &d)])
        };
        let mut cost = Cost { evaluations: 1, accepted: 0, rejected: 0 };
        let (mut u, mut y) = (start, S::lincomb(&[(1.0 / from.alpha, x)]));
        let mut first = slope(&y, u);
        let mut h = (end - start) / 50.0;
        while u != end {
            if (u + h - end) * (end - start).signum() >= 0.0 {
                h = end - u;
            }
            let mut k: Vec<S> = vec![first.clone()];
            let mut ahead = y.clone();
            for (stage, time) in STAGES.iter().zip(TIMES) {
                let mut terms = vec![(1.0, &y)];
                terms.extend(stage.iter().zip(&k).map(|(a, k)| (h * a, k)));
                ahead = S::lincomb(&terms);
                k.push(slope(&ahead, u + time * h));
            }
            cost.evaluations += STAGES.len();
            let terms: Vec<(f64, &S)> = ERROR.iter().zip(&k).map(|(e, k)| (h * e, k)).collect();
            let error = norm(&S::lincomb(&terms)) / (self.tolerance * norm(&ahead).max(1.0));
            if error <= 1.0 {
                u = if h == end - u { end } else { u + h };
                y = ahead;
                first = k.swap_remove(6);
                cost.accepted += 1;
            } else {
                cost.rejected += 1;
            }
            // NaN (a denoiser that failed) shrinks the step until the evaluations run out.
            let factor = if error.is_nan() { 0.2 } else { (0.9 * error.powf(-0.2)).clamp(0.2, 5.0) };
            h *= factor;
            if cost.evaluations > self.most_evaluations {
                let value = self.most_evaluations as f64;
                return Err(Error::OutOfRange { name: "most_evaluations", value, range: "larger, or the tolerance wider" });
            }
        }
        Ok((S::lincomb(&[(to.alpha, &y)]), cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::GaussianMixture;

    #[expect(clippy::ptr_arg, reason = "the norm of a state, and the state is a Vec")]
    fn norm(x: &Vec<f64>) -> f64 {
        x.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    /// For data N(m, s^2) the flow is affine: (x - alpha m) / sqrt(alpha^2 s^2 + sigma^2) is constant.
    #[test]
    fn follows_the_exact_flow_both_ways() {
        let data = GaussianMixture::new(vec![1.0], vec![vec![0.7]], vec![vec![vec![0.25]]]).unwrap();
        let standard = |x: f64, at: Level| (x - at.alpha * 0.7) / (at.alpha.powi(2) * 0.25 + at.sigma.powi(2)).sqrt();
        for (from, to) in [(Level::ve(50.0), Level::ve(0.01)), (Level::vp(1e-4), Level::vp(0.9999)), (Level::flow(0.99), Level::flow(0.02))]
        {
            let x = vec![1.3 * from.sigma];
            let solver = Adaptive { tolerance: 1e-9, ..Adaptive::default() };
            let (y, cost) = solver.solve(&x, from, to, &data, norm).unwrap();
            assert!((standard(y[0], to) - standard(x[0], from)).abs() < 1e-6, "{from:?}");
            assert!(cost.accepted > 5 && cost.evaluations < 5000);
            let (back, _) = solver.solve(&y, to, from, &data, norm).unwrap();
            assert!((back[0] - x[0]).abs() < 1e-4 * x[0].abs(), "{from:?}: {} and {}", back[0], x[0]);
        }
    }

    #[test]
    fn refuses_ends_that_are_singular_and_gives_up_in_the_end() {
        let data = GaussianMixture::new(vec![1.0], vec![vec![0.0]], vec![vec![vec![1.0]]]).unwrap();
        let solve = |a: Adaptive, from, to| a.solve(&vec![1.0], from, to, &data, norm);
        assert!(solve(Adaptive::default(), Level::ve(1.0), Level::clean()).is_err());
        assert!(solve(Adaptive::default(), Level::new(0.0, 1.0), Level::vp(0.5)).is_err());
        let short = Adaptive { tolerance: 1e-12, most_evaluations: 20 };
        assert!(solve(short, Level::ve(80.0), Level::ve(0.002)).is_err());
    }
}
