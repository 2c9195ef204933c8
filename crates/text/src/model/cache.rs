//! What the network keeps of the tokens before, so that they are not shown to it again.

use burn::tensor::{Device, Tensor};

use crate::config::TextConfig;

/// What all layers keep of the tokens so far.
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<Memory>,
}

/// What a layer keeps.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// The last rows before the convolution, shape `[batch, up to taps / 2, width]`.
    near: Tensor<3>,
    /// Most rows of `near`.
    reach: usize,
    /// Turned keys, shape `[batch, heads, tokens, width / heads]`.
    keys: Tensor<4>,
    /// Values, in the same shape.
    values: Tensor<4>,
}

impl Cache {
    /// Nothing yet, for so many rows of a checked config.
    pub fn empty(config: &TextConfig, rows: usize, device: &Device) -> Self {
        let heads = || Tensor::zeros([rows, config.heads, 0, config.width / config.heads], device);
        let memory =
            || Memory { near: Tensor::zeros([rows, 0, config.width], device), reach: config.taps / 2, keys: heads(), values: heads() };
        Self { layers: (0..config.layers).map(|_| memory()).collect() }
    }

    pub(super) const fn of(layers: Vec<Memory>) -> Self {
        Self { layers }
    }

    /// Tokens of a row.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, Memory::len)
    }

    /// Whether there is no token yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the tokens of [`TextNet::after`](super::TextNet::after).
    ///
    /// # Panics
    /// When they are those of another number of layers or rows.
    pub fn push(&mut self, own: Self) {
        assert_eq!(self.layers.len(), own.layers.len(), "caches of one network have as many layers");
        for (all, own) in self.layers.iter_mut().zip(own.layers) {
            let [keys, values] = all.with_own(&own);
            let near = all.with_near(own.near);
            let [_, rows, _] = near.dims();
            let kept = rows.min(all.reach);
            *all = Memory { near: near.narrow(1, rows - kept, kept), reach: all.reach, keys, values };
        }
    }

    pub(super) fn layer(&self, k: usize) -> &Memory {
        &self.layers[k]
    }
}

impl Memory {
    /// Of rows before the convolution, of which the last `reach` count, and of their keys and values.
    pub(super) fn new(near: Tensor<3>, reach: usize, keys: Tensor<4>, values: Tensor<4>) -> Self {
        Self { near, reach, keys, values }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.dims()[2]
    }

    /// The last rows before, then `own`.
    pub(super) fn with_near(&self, own: Tensor<3>) -> Tensor<3> {
        if self.near.dims()[1] == 0 { own } else { Tensor::cat(vec![self.near.clone(), own], 1) }
    }

    /// Keys and values before, then `own`.
    pub(super) fn with_own(&self, own: &Self) -> [Tensor<4>; 2] {
        if self.len() == 0 {
            return [own.keys.clone(), own.values.clone()];
        }
        [(&self.keys, &own.keys), (&self.values, &own.values)].map(|(before, own)| Tensor::cat(vec![before.clone(), own.clone()], 2))
    }
}
