//! Consistency models: a network that jumps from any point of an ODE path to its start (Song et al. 2023). Their parameterisation is
//! [`Param::Consistency`](crate::Param::Consistency).

use burn::tensor::Tensor;

use crate::{Denoiser, Level, State, loss::row_lincomb};

/// The neighbour of `x` one step down its ODE path, by a Heun step of a teacher (consistency distillation, algorithm 2).
///
/// The student's output at the neighbour, without gradient, is the target of its output at `x`. Both levels are variance
/// exploding levels of the same path in their own coordinates: `x / alpha`.
pub fn consistency_pair<S: State>(teacher: &impl Denoiser<S>, x: &S, from: Level, to: Level, node: u32) -> S {
    let first = teacher.denoise(x, from, node);
    let [of_x, of_first] = euler_coefficients(from, to);
    let euler = S::lincomb(&[(of_x, x), (of_first, &first)]);
    if to.is_clean() {
        return euler;
    }
    let second = teacher.denoise(&euler, to, node);
    let [of_x, of_first, of_euler, of_second] = heun_coefficients(from, to);
    S::lincomb(&[(of_x, x), (of_first, &first), (of_euler, &euler), (of_second, &second)])
}

/// The neighbours of a batch, shape `[batch, ...]`, each row with levels of its own: from, to. `teacher` estimates the clean data of rows
/// at their levels. As [`consistency_pair`]; all levels keep some noise.
pub fn consistency_neighbours<const D: usize>(
    teacher: impl Fn(&Tensor<D>, &[Level]) -> Tensor<D>,
    x: &Tensor<D>,
    pairs: &[[Level; 2]],
) -> Tensor<D> {
    let (from, to): (Vec<_>, Vec<_>) = pairs.iter().map(|pair| (pair[0], pair[1])).unzip();
    let first = teacher(x, &from);
    let euler = row_lincomb([x.clone(), first.clone()], pairs.iter().map(|[from, to]| euler_coefficients(*from, *to)));
    let second = teacher(&euler, &to);
    row_lincomb([x.clone(), first, euler, second], pairs.iter().map(|[from, to]| heun_coefficients(*from, *to)))
}

/// Factors of the state and of its estimate in an Euler step of `dy/dsigma = (y - D) / sigma`, `y = x / alpha`.
fn euler_coefficients(from: Level, to: Level) -> [f64; 2] {
    let ratio = to.ve_sigma() / from.ve_sigma();
    [to.alpha / from.alpha * ratio, to.alpha * (1.0 - ratio)]
}

/// Factors of the state, its estimate, the Euler step and the estimate there in a Heun step.
fn heun_coefficients(from: Level, to: Level) -> [f64; 4] {
    let (a, b) = (from.ve_sigma(), to.ve_sigma());
    let half = 0.5 * (b - a);
    [to.alpha / from.alpha * (1.0 + half / a), -to.alpha * half / a, half / b, -to.alpha * half / b]
}

/// Number of grid points at training step `k` of `total`, from `s0` to `s1` by doubling (Song & Dhariwal 2024, eq. 8).
pub fn consistency_steps(k: u64, total: u64, s0: u32, s1: u32) -> u64 {
    let doublings = (f64::from(s1.max(s0.max(1))) / f64::from(s0.max(1))).log2().floor() + 1.0;
    let stage = (total as f64 / doublings).floor().max(1.0);
    let grown = f64::from(s0.max(1)) * (k as f64 / stage).floor().min(60.0).exp2();
    grown.min(f64::from(s1.max(s0.max(1)))) as u64 + 1
}

/// `sqrt(|difference|^2 + c^2) - c` of each packed row: the loss of improved consistency training (Song & Dhariwal 2024, eq. 7).
pub fn pseudo_huber(difference: &[f64], row: usize, c: f64) -> Vec<f64> {
    let of_row = |row: &[f64]| {
        let square: f64 = row.iter().map(|d| d * d).sum();
        // The form without cancellation.
        square / ((square + c * c).sqrt() + c)
    };
    difference.chunks(row.max(1)).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        likelihood::likelihood,
        mixture::GaussianMixture,
        schedule::{Schedule, Ve, Vp},
    };

    fn example() -> GaussianMixture {
        let covs = vec![vec![vec![0.1, -0.06], vec![-0.06, 0.08]]; 2];
        GaussianMixture::new(vec![0.3, 0.7], vec![vec![1.0, -0.5], vec![-1.0, 0.5]], covs).unwrap()
    }

    #[test]
    fn neighbours_lie_on_one_path() {
        // Both ends of a short step go to the same latent under a fine integration.
        let mixture = example();
        let schedules: [(&dyn Schedule, f64, f64, f64); 2] =
            [(&Ve::new(0.01, 50.0).unwrap(), 0.5, 0.49, 1.0), (&Vp::new(0.1, 20.0).unwrap(), 0.5, 0.495, 1.0)];
        for (schedule, t, s, end) in schedules {
            let x = vec![0.4, -0.7];
            let y = consistency_pair(&mixture, &x, schedule.level(t), schedule.level(s), 0);
            let run = |x: &[f64], t: f64| likelihood(&mixture, schedule, x, (t, end), 200, 1.0, None).unwrap().latent;
            let scale = schedule.level(end).ve_sigma();
            for (a, b) in run(&x, t).iter().zip(run(&y, s)) {
                assert!((a - b).abs() < 1e-4 * scale, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_batch_is_its_rows() {
        use burn::tensor::{Device, TensorData};
        struct Shrink;
        impl Denoiser<Vec<f64>> for Shrink {
            fn denoise(&self, x: &Vec<f64>, at: Level, _: u32) -> Vec<f64> {
                x.iter().map(|v| v / (1.0 + at.sigma)).collect()
            }
        }
        let pairs = [[Level::ve(3.0), Level::ve(2.0)], [Level::vp(0.3), Level::vp(0.4)]];
        let x = [0.3, -1.1, 0.9, 0.2];
        let tensor = Tensor::<2>::from_data(TensorData::new(x.to_vec(), [2, 2]), &Device::flex());
        let teacher = |x: &Tensor<2>, at: &[Level]| row_lincomb([x.clone()], at.iter().map(|at| [1.0 / (1.0 + at.sigma)]));
        let got: Vec<f64> = consistency_neighbours(teacher, &tensor, &pairs).into_data().iter::<f64>().collect();
        for (i, [from, to]) in pairs.into_iter().enumerate() {
            let want = consistency_pair(&Shrink, &x[2 * i..2 * i + 2].to_vec(), from, to, 0);
            assert!(got[2 * i..2 * i + 2].iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5));
        }
    }

    #[test]
    fn steps_double_up_to_their_bound() {
        let n: Vec<u64> = (0..=8).map(|k| consistency_steps(k * 100, 800, 10, 1280)).collect();
        assert_eq!(n, [11, 21, 41, 81, 161, 321, 641, 1281, 1281]);
    }

    #[test]
    fn pseudo_huber_is_square_then_linear() {
        let got = pseudo_huber(&[1e-6, 0.0, 3.0, 4.0], 2, 0.1);
        assert!((got[0] - 1e-12 / 0.2).abs() < 1e-18);
        assert!((got[1] - (25.01f64.sqrt() - 0.1)).abs() < 1e-12);
    }
}
