//! DiffWave-like stack: 20 dilated gated convolutions, 64 channels, 8000 samples, batch 2.
//!
//! Residual layer of Kong et al. (2021), arXiv:2009.09761, Fig. 2, without the time and mel conditions.

use burn::module::Module;
use burn::nn::PaddingConfig1d;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::tensor::{Device, Tensor};
use langevin_nn::fused::GatedResidual;

use crate::network::{Network, Step};

const CHANNELS: usize = 64;
const LAYERS: usize = 20;
/// Dilations go 1, 2, 4 ... 512 and start again.
const CYCLE: usize = 10;

/// One gated layer of the residual stream and the sum of skips.
#[derive(Module, Debug)]
struct Layer {
    dilated: Conv1d,
    mix: Conv1d,
}

impl Layer {
    fn init(dilation: usize, device: &Device) -> Self {
        Self {
            // `PaddingConfig1d::Same` does not count the dilation.
            dilated: Conv1dConfig::new(CHANNELS, 2 * CHANNELS, 3)
                .with_dilation(dilation)
                .with_padding(PaddingConfig1d::Explicit(dilation, dilation))
                .init(device),
            mix: Conv1dConfig::new(CHANNELS, 2 * CHANNELS, 1).init(device),
        }
    }

    fn forward(&self, state: Tensor<3>) -> Tensor<3> {
        GatedResidual { dilated: &self.dilated, mix: &self.mix }.forward(state, None, None)
    }
}

/// The stack; its output is the skip sum over the square root of the number of layers.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    layers: Vec<Layer>,
}

impl Network for Conv {
    const NAME: &'static str = "conv";
    const INPUTS: &'static [[usize; 3]] = &[[2, CHANNELS, 8000]];
    const MICRO_BATCH: u32 = 1;
    const STEPS: &'static [Step] = &[Step::Forward, Step::Train];

    fn init(device: &Device) -> Self {
        Self { layers: (0..LAYERS).map(|i| Layer::init(1 << (i % CYCLE), device)).collect() }
    }

    fn forward(&self, inputs: &[Tensor<3>]) -> Tensor<3> {
        let x = inputs[0].clone();
        let state = Tensor::cat(vec![x.clone(), x.zeros_like()], 1);
        let state = self.layers.iter().fold(state, |state, layer| layer.forward(state));
        state.narrow(1, CHANNELS, CHANNELS).mul_scalar((LAYERS as f64).sqrt().recip())
    }
}
