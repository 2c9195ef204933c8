//! The pre-norm attention and feed-forward block that three of the networks stack.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};

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
        let mixed = self.attend(self.attention_norm.forward(x.clone()), bias);
        let x = x + mixed;
        let hidden = gelu(self.expand.forward(self.feed_norm.forward(x.clone())));
        x + self.contract.forward(hidden)
    }

    fn attend(&self, x: Tensor<3>, bias: Option<Tensor<4>>) -> Tensor<3> {
        let [batch, rows, width] = x.dims();
        let [query, key, value]: [Tensor<4>; 3] = {
            let parts = self.qkv.forward(x).chunk(3, 2);
            let head = |part: &Tensor<3>| part.clone().reshape([batch, rows, self.heads, width / self.heads]).swap_dims(1, 2);
            [head(&parts[0]), head(&parts[1]), head(&parts[2])]
        };
        let options = AttentionModuleOptions::default();
        let mixed = attention(query, key, value, None, bias, options).swap_dims(1, 2).reshape([batch, rows, width]);
        self.out.forward(mixed)
    }
}
