//! The denoiser of clips: a spectral gate that is learned.

use burn::{
    module::Module,
    nn::{
        PaddingConfig1d,
        conv::{Conv1d, Conv1dConfig},
    },
    tensor::Tensor,
};
use langevin_nn::{
    Init,
    fused::{Activation, conv1d, silu},
};

use super::Spectrum;
use crate::config::ClipsConfig;

/// Blocks after which the dilations begin anew.
const DILATIONS: u32 = 4;
/// The gate before training: `sigmoid(ln |X / sigma| + OFFSET)`, closed where there is noise alone.
const OFFSET: f64 = -1.0;

/// Gates in `0..1` for every bin, from the magnitudes around it in units of the noise.
///
/// Everything it sees is divided by sigma, so `D(c x; c sigma) = c D(x; sigma)`: loud and soft clips are one problem.
#[derive(Module, Debug)]
pub struct ClipsNet {
    first: Conv1d,
    wide: Vec<Conv1d>,
    narrow: Vec<Conv1d>,
    output: Conv1d,
}

impl ClipsNet {
    /// A network with initial weights.
    pub fn new(config: &ClipsConfig, init: &mut Init<'_>) -> Self {
        let (bins, width) = (config.window / 2 + 1, config.width);
        let conv = |init: &mut Init<'_>, inputs: usize, outputs: usize, taps: usize, dilation: usize, gain: f64| {
            let reach = dilation * (taps / 2);
            let config = Conv1dConfig::new(inputs, outputs, taps).with_dilation(dilation);
            init.conv1d(&config.with_padding(PaddingConfig1d::Explicit(reach, reach)), gain)
        };
        let gain = std::f64::consts::SQRT_2;
        Self {
            first: conv(init, bins, width, 3, 1, 1.0),
            wide: (0..config.blocks as u32).map(|k| conv(init, width, width, 3, 1 << (k % DILATIONS), gain)).collect(),
            narrow: (0..config.blocks).map(|_| conv(init, width, width, 1, 1, 0.3)).collect(),
            output: conv(init, width, bins, 3, 1, 0.0),
        }
    }

    /// `D(x; sigma)`: `x` `[B, samples]`, `sigma` `[B, 1]`.
    pub fn denoise(&self, spectrum: &Spectrum, x: Tensor<2>, sigma: Tensor<2>) -> Tensor<2> {
        let [batch, samples] = x.dims();
        let parts = spectrum.analyse(x);
        let bins = spectrum.bins();
        let scaled = parts.clone() / sigma.reshape([batch, 1, 1]);
        // Bins times frames, as the convolutions want it.
        let power = scaled.clone().narrow(2, 0, bins).square() + scaled.narrow(2, bins, bins).square();
        let power = power.swap_dims(1, 2);
        let mut h = conv1d(&self.first, power.clone().log1p().mul_scalar(0.5), None);
        for (wide, narrow) in self.wide.iter().zip(&self.narrow) {
            let inside = silu(conv1d(wide, silu(h.clone()), None));
            h = conv1d(narrow, inside, Some(h));
        }
        let open = conv1d(&self.output, silu(h), Some(power.clamp(1e-6, 1e6).log().mul_scalar(0.5).add_scalar(OFFSET)));
        let gate = Activation::Sigmoid.apply(open).swap_dims(1, 2);
        spectrum.synthesise(parts * Tensor::cat(vec![gate.clone(), gate], 2), samples)
    }
}
