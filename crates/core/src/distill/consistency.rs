//! Consistency models: a network that jumps from any point of an ODE path to its start (Song et al. 2023). Their parameterisation is
//! [`Param::Consistency`](crate::Param::Consistency).

use crate::{Denoiser, Level, State};

/// The neighbour of `x` one step down its ODE path, by a Heun step of a teacher (consistency distillation, algorithm 2).
///
/// The student's output at the neighbour, without gradient, is the target of its output at `x`. Both levels are variance
/// exploding levels of the same path in their own coordinates: `x / alpha`.
pub fn consistency_pair<S: State>(teacher: &impl Denoiser<S>, x: &S, from: Level, to: Level, node: u32) -> S {
    let (a, b) = (from.ve_sigma(), to.ve_sigma());
    let first = teacher.denoise(x, from, node);
    // In y = x / alpha: dy/dsigma = (y - D) / sigma.
    let euler = S::lincomb(&[(to.alpha / from.alpha * b / a, x), (to.alpha * (1.0 - b / a), &first)]);
    if b == 0.0 {
        return euler;
    }
    let second = teacher.denoise(&euler, to, node);
    let half = 0.5 * (b - a);
    S::lincomb(&[
        (to.alpha / from.alpha * (1.0 + half / a), x),
        (-to.alpha * half / a, &first),
        (half / b, &euler),
        (-to.alpha * half / b, &second),
    ])
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
