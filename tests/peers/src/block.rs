//! The pre-norm attention and feed-forward block that three of the networks stack.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use langevin_nn::fused::{self, Activation, Affine, Norm};

/// Of every layer norm, the default of burn and of PyTorch.
pub(crate) const EPSILON: f32 = 1e-5;

/// `x += attention(norm(x)); x += contract(gelu(expand(norm(x))))`, feed-forward four times as wide.
#[derive(Module, Debug)]
pub(crate) struct Block {
    attention_norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    feed_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    heads: usize,
}

impl Block {
    /// A block of the given width; `heads` divides `width`.
    pub(crate) fn init(width: usize, heads: usize, device: &Device) -> Self {
        Self {
            attention_norm: LayerNormConfig::new(width).init(device),
            qkv: LinearConfig::new(width, 3 * width).init(device),
            out: LinearConfig::new(width, width).init(device),
            feed_norm: LayerNormConfig::new(width).init(device),
            expand: LinearConfig::new(width, 4 * width).init(device),
            contract: LinearConfig::new(4 * width, width).init(device),
            heads,
        }
    }

    /// `x` is `[batch, rows, width]`; `bias`, added to the attention scores, is `[batch, heads, rows, rows]`.
    pub(crate) fn forward(&self, x: Tensor<3>, bias: Option<Tensor<4>>) -> Tensor<3> {
        let block = fused::Block {
            attend: &self.qkv,
            mix: &self.out,
            expand: &self.expand,
            contract: &self.contract,
            heads: self.heads,
            norm: Norm::Layer { epsilon: EPSILON },
            activation: Activation::Gelu,
        };
        block.forward(x, [&self.attention_norm, &self.feed_norm].map(Affine::of), bias, None)
    }
}
