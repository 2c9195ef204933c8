//! Pair-biased attention on 64 molecules of 18 atoms: width 128, 4 layers, 4 heads.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use langevin_nn::fused::linear;

use crate::block::Block;
use crate::network::{Network, Step};

const MOLECULES: usize = 64;
const ATOMS: usize = 18;
const WIDTH: usize = 128;
const PAIR_FEATURES: usize = 16;
const LAYERS: usize = 4;
const HEADS: usize = 4;

/// Blocks whose scores are biased by one linear map of the pair features per layer. The map has no constant: softmax
/// takes no notice of one.
#[derive(Module, Debug)]
pub(crate) struct Graph {
    pairs: Vec<Linear>,
    blocks: Vec<Block>,
}

impl Network for Graph {
    const NAME: &'static str = "graph";
    /// Atoms `[molecules, atoms, width]` and pairs `[molecules, atoms * atoms, features]`.
    const INPUTS: &'static [[usize; 3]] = &[[MOLECULES, ATOMS, WIDTH], [MOLECULES, ATOMS * ATOMS, PAIR_FEATURES]];
    const MICRO_BATCH: u32 = 16;
    const STEPS: &'static [Step] = &[Step::Forward, Step::Train];

    fn init(device: &Device) -> Self {
        Self {
            pairs: (0..LAYERS).map(|_| LinearConfig::new(PAIR_FEATURES, HEADS).with_bias(false).init(device)).collect(),
            blocks: (0..LAYERS).map(|_| Block::init(WIDTH, HEADS, device)).collect(),
        }
    }

    fn forward(&self, inputs: &[Tensor<3>]) -> Tensor<3> {
        let [molecules, atoms, _] = inputs[0].dims();
        let layers = self.pairs.iter().zip(&self.blocks);
        layers.fold(inputs[0].clone(), |x, (pair, block)| {
            let bias = linear(pair, inputs[1].clone()).reshape([molecules, atoms, atoms, HEADS]).permute([0, 3, 1, 2]);
            block.forward(x, Some(bias))
        })
    }
}
