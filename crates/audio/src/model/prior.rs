//! The prior's denoiser: a residual network on vectors, modulated by noise level, label and speaker.

use std::collections::HashMap;

use burn::{
    module::Module,
    nn::{Embedding, Linear},
    tensor::{Device, Int, Tensor, TensorData},
};
use langevin_core::schedule::{LearnedGamma, MonotoneGamma, ScheduleSpec};
use langevin_nn::{
    Init, TimeEmbedding, Vae, VaeConfig,
    fused::{Activation, Norm, linear, linear_activated},
};

use crate::config::PriorConfig;

pub(super) const TIME_FEATURES: usize = 128;
/// Before every modulation.
const NORM: Norm = Norm::Layer { epsilon: 1e-5 };

/// `F(x, c_noise, label, speaker)`: residual blocks with adaptive layer norm (Peebles & Xie 2023, adaLN-Zero).
#[derive(Module, Debug)]
pub struct PriorNet {
    input: Linear,
    time: Linear,
    label: Embedding,
    speaker: Embedding,
    mix: Linear,
    blocks: Vec<Block>,
    modulate: Linear,
    output: Linear,
    /// The curve of noise levels, where it is learned.
    gamma: Option<MonotoneGamma>,
    /// The autoencoder whose code is diffused, where there is one.
    vae: Option<Vae>,
}

#[derive(Module, Debug)]
struct Block {
    modulate: Linear,
    expand: Linear,
    contract: Linear,
}

/// The conditions of a batch, one entry a row. `None` is the hidden condition of classifier-free guidance.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// What is said.
    pub labels: Vec<Option<usize>>,
    /// Who says it.
    pub speakers: Vec<Option<usize>>,
}

impl PriorNet {
    /// A network with initial weights for a checked config; with a learned variance it returns two numbers for each of the state.
    pub fn new(config: &PriorConfig, init: &mut Init<'_>) -> Self {
        let (width, condition) = (config.width, config.condition);
        let block = |init: &mut Init<'_>| Block {
            modulate: init.linear(condition, 3 * width, 0.0),
            expand: init.linear(width, config.hidden, 1.0),
            contract: init.linear(config.hidden, width, 1.0),
        };
        let state = config.state();
        Self {
            input: init.linear(state, width, 1.0),
            time: init.linear(TIME_FEATURES, condition, 1.0),
            // One more row each: the hidden condition.
            label: init.embedding(config.vocabulary.labels.len() + 1, condition, 1.0),
            speaker: init.embedding(config.vocabulary.speakers.len() + 1, condition, 1.0),
            mix: init.linear(condition, condition, 1.0),
            blocks: (0..config.blocks).map(|_| block(init)).collect(),
            modulate: init.linear(condition, 2 * width, 0.0),
            output: init.linear(width, state * config.heads(), 0.0),
            gamma: gamma(config, init),
            vae: config.latent.as_ref().map(|latent| {
                let scale = config.sigma_data;
                let (data, latent, hidden, layers) = (config.vector(), latent.dim, latent.hidden, latent.layers);
                Vae::new(&VaeConfig { data, latent, hidden, layers, scale, scale_per_dimension: true }, init)
            }),
        }
    }

    /// The curve of noise levels, where it is learned.
    pub const fn gamma(&self) -> Option<&MonotoneGamma> {
        self.gamma.as_ref()
    }

    /// The learned curve as a schedule; `None` without one, and for weights that make no curve.
    pub fn learned_schedule(&self) -> Option<LearnedGamma> {
        self.gamma.as_ref().and_then(|gamma| gamma.to_schedule().ok())
    }

    /// The autoencoder whose code is diffused, where there is one.
    pub const fn vae(&self) -> Option<&Vae> {
        self.vae.as_ref()
    }

    /// Raw output, shape `[batch, state * heads]`, of scaled states `x`, shape `[batch, state]`, at noise inputs
    /// `c_noise = ln(sigma / alpha) / 4`, one a row.
    ///
    /// Modulation is computed once for each different condition and handed out to its rows: in sampling a whole batch has one or two.
    pub fn forward(&self, x: Tensor<2>, c_noise: &[f32], conditions: &Conditions) -> Tensor<2> {
        let embedding = Embedded { time: &self.time, label: &self.label, speaker: &self.speaker, mix: &self.mix };
        let condition = embedding.forward(c_noise, conditions, &x.device());
        let modulation = |layer: &Linear| condition.through(layer);
        let mut h = linear(&self.input, x);
        for block in &self.blocks {
            let modulation = modulation(&block.modulate);
            h = block.forward(h, &modulation);
        }
        let [shift, scale] = split(&modulation(&self.modulate));
        linear(&self.output, NORM.modulated(h, scale, shift))
    }
}

/// The network of a learned schedule; a checked config has one only on the schedule `vdm`.
fn gamma(config: &PriorConfig, init: &mut Init<'_>) -> Option<MonotoneGamma> {
    let (Some(learned), ScheduleSpec::Vdm { gamma_min, gamma_max }) = (config.objective.learned_schedule, config.objective.schedule) else {
        return None;
    };
    let seed = init.seed();
    MonotoneGamma::new(gamma_min, gamma_max, learned.hidden, seed, init.device()).ok()
}

/// The layers that make a condition of noise level, label and speaker.
pub(super) struct Embedded<'a> {
    pub(super) time: &'a Linear,
    pub(super) label: &'a Embedding,
    pub(super) speaker: &'a Embedding,
    pub(super) mix: &'a Linear,
}

/// The different conditions of a batch, shape `[different, width]`, and which of them each row has, where some share one.
pub(super) struct Condition {
    different: Tensor<2>,
    of_row: Option<Tensor<1, Int>>,
}

impl Embedded<'_> {
    /// The conditions of rows at noise inputs `c_noise`.
    pub(super) fn forward(&self, c_noise: &[f32], conditions: &Conditions, device: &Device) -> Condition {
        let different = Different::of(c_noise, conditions);
        let hidden = [self.label.weight.dims()[0] - 1, self.speaker.weight.dims()[0] - 1];
        let ids = |ids: Vec<usize>| {
            let count = ids.len();
            Tensor::<1, Int>::from_data(TensorData::new(ids.into_iter().map(|id| id as i64).collect::<Vec<_>>(), [count]), device)
        };
        let embed = |table: &Embedding, of: &[Option<usize>], hidden: usize| {
            table.weight.val().select(0, ids(different.first.iter().map(|&row| of[row].unwrap_or(hidden)).collect()))
        };
        let levels: Vec<f32> = different.first.iter().map(|&row| c_noise[row]).collect();
        // c_noise spans about [-1.2, 1]: scaled up so that the fastest feature turns a few times over the range.
        let time = TimeEmbedding::new(TIME_FEATURES, 1000.0, 16.0).forward(&levels, device);
        let condition = linear_activated(self.time, Activation::Silu, time)
            + embed(self.label, &conditions.labels, hidden[0])
            + embed(self.speaker, &conditions.speakers, hidden[1]);
        let of_row = (different.first.len() < c_noise.len()).then(|| ids(different.of_row));
        Condition { different: linear_activated(self.mix, Activation::Silu, condition), of_row }
    }
}

impl Condition {
    /// A layer's view of every row's condition, shape `[rows, outputs]`.
    pub(super) fn through(&self, layer: &Linear) -> Tensor<2> {
        let rows = linear(layer, self.different.clone());
        self.of_row.as_ref().map_or_else(|| rows.clone(), |of_row| rows.clone().select(0, of_row.clone()))
    }
}

/// The different conditions of a batch.
struct Different {
    /// A row that has each.
    first: Vec<usize>,
    /// Which of them each row has.
    of_row: Vec<usize>,
}

impl Different {
    fn of(c_noise: &[f32], conditions: &Conditions) -> Self {
        let key = |row: usize| (c_noise[row].to_bits(), conditions.labels[row], conditions.speakers[row]);
        let mut known = HashMap::new();
        let mut first = Vec::new();
        let number = |row: usize| {
            *known.entry(key(row)).or_insert_with(|| {
                first.push(row);
                first.len() - 1
            })
        };
        let of_row = (0..c_noise.len()).map(number).collect();
        Self { first, of_row }
    }
}

impl Block {
    fn forward(&self, h: Tensor<2>, modulation: &Tensor<2>) -> Tensor<2> {
        let [shift, scale, gate] = split(modulation);
        let inside = NORM.modulated(h.clone(), scale, shift);
        h + gate * linear(&self.contract, linear_activated(&self.expand, Activation::Silu, inside))
    }
}

/// Equal parts of the last dimension.
pub(super) fn split<const N: usize>(x: &Tensor<2>) -> [Tensor<2>; N] {
    let [rows, width] = x.dims();
    let part = width / N;
    std::array::from_fn(|k| x.clone().slice([0..rows, k * part..(k + 1) * part]))
}
