//! The denoiser of rows: a residual network on standardised numbers.

use burn::{module::Module, nn::Linear, tensor::Tensor};
use langevin_nn::{
    Init,
    fused::{Activation, linear, linear_activated, linear_added, silu},
};

use super::Prior;
use crate::config::RowsConfig;

/// `D(z; sigma) = skip z + out F(in z, ln sigma)` with EDM's factors for data of unit variance (Karras et al. 2022, table 1).
#[derive(Module, Debug)]
pub struct RowsNet {
    input: Linear,
    level: Linear,
    wide: Vec<Linear>,
    narrow: Vec<Linear>,
    output: Linear,
}

impl RowsNet {
    /// A network with initial weights.
    pub fn new(config: &RowsConfig, init: &mut Init<'_>) -> Self {
        let (columns, width) = (config.columns, config.width);
        Self {
            input: init.linear(columns, width, 1.0),
            level: init.linear(1, width, 0.5),
            wide: (0..config.blocks).map(|_| init.linear(width, 2 * width, 1.0)).collect(),
            narrow: (0..config.blocks).map(|_| init.linear(2 * width, width, 0.3)).collect(),
            output: init.linear(width, columns, 0.0),
        }
    }

    /// `D(z; sigma)` of standardised rows: `z` `[B, columns]`, `sigma` `[B, 1]` in standard deviations. With a prior its posterior mean stands
    /// in the place of `skip z`, which is that of one Gaussian of unit variance.
    pub fn denoise(&self, z: Tensor<2>, sigma: Tensor<2>, prior: Option<&Prior>) -> Tensor<2> {
        let total = sigma.clone().square().add_scalar(1.0);
        let root = total.clone().sqrt();
        let mut h = linear(&self.input, z.clone() / root.clone()) + linear(&self.level, sigma.clone().log());
        for (wide, narrow) in self.wide.iter().zip(&self.narrow) {
            let inside = linear_activated(wide, Activation::Silu, silu(h.clone()));
            h = linear_added(narrow, inside, h);
        }
        let start = match prior {
            Some(prior) => prior.denoise(&z, &sigma),
            None => z / total,
        };
        start + linear(&self.output, silu(h)) * sigma / root
    }
}
