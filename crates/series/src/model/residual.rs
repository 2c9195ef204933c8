//! The residual's network: an encoder of what is observed, once a window, and a denoiser, once a sample and step.
//!
//! A token is a cell of the table: a time and a column. There is no embedding of columns; what is known of a pair of columns is how
//! they were correlated. So one network fits any number of columns in any order. The noised residual enters the denoiser alone: the
//! larger encoder does not pay for samples and steps.

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Bool, Device, Tensor, TensorData},
};
use langevin_nn::{
    Init, TimeEmbedding,
    fused::{Activation, Gate, Norm, attention, depthwise, linear, linear_activated, linear_added},
};

use crate::{config::ResidualConfig, data::Window};

/// Numbers that describe a token; [`crate::data::Sheet`] says which.
pub const FEATURES: usize = 14;
/// Numbers that describe a pair of columns: correlation of values, of steps, and whether they are the same.
pub const PAIRS: usize = 3;

const NORM: Norm = Norm::Layer { epsilon: 1e-5 };
/// Rows that a convolution reads.
const TAPS: usize = 7;
const TIME_FEATURES: usize = 64;
/// Gain of the last layer of every branch at first.
const BRANCH: f64 = 0.3;
/// How much a correlation of 1 adds to scores at first.
const OF_CORRELATION: f64 = 3.0;

/// Windows of equal size, on a device.
#[derive(Clone, Debug)]
pub struct WindowBatch {
    /// What is known of the tokens, shape `[windows, rows, columns, FEATURES]`.
    features: Tensor<4>,
    /// 1 at holes and 0 elsewhere, shape `[windows, rows, columns, 1]`.
    holes: Tensor<4>,
    /// 1 inside the table and 0 in padding; absent when there is no padding. Shape `[windows, rows, columns, 1]`.
    present: Option<Tensor<4>>,
    /// Correlations, shape `[windows, columns, columns, PAIRS]`.
    pairs: Tensor<4>,
    /// True at padding columns, shape `[windows, columns]`.
    hidden_columns: Option<Tensor<2, Bool>>,
}

impl WindowBatch {
    /// Puts windows on a device, padded to the longest and widest.
    ///
    /// # Panics
    /// Without windows.
    pub fn new(windows: &[&Window], device: &Device) -> Self {
        let count = windows.len();
        let rows = windows.iter().map(|w| w.rows).max().expect("there is a window");
        let columns = windows.iter().map(|w| w.columns).max().expect("there is a window");
        let tokens = rows * columns;
        let mut features = vec![0f32; count * tokens * FEATURES];
        let (mut holes, mut present) = (vec![0f32; count * tokens], vec![0f32; count * tokens]);
        let mut pairs = vec![0f32; count * columns * columns * PAIRS];
        let mut hidden = vec![true; count * columns];
        for (k, window) in windows.iter().enumerate() {
            let wide = window.columns;
            for row in 0..window.rows {
                let (from, to) = (row * wide, k * tokens + row * columns);
                features[to * FEATURES..(to + wide) * FEATURES]
                    .copy_from_slice(&window.features[from * FEATURES..(from + wide) * FEATURES]);
                holes[to..to + wide].copy_from_slice(&window.holes[from..from + wide]);
                present[to..to + wide].fill(1.0);
            }
            for column in 0..wide {
                let (from, to) = (column * wide * PAIRS, (k * columns + column) * columns * PAIRS);
                pairs[to..to + wide * PAIRS].copy_from_slice(&window.pairs[from..from + wide * PAIRS]);
            }
            hidden[k * columns..k * columns + wide].fill(false);
        }
        let padded = present.contains(&0.0);
        let tensor = |values: Vec<f32>, dims: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values, dims), device);
        Self {
            features: tensor(features, [count, rows, columns, FEATURES]),
            holes: tensor(holes, [count, rows, columns, 1]),
            present: padded.then(|| tensor(present, [count, rows, columns, 1])),
            pairs: tensor(pairs, [count, columns, columns, PAIRS]),
            hidden_columns: hidden.contains(&true).then(|| Tensor::from_data(TensorData::new(hidden, [count, columns]), device)),
        }
    }

    /// `[windows, rows, columns]`.
    pub fn dims(&self) -> [usize; 3] {
        let [windows, rows, columns, _] = self.features.dims();
        [windows, rows, columns]
    }

    /// 1 at holes and 0 elsewhere, one number a token: shape `[windows * rows * columns, 1]`.
    pub fn holes(&self) -> Tensor<2> {
        let tokens = self.dims().iter().product::<usize>();
        self.holes.clone().reshape([tokens, 1])
    }
}

/// What the encoder says of windows to every sample and step of the denoiser.
#[derive(Clone, Debug)]
pub struct Context {
    windows: WindowBatch,
    /// What is added to the embedded residual, shape `[windows, rows, columns, 1, state_width]`.
    input: Tensor<5>,
    /// Scale and shift of the tokens in every block and before the output, each of shape `[tokens, 2 * state_width]`.
    modulation: Vec<Tensor<2>>,
    /// Added to the scores of attention in every block that has one, shape `[windows or 1, heads, columns, columns]`.
    bias: Vec<Option<Tensor<4>>>,
}

impl Context {
    /// The windows that it is of.
    pub const fn windows(&self) -> &WindowBatch {
        &self.windows
    }
}

/// The network: `F(x, level | what is observed)`.
#[derive(Module, Debug)]
pub struct ResidualNet {
    input: Linear,
    encoder: Vec<EncoderBlock>,
    /// From the encoder to the denoiser's tokens.
    handover: Linear,
    /// From the encoder to scales and shifts of every block, and of the output.
    modulate: Vec<Linear>,
    time: Linear,
    mix: Linear,
    levels: Vec<Linear>,
    state: Param<Tensor<2>>,
    denoiser: Vec<DenoiserBlock>,
    output: Linear,
}

#[derive(Module, Debug)]
struct EncoderBlock {
    time: Filter,
    gain: Param<Tensor<2>>,
    shift: Param<Tensor<2>>,
    expand: Linear,
    contract: Linear,
    columns: Columns,
}

#[derive(Module, Debug)]
struct DenoiserBlock {
    time: Filter,
    expand: Linear,
    contract: Linear,
    columns: Option<Columns>,
}

/// Depthwise convolution over rows.
#[derive(Module, Debug)]
struct Filter {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// Attention over the columns of a row.
#[derive(Module, Debug)]
struct Columns {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    /// From what is known of a pair of columns to what is added to its score, shape `[PAIRS, heads]`.
    pairs: Param<Tensor<2>>,
}

impl ResidualNet {
    /// A network with initial weights for a checked config. Its output is zero at first.
    pub fn new(config: &ResidualConfig, init: &mut Init<'_>) -> Self {
        let (width, inner) = (config.width, config.state_width);
        Self {
            input: init.linear(FEATURES, width, 1.0),
            encoder: (0..config.blocks).map(|_| EncoderBlock::new(config, init)).collect(),
            handover: init.linear(width, inner, 1.0),
            modulate: (0..=config.blocks).map(|_| init.linear(width, 2 * inner, BRANCH)).collect(),
            time: init.linear(TIME_FEATURES, config.condition, 1.0),
            mix: init.linear(config.condition, config.condition, 1.0),
            levels: (0..=config.blocks).map(|_| init.linear(config.condition, 2 * inner, BRANCH)).collect(),
            state: init.normal([1, inner], 1.0),
            denoiser: (0..config.blocks).map(|k| DenoiserBlock::new(config, k % 2 == 1, init)).collect(),
            output: init.linear(inner, 1, 0.0),
        }
    }

    /// Reads what is observed.
    pub fn encode(&self, windows: WindowBatch) -> Context {
        let dims @ [count, rows, columns] = windows.dims();
        let tokens = count * rows * columns;
        let mut h = linear(&self.input, windows.features.clone());
        for (k, block) in self.encoder.iter().enumerate() {
            h = block.forward(h, &windows, 1 << k);
        }
        let h = NORM.apply(h);
        let input = linear(&self.handover, h.clone());
        let inner = input.dims()[3];
        let flat = h.reshape([tokens, self.handover.weight.dims()[0]]);
        Context {
            input: input.reshape([count, rows, columns, 1, inner]),
            modulation: self.modulate.iter().map(|layer| linear(layer, flat.clone())).collect(),
            bias: self.denoiser.iter().map(|block| block.columns.as_ref().filter(|_| dims[2] > 1).map(|c| c.bias(&windows))).collect(),
            windows,
        }
    }

    /// Raw output, shape `[tokens, samples]`, of scaled states `x`, shape `[tokens, samples]`, tokens in the order `[windows, rows,
    /// columns]`; `c_noise` has one number a window. States are zero outside holes, and what is said there means nothing.
    pub fn forward(&self, x: Tensor<2>, c_noise: &[f32], context: &Context) -> Tensor<2> {
        let device = x.device();
        let [count, rows, columns] = context.windows.dims();
        let [tokens, samples] = x.dims();
        let inner = self.state.dims()[1];
        let time = TimeEmbedding::new(TIME_FEATURES, 1000.0, 16.0).forward(c_noise, &device);
        let condition = linear_activated(&self.time, Activation::Silu, time);
        let condition = linear_activated(&self.mix, Activation::Silu, condition);
        // Of every token: what its window's level and its own context say.
        let modulation = |k: usize| {
            let of_level = linear(&self.levels[k], condition.clone()).reshape([count, 1, 2 * inner]);
            let of_token = context.modulation[k].clone().reshape([count, rows * columns, 2 * inner]);
            let both = (of_token + of_level).reshape([tokens, 2 * inner]);
            (both.clone().narrow(1, 0, inner), both.narrow(1, inner, inner))
        };
        let embedded = x.reshape([tokens * samples, 1]) * self.state.val();
        let h = embedded.reshape([count, rows, columns, samples, inner]) + context.input.clone();
        let mut h = h.reshape([count, rows, columns * samples, inner]);
        for (k, block) in self.denoiser.iter().enumerate() {
            h = block.forward(h, modulation(k), context.bias[k].as_ref(), &context.windows, 1 << k);
        }
        let (scale, shift) = modulation(self.denoiser.len());
        linear(&self.output, NORM.modulated(h, scale, shift)).reshape([tokens, samples])
    }
}

impl EncoderBlock {
    fn new(config: &ResidualConfig, init: &mut Init<'_>) -> Self {
        let (width, hidden) = (config.width, config.hidden);
        let gain = init.zeros([1, width]);
        Self {
            time: Filter::new(width, init),
            gain,
            shift: init.zeros([1, width]),
            expand: init.linear(width, 2 * hidden, 1.0),
            contract: init.linear(hidden, width, BRANCH),
            columns: Columns::new(width, config.heads, init),
        }
    }

    /// `h` has shape `[windows, rows, columns, width]`.
    fn forward(&self, h: Tensor<4>, windows: &WindowBatch, dilation: usize) -> Tensor<4> {
        let y = self.time.forward(h.clone(), windows, dilation);
        let y = NORM.modulated(y, self.gain.val(), self.shift.val());
        let h = linear_added(&self.contract, gated(&self.expand, y), h);
        if windows.dims()[2] == 1 {
            return h;
        }
        self.columns.forward(h, &self.columns.bias(windows))
    }
}

impl DenoiserBlock {
    fn new(config: &ResidualConfig, sees_columns: bool, init: &mut Init<'_>) -> Self {
        let (width, hidden) = (config.state_width, config.state_hidden);
        Self {
            time: Filter::new(width, init),
            expand: init.linear(width, 2 * hidden, 1.0),
            contract: init.linear(hidden, width, BRANCH),
            columns: sees_columns.then(|| Columns::new(width, config.heads, init)),
        }
    }

    /// `h` has shape `[windows, rows, columns * samples, width]`.
    fn forward(
        &self,
        h: Tensor<4>,
        (scale, shift): (Tensor<2>, Tensor<2>),
        bias: Option<&Tensor<4>>,
        windows: &WindowBatch,
        dilation: usize,
    ) -> Tensor<4> {
        let y = NORM.modulated(self.time.forward(h.clone(), windows, dilation), scale, shift);
        let h = linear_added(&self.contract, gated(&self.expand, y), h);
        match (&self.columns, bias) {
            (Some(columns), Some(bias)) => columns.forward(h, bias),
            _ => h,
        }
    }
}

impl Filter {
    fn new(width: usize, init: &mut Init<'_>) -> Self {
        Self { weight: init.normal([TAPS, width], 1.0 / (TAPS as f64).sqrt()), bias: init.zeros([width]) }
    }

    /// `h` has shape `[windows, rows, columns * samples, width]`; padding counts as zeros, as what lies outside.
    fn forward(&self, h: Tensor<4>, windows: &WindowBatch, dilation: usize) -> Tensor<4> {
        let [count, rows, lanes, width] = h.dims();
        let h = match &windows.present {
            None => h,
            Some(present) => {
                let columns = present.dims()[2];
                let tokens = h.reshape([count, rows, columns, lanes / columns, width]);
                (tokens * present.clone().unsqueeze_dim::<5>(4)).reshape([count, rows, lanes, width])
            }
        };
        depthwise(self.weight.val(), self.bias.val(), dilation, h)
    }
}

impl Columns {
    fn new(width: usize, heads: usize, init: &mut Init<'_>) -> Self {
        let mut layer = |gain: f64| init.linear(width, width, gain);
        let [query, mut key, value, out] = [1.0, 1.0, 1.0, BRANCH].map(&mut layer);
        // It would add the same to all scores of a query.
        key.bias = None;
        let pairs = Param::from_data(TensorData::new(first_scores(heads), [PAIRS, heads]), init.device());
        Self { query, key, value, out, pairs }
    }

    /// What is added to scores, shape `[windows, heads, columns, columns]`.
    fn bias(&self, windows: &WindowBatch) -> Tensor<4> {
        let [count, columns, _, _] = windows.pairs.dims();
        let heads = self.pairs.dims()[1];
        let of_pairs = windows.pairs.clone().reshape([count * columns * columns, PAIRS]).matmul(self.pairs.val());
        let bias = of_pairs.reshape([count, columns, columns, heads]).permute([0, 3, 1, 2]);
        match &windows.hidden_columns {
            None => bias,
            // Finite, so that a row of padding still has weights.
            Some(hidden) => {
                let hidden = hidden.clone().reshape([count, 1, 1, columns]).expand([count, heads, columns, columns]);
                bias.mask_fill(hidden, -1e9)
            }
        }
    }

    /// `h` has shape `[windows, rows, columns * samples, width]`.
    fn forward(&self, h: Tensor<4>, bias: &Tensor<4>) -> Tensor<4> {
        let [count, rows, lanes, width] = h.dims();
        let [_, heads, columns, _] = bias.dims();
        let samples = lanes / columns;
        let y = NORM.apply(h.clone());
        // Samples are heads of their own: queries, keys and values lie as the layers leave them.
        let split =
            |layer: &Linear| linear(layer, y.clone()).reshape([count * rows, columns, samples * heads, width / heads]).swap_dims(1, 2);
        let bias = bias.clone().repeat_dim(1, samples);
        let bias = if count == 1 {
            bias
        } else {
            let wide = [count, rows, samples * heads, columns, columns];
            bias.unsqueeze_dim::<5>(1).expand(wide).reshape([count * rows, samples * heads, columns, columns])
        };
        let mixed = attention(split(&self.query), split(&self.key), split(&self.value), Some(bias), None);
        let mixed = mixed.swap_dims(1, 2).reshape([count, rows, lanes, width]);
        linear_added(&self.out, mixed, h)
    }
}

/// The heads look at first for columns that rise together, that fall as others rise, and that step so; those that look for
/// opposites find themselves where there are none.
fn first_scores(heads: usize) -> Vec<f32> {
    let mut scores = vec![0f32; PAIRS * heads];
    for head in 0..heads {
        let sign = if head % 2 == 0 { 1.0 } else { -1.0 };
        scores[head / 2 % 2 * heads + head] = (sign * OF_CORRELATION) as f32;
        scores[2 * heads + head] = if head % 2 == 0 { 0.0 } else { OF_CORRELATION as f32 };
    }
    scores
}

/// SwiGLU of a layer's outputs; the last dimension halves.
fn gated(layer: &Linear, x: Tensor<4>) -> Tensor<4> {
    Gate::Silu.apply(linear(layer, x), 3)
}

#[cfg(test)]
mod tests;
