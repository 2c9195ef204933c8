//! Small classifiers that a training run makes for itself, to have something to be attacked through.

use burn::{
    module::Module,
    nn::{
        Linear, PaddingConfig1d,
        conv::{Conv1d, Conv1dConfig},
    },
    tensor::{Tensor, activation::relu, ops::PadMode},
};
use langevin_nn::{
    Init,
    fused::{conv1d, linear, silu},
};

/// Samples between looks of the first layer, which reads raw samples.
const STRIDE: usize = 4;
/// Loudness below which a clip is not scaled up further.
const QUIET: f64 = 1e-4;
/// Loudness that stands for one in a classifier that does not scale: about that of speech.
const USUAL: f64 = 0.1;

/// A convolutional network on raw samples. The first of every three scales clips to equal loudness, as some users' classifiers do and others do not.
#[derive(Module, Debug)]
pub struct ClipJudge {
    layers: Vec<Conv1d>,
    output: Linear,
    #[module(skip)]
    scaled: bool,
}

impl ClipJudge {
    /// Classifier number `number`: they differ in the length of the first kernel.
    pub fn new(number: usize, width: usize, classes: usize, init: &mut Init<'_>) -> Self {
        let gain = std::f64::consts::SQRT_2;
        let conv = |init: &mut Init<'_>, inputs: usize, outputs: usize, taps: usize| {
            let padding = PaddingConfig1d::Explicit(taps / 2, taps / 2);
            init.conv1d(&Conv1dConfig::new(inputs, outputs, taps).with_padding(padding), gain)
        };
        let first = [17, 11, 23][number % 3];
        let layers = vec![
            conv(init, STRIDE, width, first),
            conv(init, width, width, 3),
            conv(init, width, 2 * width, 3),
            conv(init, 2 * width, 2 * width, 3),
            conv(init, 2 * width, 4 * width, 3),
        ];
        Self { layers, output: init.linear(4 * width, classes, 1.0), scaled: number.is_multiple_of(3) }
    }

    /// Logits `[B, classes]` of clips `[B, samples]`.
    pub fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, samples] = x.dims();
        let x = if self.scaled {
            let loudness = x.clone().square().mean_dim(1).add_scalar(QUIET * QUIET).sqrt();
            x / loudness
        } else {
            x.div_scalar(USUAL)
        };
        let steps = samples.div_ceil(STRIDE);
        let x = if samples == steps * STRIDE { x } else { x.pad([(0, 0), (0, steps * STRIDE - samples)], PadMode::Constant(0.0)) };
        // A stride of 4 over samples is a stride of 1 over groups of 4.
        let mut h = x.reshape([batch, steps, STRIDE]).swap_dims(1, 2);
        for (layer, pool) in self.layers.iter().zip([4, 4, 4, 2, 1]) {
            h = pooled(relu(conv1d(layer, h, None)), pool);
        }
        let [_, channels, _] = h.dims();
        linear(&self.output, h.mean_dim(2).reshape([batch, channels]))
    }
}

/// The greatest of every `size` neighbours; positions left over at the end are dropped.
fn pooled(x: Tensor<3>, size: usize) -> Tensor<3> {
    let [batch, channels, length] = x.dims();
    let groups = length / size;
    if size == 1 || groups == 0 {
        return x;
    }
    let x: Tensor<4> = x.narrow(2, 0, groups * size).reshape([batch, channels, groups, size]);
    x.max_dim(3).reshape([batch, channels, groups])
}

/// Two hidden layers on standardised rows.
#[derive(Module, Debug)]
pub struct RowJudge {
    first: Linear,
    second: Linear,
    output: Linear,
}

impl RowJudge {
    /// A classifier with initial weights.
    pub fn new(columns: usize, width: usize, classes: usize, init: &mut Init<'_>) -> Self {
        Self {
            first: init.linear(columns, 2 * width, 1.4),
            second: init.linear(2 * width, 2 * width, 1.4),
            output: init.linear(2 * width, classes, 1.0),
        }
    }

    /// Logits `[B, classes]` of standardised rows `[B, columns]`.
    pub fn logits(&self, z: Tensor<2>) -> Tensor<2> {
        linear(&self.output, silu(linear(&self.second, silu(linear(&self.first, z)))))
    }
}
