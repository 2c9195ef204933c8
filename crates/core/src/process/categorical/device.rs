//! The categorical process on a device, in f32: what training on batches of sequences needs.

use burn::tensor::{Device, Int, Tensor, TensorData};
use nalgebra::DMatrix;

use super::{Chain, Form};
use crate::{Error, NoiseSource};

/// A [`Chain`] whose matrices live on a device.
#[derive(Clone, Debug)]
pub struct DeviceChain {
    /// `Q_t^T` for `t = 1..=T`, shape `[T, K, K]`.
    pub(super) steps: Tensor<3>,
    /// `I, Q_1, Q_1 Q_2, ..`, shape `[T + 1, K, K]`.
    pub(super) products: Tensor<3>,
    pub(super) form: Form,
    pub(super) classes: usize,
}

impl Chain {
    /// The chain on a device.
    pub fn to_device(&self, device: &Device) -> DeviceChain {
        let (k, n) = (self.classes(), self.len());
        // Column-major storage of a matrix is its transpose, row-major.
        let stack = |matrices: Vec<&DMatrix<f64>>, transposed: bool| {
            let values: Vec<f64> =
                matrices.iter().flat_map(|m| if transposed { m.as_slice().to_vec() } else { m.transpose().as_slice().to_vec() }).collect();
            Tensor::<3>::from_data(TensorData::new(values, [matrices.len(), k, k]), device)
        };
        DeviceChain {
            steps: stack((1..=n).map(|t| self.step(t)).collect(), true),
            products: stack((0..=n).map(|t| self.marginal(t)).collect(), false),
            form: self.form,
            classes: k,
        }
    }
}

impl DeviceChain {
    pub(super) fn check(&self, rows: usize, times: &[usize]) -> Result<(), Error> {
        let last = self.steps.dims()[0];
        if times.len() != rows || times.iter().any(|t| !(1..=last).contains(t)) {
            let reason = format!("{} times for {rows} rows, each from 1 to {last}", times.len());
            return Err(Error::Invalid { what: "batch of times", reason });
        }
        Ok(())
    }

    /// Matrices of one time a row, shape `[batch, K, K]`.
    pub(super) fn select(of: &Tensor<3>, times: impl Iterator<Item = usize>) -> Tensor<3> {
        let times: Vec<i32> = times.map(|t| t as i32).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(times.clone(), [times.len()]), &of.device());
        of.clone().select(0, indices)
    }

    pub(super) fn one_hot(&self, x: Tensor<2, Int>) -> Tensor<3> {
        x.one_hot::<3>(self.classes).float()
    }

    /// `q(x_t | x0)` of each token: `x0` of shape `[batch, tokens]`, one time a row, result `[batch, tokens, K]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is one time from 1 to `T` for each row.
    pub fn marginal(&self, x0: Tensor<2, Int>, times: &[usize]) -> Result<Tensor<3>, Error> {
        self.check(x0.dims()[0], times)?;
        Ok(self.one_hot(x0).matmul(Self::select(&self.products, times.iter().copied())))
    }

    /// `q(x_{t-1} | x_t, x0)` of each token, shape `[batch, tokens, K]`; zero where the pair cannot be.
    ///
    /// # Errors
    /// As [`DeviceChain::marginal`].
    pub fn posterior(&self, x0: Tensor<2, Int>, xt: Tensor<2, Int>, times: &[usize]) -> Result<Tensor<3>, Error> {
        self.reverse_full(self.one_hot(x0), xt, times)
    }

    /// `p(x_{t-1} | x_t)` of each token from `p(x0 | x_t)` of shape `[batch, tokens, V]`, `V <= K`, in the chain's form; differentiable
    /// in the estimate.
    ///
    /// # Errors
    /// As [`DeviceChain::marginal`], or if the estimate has more classes than the chain.
    pub fn reverse(&self, estimate: Tensor<3>, xt: Tensor<2, Int>, times: &[usize]) -> Result<Tensor<3>, Error> {
        let [batch, tokens, data] = estimate.dims();
        if data > self.classes {
            return Err(Error::Invalid { what: "estimate", reason: format!("{data} classes, the process has {}", self.classes) });
        }
        let full = if data == self.classes {
            estimate
        } else {
            let padding = Tensor::zeros([batch, tokens, self.classes - data], &estimate.device());
            Tensor::cat(vec![estimate, padding], 2)
        };
        self.reverse_full(full, xt, times)
    }

    fn reverse_full(&self, estimate: Tensor<3>, xt: Tensor<2, Int>, times: &[usize]) -> Result<Tensor<3>, Error> {
        self.check(estimate.dims()[0], times)?;
        let seen = self.one_hot(xt);
        let weights = match self.form {
            Form::Product => estimate.clone(),
            Form::Mixture => {
                let after = Self::select(&self.products, times.iter().copied()).transpose();
                let reached = seen.clone().matmul(after);
                let impossible = reached.clone().equal_elem(0.0);
                (estimate.clone() / reached.mask_fill(impossible.clone(), 1.0)).mask_fill(impossible, 0.0)
            }
        };
        let step = seen.matmul(Self::select(&self.steps, times.iter().map(|t| t - 1)));
        let before = weights.matmul(Self::select(&self.products, times.iter().map(|t| t - 1)));
        let unnormalised = step * before;
        let reverse = unnormalised.clone() / unnormalised.sum_dim(2).clamp_min(f32::MIN_POSITIVE);
        // Towards clean data the step is the estimate itself.
        let last: Vec<bool> = times.iter().map(|&t| t == 1).collect();
        let last = Tensor::<3, burn::tensor::Bool>::from_data(TensorData::new(last, [times.len(), 1, 1]), &reverse.device());
        let shape = reverse.shape();
        Ok(reverse.mask_where(last.expand(shape), estimate))
    }
}

/// `KL(q || p)` of each token in nats, from probabilities of shape `[batch, tokens, K]`; shape `[batch, tokens]`. Probabilities of `p`
/// are kept above `1e-12`.
pub fn divergences(q: Tensor<3>, p: Tensor<3>) -> Tensor<2> {
    let terms = q.clone() * (q.clamp_min(1e-12).log() - p.clamp_min(1e-12).log());
    terms.sum_dim(2).squeeze_dim(2)
}

/// One class from each row of probabilities `[batch, tokens, K]`, by inversion; row `i` is sample `i` of the source.
pub fn draw_classes(probabilities: Tensor<3>, noise: &dyn NoiseSource, node: u32, stream: u32) -> Tensor<2, Int> {
    let ([batch, tokens, classes], device) = (probabilities.dims(), probabilities.device());
    let host: Vec<f64> = probabilities.into_data().iter::<f64>().collect();
    let mut drawn: Vec<i32> = Vec::with_capacity(batch * tokens);
    for (i, row) in host.chunks(tokens * classes).enumerate() {
        drawn.extend(super::chain::draw_rows(row.chunks(classes), tokens, noise, [i as u32, node, stream]).into_iter().map(|c| c as i32));
    }
    Tensor::from_data(TensorData::new(drawn, [batch, tokens]), &device)
}

#[cfg(test)]
mod tests {
    use super::super::{divergence, kernel, schedule};
    use super::*;
    use crate::Philox;

    fn ints(v: &[u32], rows: usize) -> Tensor<2, Int> {
        let v: Vec<i32> = v.iter().map(|c| *c as i32).collect();
        Tensor::from_data(TensorData::new(v.clone(), [rows, v.len() / rows]), &Device::flex())
    }

    fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    #[test]
    fn the_device_agrees_with_the_host() {
        let betas = schedule::linear(0.05, 0.4, 4);
        for form in [Form::Product, Form::Mixture] {
            let steps = betas.iter().map(|&b| kernel::mask_and_replace(4, 3, 0.2, b)).collect();
            let chain = Chain::new(steps, form).unwrap();
            let device = chain.to_device(&Device::flex());
            let (x0, xt, times) = ([0, 1, 2, 2, 1, 0], [0, 3, 1, 3, 1, 2], [1, 3, 4]);
            let estimate: Vec<f64> = (0..18).map(|i| [0.2, 0.5, 0.3][(i + i / 3) % 3]).collect();
            let tensor = Tensor::<3>::from_data(TensorData::new(estimate.clone(), [3, 2, 3]), &Device::flex());
            let reverse = host(device.reverse(tensor, ints(&xt, 3), &times).unwrap());
            let posterior = host(device.posterior(ints(&x0, 3), ints(&xt, 3), &times).unwrap());
            let marginal = host(device.marginal(ints(&x0, 3), &times).unwrap());
            for i in 0..6 {
                let t = times[i / 2];
                let close = |got: &[f64], exact: Vec<f64>| got.iter().zip(exact).all(|(g, e)| (g - e).abs() < 1e-6);
                let p = &estimate[3 * i..3 * i + 3];
                assert!(close(&reverse[4 * i..4 * i + 4], chain.reverse(p, xt[i] as usize, t - 1, t).unwrap()));
                if t > 1 {
                    let exact = chain.posterior(x0[i] as usize, xt[i] as usize, t - 1, t).unwrap_or_else(|| vec![0.0; 4]);
                    assert!(close(&posterior[4 * i..4 * i + 4], exact));
                }
                let exact = chain.marginal(t).row(x0[i] as usize).iter().copied().collect();
                assert!(close(&marginal[4 * i..4 * i + 4], exact));
            }
            assert!(device.marginal(ints(&x0, 3), &[1, 2]).is_err() && device.marginal(ints(&x0, 3), &[0, 1, 2]).is_err());
        }
    }

    #[test]
    fn divergences_agree_and_draws_do_not_depend_on_the_batch() {
        let (q, p) = (vec![0.2, 0.8, 0.0, 0.5, 0.25, 0.25], vec![0.3, 0.3, 0.4, 0.5, 0.25, 0.25]);
        let tensor =
            |v: &[f64], rows: usize| Tensor::<3>::from_data(TensorData::new(v.to_vec(), [rows, v.len() / rows / 3, 3]), &Device::flex());
        let got = host(divergences(tensor(&q, 2), tensor(&p, 2)));
        assert!((got[0] - divergence(&q[..3], &p[..3])).abs() < 1e-6 && got[1].abs() < 1e-6);
        let many: Vec<f64> = q.iter().copied().cycle().take(6 * 500).collect();
        let all: Vec<i64> = draw_classes(tensor(&many, 1000), &Philox::new(2), 0, 0).into_data().iter::<i64>().collect();
        let few: Vec<i64> = draw_classes(tensor(&q, 2), &Philox::new(2), 0, 0).into_data().iter::<i64>().collect();
        assert_eq!(few, all[..2]);
        let share = all.iter().step_by(2).filter(|&&c| c == 1).count() as f64 / 500.0;
        assert!((share - 0.8).abs() < 5.0 * (0.16f64 / 500.0).sqrt());
        assert!(all.iter().step_by(2).all(|&c| c != 2));
    }
}
