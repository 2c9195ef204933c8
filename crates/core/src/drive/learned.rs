//! Ancestral sampling with a variance that the network predicts for every number of the state.

use burn::tensor::Tensor;

use crate::{Denoiser, Level, NoiseSource, State, noise::stream, solver::Reverse};

/// A denoiser whose network may also place the variance of the reverse step between its two bounds.
pub trait VarianceDenoiser<const D: usize>: Denoiser<Tensor<D>> {
    /// The estimate, and the share `v` in `[-1, 1]` of [`interpolated_log_variance`](crate::variance::interpolated_log_variance), same
    /// shape; none from a network that predicts no variance.
    fn denoise_with_share(&self, x: &Tensor<D>, at: Level, node: u32) -> (Tensor<D>, Option<Tensor<D>>) {
        (self.denoise(x, at, node), None)
    }
}

/// `ln variance` of a reverse step for shares `v` (Nichol & Dhariwal 2021, eq. 15), the posterior's variance being at least `least`.
pub fn log_variance<const D: usize>(share: Tensor<D>, kernel: Reverse, least: f64) -> Tensor<D> {
    let (small, large) = (kernel.variance.max(least).ln(), kernel.forward_variance.max(least).ln());
    share.mul_scalar(0.5 * (large - small)).add_scalar(0.5 * (large + small))
}

/// Walks nodes from most noise to least by ancestral steps with the network's variance; the step into clean data draws no noise.
///
/// Where the denoiser gives no share, the step has the posterior's variance.
pub fn learned_ancestral<const D: usize>(
    mut x: Tensor<D>,
    nodes: &[Level],
    denoiser: &impl VarianceDenoiser<D>,
    noise: &dyn NoiseSource,
) -> Tensor<D> {
    for (i, pair) in nodes.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        let kernel = Reverse::between(from, to);
        let (x0, share) = denoiser.denoise_with_share(&x, from, i as u32);
        let mean = Tensor::lincomb(&[(kernel.of_x, &x), (kernel.of_x0, &x0)]);
        if to.is_clean() {
            x = mean;
            continue;
        }
        let z = x.noise_like(noise, i as u32, stream::STEP);
        let spread = match share {
            Some(share) => log_variance(share, kernel, f64::MIN_POSITIVE).mul_scalar(0.5).exp() * z,
            None => z.mul_scalar(kernel.variance.sqrt()),
        };
        x = mean + spread;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Philox, Plan,
        solver::{Ddpm, Solver, Variance},
        variance::interpolated_log_variance,
    };
    use burn::tensor::{Device, TensorData};

    struct Shrink(f64);

    impl Denoiser<Tensor<2>> for Shrink {
        fn denoise(&self, x: &Tensor<2>, at: Level, _: u32) -> Tensor<2> {
            x.clone().mul_scalar(at.alpha * 0.5)
        }
    }

    impl VarianceDenoiser<2> for Shrink {
        fn denoise_with_share(&self, x: &Tensor<2>, at: Level, node: u32) -> (Tensor<2>, Option<Tensor<2>>) {
            (self.denoise(x, at, node), Some(x.zeros_like().add_scalar(self.0)))
        }
    }

    /// At the ends of its range the learned variance is one of the two fixed ones.
    #[test]
    fn extreme_shares_are_the_fixed_variances() {
        let nodes = [Level::vp(0.01), Level::vp(0.3), Level::vp(0.8), Level::clean()];
        let start = Tensor::<2>::from_data(TensorData::new(vec![0.3f32, -1.0, 2.0, 0.1], [2, 2]), &Device::flex());
        for (share, variance) in [(-1.0, Variance::Small), (1.0, Variance::Large)] {
            let plan: Plan = Solver::Ddpm(Ddpm { variance }).plan(&nodes).unwrap();
            let want: Vec<f64> = plan.run(start.clone(), &Shrink(share), &Philox::new(4)).into_data().iter::<f64>().collect();
            let got: Vec<f64> =
                learned_ancestral(start.clone(), &nodes, &Shrink(share), &Philox::new(4)).into_data().iter::<f64>().collect();
            assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-5), "{got:?} {want:?}");
        }
        let kernel = Reverse::between(nodes[0], nodes[1]);
        let log = log_variance(start.clone(), kernel, 0.0).into_data().iter::<f64>().collect::<Vec<_>>();
        for (got, v) in log.iter().zip(start.into_data().iter::<f64>()) {
            assert!((got - interpolated_log_variance(v, kernel, 0.0)).abs() < 1e-5);
        }
    }
}
