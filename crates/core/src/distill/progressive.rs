//! Progressive distillation (Salimans & Ho 2022, algorithm 2).

use crate::{Denoiser, Level, State};

/// What one DDIM step of a student from `x` should predict, and the teacher's two steps that say so.
#[derive(Clone, Debug)]
pub struct Progressive<S> {
    /// The teacher's estimate at the start.
    pub first: S,
    /// The state after its first step.
    pub middle: S,
    /// Its estimate there.
    pub second: S,
    /// The state after its second step.
    pub end: S,
    /// The clean data that takes the student from the start to that end in one step.
    pub target: S,
}

/// Runs two DDIM steps of a teacher and inverts the student's one (Salimans & Ho 2022, appendix G).
pub fn progressive_target<S: State>(teacher: &impl Denoiser<S>, x: &S, [from, middle, to]: [Level; 3], node: u32) -> Progressive<S> {
    let first = teacher.denoise(x, from, node);
    let at_middle = ddim(x, &first, from, middle);
    let second = teacher.denoise(&at_middle, middle, node);
    let end = ddim(&at_middle, &second, middle, to);
    let ratio = to.sigma / from.sigma;
    let gap = to.alpha - ratio * from.alpha;
    let target = S::lincomb(&[(1.0 / gap, &end), (-ratio / gap, x)]);
    Progressive { first, middle: at_middle, second, end, target }
}

/// `alpha_s D + sigma_s (x - alpha_t D) / sigma_t`.
fn ddim<S: State>(x: &S, estimate: &S, from: Level, to: Level) -> S {
    let ratio = to.sigma / from.sigma;
    S::lincomb(&[(ratio, x), (to.alpha - ratio * from.alpha, estimate)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mixture::GaussianMixture,
        schedule::{Schedule, VpCosine},
    };

    #[test]
    fn one_step_of_the_student_is_two_of_the_teacher() {
        let covs = vec![vec![vec![0.1, -0.06], vec![-0.06, 0.08]]; 2];
        let mixture = GaussianMixture::new(vec![0.3, 0.7], vec![vec![1.0, -0.5], vec![-1.0, 0.5]], covs).unwrap();
        let schedule = VpCosine::new(0.0).unwrap();
        for t in [1.0, 0.5, 0.125] {
            let levels = [t, t - 0.0625, t - 0.125].map(|t| schedule.level(t));
            let x = vec![0.3, -1.1, 0.9, 0.2];
            let got = progressive_target(&mixture, &x, levels, 0);
            let student = ddim(&x, &got.target, levels[0], levels[2]);
            assert!(student.iter().zip(&got.end).all(|(a, b)| (a - b).abs() < 1e-13));
        }
    }
}
