//! DiffWave's network (Kong et al. 2021, arXiv:2009.09761, section 3 and figure 2).
//!
//! `[batch, samples]` in and out: a convolution to `C` channels, `L` residual layers whose dilation doubles over a cycle, each with
//! the embedded step before and the condition after its dilated convolution and the gate `tanh * sigmoid`, the layers' skips summed and divided by
//! `sqrt(L)`, and two more convolutions, the last one zero at first. The first half of a gate's channels goes through tanh, the second
//! through the sigmoid: published weights have them the other way round.

use burn::{
    module::{Module, Param},
    nn::{
        Linear, PaddingConfig1d,
        conv::{Conv1d, Conv1dConfig},
    },
    tensor::{
        Int, Tensor, TensorData,
        activation::{leaky_relu, relu},
        module::conv_transpose2d,
        ops::ConvTransposeOptions,
    },
};
use langevin_nn::{
    Init,
    fused::{Activation, GatedResidual, conv1d, linear, linear_activated},
};

use crate::config::{DiffWaveCondition, DiffWaveConfig};

/// Sines and cosines of the step, and the width of the two layers behind them.
const STEP_FEATURES: usize = 128;
const STEP_WIDTH: usize = 512;
/// Width of the label's embedding (section 3.2).
const LABEL_WIDTH: usize = 128;
/// Bands that a transposed convolution of the spectrogram mixes.
const MEL_TAPS: usize = 3;
/// Slope of its activation below zero.
const SLOPE: f64 = 0.4;

/// The network.
#[derive(Module, Debug)]
pub struct DiffWaveNet {
    input_projection: Conv1d,
    step_first: Linear,
    step_second: Linear,
    /// One row a label, and one for the hidden label.
    label: Option<Param<Tensor<2>>>,
    stretch: Vec<Stretch>,
    residual_layers: Vec<ResidualLayer>,
    skip_projection: Conv1d,
    output_projection: Conv1d,
    cycle: usize,
}

/// A transposed convolution over bands and frames, `[1, 1, 3, 2 stride]`, then a leaky rectifier.
#[derive(Module, Debug)]
struct Stretch {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct ResidualLayer {
    step_projection: Linear,
    dilated: Conv1d,
    mel_projection: Option<Conv1d>,
    label_projection: Option<Linear>,
    output_projection: Conv1d,
}

/// What the network is told about a batch.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a batch has one")]
pub enum Told {
    /// Nothing.
    Nothing,
    /// Numbers of labels, one a row; `None` is the hidden label.
    Labels(Vec<Option<usize>>),
    /// A log-mel spectrogram as [`DiffWaveNet::stretch`] makes it, shape `[batch, mels, samples]`.
    Mel(Tensor<3>),
}

fn convolution(init: &mut Init<'_>, [inputs, outputs, taps, dilation]: [usize; 4], gain: f64) -> Conv1d {
    let padding = dilation * (taps - 1) / 2;
    let config = Conv1dConfig::new(inputs, outputs, taps).with_dilation(dilation);
    init.conv1d(&config.with_padding(PaddingConfig1d::Explicit(padding, padding)), gain)
}

impl DiffWaveNet {
    /// A network with initial weights for a checked config whose vocabulary is filled in.
    pub fn new(config: &DiffWaveConfig, init: &mut Init<'_>) -> Self {
        // Kaiming's gain for rectifiers, as published.
        let gain = std::f64::consts::SQRT_2;
        let channels = config.channels;
        let mel = config.condition == DiffWaveCondition::Mel;
        let label = config.condition == DiffWaveCondition::Label;
        let stretch = |init: &mut Init<'_>, stride: usize| Stretch {
            // A stretched value has about 3 * 2 terms.
            weight: init.normal([1, 1, MEL_TAPS, 2 * stride], 1.0 / ((2 * MEL_TAPS) as f64).sqrt()),
            bias: init.zeros([1]),
        };
        let layer = |k: usize, init: &mut Init<'_>| ResidualLayer {
            step_projection: init.linear(STEP_WIDTH, channels, 1.0),
            dilated: convolution(init, [channels, 2 * channels, 3, 1 << (k % config.cycle)], gain),
            mel_projection: mel.then(|| convolution(init, [config.mel.mels, 2 * channels, 1, 1], gain)),
            label_projection: label.then(|| init.linear(LABEL_WIDTH, 2 * channels, gain)),
            output_projection: convolution(init, [channels, 2 * channels, 1, 1], gain),
        };
        Self {
            input_projection: convolution(init, [1, channels, 1, 1], gain),
            step_first: init.linear(STEP_FEATURES, STEP_WIDTH, 1.0),
            step_second: init.linear(STEP_WIDTH, STEP_WIDTH, 1.0),
            label: label.then(|| init.normal([config.vocabulary.labels.len() + 1, LABEL_WIDTH], 1.0)),
            stretch: if mel { config.mel.strides.iter().map(|stride| stretch(init, *stride)).collect() } else { Vec::new() },
            residual_layers: (0..config.layers).map(|k| layer(k, init)).collect(),
            skip_projection: convolution(init, [channels, channels, 1, 1], gain),
            output_projection: convolution(init, [channels, 1, 1, 1], 0.0),
            cycle: config.cycle,
        }
    }

    /// Samples on each side that one sample of the output depends on.
    pub fn reach(&self) -> usize {
        (0..self.residual_layers.len()).map(|k| 1 << (k % self.cycle)).sum()
    }

    /// Log-mel spectrograms of shape `[batch, mels, frames]`, roughly of unit size, stretched to samples: `[batch, mels, frames * hop]`.
    pub fn stretch(&self, mel: Tensor<3>) -> Tensor<3> {
        let mut x = mel.unsqueeze_dim::<4>(1);
        for layer in &self.stretch {
            let stride = layer.weight.dims()[3] / 2;
            let options = ConvTransposeOptions::new([1, stride], [MEL_TAPS / 2, stride / 2], [0, 0], [1, 1], 1);
            x = leaky_relu(conv_transpose2d(x, layer.weight.val(), Some(layer.bias.val()), options), SLOPE);
        }
        x.squeeze_dim::<3>(1)
    }

    /// What is predicted, shape `[batch, samples]`, of noised waveforms `x` of that shape at steps `0..T` (not necessarily whole), one a row
    /// or one for all.
    ///
    /// # Panics
    /// When there are neither as many steps as rows nor one.
    pub fn forward(&self, x: Tensor<2>, steps: &[f64], told: &Told) -> Tensor<2> {
        let [batch, samples] = x.dims();
        assert!(steps.len() == 1 || steps.len() == batch, "{} steps are not of {batch} rows", steps.len());
        let device = x.device();
        let features = Tensor::<2>::from_data(TensorData::new(embed(steps), [steps.len(), STEP_FEATURES]), &device);
        let embedded = linear_activated(&self.step_first, Activation::Silu, features);
        let embedded = linear_activated(&self.step_second, Activation::Silu, embedded);
        let label = match (told, &self.label) {
            (Told::Labels(labels), Some(table)) => {
                let hidden = table.dims()[0] - 1;
                let ids: Vec<i64> = labels.iter().map(|l| l.unwrap_or(hidden) as i64).collect();
                Some(table.val().select(0, Tensor::<1, Int>::from_data(TensorData::new(ids, [labels.len()]), &device)))
            }
            _ => None,
        };
        let h = relu(conv1d(&self.input_projection, x.reshape([batch, 1, samples]), None));
        let mut state = Tensor::cat(vec![h.clone(), h.zeros_like()], 1);
        for layer in &self.residual_layers {
            state = layer.forward(state, embedded.clone(), label.clone(), told);
        }
        let channels = h.dims()[1];
        let skips = state.narrow(1, channels, channels) / (self.residual_layers.len() as f64).sqrt();
        let h = relu(conv1d(&self.skip_projection, skips, None));
        conv1d(&self.output_projection, h, None).reshape([batch, samples])
    }
}

impl ResidualLayer {
    /// The next state: channels, and the sum of what layers add to the output.
    fn forward(&self, state: Tensor<3>, step: Tensor<2>, label: Option<Tensor<2>>, told: &Told) -> Tensor<3> {
        let [batch, both, _] = state.dims();
        let step = linear(&self.step_projection, step).expand([batch, both / 2]);
        let mel = match (&self.mel_projection, told) {
            (Some(projection), Told::Mel(mel)) => Some(conv1d(projection, mel.clone(), None)),
            _ => None,
        };
        let label = self.label_projection.as_ref().zip(label).map(|(projection, label)| {
            let told = linear(projection, label);
            let outputs = told.dims()[1];
            told.expand([batch, outputs]).unsqueeze_dim::<3>(2)
        });
        GatedResidual { dilated: &self.dilated, mix: &self.output_projection }.forward(state, Some(step), mel.or(label))
    }
}

/// Sines, then cosines of each step at frequencies `10^(4 k / 63)` (eq. 5); between whole steps the features are interpolated, as the network has
/// not seen others.
fn embed(steps: &[f64]) -> Vec<f32> {
    const HALF: usize = STEP_FEATURES / 2;
    let whole = |step: f64| {
        let angle = move |k: usize| step * 10f64.powf(4.0 * k as f64 / (HALF - 1) as f64);
        (0..HALF).map(move |k| angle(k).sin()).chain((0..HALF).map(move |k| angle(k).cos()))
    };
    let row = |&step: &f64| {
        let (below, part) = (step.floor(), step.fract());
        whole(below).zip(whole(below + 1.0)).map(move |(a, b)| (a + (b - a) * part) as f32).collect::<Vec<_>>()
    };
    steps.iter().flat_map(row).collect()
}
