//! Addressed initial weights: layer `k` of a model draws from `(seed, sample k)`, so they are the same on every device.

use burn::{
    module::Param,
    nn::{
        Embedding, LayerNorm, LayerNormConfig, Linear, LinearConfig,
        conv::{Conv1d, Conv1dConfig},
    },
    tensor::{Device, Tensor, TensorData},
};
use langevin_core::noise::{NoiseSource, Philox, stream};

/// Makes the layers of a model in order; the order is part of the model's definition.
#[derive(Debug)]
pub struct Init<'a> {
    /// `None` leaves zeros, for a network whose weights are loaded next.
    noise: Option<Philox>,
    device: &'a Device,
    drawn: u32,
}

impl<'a> Init<'a> {
    /// Initial weights for a seed, on a device.
    pub const fn new(seed: u64, device: &'a Device) -> Self {
        Self { noise: Some(Philox::new(seed)), device, drawn: 0 }
    }

    /// Zeros everywhere: for a network that a checkpoint fills at once, where drawing weights would be wasted time.
    pub const fn empty(device: &'a Device) -> Self {
        Self { noise: None, device, drawn: 0 }
    }

    /// The device of the model.
    pub const fn device(&self) -> &Device {
        self.device
    }

    /// A seed for a part that draws its own initial weights.
    pub fn seed(&mut self) -> u64 {
        let words = self.noise.map_or([0; 4], |noise| noise.words([0, self.drawn, 0, stream::INIT]));
        self.drawn += 1;
        u64::from(words[0]) << 32 | u64::from(words[1])
    }

    /// Normal values with a standard deviation, shape `shape`.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        let mut values = vec![0f32; shape.iter().product()];
        if let Some(noise) = self.noise {
            noise.fill(self.drawn, 0, stream::INIT, &mut values);
            values.iter_mut().for_each(|v| *v *= std as f32);
        }
        self.drawn += 1;
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// Zeros, shape `shape`.
    pub fn zeros<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        Param::from_data(TensorData::new(vec![0f32; count], shape), self.device)
    }

    /// Linear layer `[.., inputs] -> [.., outputs]` with variance `gain^2 / inputs` and zero bias.
    ///
    /// A `gain` of 0 gives the zero-initialised output layer that lets a residual network start as the identity.
    pub fn linear(&mut self, inputs: usize, outputs: usize, gain: f64) -> Linear {
        let mut layer = LinearConfig::new(inputs, outputs).init(self.device);
        layer.weight = self.normal([inputs, outputs], gain / (inputs as f64).sqrt());
        layer.bias = Some(self.zeros([outputs]));
        layer
    }

    /// Convolution `[batch, inputs, length] -> [batch, outputs, ..]` as its config says, with variance `gain^2 / fan_in` and zero bias.
    pub fn conv1d(&mut self, config: &Conv1dConfig, gain: f64) -> Conv1d {
        let fan_in = config.channels_in / config.groups * config.kernel_size;
        let mut layer = config.init(self.device);
        layer.weight =
            self.normal([config.channels_out, config.channels_in / config.groups, config.kernel_size], gain / (fan_in as f64).sqrt());
        layer.bias = Some(self.zeros([config.channels_out]));
        layer
    }

    /// Table of `count` vectors of `width` numbers with standard deviation `std`.
    pub fn embedding(&mut self, count: usize, width: usize, std: f64) -> Embedding {
        Embedding { weight: self.normal([count, width], std) }
    }

    /// Layer norm over the last `width` numbers, starting at scale 1 and shift 0.
    pub fn layer_norm(&self, width: usize) -> LayerNorm {
        LayerNormConfig::new(width).init(self.device)
    }
}
