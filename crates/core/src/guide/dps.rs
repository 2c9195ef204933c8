//! Diffusion posterior sampling: guidance by a measurement of the clean data.

use burn::tensor::Tensor;

use super::gradient;
use crate::{Denoiser, Level};

/// `D - w (sigma^2 / alpha) grad_x E(D(x))` for an energy `E(x0) = -log p(y | x0)` (Chung et al. 2023, algorithm 1).
///
/// The gradient goes back through the denoiser, which so has to be differentiable. With `E = |y - A(x0)|^2 / (2 r^2)` this is
/// the paper's posterior score; with `E = |y - A(x0)|`, summed over rows, its normalised step; with a similarity of `x0` and a
/// reference it is semantic guidance by any differentiable score. The batch's energy is the sum over its rows.
#[derive(Clone, Debug)]
pub struct Dps<B, E> {
    /// The denoiser to guide.
    pub base: B,
    /// Energy of a batch of clean data, shape `[..]`: its sum is taken.
    pub energy: E,
    /// Guidance weight; 1 is the posterior under the paper's approximation, 0 costs no gradient.
    pub w: f64,
}

impl<const D: usize, B: Denoiser<Tensor<D>>, E: Fn(Tensor<D>) -> Tensor<1>> Denoiser<Tensor<D>> for Dps<B, E> {
    fn denoise(&self, x: &Tensor<D>, at: Level, node: u32) -> Tensor<D> {
        if self.w == 0.0 || at.alpha == 0.0 {
            return self.base.denoise(x, at, node);
        }
        let mut estimate = None;
        let grad = gradient(x, |x| {
            let x0 = self.base.denoise(&x, at, node);
            estimate = Some(x0.clone().inner());
            (self.energy)(x0)
        });
        let estimate = estimate.unwrap_or_else(|| self.base.denoise(x, at, node));
        estimate - grad.mul_scalar(self.w * at.sigma * at.sigma / at.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// The exact denoiser of `x0 ~ N(0, v)` in one dimension, differentiable.
    struct Normal(f64);

    impl Denoiser<Tensor<2>> for Normal {
        fn denoise(&self, x: &Tensor<2>, at: Level, _: u32) -> Tensor<2> {
            x.clone().mul_scalar(at.alpha * self.0 / (at.alpha * at.alpha * self.0 + at.sigma * at.sigma))
        }
    }

    #[test]
    fn weak_measurements_of_a_normal_give_its_posterior() {
        // y = x0 + r n. For r well above the uncertainty of x0 given x, p(y | x) is the paper's approximation.
        let (variance, r, y) = (0.5, 20.0, 3.0);
        let energy = |x0: Tensor<2>| (x0.sub_scalar(y)).square().sum().div_scalar(2.0 * r * r);
        let guided = Dps { base: Normal(variance), energy, w: 1.0 };
        let x = Tensor::<2>::from_data(TensorData::new(vec![0.3f32, -1.2], [2, 1]), &Device::flex());
        for at in [Level::vp(0.6), Level::ve(0.8)] {
            let (a, s) = (at.alpha, at.sigma);
            let got: Vec<f64> = guided.denoise(&x, at, 0).into_data().iter::<f64>().collect();
            // x0 given x and y: precisions add.
            let precision = 1.0 / variance + a * a / (s * s) + 1.0 / (r * r);
            for (got, x) in got.iter().zip([0.3, -1.2]) {
                let plain = a * variance * x / (a * a * variance + s * s);
                let exact = (a * x / (s * s) + y / (r * r)) / precision;
                assert!((got - exact).abs() < 0.01 * (exact - plain).abs(), "{got} {exact} {plain}");
            }
        }
    }

    #[test]
    fn weight_zero_is_the_base() {
        let x = Tensor::<2>::ones([1, 1], &Device::flex());
        let guided = Dps { base: Normal(1.0), energy: |x: Tensor<2>| x.sum(), w: 0.0 };
        assert_eq!(guided.denoise(&x, Level::vp(0.5), 0).into_data(), Normal(1.0).denoise(&x, Level::vp(0.5), 0).into_data());
    }
}
