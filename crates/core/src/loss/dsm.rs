//! Denoising score matching: the loss of nearly every diffusion model (Vincent 2011; Ho et al. 2020).

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::Weight;
use crate::{Level, Param, State, schedule::Schedule};

/// What a network is trained on: its target and the weight of its error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dsm {
    /// What the network predicts.
    pub param: Param,
    /// Weight of its squared error.
    #[serde(default)]
    pub weight: Weight,
}

impl Dsm {
    /// The target `F*` of one level, for any state.
    pub fn target<S: State>(&self, x0: &S, eps: &S, at: Level) -> S {
        let t = self.param.target(at);
        S::lincomb(&[(t.of_x0, x0), (t.of_eps, eps)])
    }

    /// The targets of a batch, shape `[batch, ...]`, one level a row.
    pub fn targets<const D: usize>(&self, x0: Tensor<D>, eps: Tensor<D>, levels: &[Level]) -> Tensor<D> {
        mix(x0, eps, levels, |at| {
            let t = self.param.target(at);
            (t.of_x0, t.of_eps)
        })
    }

    /// The network's input for a batch of noised states: rows scaled by the parameterisation's `input`.
    pub fn inputs<const D: usize>(&self, x: Tensor<D>, levels: &[Level]) -> Tensor<D> {
        let factors: Vec<f64> = levels.iter().map(|&at| self.param.coef(at).input).collect();
        if factors.iter().all(|&c| c == 1.0) {
            return x;
        }
        let factors = rows(&factors, &x.device());
        x * factors
    }

    /// The estimates `D = skip x + out F` of a batch from the network's output, one level a row.
    pub fn estimates<const D: usize>(&self, x: Tensor<D>, output: Tensor<D>, levels: &[Level]) -> Tensor<D> {
        mix(x, output, levels, |at| {
            let c = self.param.coef(at);
            (c.skip, c.out)
        })
    }

    /// Weights of the rows whose times are `times`, for [`weighted_mse`].
    pub fn weights(&self, schedule: &dyn Schedule, times: &[f64]) -> Vec<f64> {
        times.iter().map(|&t| self.weight.factor(self.param, schedule.level(t), schedule.g2(t))).collect()
    }
}

/// `alpha x0 + sigma eps`, one level a row.
pub fn corrupt<const D: usize>(x0: Tensor<D>, eps: Tensor<D>, levels: &[Level]) -> Tensor<D> {
    mix(x0, eps, levels, |at| (at.alpha, at.sigma))
}

/// `mean_j (output_ij - target_ij)^2` of each row, shape `[batch]`.
///
/// With a mask (1 where a value is real, 0 where it is padding; broadcastable), a row's mean is over its real values.
pub fn row_mse<const D: usize>(output: Tensor<D>, target: Tensor<D>, mask: Option<Tensor<D>>) -> Tensor<1> {
    let (batch, count) = (output.dims()[0], output.shape().num_elements());
    let per_row = count / batch.max(1);
    let errors = (output - target).square();
    let of_rows = match mask {
        None => errors.reshape([batch, per_row]).mean_dim(1),
        Some(mask) => {
            let mask = mask.expand(errors.shape());
            let count = mask.clone().reshape([batch, per_row]).sum_dim(1).clamp_min(1.0);
            (errors * mask).reshape([batch, per_row]).sum_dim(1) / count
        }
    };
    of_rows.reshape([batch])
}

/// `mean_i w_i mean_j (output_ij - target_ij)^2`: [`row_mse`], weighted, then its mean over the batch; shape `[1]`.
pub fn weighted_mse<const D: usize>(output: Tensor<D>, target: Tensor<D>, mask: Option<Tensor<D>>, weights: &[f64]) -> Tensor<1> {
    let weights = rows::<1>(weights, &output.device());
    (row_mse(output, target, mask) * weights).mean()
}

/// One number a row, shape `[batch, 1, ...]`.
fn rows<const D: usize>(values: &[f64], device: &Device) -> Tensor<D> {
    let mut shape = [1; D];
    shape[0] = values.len();
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn mix<const D: usize>(x0: Tensor<D>, eps: Tensor<D>, levels: &[Level], factors: impl Fn(Level) -> (f64, f64)) -> Tensor<D> {
    let device = x0.device();
    let (a, b): (Vec<_>, Vec<_>) = levels.iter().map(|&at| factors(at)).unzip();
    x0 * rows(&a, &device) + eps * rows(&b, &device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Denoiser, NoiseSource, Philox, Precond, mixture::GaussianMixture};

    fn host(x: Tensor<2>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    fn tensor(values: &[f64]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / 2, 2]), &Device::flex())
    }

    #[test]
    fn a_batch_of_levels_is_the_rows_one_by_one() {
        let (x0, eps) = ([0.5, -1.0, 2.0, 0.25], [1.0, 0.5, -0.75, 2.0]);
        let levels = [Level::vp(0.4), Level::ve(3.0)];
        for param in [Param::Eps, Param::V, Param::Edm { sigma_data: 0.5 }] {
            let loss = Dsm { param, weight: Weight::Unit };
            let (x, target) = (host(corrupt(tensor(&x0), tensor(&eps), &levels)), host(loss.targets(tensor(&x0), tensor(&eps), &levels)));
            for (i, at) in levels.into_iter().enumerate() {
                let (a, e) = (x0[2 * i..2 * i + 2].to_vec(), eps[2 * i..2 * i + 2].to_vec());
                let row = Vec::lincomb(&[(at.alpha, &a), (at.sigma, &e)]);
                assert!(row.iter().zip(&x[2 * i..]).all(|(p, q)| (p - q).abs() < 1e-6));
                let row = loss.target(&a, &e, at);
                assert!(row.iter().zip(&target[2 * i..]).all(|(p, q)| (p - q).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn rows_are_weighted_and_padding_is_not_counted() {
        let (output, target) = (tensor(&[1.0, 3.0, 0.0, 2.0]), tensor(&[0.0, 0.0, 0.0, 0.0]));
        let plain = weighted_mse(output.clone(), target.clone(), None, &[1.0, 10.0]).into_scalar::<f32>();
        assert!((plain - (5.0 + 20.0) / 2.0).abs() < 1e-6);
        let mask = tensor(&[1.0, 0.0, 1.0, 1.0]);
        let masked = weighted_mse(output, target, Some(mask), &[1.0, 10.0]).into_scalar::<f32>();
        assert!((masked - (1.0 + 20.0) / 2.0).abs() < 1e-6);
    }

    /// The exact denoiser has less loss than any shift of it, whatever the network is said to predict.
    #[test]
    fn the_exact_denoiser_minimises_the_loss() {
        let mixture =
            GaussianMixture::new(vec![0.4, 0.6], vec![vec![1.0, 0.0], vec![-1.0, 0.5]], vec![vec![vec![0.1, 0.0], vec![0.0, 0.2]]; 2])
                .unwrap();
        let n = 4000;
        let (x0, _) = mixture.sample(&Philox::new(1), n, 0, 0);
        let mut eps = vec![0.0; 2 * n];
        Philox::new(2).fill_f64(0, 0, 0, &mut eps);
        let at = Level::vp(0.5);
        let x = Vec::lincomb(&[(at.alpha, &x0), (at.sigma, &eps)]);
        let best = mixture.mean_x0(&x, at);
        for param in [Param::Eps, Param::X0, Param::V, Param::Flow] {
            let target = Dsm { param, weight: Weight::Unit }.target(&x0, &eps, at);
            // F of a denoiser D, by the inverse of the parameterisation.
            let loss = |shift: f64| {
                let c = param.coef(at);
                let d: Vec<f64> = best.iter().map(|b| b + shift).collect();
                let f = Vec::lincomb(&[(1.0 / c.out, &d), (-c.skip / c.out, &x)]);
                let back = Precond { net: |_: &Vec<f64>, _: Level| f.clone(), param }.denoise(&x, at, 0);
                assert!(back.iter().zip(&d).all(|(p, q)| (p - q).abs() < 1e-12));
                f.iter().zip(&target).map(|(p, q)| (p - q).powi(2)).sum::<f64>() / f.len() as f64
            };
            assert!(loss(0.0) < loss(0.1) && loss(0.0) < loss(-0.1), "{param:?}");
        }
    }
}
