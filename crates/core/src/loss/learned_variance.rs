//! The variational bound of a reverse step whose variance is learned (Nichol & Dhariwal 2021, section 3.1), on batches.

use burn::tensor::{Tensor, TensorData};

use crate::{Level, solver::Reverse};

/// Least variance of a reverse step: that of the step into clean data is 0 otherwise, whose logarithm is not finite.
const LEAST: f64 = 1e-10;

/// `KL(q(x_s | x_t, x0) || p(x_s | x_t))` of each row in nats per number, shape `[batch]`.
///
/// `estimate` and `share` are the network's, shape `[batch, width]`, one pair of levels `(t, s)` a row. The paper lets the bound train the
/// variance alone: pass the estimate detached. The step into clean data is taken with the least variance, as the paper clips it.
pub fn learned_variance_bound(x0: Tensor<2>, estimate: Tensor<2>, share: Tensor<2>, pairs: &[(Level, Level)]) -> Tensor<1> {
    let [batch, _] = x0.dims();
    let device = x0.device();
    let column = |f: &dyn Fn(Reverse) -> f64| {
        let values: Vec<f64> = pairs.iter().map(|&(from, to)| f(Reverse::between(from, to))).collect();
        Tensor::<2>::from_data(TensorData::new(values, [batch, 1]), &device)
    };
    let small = |k: Reverse| k.variance.max(LEAST).ln();
    let large = |k: Reverse| k.forward_variance.max(LEAST).ln();
    let log_q = column(&small);
    // ln p - ln q = (v + 1) / 2 (ln large - ln small).
    let excess = share.add_scalar(1.0) * column(&|k| 0.5 * (large(k) - small(k)));
    let of_x0 = column(&|k| k.of_x0);
    let distance = ((x0 - estimate) * of_x0).square() * (excess.clone() + log_q).neg().exp();
    let kl = (excess.clone().neg().exp() + excess + distance).sub_scalar(1.0).mul_scalar(0.5);
    kl.mean_dim(1).reshape([batch])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variance::{gaussian_kl, interpolated_log_variance};
    use burn::tensor::Device;

    #[test]
    fn the_batch_is_the_closed_form_row_by_row() {
        let device = Device::flex();
        let tensor = |v: &[f64]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), [2, 2]), &device);
        let (x0, estimate, share) = ([0.3, -1.0, 0.5, 0.8], [0.1, -0.7, 0.5, 1.0], [-0.5, 0.2, 0.9, -1.0]);
        let pairs = [(Level::vp(0.2), Level::vp(0.5)), (Level::vp(0.6), Level::vp(0.7))];
        let got: Vec<f64> =
            learned_variance_bound(tensor(&x0), tensor(&estimate), tensor(&share), &pairs).into_data().iter::<f64>().collect();
        for (i, got) in got.into_iter().enumerate() {
            let k = Reverse::between(pairs[i].0, pairs[i].1);
            let of = |j: usize| {
                let log_p = interpolated_log_variance(share[j], k, LEAST);
                gaussian_kl(k.of_x0 * x0[j], k.variance.ln(), k.of_x0 * estimate[j], log_p)
            };
            let want = 0.5 * (of(2 * i) + of(2 * i + 1));
            assert!((got - want).abs() < 1e-5 * want.abs().max(0.1), "{got} {want}");
        }
        let last = learned_variance_bound(tensor(&x0), tensor(&x0), tensor(&[-1.0; 4]), &[(Level::vp(0.99), Level::clean()); 2]);
        assert!(last.into_data().iter::<f64>().all(|v| v.abs() < 1e-6));
    }
}
