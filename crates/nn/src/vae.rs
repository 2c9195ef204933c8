//! A variational autoencoder of vectors (Kingma & Welling 2014): the way into a latent space that a diffusion prior then models.

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Tensor, activation::silu},
};

use crate::Init;

/// Range of the code's log-variance: a standard deviation between 0.0009 and 7.4.
const LOG_VAR: (f64, f64) = (-14.0, 4.0);

/// What one unit of the stored scale stands for: Adam moves every number by its learning rate, and the observation's scale has farther
/// to go than a weight.
const PACE: f64 = 10.0;

/// Shape of a [`Vae`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeConfig {
    /// Numbers of a data vector.
    pub data: usize,
    /// Numbers of a code.
    pub latent: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Residual layers of the encoder and of the decoder.
    pub layers: usize,
    /// Standard deviation of the observation before training, in units of the data.
    pub scale: f64,
    /// Whether each dimension of the data has an observation scale of its own, or all share one.
    pub scale_per_dimension: bool,
}

/// `q(z | x) = N(mean(x), exp(log_var(x)))` and `p(x | z) = N(decode(z), scale^2)`, all diagonal.
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Mlp,
    decoder: Mlp,
    /// Natural logarithm of the observation's standard deviation over `PACE`, shape `[1]` or `[data]`.
    log_scale: Param<Tensor<1>>,
}

/// A residual network on vectors without normalisation, `h + W silu(h)` a layer.
#[derive(Module, Debug)]
struct Mlp {
    input: Linear,
    layers: Vec<Linear>,
    output: Linear,
}

impl Mlp {
    fn new(inputs: usize, outputs: usize, config: &VaeConfig, init: &mut Init<'_>) -> Self {
        // The residual sum keeps its variance however many layers it has.
        let gain = 1.0 / (config.layers.max(1) as f64).sqrt();
        Self {
            input: init.linear(inputs, config.hidden, 1.0),
            layers: (0..config.layers).map(|_| init.linear(config.hidden, config.hidden, gain)).collect(),
            output: init.linear(config.hidden, outputs, 1.0),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let first = self.input.forward(x);
        let h = self.layers.iter().fold(first, |h, layer| h.clone() + layer.forward(silu(h)));
        self.output.forward(silu(h))
    }
}

impl Vae {
    /// A network with initial weights.
    pub fn new(config: &VaeConfig, init: &mut Init<'_>) -> Self {
        let scales = if config.scale_per_dimension { config.data } else { 1 };
        Self {
            encoder: Mlp::new(config.data, 2 * config.latent, config, init),
            decoder: Mlp::new(config.latent, config.data, config, init),
            log_scale: Param::from_tensor(Tensor::full([scales], config.scale.ln() / PACE, init.device())),
        }
    }

    /// Numbers of a code.
    pub fn latent(&self) -> usize {
        self.decoder.input.weight.dims()[0]
    }

    /// Mean and log-variance of the codes of vectors `[batch, data]`, shape `[batch, latent]` each. The log-variance is bent smoothly
    /// into `[-14, 4]`.
    pub fn encode(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let both = self.encoder.forward(x);
        let [rows, width] = both.dims();
        let latent = self.latent();
        let (centre, reach) = (0.5 * (LOG_VAR.0 + LOG_VAR.1), 0.5 * (LOG_VAR.1 - LOG_VAR.0));
        let raw = both.clone().slice([0..rows, latent..width]);
        (both.slice([0..rows, 0..latent]), ((raw - centre) / reach).tanh() * reach + centre)
    }

    /// Codes `mean + sd eps` for standard normal `eps`; all of shape `[batch, latent]`. Differentiable in both moments.
    pub fn sample(mean: Tensor<2>, log_var: Tensor<2>, eps: Tensor<2>) -> Tensor<2> {
        mean + (log_var * 0.5).exp() * eps
    }

    /// `E[x | z]`, shape `[batch, data]`, of codes `[batch, latent]`.
    pub fn decode(&self, z: Tensor<2>) -> Tensor<2> {
        self.decoder.forward(z)
    }

    /// Standard deviation of the observation, shape `[1]` or `[data]`, in units of the data.
    pub fn scale(&self) -> Tensor<1> {
        (self.log_scale.val() * PACE).exp()
    }

    /// `ln p(x | z)` of each row in nats, shape `[batch]`.
    pub fn log_likelihood(&self, x: Tensor<2>, z: Tensor<2>) -> Tensor<1> {
        let log_scale = self.log_scale.val().unsqueeze::<2>() * PACE;
        let standard = (x - self.decode(z)) * (-log_scale.clone()).exp();
        of_rows((standard.square() + log_scale * 2.0 + std::f64::consts::TAU.ln()) * -0.5)
    }

    /// Entropy of `q(z | x)` of each row in nats, shape `[batch]`: `1/2 sum (log_var + ln(2 pi e))`.
    pub fn entropy(log_var: Tensor<2>) -> Tensor<1> {
        of_rows((log_var + (1.0 + std::f64::consts::TAU.ln())) * 0.5)
    }

    /// `KL(q(z | x) || N(0, I))` of each row in nats, shape `[batch]`: `1/2 sum (var + mean^2 - 1 - log_var)`.
    pub fn kl_to_standard_normal(mean: Tensor<2>, log_var: Tensor<2>) -> Tensor<1> {
        of_rows((log_var.clone().exp() + mean.square() - log_var - 1.0) * 0.5)
    }
}

/// Sum over each row.
fn of_rows(x: Tensor<2>) -> Tensor<1> {
    x.sum_dim(1).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights;
    use burn::tensor::{Device, TensorData};
    use langevin_core::guide::gradient;

    const CONFIG: VaeConfig = VaeConfig { data: 3, latent: 2, hidden: 8, layers: 2, scale: 0.7, scale_per_dimension: true };

    fn tensor<const N: usize>(rows: &[[f64; N]]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), N]), &Device::flex())
    }

    fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    fn close(got: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(got.len(), expected.len());
        assert!(got.iter().zip(expected).all(|(g, e)| (g - e).abs() < tolerance * (1.0 + e.abs())), "{got:?} {expected:?}");
    }

    /// A network whose every weight is one number, so that its output is worked out by hand.
    fn constant(config: VaeConfig, value: f32, log_scale: f32) -> Vae {
        let vae = Vae::new(&config, &mut Init::empty(&Device::flex()));
        let of = |layout: &weights::Layout| vec![if layout.name == "log_scale" { log_scale } else { value }; layout.len()];
        let values = weights::layout(&vae).iter().map(of).collect();
        weights::import(vae, values)
    }

    #[test]
    fn a_network_of_one_unit_by_hand() {
        let one = VaeConfig { data: 1, latent: 1, hidden: 1, layers: 1, scale: 1.0, scale_per_dimension: false };
        // Input 0.5 x + 0.5, layer h + 0.5 silu(h) + 0.5, output 0.5 silu(h) + 0.5.
        let vae = constant(one, 0.5, 0.025);
        let silu = |h: f64| h / (1.0 + (-h).exp());
        let by_hand = |x: f64| {
            let h = 0.5 * x + 0.5;
            0.5 * silu(h + 0.5 * silu(h) + 0.5) + 0.5
        };
        let (mean, log_var) = vae.encode(tensor(&[[0.6], [-1.0]]));
        let out = [by_hand(0.6), by_hand(-1.0)];
        close(&host(mean), &out, 1e-6);
        close(&host(log_var), &out.map(|raw| 9.0 * ((raw + 5.0) / 9.0).tanh() - 5.0), 1e-6);
        close(&host(vae.decode(tensor(&[[0.2]]))), &[by_hand(0.2)], 1e-6);
        close(&host(vae.scale()), &[0.25f64.exp()], 1e-6);
        let log = vae.log_likelihood(tensor(&[[1.5]]), tensor(&[[0.2]]));
        let standard = (1.5 - by_hand(0.2)) / 0.25f64.exp();
        close(&host(log), &[-0.5 * standard * standard - 0.25 - 0.918_938_533_204_672_7], 1e-6);
    }

    #[test]
    fn gaussians_by_hand() {
        let (mean, log_var) = (tensor(&[[1.0, -2.0], [0.0, 0.0]]), tensor(&[[0.0, 4f64.ln()], [0.0, 0.0]]));
        // Divergence (1 + 1 - 1 - 0) / 2 + (4 + 4 - 1 - ln 4) / 2; the standard normal's own is 0.
        close(&host(Vae::kl_to_standard_normal(mean.clone(), log_var.clone())), &[4.0 - 2f64.ln(), 0.0], 1e-6);
        let normal = 0.5 * (1.0 + std::f64::consts::TAU.ln());
        close(&host(Vae::entropy(log_var.clone())), &[2.0 * normal + 2f64.ln(), 2.0 * normal], 1e-6);
        close(&host(Vae::sample(mean, log_var, tensor(&[[0.5, -1.0], [3.0, 4.0]]))), &[1.5, -4.0, 3.0, 4.0], 1e-6);
    }

    #[test]
    fn the_divergence_is_the_expected_log_ratio() {
        // E_q[ln q(z) - ln p(z)] by the midpoint rule, for one dimension.
        let (mean, var) = (0.7, 0.3f64);
        let log = |z: f64, m: f64, v: f64| -0.5 * ((z - m).powi(2) / v + (std::f64::consts::TAU * v).ln());
        let term = |i: u32| {
            let z = mean + (f64::from(i) + 0.5) / 100.0 - 10.0;
            log(z, mean, var).exp() * (log(z, mean, var) - log(z, 0.0, 1.0)) / 100.0
        };
        let expected: f64 = (0..2000).map(term).sum();
        close(&host(Vae::kl_to_standard_normal(tensor(&[[mean]]), tensor(&[[var.ln()]]))), &[expected], 1e-6);
    }

    #[test]
    fn any_output_gives_a_variance_in_range() {
        let vae = Vae::new(&CONFIG, &mut Init::new(1, &Device::flex()));
        let far = host(vae.encode(tensor(&[[1e8, -1e8, 1e8], [-1e8, 1e8, 1e8]])).1);
        assert!(far.iter().all(|v| (-14.0..=4.0).contains(v)), "{far:?}");
        assert!(host(vae.scale()).iter().all(|s| (s - 0.7).abs() < 1e-6));
        let near = host(vae.encode(tensor(&[[0.3, -0.2, 0.1]])).1);
        assert!(near.iter().all(|v| (-5.0..3.0).contains(v)), "{near:?}");
    }

    /// The one sum that training needs, against differences in every weight and in the data.
    #[test]
    fn gradients_are_finite_differences() {
        let vae = Vae::new(&CONFIG, &mut Init::new(2, &Device::flex()));
        let (x, eps) = (tensor(&[[0.5, -1.0, 0.8], [-0.4, 0.2, 1.1]]), tensor(&[[0.3, -0.7], [1.2, 0.1]]));
        let bound = |vae: &Vae, x: Tensor<2>| {
            let (mean, log_var) = vae.encode(x.clone());
            let z = Vae::sample(mean.clone(), log_var.clone(), eps.clone());
            vae.log_likelihood(x, z) + Vae::entropy(log_var.clone()) * 0.5 - Vae::kl_to_standard_normal(mean, log_var)
        };
        let value = |vae: &Vae, x: &Tensor<2>| host(bound(vae, x.clone())).iter().sum::<f64>();
        let trained = vae.clone().train();
        let got = weights::gradients(&trained, &bound(&trained, x.clone()).sum().backward()).unwrap();
        let weights = weights::export(&vae).unwrap();
        let h = 0.003f32;
        for (p, layout) in weights::layout(&vae).iter().enumerate() {
            for k in 0..layout.len() {
                let shifted = |by: f32| {
                    let mut moved = weights.clone();
                    moved[p][k] += by;
                    value(&weights::import(vae.clone(), moved), &x)
                };
                let expected = (shifted(h) - shifted(-h)) / f64::from(2.0 * h);
                let got = f64::from(got[p][k]);
                assert!((got - expected).abs() < 5e-3 * (1.0 + expected.abs()), "{} {k}: {got} {expected}", layout.name);
            }
        }
        let got = host(gradient(&x, |x| bound(&vae, x)));
        for (k, got) in got.iter().enumerate() {
            let shifted = |by: f64| {
                let mut moved = host(x.clone());
                moved[k] += by;
                value(&vae, &Tensor::from_data(TensorData::new(moved, [2, 3]), &Device::flex()))
            };
            let expected = (shifted(0.01) - shifted(-0.01)) / 0.02;
            assert!((got - expected).abs() < 2e-3 * (1.0 + expected.abs()), "datum {k}: {got} {expected}");
        }
    }
}
