//! CSDI's network (Tashiro et al. 2021, arXiv:2107.03502), as published, and the same network without conditions.
//!
//! Parameters have the names of the published code (`diffmodel.residual_layers.0.mid_projection.weight`), with burn's layout. From a
//! published file: matrices of linear layers and of convolutions of one tap, `[out, in]` or `[out, in, 1]`, are transposed to
//! `[in, out]`; `self_attn.in_proj_weight` and `in_proj_bias` are `self_attn.in_proj.weight` and `.bias`; `weight` and `bias` of
//! `norm1` and `norm2` are `gamma` and `beta`; the table `diffusion_embedding.embedding` is computed.
//! It differs in one thing: there is no dropout inside the transformer layers in training.

use burn::{
    module::Module,
    nn::{Embedding, LayerNorm, Linear},
    tensor::{Device, Tensor, TensorData, activation},
};
use langevin_core::schedule::{Table, betas};
use langevin_nn::{
    Init,
    fused::{Activation, layer_norm, linear, linear_activated, linear_added, self_attention},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, config::within};

/// Width inside a transformer layer.
const FEEDFORWARD: usize = 64;
const EPSILON: f32 = 1e-5;

/// `[model]` of a CSDI checkpoint. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsdiConfig {
    /// Rows of a window.
    pub window: usize,
    /// Names of the columns, in the order of their embedding. Left empty in a config, they are read off the training data.
    pub columns: Vec<String>,
    /// Residual blocks.
    pub layers: usize,
    /// Channels of a token.
    pub channels: usize,
    /// Heads of attention over rows and over columns.
    pub heads: usize,
    /// Width of the embedded diffusion step.
    pub diffusion_embedding: usize,
    /// Width of the embedded time.
    pub time_embedding: usize,
    /// Width of the embedded column.
    pub feature_embedding: usize,
    /// Diffusion steps `T`.
    pub steps: usize,
    /// Least variance of a step.
    pub beta_start: f64,
    /// Greatest variance of a step; roots are evenly spaced between.
    pub beta_end: f64,
    /// Which observed cells are hidden in training.
    pub strategy: Strategy,
    /// Without conditions: a model of whole windows, which RePaint fills holes with.
    pub unconditional: bool,
}

/// Which observed cells CSDI is trained to fill (section 4.3 of the paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A random share of them, evenly distributed.
    Random,
    /// Those that another window misses.
    Historical,
    /// Either, with equal chances.
    Mix,
}

impl Default for CsdiConfig {
    fn default() -> Self {
        Self {
            window: 48,
            columns: Vec::new(),
            layers: 4,
            channels: 64,
            heads: 8,
            diffusion_embedding: 128,
            time_embedding: 128,
            feature_embedding: 16,
            steps: 50,
            beta_start: 1e-4,
            beta_end: 0.5,
            strategy: Strategy::Random,
            unconditional: false,
        }
    }
}

impl CsdiConfig {
    /// Refuses settings that make no network or no schedule.
    ///
    /// # Errors
    /// [`Error::Setting`] names the setting.
    pub fn check(&self) -> Result<()> {
        within("window", self.window, 2, 4096)?;
        within("columns", self.columns.len(), 0, 4096)?;
        within("layers", self.layers, 1, 64)?;
        within("channels", self.channels, 2, 1024)?;
        within("heads", self.heads, 1, 64)?;
        within("diffusion_embedding", self.diffusion_embedding, 4, 1024)?;
        within("time_embedding", self.time_embedding, 2, 1024)?;
        within("feature_embedding", self.feature_embedding, 1, 1024)?;
        within("steps", self.steps, 2, 10_000)?;
        let setting = |name, reason: &str| Err(Error::Setting { name, reason: reason.to_owned() });
        if !self.channels.is_multiple_of(self.heads) {
            return setting("channels", "should be a multiple of heads");
        }
        if !self.diffusion_embedding.is_multiple_of(2) || !self.time_embedding.is_multiple_of(2) {
            return setting("diffusion_embedding", "and time_embedding should be even");
        }
        if !(self.beta_start > 0.0 && self.beta_start < self.beta_end && self.beta_end < 1.0) {
            return setting("beta_start", "should lie above 0 and below beta_end, and that below 1");
        }
        let mut names: Vec<&String> = self.columns.iter().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return setting("columns", "should name every column once");
        }
        Ok(())
    }

    /// The noise schedule: squares of evenly spaced roots.
    ///
    /// # Errors
    /// When the betas are no schedule.
    pub fn schedule(&self) -> Result<Table> {
        Ok(Table::from_betas(&betas::scaled_linear(self.beta_start, self.beta_end, self.steps))?)
    }

    /// Numbers that a token is told beside its values: time, column, and whether it is given.
    const fn side(&self) -> usize {
        self.time_embedding + self.feature_embedding + if self.unconditional { 0 } else { 1 }
    }

    /// Numbers of a token's values: the noised one, and before it the given one.
    const fn inputs(&self) -> usize {
        if self.unconditional { 1 } else { 2 }
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct CsdiNet {
    embed_layer: Embedding,
    diffmodel: DiffCsdi,
}

#[derive(Module, Debug)]
struct DiffCsdi {
    diffusion_embedding: DiffusionEmbedding,
    input_projection: Linear,
    output_projection1: Linear,
    output_projection2: Linear,
    residual_layers: Vec<ResidualBlock>,
}

#[derive(Module, Debug)]
struct DiffusionEmbedding {
    projection1: Linear,
    projection2: Linear,
}

#[derive(Module, Debug)]
struct ResidualBlock {
    diffusion_projection: Linear,
    cond_projection: Linear,
    mid_projection: Linear,
    output_projection: Linear,
    time_layer: Encoder,
    feature_layer: Encoder,
}

/// A transformer of one layer, by the name that the published code gives it.
#[derive(Module, Debug)]
struct Encoder {
    layers: Vec<EncoderLayer>,
}

#[derive(Module, Debug)]
struct EncoderLayer {
    self_attn: SelfAttention,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
}

#[derive(Module, Debug)]
struct SelfAttention {
    in_proj: Linear,
    out_proj: Linear,
}

/// What the blocks are told of a batch of windows at every step of it.
#[derive(Clone, Debug)]
pub struct Side {
    /// Projected to every block, each of shape `[batch or 1, columns, rows, 2 * channels]`.
    blocks: Vec<Tensor<4>>,
    heads: usize,
}

impl CsdiNet {
    /// A network with initial weights for a checked config whose columns are filled in.
    pub fn new(config: &CsdiConfig, init: &mut Init<'_>) -> Self {
        let (channels, embedding) = (config.channels, config.diffusion_embedding);
        // Convolutions are Kaiming normal in the published code.
        let gain = std::f64::consts::SQRT_2;
        Self {
            embed_layer: init.embedding(config.columns.len(), config.feature_embedding, 1.0),
            diffmodel: DiffCsdi {
                diffusion_embedding: DiffusionEmbedding {
                    projection1: init.linear(embedding, embedding, 1.0),
                    projection2: init.linear(embedding, embedding, 1.0),
                },
                input_projection: init.linear(config.inputs(), channels, gain),
                output_projection1: init.linear(channels, channels, gain),
                output_projection2: init.linear(channels, 1, 0.0),
                residual_layers: (0..config.layers)
                    .map(|_| ResidualBlock {
                        diffusion_projection: init.linear(embedding, channels, 1.0),
                        cond_projection: init.linear(config.side(), 2 * channels, gain),
                        mid_projection: init.linear(channels, 2 * channels, gain),
                        output_projection: init.linear(channels, 2 * channels, gain),
                        time_layer: Encoder::new(channels, init),
                        feature_layer: Encoder::new(channels, init),
                    })
                    .collect(),
            },
        }
    }

    /// What the blocks are told: times of the rows in steps from the window's start, and the mask of given cells, shape `[batch,
    /// columns, rows, 1]`, which an unconditional network goes without.
    pub fn side(&self, config: &CsdiConfig, times: &[f64], given: Option<Tensor<4>>, device: &Device) -> Side {
        let rows = times.len();
        let [columns, width] = self.embed_layer.weight.dims();
        let batch = given.as_ref().map_or(1, |given| given.dims()[0]);
        let time =
            Tensor::<2>::from_data(TensorData::new(embed_times(times, config.time_embedding), [rows, config.time_embedding]), device);
        let time = time.reshape([1, 1, rows, config.time_embedding]).expand([batch, columns, rows, config.time_embedding]);
        let column = self.embed_layer.weight.val().reshape([1, columns, 1, width]).expand([batch, columns, rows, width]);
        let side = Tensor::cat([Some(time), Some(column), given].into_iter().flatten().collect(), 3);
        let blocks = self.diffmodel.residual_layers.iter().map(|block| linear(&block.cond_projection, side.clone())).collect();
        Side { blocks, heads: config.heads }
    }

    /// The predicted noise, shape `[batch, columns, rows]`, of values `[batch, columns, rows, 1 or 2]` (given, then noised) at diffusion
    /// steps `0..T`, one for each item or one for all.
    ///
    /// # Panics
    /// When there are neither as many steps as items nor one.
    pub fn forward(&self, x: Tensor<4>, steps: &[f32], side: &Side) -> Tensor<3> {
        let [batch, columns, rows, _] = x.dims();
        let model = &self.diffmodel;
        assert!(steps.len() == 1 || steps.len() == batch, "{} steps are not of {batch} items", steps.len());
        let embedded = model.diffusion_embedding.forward(steps, &x.device());
        let mut h = activation::relu(linear(&model.input_projection, x));
        let channels = h.dims()[3];
        let mut skips: Option<Tensor<4>> = None;
        for (k, block) in model.residual_layers.iter().enumerate() {
            let of_step = linear(&block.diffusion_projection, embedded.clone()).reshape([steps.len(), 1, 1, channels]);
            let (next, skip) = block.forward(h, of_step, side.blocks[k].clone(), side.heads);
            h = next;
            skips = Some(match skips {
                Some(sum) => sum + skip,
                None => skip,
            });
        }
        let skips = skips.expect("a checked config has a block") / (model.residual_layers.len() as f64).sqrt();
        let h = activation::relu(linear(&model.output_projection1, skips));
        linear(&model.output_projection2, h).reshape([batch, columns, rows])
    }
}

impl DiffusionEmbedding {
    /// Sines, then cosines of a step at frequencies from 1 to 10000.
    fn forward(&self, steps: &[f32], device: &Device) -> Tensor<2> {
        let width = self.projection1.weight.dims()[0];
        let half = width / 2;
        let frequency = |k: usize| 10f64.powf(4.0 * k as f64 / (half - 1).max(1) as f64);
        let angles = |step: f32| (0..half).map(move |k| f64::from(step) * frequency(k));
        let row = |&step: &f32| angles(step).map(f64::sin).chain(angles(step).map(f64::cos)).map(|v| v as f32).collect::<Vec<_>>();
        let rows: Vec<f32> = steps.iter().flat_map(row).collect();
        let x = Tensor::<2>::from_data(TensorData::new(rows, [steps.len(), width]), device);
        let x = linear_activated(&self.projection1, Activation::Silu, x);
        linear_activated(&self.projection2, Activation::Silu, x)
    }
}

impl ResidualBlock {
    /// The next tokens, and what this block adds to the output.
    fn forward(&self, x: Tensor<4>, of_step: Tensor<4>, side: Tensor<4>, heads: usize) -> (Tensor<4>, Tensor<4>) {
        let [batch, columns, rows, channels] = x.dims();
        let mut y = x.clone() + of_step;
        if rows > 1 {
            y = self.time_layer.forward(y.reshape([batch * columns, rows, channels]), heads).reshape([batch, columns, rows, channels]);
        }
        if columns > 1 {
            let turned = y.swap_dims(1, 2).reshape([batch * rows, columns, channels]);
            y = self.feature_layer.forward(turned, heads).reshape([batch, rows, columns, channels]).swap_dims(1, 2);
        }
        let y = linear(&self.mid_projection, y) + side;
        let (gate, filter) = (y.clone().narrow(3, 0, channels), y.narrow(3, channels, channels));
        let y = linear(&self.output_projection, Activation::Sigmoid.apply(gate) * Activation::Tanh.apply(filter));
        let (residual, skip) = (y.clone().narrow(3, 0, channels), y.narrow(3, channels, channels));
        ((x + residual) / std::f64::consts::SQRT_2, skip)
    }
}

impl Encoder {
    fn new(channels: usize, init: &mut Init<'_>) -> Self {
        let layer = EncoderLayer {
            self_attn: SelfAttention { in_proj: init.linear(channels, 3 * channels, 1.0), out_proj: init.linear(channels, channels, 1.0) },
            linear1: init.linear(channels, FEEDFORWARD, 1.0),
            linear2: init.linear(FEEDFORWARD, channels, 1.0),
            norm1: init.layer_norm(channels),
            norm2: init.layer_norm(channels),
        };
        Self { layers: vec![layer] }
    }

    /// `x` has shape `[sequences, length, channels]`; norms follow the branches.
    fn forward(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        self.layers.iter().fold(x, |x, layer| {
            let mixed = self_attention(linear(&layer.self_attn.in_proj, x.clone()), heads, None, None);
            let x = layer_norm(&layer.norm1, EPSILON, linear_added(&layer.self_attn.out_proj, mixed, x));
            let inside = linear_activated(&layer.linear1, Activation::Gelu, x.clone());
            layer_norm(&layer.norm2, EPSILON, linear_added(&layer.linear2, inside, x))
        })
    }
}

/// Sines and cosines in turn, of a position over powers of 10000 (Vaswani et al. 2017, section 3.5).
fn embed_times(times: &[f64], width: usize) -> Vec<f32> {
    let row = |&time: &f64| (0..width).map(move |k| (time / 10_000f64.powf((k / 2 * 2) as f64 / width as f64), k % 2 == 0));
    times.iter().flat_map(row).map(|(angle, even)| if even { angle.sin() } else { angle.cos() } as f32).collect()
}

#[cfg(test)]
mod tests;
