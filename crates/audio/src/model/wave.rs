//! The waveform model's denoiser: filters over frames and layers over bands, modulated by noise level, label and speaker.

use burn::{
    module::{Module, Param},
    nn::{Embedding, Linear},
    tensor::Tensor,
};
use langevin_nn::{
    Init,
    fused::{Gate, Norm, depthwise, linear, linear_added},
};

use super::{
    Conditions,
    prior::{Embedded, TIME_FEATURES, split},
};
use crate::{config::WaveConfig, wave_codec::BANDS};

/// Before every modulation.
const NORM: Norm = Norm::Layer { epsilon: 1e-5 };
/// Gain of the last layer of a block at the start: the network begins near its input layer.
const BRANCH: f64 = 0.3;
/// Numbers that a frame is told beside its mel bands: known coefficients, their sizes, which of them are known, whether mel bands are given,
/// and the noise in the known coefficients.
pub const GIVEN: usize = 3 * BANDS + 2;

/// `F(x, c_noise, label, speaker, given)` of frames of MDCT coefficients: blocks of a dilated filter for every channel, adaptive layer norm
/// and a gated pair of layers (the ConvNeXt block of Liu et al. 2022, for sound Siuzdak 2023, with the modulation of Peebles & Xie 2023 and
/// the gate of Shazeer 2020).
///
/// Signs of coefficients are nearly random while their sizes lie close together in time and frequency, so the network sees both, and what it
/// returns is `gain * x + rest`: with the local variance `v` the best estimate of a normal coefficient is `v / (v + sigma^2)` of what is seen.
#[derive(Module, Debug)]
pub struct FrameNet {
    input: Linear,
    time: Linear,
    label: Embedding,
    speaker: Embedding,
    mix: Linear,
    blocks: Vec<Block>,
    modulate: Linear,
    output: Linear,
    #[module(skip)]
    dilations: Vec<usize>,
}

#[derive(Module, Debug)]
struct Block {
    /// `[taps, width]`.
    filter: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    modulate: Linear,
    expand: Linear,
    contract: Linear,
}

impl FrameNet {
    /// A network with initial weights for a checked config.
    pub fn new(config: &WaveConfig, init: &mut Init<'_>) -> Self {
        let (width, condition) = (config.width, config.condition);
        let block = |init: &mut Init<'_>| Block {
            filter: init.normal([config.taps, width], 1.0 / (config.taps as f64).sqrt()),
            bias: init.zeros([width]),
            modulate: init.linear(condition, 2 * width, 0.0),
            expand: init.linear(width, 2 * config.hidden, 1.0),
            contract: init.linear(config.hidden, width, BRANCH),
        };
        Self {
            input: init.linear(2 * BANDS + GIVEN + config.codec.mels, width, 1.0),
            time: init.linear(TIME_FEATURES, condition, 1.0),
            // One more row each: the hidden condition.
            label: init.embedding(config.vocabulary.labels.len() + 1, condition, 1.0),
            speaker: init.embedding(config.vocabulary.speakers.len() + 1, condition, 1.0),
            mix: init.linear(condition, condition, 1.0),
            blocks: (0..config.blocks).map(|_| block(init)).collect(),
            modulate: init.linear(condition, 2 * width, 0.0),
            output: init.linear(width, 2 * BANDS, 0.0),
            dilations: (0..config.blocks).map(|block| config.dilation(block)).collect(),
        }
    }

    /// Raw output, shape `[batch, frames, 64]`, of scaled states `x` of that shape, at noise inputs `c_noise = ln(sigma / alpha) / 4`, one a
    /// row. `given`, shape `[batch, frames, GIVEN + mels]`, is what is known of each frame; `present`, shape `[batch, frames, 1]`, is 1
    /// where there is a frame and 0 in the padding of shorter clips, which changes nothing in the frames that are there.
    pub fn forward(
        &self,
        x: Tensor<3>,
        c_noise: &[f32],
        conditions: &Conditions,
        given: Tensor<3>,
        present: Option<&Tensor<3>>,
    ) -> Tensor<3> {
        let embedding = Embedded { time: &self.time, label: &self.label, speaker: &self.speaker, mix: &self.mix };
        let condition = embedding.forward(c_noise, conditions, &x.device());
        let mut h = linear(&self.input, Tensor::cat(vec![x.clone(), x.clone().abs(), given], 2));
        for (block, &dilation) in self.blocks.iter().zip(&self.dilations) {
            h = block.forward(h, &condition.through(&block.modulate), dilation, present);
        }
        let [shift, scale] = split(&condition.through(&self.modulate));
        let output = linear(&self.output, NORM.modulated(h, scale, shift));
        output.clone().narrow(2, 0, BANDS) * x + output.narrow(2, BANDS, BANDS)
    }
}

impl Block {
    fn forward(&self, h: Tensor<3>, modulation: &Tensor<2>, dilation: usize, present: Option<&Tensor<3>>) -> Tensor<3> {
        let [batch, frames, width] = h.dims();
        let heard = match present {
            Some(present) => h.clone() * present.clone(),
            None => h.clone(),
        };
        let filtered = depthwise(self.filter.val(), self.bias.val(), dilation, heard.reshape([batch, frames, 1, width]));
        let [shift, scale] = split(modulation);
        let inside = NORM.modulated(filtered.reshape([batch, frames, width]), scale, shift);
        linear_added(&self.contract, Gate::Silu.apply(linear(&self.expand, inside), 2), h)
    }
}
