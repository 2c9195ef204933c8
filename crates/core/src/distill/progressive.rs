//! Progressive distillation (Salimans & Ho 2022, algorithm 2).

use burn::tensor::Tensor;

use crate::{Denoiser, Level, State, loss::row_lincomb};

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
    let [ratio, gap] = ddim_coefficients(from, to);
    let target = S::lincomb(&[(1.0 / gap, &end), (-ratio / gap, x)]);
    Progressive { first, middle: at_middle, second, end, target }
}

/// The targets of a batch, shape `[batch, ...]`, each row with levels of its own: start, middle and end of the student's step.
///
/// `teacher` estimates the clean data of rows at their levels.
pub fn progressive_targets<const D: usize>(
    teacher: impl Fn(&Tensor<D>, &[Level]) -> Tensor<D>,
    x: &Tensor<D>,
    levels: &[[Level; 3]],
) -> Tensor<D> {
    let at = |k: usize| levels.iter().map(|row| row[k]).collect::<Vec<_>>();
    let [from, middle, to] = [at(0), at(1), at(2)];
    let step = |x: &Tensor<D>, estimate: Tensor<D>, from: &[Level], to: &[Level]| {
        row_lincomb([x.clone(), estimate], from.iter().zip(to).map(|(from, to)| ddim_coefficients(*from, *to)))
    };
    let at_middle = step(x, teacher(x, &from), &from, &middle);
    let end = step(&at_middle, teacher(&at_middle, &middle), &middle, &to);
    let invert = |row: &[Level; 3]| {
        let [of_x, of_estimate] = ddim_coefficients(row[0], row[2]);
        [1.0 / of_estimate, -of_x / of_estimate]
    };
    row_lincomb([end, x.clone()], levels.iter().map(invert))
}

/// Factors of the state and of the estimate in a DDIM step: `sigma_s / sigma_t` and `alpha_s - alpha_t sigma_s / sigma_t`.
fn ddim_coefficients(from: Level, to: Level) -> [f64; 2] {
    let ratio = to.sigma / from.sigma;
    [ratio, to.alpha - ratio * from.alpha]
}

/// `alpha_s D + sigma_s (x - alpha_t D) / sigma_t`.
fn ddim<S: State>(x: &S, estimate: &S, from: Level, to: Level) -> S {
    let [of_x, of_estimate] = ddim_coefficients(from, to);
    S::lincomb(&[(of_x, x), (of_estimate, estimate)])
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

    /// Rows with levels of their own are the single targets, row by row.
    #[test]
    fn a_batch_is_its_rows() {
        use burn::tensor::{Device, TensorData};
        let schedule = VpCosine::new(0.0).unwrap();
        let triples = [1.0f64, 0.5, 0.125].map(|t| [t, t - 0.0625, t - 0.125].map(|t| schedule.level(t)));
        // A denoiser that shrinks by its level, alike for tensors and on the host.
        let factor = |at: Level| 0.4 * at.alpha + 0.1;
        struct Shrink;
        impl Denoiser<Vec<f64>> for Shrink {
            fn denoise(&self, x: &Vec<f64>, at: Level, _: u32) -> Vec<f64> {
                x.iter().map(|v| v * (0.4 * at.alpha + 0.1)).collect()
            }
        }
        let x = [0.3, -1.1, 0.9, 0.2, -0.4, 1.7];
        let tensor = Tensor::<2>::from_data(TensorData::new(x.to_vec(), [3, 2]), &Device::flex());
        let teacher = |x: &Tensor<2>, at: &[Level]| row_lincomb([x.clone()], at.iter().map(|&at| [factor(at)]));
        let got: Vec<f64> = progressive_targets(teacher, &tensor, &triples).into_data().iter::<f64>().collect();
        for (i, levels) in triples.into_iter().enumerate() {
            let want = progressive_target(&Shrink, &x[2 * i..2 * i + 2].to_vec(), levels, 0).target;
            assert!(got[2 * i..2 * i + 2].iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5));
        }
    }
}
