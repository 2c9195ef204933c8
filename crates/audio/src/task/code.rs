//! The autoencoder's half of a latent diffusion's loss.

use burn::tensor::Tensor;
use langevin_nn::Vae;

/// Codes of a batch and what they cost, in nats per number of the vector.
pub(super) struct Code {
    /// Codes sampled from the encoder, shape `[rows, latent]`; differentiable.
    pub(super) z: Tensor<2>,
    /// Mean of `-ln p(x | z)`, shape `[1]`.
    pub(super) reconstruction: Tensor<1>,
    /// Mean entropy of the encoder, shape `[1]`.
    pub(super) entropy: Tensor<1>,
    /// Mean divergence of the encoder from a standard normal, shape `[1]`.
    pub(super) normal: Tensor<1>,
}

impl Code {
    /// Encodes vectors `x`, shape `[rows, width]`, with standard normal `noise`, shape `[rows, latent]`.
    pub(super) fn new(vae: &Vae, x: Tensor<2>, noise: Tensor<2>) -> Self {
        let width = x.dims()[1] as f64;
        let (mean, log_var) = vae.encode(x.clone());
        let z = Vae::sample(mean.clone(), log_var.clone(), noise);
        Self {
            reconstruction: vae.log_likelihood(x, z.clone()).mean() / -width,
            entropy: Vae::entropy(log_var.clone()).mean() / width,
            normal: Vae::kl_to_standard_normal(mean, log_var).mean() / width,
            z,
        }
    }
}
