//! Transformer on embedded sequences: width 256, 6 layers, 4 heads, 256 positions, batch 8.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use langevin_nn::fused::layer_norm;

use crate::block::{Block, EPSILON};
use crate::network::{Network, Step};

/// Pre-norm blocks and a final layer norm.
#[derive(Module, Debug)]
pub(crate) struct Transformer {
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Transformer {
    /// A stack of `layers` blocks.
    pub(crate) fn stack(width: usize, layers: usize, heads: usize, device: &Device) -> Self {
        Self { blocks: (0..layers).map(|_| Block::init(width, heads, device)).collect(), norm: LayerNormConfig::new(width).init(device) }
    }

    /// `x` is `[batch, rows, width]`, and so is the result.
    pub(crate) fn apply(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, None));
        layer_norm(&self.norm, EPSILON, x)
    }
}

impl Network for Transformer {
    const NAME: &'static str = "transformer";
    const INPUTS: &'static [[usize; 3]] = &[[8, 256, 256]];
    const MICRO_BATCH: u32 = 2;
    const STEPS: &'static [Step] = &[Step::Forward, Step::Train];

    fn init(device: &Device) -> Self {
        Self::stack(256, 6, 4, device)
    }

    fn forward(&self, inputs: &[Tensor<3>]) -> Tensor<3> {
        self.apply(inputs[0].clone())
    }
}
