//! The judge: a small convolutional classifier of labels and speakers, on features of its own.

use burn::{
    module::Module,
    nn::{
        Linear, PaddingConfig1d,
        conv::{Conv1d, Conv1dConfig},
    },
    tensor::{Tensor, activation::relu},
};
use langevin_nn::Init;

use crate::config::JudgeConfig;

/// Three convolutions over time, mean and maximum over what is left, one embedding, two heads.
#[derive(Module, Debug)]
pub struct JudgeNet {
    first: Conv1d,
    second: Conv1d,
    third: Conv1d,
    embed: Linear,
    label: Linear,
    speaker: Linear,
}

/// What the judge says of a batch.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Embeddings, shape `[batch, embedding]`.
    pub embedding: Tensor<2>,
    /// Unnormalised log-probabilities of labels, shape `[batch, labels]`.
    pub labels: Tensor<2>,
    /// Unnormalised log-probabilities of speakers, shape `[batch, speakers]`.
    pub speakers: Tensor<2>,
}

impl JudgeNet {
    /// A network with initial weights.
    pub fn new(config: &JudgeConfig, init: &mut Init<'_>) -> Self {
        let gain = std::f64::consts::SQRT_2;
        let conv = |init: &mut Init<'_>, inputs: usize, kernel: usize, stride: usize| {
            let shape = Conv1dConfig::new(inputs, config.channels, kernel).with_stride(stride);
            init.conv1d(&shape.with_padding(PaddingConfig1d::Explicit(kernel / 2, kernel / 2)), gain)
        };
        Self {
            first: conv(init, config.mels, 5, 1),
            second: conv(init, config.channels, 5, 2),
            third: conv(init, config.channels, 5, 2),
            embed: init.linear(2 * config.channels, config.embedding, gain),
            label: init.linear(config.embedding, config.vocabulary.labels.len(), 1.0),
            speaker: init.linear(config.embedding, config.vocabulary.speakers.len(), 1.0),
        }
    }

    /// The verdict on log-mel images, shape `[batch, mels, frames]`.
    pub fn forward(&self, images: Tensor<3>) -> Verdict {
        let x = relu(self.first.forward(images));
        let x = relu(self.second.forward(x));
        let x = relu(self.third.forward(x));
        let [batch, channels, _] = x.dims();
        let mean = x.clone().mean_dim(2).reshape([batch, channels]);
        let most = x.max_dim(2).reshape([batch, channels]);
        let embedding = self.embed.forward(Tensor::cat(vec![mean, most], 1));
        let active = relu(embedding.clone());
        Verdict { labels: self.label.forward(active.clone()), speakers: self.speaker.forward(active), embedding }
    }
}
